"""`Provider`: a function for each action of a manifest, behind the Hub's signature."""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

import anyio
import anyio.to_thread

from jecp_mcp import jsontext
from jecp_mcp.clock import Clock, SystemClock
from jecp_mcp.errors import WireError
from jecp_mcp.provider.calls import MAX_CALL_BYTES, Artifact, Call, CallFailed, Completed, Metered, read_call
from jecp_mcp.wire.jecp.envelope import PROTOCOL
from jecp_mcp.wire.jecp.forwarded import SIGNATURE_HEADER, TIMESTAMP_HEADER
from jecp_mcp.wire.jecp.webhooks import check_signature, sign
from jecp_mcp.wire.json_schemas import schema_validator, violations

_log = logging.getLogger(__name__)

Work = Callable[[Call], Any]
"""Does one action; may be asynchronous, and runs in a thread where it is not. Raises `CallFailed`.

An asynchronous generator gives the output in pieces, and at its end perhaps a `Completed`.
"""
F = TypeVar("F", bound=Work)
_Message = MutableMapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the Hub is answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StreamedReply:
    """What the Hub is answered, piece by piece; `chunks` is closed where it is not read to its end."""

    status: int
    headers: Mapping[str, str]
    chunks: AsyncGenerator[bytes, None] = field(repr=False)


