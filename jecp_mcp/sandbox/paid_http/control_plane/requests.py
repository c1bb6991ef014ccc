"""What a control plane is asked, read as its documentation says. Pure: no I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from jecp_mcp import jsontext
from jecp_mcp.errors import WireError
from jecp_mcp.sandbox.paid_http.control_plane.payer import Wanted
from jecp_mcp.sandbox.paid_http.json_endpoints import BadRequest
from jecp_mcp.wire.flow402.values import slug
from jecp_mcp.wire.values import mapping, text
from jecp_mcp.wire.x402.challenge import Challenge, OtherProtocol, read_challenge

_LONGEST_KEY: Final = 128
_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for a decision; `digest` is of all of it."""

    organization: str
    agent: str
    wanted: Wanted
    challenge: Challenge | None
    key: str
    digest: str


def problem(status: int, message: str, **fields: str) -> BadRequest:
    """A refusal of a request in the control plane's form."""
    answer: dict[str, Any] = {"message": message}
    if fields:
        answer["issues"] = {"formErrors": [], "fieldErrors": {name: [said] for name, said in fields.items()}}
    return BadRequest(status, answer)


def read_asked(found: Mapping[str, Any]) -> Asked:
    """Read the body of a request for a decision.

    Raises:
        BadRequest: it is none.
    """
    try:
        context, request = mapping(found.get("context"), "context"), mapping(found.get("request"), "request")
        method, body = text(request.get("method"), "method"), str(request.get("body") or "")
        _check("method is none that can be paid for", holds=method in _METHODS)
        digest = hashlib.sha256(body.encode()).hexdigest()
        _check("bodyHash is not the body's", holds=request.get("bodyHash") == (digest if body else None))
        return Asked(
            organization=slug(context.get("organization"), "organization"),
            agent=slug(context.get("agent"), "agent"),
            wanted=Wanted(text(request.get("url"), "url", 2_048), method, _headers(request), body.encode()),
            challenge=_challenge(mapping(found.get("challenge"), "challenge")),
            key=text(found.get("idempotencyKey"), "idempotencyKey", _LONGEST_KEY),
            digest=hashlib.sha256(jsontext.dumps(found)).hexdigest(),
        )
    except WireError as exc:
        raise problem(422, "The request is not what is asked for.", request=str(exc)) from exc


def _check(otherwise: str, *, holds: bool) -> None:
    if not holds:
        raise WireError(otherwise)


def _headers(request: Mapping[str, Any]) -> Mapping[str, str]:
    found = mapping(request.get("headers", {}), "headers")
    return {text(name, "a header's name").lower(): str(value) for name, value in found.items()}


def _challenge(found: Mapping[str, Any]) -> Challenge | None:
    """The challenge; None for one of another protocol, or that cannot be read."""
    headers = {name: str(value) for name, value in mapping(found.get("headers"), "its headers").items()}
    body = found.get("body")
    try:
        read = read_challenge(headers, b"" if body is None else jsontext.dumps(body))
    except WireError:
        return None
    return None if isinstance(read, OtherProtocol) else read
