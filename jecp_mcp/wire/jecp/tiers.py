"""The trust tiers of a Hub's agents. Pure: no I/O."""

from __future__ import annotations

from types import MappingProxyType

TIERS = ("bronze", "silver", "gold", "platinum")
"""Trust tiers, lowest first (JECP 02-authentication §6.2)."""


TIER_CALLS = MappingProxyType({"bronze": 0, "silver": 100, "gold": 500, "platinum": 2_000})
"""From how many completed calls an agent has a tier (JECP 02-authentication §6.2)."""
