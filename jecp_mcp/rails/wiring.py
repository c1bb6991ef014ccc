"""The ways to pay that there are. A new one is its folders, its settings section, and its line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from jecp_mcp.rails.jecp.wiring import open_hub
from jecp_mcp.rails.registry import Parts, Way


def _open_x402(parts: Parts) -> Way | None:
    if not parts.settings.paid_http.merchants:
        return None
    # A start that pays no merchant imports nothing for it.
    from jecp_mcp.rails.x402.wiring import open_x402

    return open_x402(parts)


def _open_ajp(parts: Parts) -> Way | None:
    if not parts.settings.ajp.hires:
        return None
    from jecp_mcp.rails.ajp.wiring import open_ajp

    return open_ajp(parts)


def _open_flow402(parts: Parts) -> Way | None:
    if not parts.settings.flow402.merchants:
        return None
    from jecp_mcp.rails.flow402.wiring import open_flow402

    return open_flow402(parts)


RAILS: Mapping[str, Callable[[Parts], Way | None]] = MappingProxyType(
    {
        "jecp": open_hub,
        "x402": _open_x402,
        "402flow": _open_flow402,
        "ajp": _open_ajp,
    }
)
"""Opens each way to pay; None where the settings ask for none of it."""
