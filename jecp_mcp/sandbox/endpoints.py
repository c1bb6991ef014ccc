"""What all endpoints share: how their handlers are called, how bodies are read, what they answer with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from jecp_mcp import jsontext
from jecp_mcp.errors import WireError
from jecp_mcp.pages import wants_html
from jecp_mcp.sandbox.bulkhead import Pool
from jecp_mcp.sandbox.dialect import Dialect, Endpoint
from jecp_mcp.sandbox.error_answers import Refused, Reply, next_action, refusal_reply
from jecp_mcp.sandbox.event_stream import EventStream
from jecp_mcp.sandbox.html_pages import HEADERS, error_page
from jecp_mcp.sandbox.hub import Hub
from jecp_mcp.wire.jecp.envelope import MAX_REQUEST_BYTES

MAX_FORM_BYTES = 64 * 1024
BODY_SECONDS = 30.0
"""How long a request's body may take to come (JECP 01-protocol §8)."""
Handler = Callable[[Hub, Request, Dialect], Awaitable[Reply | Response]]


def route_endpoint(
    hub: Hub, handler: Handler, endpoint: Endpoint = "invoke", pool: Pool | None = None, *, with_books: bool = True
) -> Callable[[Request], Awaitable[Response]]:
    """A handler as Starlette calls it: in its pool, faults of its path first, refusals as envelopes.

    Args:
        with_books: whether it reads or writes the Hub's books.
    """

    async def answer(request: Request) -> Response:
        dialect = dialect_of(hub, request, endpoint)
        if pool is None:
            await hub.database.free()
            return await answer_now(request, dialect)
        try:
            async with AsyncExitStack() as held:
                await held.enter_async_context(pool.place(with_books=with_books))
                response = await answer_now(request, dialect)
                if isinstance(response, EventStream):
                    response.hold(held.pop_all())
                return response
        except Refused as refused:  # by the pool
            return response_of(refusal_for(request, refused, dialect))

    async def answer_now(request: Request, dialect: Dialect) -> Response:
        try:
            reply: Reply | Response | None = None
            if not request.url.path.startswith(("/sandbox/", "/v1/invoke", "/v1/jecp")):
                fault = hub.faults.take((request.url.path,), request.headers.get("x-agent-id"))
                reply = await fault.answer_instead(dialect, None, streaming=False) if fault is not None else None
            if reply is None:
                reply = await handler(hub, request, dialect)
        except Refused as refused:
            reply = refusal_for(request, refused, dialect)
        if with_books and not (isinstance(reply, Reply) and reply.durable):
            await hub.database.durable()
        return response_of(reply) if isinstance(reply, Reply) else reply

    return answer if pool is None else _noted(hub, answer)


def from_own_page(handler: Handler) -> Handler:
    """The handler of a form that only the Hub's own pages may send; a browser says of which origin a page is."""

    async def checked(hub: Hub, request: Request, dialect: Dialect) -> Reply | Response:
        origin = request.headers.get("origin")
        if origin not in {None, dialect.origin, f"http://{request.headers['host']}"}:
            raise Refused("FORBIDDEN", "A page of another origin sent this form. Open the Hub's own page.")
        return await handler(hub, request, dialect)

    return checked


def _noted(hub: Hub, answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Remember for the console what was asked and answered, unless it only reads."""

    async def noted(request: Request) -> Response:
        began = time.perf_counter()
        response = await answer(request)
        if request.method != "GET":
            took = (time.perf_counter() - began) * 1000
            head = request.method, request.url.path, request.headers.get("x-agent-id", "")
            bodies = getattr(request.state, "body", b""), bytes(response.body)
            hub.requests.note(hub.clock.now(), head, response.status_code, took, bodies)
        return response

    return noted


def dialect_of(hub: Hub, request: Request, endpoint: Endpoint = "invoke") -> Dialect:
    """How to answer a request."""
    origin = hub.config.public_url or f"http://{request.headers['host']}"
    return Dialect(hub.config.dialect, endpoint, origin)


def response_of(reply: Reply) -> Response:
    """A reply as Starlette sends it."""
    return Response(reply.body, reply.status, dict(reply.headers))


def json_reply(value: Any, status: int = 200, cache_control: str = "no-store") -> Reply:
    """A JSON answer."""
    return Reply(status, jsontext.dumps(value), {"content-type": "application/json", "cache-control": cache_control})


def html_reply(body: bytes, status: int = 200) -> Reply:
    """A page."""
    return Reply(status, body, HEADERS)


def refusal_for(request: Request, refused: Refused, dialect: Dialect) -> Reply:
    """A refusal as whoever asked reads it: a page in a browser, an envelope for everybody else."""
    reply = refusal_reply(refused, dialect)
    if not wants_html(request.headers.get("accept")):
        return reply
    action = next_action(refused, dialect) or {}
    words = [refused.message, str(action.get("hint", action.get("description", "")))]
    page = error_page(f"{reply.status}: {refused.code}", filter(None, words), action.get("ui"))
    return Reply(reply.status, page, {**reply.headers, **HEADERS})


async def read_body(request: Request, most: int = MAX_REQUEST_BYTES) -> bytes:
    """The request's body.

    Raises:
        Refused: it is longer than `most`, or does not come; the rest is not read.
    """
    too_large = Refused("INPUT_TOO_LARGE", f"The request is larger than {most} bytes.")
    stated = request.headers.get("content-length", "0")
    if stated.isascii() and stated.isdigit() and len(stated) < 20 and int(stated) > most:  # noqa: PLR2004  # 64 bits
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise too_large
    except TimeoutError as exc:
        words = f"The request's body did not come within {BODY_SECONDS:g} s. Nothing was done; send it again."
        raise Refused("REQUEST_TIMEOUT", words) from exc
    request.state.body = bytes(body)  # for the console
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
    body = await read_body(request, MAX_FORM_BYTES)
    try:
        return dict(parse_qsl(body.decode("utf-8"), max_num_fields=20))
    except ValueError as exc:
        raise Refused("INVALID_REQUEST", "The form cannot be read.") from exc
