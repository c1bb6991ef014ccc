"""Endpoints that answer in JSON: how they are called, how their bodies are read, how they refuse."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from jecp_mcp import jsontext
from jecp_mcp.errors import WireError
from jecp_mcp.sandbox.paid_http.merchant.answers import json_answer
from jecp_mcp.sandbox.paid_http.merchant.products import JSON

MOST_BODY_BYTES = 1024 * 1024
Handler = Callable[[Request], Awaitable[Response]]


class BadRequest(Exception):
    """A request that cannot be met.

    Attributes:
        status: HTTP's.
        answer: what is answered: why, or a whole answer.
    """

    def __init__(self, status: int, answer: str | dict[str, Any]) -> None:
        self.status = status
        self.answer = {"error": answer} if isinstance(answer, str) else answer
        super().__init__(str(answer))


def handle(work: Callable[[Request], Awaitable[Any]], key: str | None = None) -> Handler:
    """A handler of what answers in JSON.

    Args:
        work: gives what is answered, or raises `BadRequest`.
        key: what the request must bring as ``X-Sandbox-Key``; None where anybody may.
    """

    async def answer(request: Request) -> Response:
        given = request.headers.get("x-sandbox-key", "")
        if key is not None and not hmac.compare_digest(given.encode(), key.encode()):
            said = "The sandbox is controlled with the key that its start printed: X-Sandbox-Key."
            return json_answer(403, {"error": said}).response()
        try:
            return json_answer(200, await work(request)).response()
        except BadRequest as refused:
            return json_answer(refused.status, refused.answer).response()

    return answer


async def read_json(request: Request) -> dict[str, Any]:
    """The JSON object in the body, which must say that it is JSON: a form on a foreign page cannot.

    Raises:
        BadRequest: it is none.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise BadRequest(415, f"the body must be {JSON}")
    try:
        found = jsontext.plain(jsontext.loads(await read_body(request), max_bytes=MOST_BODY_BYTES))
    except WireError as exc:
        raise BadRequest(400, str(exc)) from exc
    if not isinstance(found, dict):
        raise BadRequest(400, "the body is no JSON object")
    return found


async def read_body(request: Request) -> bytes:
    """The body.

    Raises:
        BadRequest: it is too long; the rest is not read.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BODY_BYTES:
            raise BadRequest(413, f"the body is longer than {MOST_BODY_BYTES} bytes")
    return bytes(body)
