"""The merchant's answers, and how they are kept to be given again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from jecp_mcp import jsontext
from jecp_mcp.sandbox.fault_injection import DropConnection
from jecp_mcp.sandbox.paid_http.merchant.products import JSON

NEVER_STORED: Mapping[str, str] = {"cache-control": "private, no-store"}
"""Nobody between may keep what somebody paid for, or a challenge."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer before it is sent."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        """As it is sent."""
        return Response(self.body, self.status, {**NEVER_STORED, **self.headers})

    def with_headers(self, headers: Mapping[str, str]) -> Answer:
        """The same with more headers."""
        return Answer(self.status, self.body, {**self.headers, **headers})

    def cut(self) -> Response:
        """As a connection that breaks in the middle sends it."""
        return _CutResponse(self.body, self.status, {**NEVER_STORED, **self.headers})

    def kept(self) -> bytes:
        """As it is kept."""
        return json.dumps([self.status, dict(self.headers)]).encode() + b"\n" + self.body


def read_kept(kept: bytes) -> Answer:
    """An answer that was kept."""
    head, _, body = kept.partition(b"\n")
    status, headers = json.loads(head)
    return Answer(status, body, headers)


def json_answer(status: int, value: Any) -> Answer:
    """An answer in JSON."""
    return Answer(status, jsontext.dumps(value), {"content-type": JSON})


class _CutResponse(Response):
    """Half of an answer; then the connection is closed."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # ASGI's names
        """Send the half."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body[: len(self.body) // 2], "more_body": True})
        raise DropConnection