class _Refused(Exception):  # never leaves this module
    def __init__(self, status: int, code: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        self.status, self.code, self.message, self.details = status, code, message, details
        super().__init__(code)


class Provider:
    """Answers the calls of one capability, as an ASGI application or by `answer`.

    ::

        provider = Provider(os.environ["JECP_HMAC_SECRET"], MANIFEST)

        @provider.action("count")
        def count(call: Call) -> dict[str, int]:
            return {"words": len(call.input["text"].split())}

    Serve it at the manifest's ``endpoint``, whose ``/health`` it answers too. Any other request is refused unless the
    Hub signed it within the last five minutes.
    """

    def __init__(self, hmac_secret: str, manifest: Mapping[str, Any], *more: str, clock: Clock | None = None) -> None:
        """Sell what `manifest` says.

        Args:
            hmac_secret: base64 text as the Hub showed it at registration.
            manifest: as it is published, parsed.
            more: other secrets that may sign too, of other Hubs or while one replaces another.
            clock: the machine's unless given.

        Raises:
            ValueError: a secret is none, or the manifest has no actions with schemas.
        """
        self._secrets = tuple(map(_read_secret, (hmac_secret, *more)))
        self._clock = clock or SystemClock()
        try:
            self._capability = f"{manifest['namespace']}/{manifest['capability']}"
            self._schemas = {
                action["id"]: (schema_validator(action["input_schema"]), schema_validator(action["output_schema"]))
                for action in manifest["actions"]
            }
        except (KeyError, TypeError) as exc:
            raise ValueError(f"the manifest lacks {exc}") from exc
        self._work: dict[str, Work] = {}

    def action(self, action_id: str) -> Callable[[F], F]:
        """Have the decorated function do an action of the manifest.

        It gives the output, valid against the action's ``output_schema``; an `Artifact`; or, for a price by what was
        used, a `Metered`. An asynchronous generator gives its pieces, which the buyer of an action with
        ``streaming: true`` hears as they come; see `Completed`.

        Raises:
            ValueError: the manifest has no such action, or it is done already.
        """
        if action_id not in self._schemas:
            raise ValueError(f"the manifest has no action {action_id!r}")
        if action_id in self._work:
            raise ValueError(f"the action {action_id!r} is done already")

        def keep(work: F) -> F:
            if inspect.isgeneratorfunction(work):
                raise ValueError("what gives its output in pieces is an asynchronous generator: async def with yield")
            self._work[action_id] = work
            return work

        return keep

    async def answer(self, headers: Mapping[str, str], body: bytes) -> Reply:
        """What to answer to a ``POST`` of the Hub; for whatever framework received it.

        Args:
            headers: the request's, in any case.
            body: its exact bytes, before anything parses them.
        """
        accepted = self._accepted(headers, body)
        return accepted if isinstance(accepted, Reply) else await self._whole(*accepted)

    async def stream(self, headers: Mapping[str, str], body: bytes) -> StreamedReply:
        """As `answer`, for a framework that can send an answer piece by piece.

        It is a stream of events where the Hub asks for one and the action is done in pieces; else one piece.
        """
        accepted = self._accepted(headers, body)
        wanted = any(name.lower() == "accept" and "text/event-stream" in value for name, value in headers.items())
        if isinstance(accepted, tuple) and wanted and inspect.isasyncgenfunction(accepted[1]):
            return StreamedReply(200, EVENT_STREAM, self._events(*accepted))
        reply = accepted if isinstance(accepted, Reply) else await self._whole(*accepted)
        return StreamedReply(reply.status, reply.headers, _one(reply.body))

    def _accepted(self, headers: Mapping[str, str], body: bytes) -> tuple[Call, Work] | Reply:
        """A call that may be done, and what does it; or why not."""
        call_id: str | None = None
        try:
            self._check_signature({name.lower(): value for name, value in headers.items()}, body)
            try:
                call = read_call(body)
            except WireError as exc:
                raise _Refused(400, "PARSE_ERROR", str(exc)) from exc
            call_id = call.id
            return call, self._work_of(call)
        except _Refused as refused:
            return _failure(refused, call_id)

    def _check_signature(self, headers: Mapping[str, str], body: bytes) -> None:
        signature, timestamp = headers.get(SIGNATURE_HEADER), headers.get(TIMESTAMP_HEADER)
        if not signature or not timestamp:
            raise _Refused(401, "MISSING_SIGNATURE", f"{SIGNATURE_HEADER} and {TIMESTAMP_HEADER} are required")
        why: WireError | None = None
        for secret in self._secrets:
            try:
                check_signature(secret, signature, timestamp, body, now=self._clock.now())
            except WireError as exc:
                why = exc
            else:
                return
        raise _Refused(401, "INVALID_SIGNATURE", str(why)) from why

    def _work_of(self, call: Call) -> Work:
        if call.capability != self._capability:
            raise _Refused(404, "CAPABILITY_NOT_FOUND", f"{call.capability} is not sold here")
        work = self._work.get(call.action)
        if work is None:
            raise _Refused(404, "ACTION_NOT_FOUND", f"{call.capability} has no action {call.action} here")
        # The Hub checks it too; who relies on that is one Hub's fault away from a stranger's input.
        if broken := violations(self._schemas[call.action][0], call.input):
            raise _Refused(400, "INPUT_SCHEMA_VIOLATION", broken[0]["reason"], {"errors": broken})
        return work

    async def _whole(self, call: Call, work: Work) -> Reply:
        try:
            with _failures(call):
                made = await _done(work, call)
            if isinstance(made, Artifact):
                return Reply(200, {"content-type": made.content_type}, made.data)
            output, units = (made.output, made.units) if isinstance(made, Metered | Completed) else (made, None)
            return _json(200, {"jecp": PROTOCOL, "status": "success", **self._ending(call, output, units)})
        except _Refused as refused:
            return _failure(refused, call.id)

    async def _events(self, call: Call, work: Work) -> AsyncGenerator[bytes, None]:
        """A call's events, of which the last says how it ended (JECP 01-protocol §4.3)."""
        yield _event("open", {"id": call.id})
        pieces: list[Any] = []
        whole: Completed | None = None
        try:
            async with aclosing(work(call)) as given:
                while whole is None:
                    with _failures(call):
                        piece = await anext(given, _END)
                    if piece is _END:
                        break
                    if isinstance(piece, Completed):
                        whole = piece
                    else:
                        chunk = {"delta": piece, "index": len(pieces)}
                        pieces.append(piece)
                        yield _written(call, partial(_event, "chunk", chunk))
            whole = whole or Completed(_joined(pieces))
            ending = self._ending(call, whole.output, whole.units)
        except _Refused as refused:
            yield _event("error", {"id": call.id, "error": _error(refused)})
            return
        yield _event("completed", ending)

    def _ending(self, call: Call, output: Any, units: Mapping[str, int] | None) -> dict[str, Any]:
        """What an answer and the last event have in common; the output is as the manifest promises.

        Raises:
            _Refused: it is not.
        """
        written = _written(call, lambda: jsontext.dumps(output))
        value = jsontext.plain(jsontext.loads(written, max_bytes=len(written), max_marks=None))
        if broken := violations(self._schemas[call.action][1], value):
            _log.error("the output of action %s breaks its schema: %s", call.action, broken)
            raise _Refused(500, "OUTPUT_INVALID", "the provider's output breaks its schema; nothing is charged")
        meter = {} if units is None else {"meter_summary": dict(units)}
        return {"id": call.id, "result": output, **meter}

    async def __call__(
        self,
        scope: _Message,
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        """Answer as an ASGI application."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError("a provider answers HTTP only")
        reply = await self._reply(scope, receive)
        if reply is None:
            return
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers.items()]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        if isinstance(reply, Reply):
            await send({"type": "http.response.body", "body": reply.body})
            return
        async with anyio.create_task_group() as tasks, aclosing(reply.chunks) as chunks:
            # Nobody works for a Hub that has gone.
            tasks.start_soon(_cancelling, tasks.cancel_scope, receive)
            async for chunk in chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
            tasks.cancel_scope.cancel()

    async def _reply(self, scope: _Message, receive: Callable[[], Awaitable[_Message]]) -> Reply | StreamedReply | None:
        """What to answer; None where whoever asked is gone."""
        if scope["path"].endswith("/health"):
            return _json(200, {"status": "ok", "capability": self._capability})
        if scope["method"] != "POST":
            return _failure(_Refused(405, "METHOD_NOT_ALLOWED", "a call is a POST"), None)
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > MAX_CALL_BYTES:
                return _failure(_Refused(413, "INPUT_TOO_LARGE", f"a call has at most {MAX_CALL_BYTES} bytes"), None)
            if not message.get("more_body", False):
                break
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        return await self.stream(headers, bytes(body))


@contextmanager
def _failures(call: Call) -> Iterator[None]:
    """What a provider's own function raises, as the Hub is told of it."""
    try:
        yield
    except CallFailed as failed:
        raise _Refused(422, failed.code, failed.message) from failed
    except Exception as exc:
        # What went wrong stays in the log: an answer must not show the inside.
        _log.exception("the action %s of call %s failed", call.action, call.id)
        raise _Refused(500, "PROVIDER_INTERNAL_ERROR", "the provider failed; nothing is charged") from exc


async def _done(work: Work, call: Call) -> Any:
    """What the work gives; of pieces, what they come to."""
    if inspect.isasyncgenfunction(work):
        pieces: list[Any] = []
        async with aclosing(work(call)) as given:
            async for piece in given:
                if isinstance(piece, Completed):
                    return piece
                pieces.append(piece)
        return _joined(pieces)
    if inspect.iscoroutinefunction(work):
        return await work(call)
    made = await anyio.to_thread.run_sync(work, call)
    return await made if inspect.isawaitable(made) else made


def _joined(pieces: list[Any]) -> Any:
    return "".join(pieces) if pieces and all(isinstance(one, str) for one in pieces) else pieces


def _written(call: Call, write: Callable[[], bytes]) -> bytes:
    try:
        return write()
    except WireError as exc:
        _log.exception("the output of action %s is no JSON", call.action)
        raise _Refused(500, "OUTPUT_INVALID", "the provider's output is no JSON; nothing is charged") from exc


async def _one(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body


async def _cancelling(scope: anyio.CancelScope, receive: Callable[[], Awaitable[_Message]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _live(receive: Callable[[], Awaitable[_Message]], send: Callable[[_Message], Awaitable[None]]) -> None:
    while True:
        stage = (await receive())["type"].rpartition(".")[2]
        await send({"type": f"lifespan.{stage}.complete"})
        if stage == "shutdown":
            return


def _read_secret(text: str) -> str:
    try:
        sign(text.strip(), 0, b"")
    except WireError as exc:
        raise ValueError(f"{exc}; copy it whole, as the Hub showed it") from exc
    return text.strip()


_END: Final = object()
EVENT_STREAM: Final = {"content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no"}
_NO_STORE: Final = {"content-type": "application/json", "cache-control": "no-store"}


def _json(status: int, value: Any) -> Reply:
    return Reply(status, _NO_STORE, jsontext.dumps(value))


def _event(name: str, data: Any) -> bytes:
    # Compact JSON has no line ends, so one data line holds it.
    return b"event: " + name.encode("ascii") + b"\ndata: " + jsontext.dumps(data) + b"\n\n"


def _error(refused: _Refused) -> dict[str, Any]:
    told: dict[str, Any] = {"code": refused.code, "message": refused.message}
    return told | ({"details": refused.details} if refused.details else {})


def _failure(refused: _Refused, call_id: str | None) -> Reply:
    error = _error(refused)
    about = {"jecp": PROTOCOL, **({} if call_id is None else {"id": call_id})}
    return _json(refused.status, {**about, "status": "failed", "error": error})
