"""The ways to pay that there are. A new one is its folders, its settings section, and its line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from jecp_mcp.rails.jecp.opening import open_hub
from jecp_mcp.rails.registry import Parts, Way

RAILS: Mapping[str, Callable[[Parts], Way]] = MappingProxyType(
    {
        "jecp": open_hub,
    }
)
