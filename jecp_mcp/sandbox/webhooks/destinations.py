"""Where a subscriber may have the Hub send webhooks (JECP 02-authentication §9.7).

The same is looked at twice: when the address is given, so that its owner hears at once, and at each request, which
goes to an address that was looked at.
"""

from __future__ import annotations

from jecp_mcp.http import ExchangeFailed
from jecp_mcp.http_gate import AddressRefused, HttpGate
from jecp_mcp.sandbox.outgoing_urls import BlockedUrl, blocked, read_url
from jecp_mcp.settings.merchants import Place


async def vet_destination(url: object, field: str, gate: HttpGate) -> Place:
    """The place that a URL names, every address of which may be asked.

    Args:
        url: as a stranger gave it.
        field: where it stood in the request.

    Raises:
        Refused: ``URL_BLOCKED_SSRF``, with the reason.
    """
    try:
        place = read_url(url, loopback=gate.loopback, by_name=False)
        await gate.vet(place)
    except BlockedUrl as exc:
        raise blocked(url, field, exc.reason) from exc
    except AddressRefused as exc:
        raise blocked(url, field, "resolved_to_deny_cidr") from exc
    except ExchangeFailed as exc:
        raise blocked(url, field, "dns_resolve_failed") from exc
    return place
