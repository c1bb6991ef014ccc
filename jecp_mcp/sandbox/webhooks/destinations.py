"""Where a stranger may have the Hub send something (JECP 02-authentication §9.7, JECP ADR-0002).

The same is looked at twice: when the address is given, so that its owner hears at once, and at each request, which
goes to an address that was looked at.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from jecp_mcp.http import ExchangeFailed
from jecp_mcp.http_gate import AddressRefused, HttpGate, may_be_asked
from jecp_mcp.sandbox.error_answers import Refused
from jecp_mcp.settings.merchants import Place, read_place

_SHOWN = 200


async def vet_destination(url: object, field: str, gate: HttpGate) -> Place:
    """The place that a URL names, every address of which may be asked.

    Args:
        url: as a stranger gave it.
        field: where it stood in the request.

    Raises:
        Refused: ``URL_BLOCKED_SSRF``, with the reason.
    """
    try:
        place = _read(url, loopback=gate.loopback)
        await gate.vet(place)
    except AddressRefused as exc:
        raise _blocked(url, field, "resolved_to_deny_cidr") from exc
    except ExchangeFailed as exc:
        raise _blocked(url, field, "dns_resolve_failed") from exc
    except _Unreadable as exc:
        raise _blocked(url, field, exc.reason) from exc
    return place


class _Unreadable(Exception):
    """A URL that names no place; `reason` in the protocol's word."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def _read(url: object, *, loopback: bool) -> Place:
    if not isinstance(url, str):
        raise _Unreadable("parse_error")
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError as exc:
        raise _Unreadable("parse_error") from exc
    if not parts.scheme or not host:
        raise _Unreadable("parse_error")
    if parts.scheme != "https" and not (loopback and parts.scheme == "http"):
        raise _Unreadable("scheme")
    try:
        literal = ipaddress.ip_address(host)
    except ValueError:
        literal = None
    if literal is not None and not may_be_asked(str(literal), loopback=loopback):
        raise _Unreadable("resolved_to_deny_cidr")
    try:
        return read_place(url)
    except ValueError as exc:
        raise _Unreadable("host_syntax") from exc


def _blocked(url: object, field: str, reason: str) -> Refused:
    shown = url.partition("?")[0].rpartition("@")[2][:_SHOWN] if isinstance(url, str) else None
    return Refused(
        "URL_BLOCKED_SSRF",
        "This Hub does not send anything to that URL.",
        details={"field": field, "blocked_url": shown, "reason": reason},
    )
