"""URLs to which strangers would have the Hub send something (JECP 02-authentication §9.7, JECP ADR-0002). Pure: no I/O.

What a name resolves to is judged when it is asked, by the gate, which dials the address that it judged.
"""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from jecp_mcp.http_gate import may_be_asked
from jecp_mcp.sandbox.error_answers import Refused
from jecp_mcp.settings.merchants import Place, read_place

_SHOWN: Final = 200


class BlockedUrl(Exception):
    """A URL to which nothing is sent; `reason` in the protocol's word."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def read_url(url: object, *, loopback: bool, by_name: bool) -> Place:
    """The place that a URL names.

    Args:
        url: as a stranger gave it.
        loopback: whether what is asked is on this machine, also by plain HTTP.
        by_name: whether whoever is there is known by the host's name, so that no IP address stands in its place; and
            none but this machine where that is asked.

    Raises:
        BlockedUrl: it names none, or one that is not asked.
    """
    scheme, host = _parts(url)
    if scheme != "https" and not (loopback and scheme == "http"):
        raise BlockedUrl("scheme")
    if not by_name and _is_refused_address(host, loopback=loopback):
        raise BlockedUrl("resolved_to_deny_cidr")
    try:
        place = read_place(str(url))
    except ValueError as exc:
        raise BlockedUrl("host_syntax") from exc
    if by_name and loopback and not place.loopback:
        raise BlockedUrl("host_syntax")
    if by_name and not loopback and (place.loopback or _is_address(place.host)):
        raise BlockedUrl("resolved_to_deny_cidr")
    return place


def blocked(url: object, field: str, reason: str, refusal: type[Refused] = Refused) -> Refused:
    """The refusal of a URL, which shows neither its query nor a password in it.

    Args:
        field: where it stood in the request.
        refusal: what is made.
    """
    shown = url.partition("?")[0].rpartition("@")[2][:_SHOWN] if isinstance(url, str) else None
    documentation = f"https://jecp.dev/errors/url_blocked_ssrf#{reason}"
    return refusal(
        "URL_BLOCKED_SSRF",
        f"{field} is no address to which this Hub sends anything ({reason}).",
        details={"field": field, "blocked_url": shown, "reason": reason, "documentation_url": documentation},
    )


def _parts(url: object) -> tuple[str, str]:
    if not isinstance(url, str):
        raise BlockedUrl("parse_error")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as exc:
        raise BlockedUrl("parse_error") from exc
    if not parts.scheme or not host:
        raise BlockedUrl("parse_error")
    return parts.scheme, host


def _is_refused_address(host: str, *, loopback: bool) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return not may_be_asked(str(address), loopback=loopback)


def _is_address(host: str) -> bool:
    """Whether a host is an IP address, in whatever spelling a resolver takes for one, rather than a name."""
    last = host.rpartition(".")[2]
    return last.isdigit() or last.startswith("0x")
