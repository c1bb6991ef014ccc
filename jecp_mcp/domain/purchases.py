"""What is to be bought, and for whom. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NewType

from jecp_mcp.domain.offers import Offer

Principal = NewType("Principal", str)
"""Whose budget a call draws on."""

LOCAL: Final = Principal("local")
"""Every host of this user, on stdio and loopback."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """What the model wants to buy: an offer, the tool's name it was asked under, and the arguments."""

    tool: str
    offer: Offer
    arguments: Mapping[str, Any]
