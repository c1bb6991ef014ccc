"""What every request passes: the Host it names, its size, what it says it is; and what it gets when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from jecp_mcp import jsontext
from jecp_mcp.errors import WireError
from jecp_mcp.sandbox.envelopes import http_date
from jecp_mcp.sandbox.faults import Dropped
from jecp_mcp.sandbox.hub import Hub
from jecp_mcp.sandbox.refusals import Refused, Reply, Road, Voice, refusal_reply
from jecp_mcp.wire.jecp.envelope import MAX_REQUEST_BYTES

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
MAX_FORM_BYTES = 64 * 1024
LEGACY_SUNSET_MS = 1_830_211_200_000
"""When ``/v1/jecp`` ends, 2027-12-31: it is the old road (JECP 01-protocol §2.1)."""
LEGACY_HEADERS = {
    "deprecation": "true",
    "sunset": http_date(LEGACY_SUNSET_MS),
    "link": '<https://jecp.dev/spec/v1.0/01-protocol#v1-jecp>; rel="deprecation"',
}


class Connection(NamedTuple):
    """An open connection; `lost` is set once it is no longer."""

    transport: asyncio.Transport
    lost: asyncio.Event


Connections = MutableMapping[tuple[str, int], Connection]
"""The open connections by the client's address, kept by the server."""
Handler = Callable[[Hub, Request, Voice], Awaitable[Reply | Response]]


class Door:
    """ASGI middleware: only loopback names as Host, and a dropped connection where a fault wants one."""

    def __init__(self, app: ASGIApp, connections: Connections) -> None:
        self._app, self._connections = app, connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if not _is_loopback(Request(scope).headers.get("host", "")):
            # A page elsewhere whose name was pointed at this machine would come with its own name (DNS rebinding).
            await Response("This Hub answers to loopback names only.", 421)(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        except ClientDisconnect:
            return  # The client left before its request was whole: nobody is there to answer.
        except Dropped:
            client = scope.get("client")
            connection = self._connections.get((client[0], client[1])) if client else None
            if connection is not None:
                connection.transport.abort()
                # Only a server that knows of the loss expects no answer any more.
                await connection.lost.wait()


def _is_loopback(host: str) -> bool:
    try:
        return urlsplit(f"//{host}").hostname in LOOPBACK_NAMES
    except ValueError:
        return False


def endpoint(hub: Hub, handler: Handler, road: Road = "invoke") -> Callable[[Request], Awaitable[Response]]:
    """A handler as Starlette calls it: faults of its path first, refusals as envelopes."""

    async def answer(request: Request) -> Response:
        voice = voice_of(hub, request, road)
        try:
            reply: Reply | Response | None = None
            if not request.url.path.startswith(("/sandbox/", "/v1/invoke", "/v1/jecp")):
                fault = hub.faults.take((request.url.path,), request.headers.get("x-agent-id"))
                reply = await fault.before(voice, None, streaming=False) if fault is not None else None
            if reply is None:
                reply = await handler(hub, request, voice)
        except Refused as refused:
            reply = refusal_reply(refused, voice)
        response = response_of(reply) if isinstance(reply, Reply) else reply
        if road == "jecp":
            for name, value in LEGACY_HEADERS.items():
                response.headers.setdefault(name, value)
        return response

    return answer


def voice_of(hub: Hub, request: Request, road: Road = "invoke") -> Voice:
    """How to answer a request."""
    return Voice(hub.config.dialect, road, f"http://{request.headers['host']}")


def response_of(reply: Reply) -> Response:
    """A reply as Starlette sends it."""
    return Response(reply.body, reply.status, dict(reply.headers))


def json_reply(value: Any, status: int = 200, cache_control: str = "no-store") -> Reply:
    """A JSON answer."""
    return Reply(status, jsontext.dumps(value), {"content-type": "application/json", "cache-control": cache_control})


def html_reply(body: bytes, headers: dict[str, str], status: int = 200) -> Reply:
    """A page."""
    return Reply(status, body, headers)


async def read_body(request: Request, most: int = MAX_REQUEST_BYTES) -> bytes:
    """The request's body.

    Raises:
        Refused: it is longer than `most`; the rest is not read.
    """
    too_large = Refused("INPUT_TOO_LARGE", f"The request is larger than {most} bytes.")
    stated = request.headers.get("content-length", "0")
    if stated.isascii() and stated.isdigit() and len(stated) < 20 and int(stated) > most:  # noqa: PLR2004  # 64 bits
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise too_large
    return bytes(body)


def check_json(request: Request) -> None:
    """Refuse a body that says it is something else than JSON; one that says nothing passes.

    Raises:
        Refused: 415.
    """
    said = request.headers.get("content-type", "")
    kind = said.partition(";")[0].strip().lower()
    if said and kind != "application/json":
        raise Refused(
            "UNSUPPORTED_MEDIA_TYPE",
            f"expected application/json, got {said[:100]}",
            details={"received": said[:100], "expected": "application/json"},
        )


async def read_json(request: Request) -> dict[str, Any]:
    """The JSON object in the body; an empty body is an empty object.

    Raises:
        Refused: it is none.
    """
    check_json(request)
    body = await read_body(request)
    try:
        value = jsontext.loads(body, max_bytes=MAX_REQUEST_BYTES) if body else {}
    except WireError as exc:
        raise Refused("INVALID_REQUEST", f"The request cannot be read: {exc}.") from exc
    if not isinstance(value, dict):
        raise Refused("INVALID_REQUEST", "The request is not a JSON object.")
    return value


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a page's form, the last of each name.

    Raises:
        Refused: it is too long or no text.
    """
    from urllib.parse import parse_qsl

    body = await read_body(request, MAX_FORM_BYTES)
    try:
        return dict(parse_qsl(body.decode("utf-8"), max_num_fields=20))
    except ValueError as exc:
        raise Refused("INVALID_REQUEST", "The form cannot be read.") from exc
