"""`Provider`: a function for each action of a manifest, behind the Hub's signature."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import anyio.to_thread

from jecp_mcp import jsontext
from jecp_mcp.clock import Clock, SystemClock
from jecp_mcp.errors import WireError
from jecp_mcp.provider.calls import MAX_CALL_BYTES, Artifact, Call, CallFailed, Metered, read_call
from jecp_mcp.wire.jecp.envelope import PROTOCOL
from jecp_mcp.wire.jecp.forwarded import SIGNATURE_HEADER, TIMESTAMP_HEADER
from jecp_mcp.wire.jecp.webhooks import check_signature, sign
from jecp_mcp.wire.json_schemas import schema_validator, violations

_log = logging.getLogger(__name__)

Work = Callable[[Call], Any]
"""Does one action; may be asynchronous, and runs in a thread where it is not. Raises `CallFailed`."""
F = TypeVar("F", bound=Work)
_Message = MutableMapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the Hub is answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


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
        used, a `Metered`.

        Raises:
            ValueError: the manifest has no such action, or it is done already.
        """
        if action_id not in self._schemas:
            raise ValueError(f"the manifest has no action {action_id!r}")
        if action_id in self._work:
            raise ValueError(f"the action {action_id!r} is done already")

        def keep(work: F) -> F:
            self._work[action_id] = work
            return work

        return keep

    async def answer(self, headers: Mapping[str, str], body: bytes) -> Reply:
        """What to answer to a ``POST`` of the Hub; for whatever framework received it.

        Args:
            headers: the request's, in any case.
            body: its exact bytes, before anything parses them.
        """
        call_id: str | None = None
        try:
            self._check_signature({name.lower(): value for name, value in headers.items()}, body)
            try:
                call = read_call(body)
            except WireError as exc:
                raise _Refused(400, "PARSE_ERROR", str(exc)) from exc
            call_id = call.id
            return await self._perform(call)
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

    async def _perform(self, call: Call) -> Reply:
        if call.capability != self._capability:
            raise _Refused(404, "CAPABILITY_NOT_FOUND", f"{call.capability} is not sold here")
        work = self._work.get(call.action)
        if work is None:
            raise _Refused(404, "ACTION_NOT_FOUND", f"{call.capability} has no action {call.action} here")
        wanted, promised = self._schemas[call.action]
        # The Hub checks it too; who relies on that is one Hub's fault away from a stranger's input.
        if broken := violations(wanted, call.input):
            raise _Refused(400, "INPUT_SCHEMA_VIOLATION", broken[0]["reason"], {"errors": broken})
        try:
            made = await self._call(work, call)
        except CallFailed as failed:
            raise _Refused(422, failed.code, failed.message) from failed
        except Exception as exc:
            # What went wrong stays in the log: an answer must not show the inside.
            _log.exception("the action %s of call %s failed", call.action, call.id)
            raise _Refused(500, "PROVIDER_INTERNAL_ERROR", "the provider failed; nothing is charged") from exc
        if isinstance(made, Artifact):
            return Reply(200, {"content-type": made.content_type}, made.data)
        output, units = (made.output, made.units) if isinstance(made, Metered) else (made, None)
        try:
            written = jsontext.dumps(output)
        except WireError as exc:
            _log.exception("the output of action %s is no JSON", call.action)
            raise _Refused(500, "OUTPUT_INVALID", "the provider's output is no JSON; nothing is charged") from exc
        if broken := violations(
            promised, jsontext.plain(jsontext.loads(written, max_bytes=len(written), max_marks=None))
        ):
            _log.error("the output of action %s breaks its schema: %s", call.action, broken)
            raise _Refused(500, "OUTPUT_INVALID", "the provider's output breaks its schema; nothing is charged")
        meter = {} if units is None else {"meter_summary": dict(units)}
        return _json(200, {"jecp": PROTOCOL, "id": call.id, "status": "success", "result": output, **meter})

    async def _call(self, work: Work, call: Call) -> Any:
        if inspect.iscoroutinefunction(work):
            return await work(call)
        made = await anyio.to_thread.run_sync(work, call)
        return await made if inspect.isawaitable(made) else made

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
        await send({"type": "http.response.body", "body": reply.body})

    async def _reply(self, scope: _Message, receive: Callable[[], Awaitable[_Message]]) -> Reply | None:
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
        return await self.answer(headers, bytes(body))


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


_NO_STORE: Final = {"content-type": "application/json", "cache-control": "no-store"}


def _json(status: int, value: Any) -> Reply:
    return Reply(status, _NO_STORE, jsontext.dumps(value))


def _failure(refused: _Refused, call_id: str | None) -> Reply:
    error: dict[str, Any] = {"code": refused.code, "message": refused.message}
    if refused.details:
        error["details"] = refused.details
    about = {"jecp": PROTOCOL, **({} if call_id is None else {"id": call_id})}
    return _json(refused.status, {**about, "status": "failed", "error": error})
