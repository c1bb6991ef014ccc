"""Refusals from the wire, in both dialects (JECP 03-errors §2). Pure: no I/O. The code catalog is in `codes`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from math import ceil
from typing import Any

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import WireError
from jecp_mcp.jsontext import NOTHING, JSONObject
from jecp_mcp.wire.jecp.codes import Proof, canonical, lookup
from jecp_mcp.wire.jecp.headers import MAX_WAIT_SECONDS, retry_after

UNSPECIFIED = "UNSPECIFIED"
"""Our code for a JECP envelope that says ``failed`` and gives no code."""

_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,100}", re.ASCII)
_CODE_IN_ERROR = re.compile(r"[A-Z][A-Z0-9_]{2,99}", re.ASCII)


def parse_refusal(
    body: Mapping[str, Any],
    *,
    status: int | None,
    headers: Mapping[str, str] = NOTHING,
    now: UnixMs | None = None,
) -> Refusal:
    """Read a failed envelope: ``error`` as an object, or ``code`` and ``message`` at the top (flat).

    Args:
        body: the parsed envelope.
        status: the HTTP status, None for a stream's event.
        headers: the response's headers, for Retry-After.
        now: the clock, to read a Retry-After that is a date.

    Raises:
        WireError: it names no code and is no JECP envelope, so it proves nothing.
    """
    error = body.get("error")
    nested: Mapping[str, Any] = error if isinstance(error, Mapping) else body
    code = nested.get("code")
    if not (isinstance(code, str) and _CODE.fullmatch(code)):
        code = error if isinstance(error, str) and _CODE_IN_ERROR.fullmatch(error) else None
    if code is None and not ("jecp" in body and body.get("status") == "failed"):
        raise WireError("the answer is no JECP error: it has no error code")
    message = _text(nested.get("message")) or _text(error) or _text(nested.get("detail"))
    details = _object(nested.get("details")) or _object(body.get("details"))
    if details is None:
        # The flat form has no place for details but beside the code.
        flat = {k: v for k, v in nested.items() if k not in _FLAT_KNOWN} if nested is not body else {}
        details = flat or NOTHING
    next_action = _object(body.get("next_action")) or _object(nested.get("next_action"))
    return Refusal(
        code=canonical(code) if code else UNSPECIFIED,
        message=message or (code or "The Hub refused the call and gave no reason."),
        http_status=status,
        details=details,
        next_action=next_action,
        payment=_object(body.get("payment")) or _object(nested.get("payment")),
        documentation_url=_text(nested.get("documentation_url")) or _text(body.get("documentation_url")),
        retry_after_seconds=_wait(headers, now, details, next_action, nested),
        id=_text(body.get("id")),
        raw=body,
    )


def charge_proof(refusal: Refusal) -> Proof:
    """What `refusal` proves about the charge for its call id.

    A code the catalog does not know proves nothing, and neither does a server error without the envelope's ``jecp``,
    which a gateway in between may have written. A nonce that was seen means that an attempt arrived before (JECP
    ADR-0001), and so does a stream in progress: also in answer to the only attempt that is known of.
    """
    entry = lookup(refusal.code)
    if entry is None or _gateways_word(refusal):
        return Proof.UNKNOWN
    seen = entry.code == "PROVENANCE_MISMATCH" and refusal.details.get("subcause") == "nonce_replay"
    if seen or entry.code == "STREAM_IN_PROGRESS":
        return Proof.FIRST_CALL
    return entry.charge


def _gateways_word(refusal: Refusal) -> bool:
    status = refusal.http_status
    return status is not None and status >= _SERVER_ERROR and bool(refusal.raw) and "jecp" not in refusal.raw


_SERVER_ERROR = 500
_FLAT_KNOWN = frozenset({"code", "message", "documentation_url", "next_action", "payment", "details", "detail"})


def _wait(headers: Mapping[str, str], now: UnixMs | None, *places: Mapping[str, Any] | None) -> int | None:
    seconds = retry_after(headers, now)
    for place in places:
        if seconds is None and place is not None:
            seconds = _seconds(place.get("retry_after_seconds"))
            if seconds is None:
                seconds = _seconds(place.get("retry_after"))
    return seconds


def _seconds(value: object) -> int | None:
    """Whole seconds, rounded up so that nobody comes back early."""
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        return None
    if isinstance(value, Decimal) and not value.is_finite():
        return None
    if value < 0:
        return None
    return ceil(min(value, MAX_WAIT_SECONDS))


def _object(value: object) -> JSONObject | None:
    return value if isinstance(value, Mapping) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
