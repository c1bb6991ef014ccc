"""What is to be bought, and for whom. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NewType

from jecp_mcp.domain.offers import Offer
from jecp_mcp.money import MicroUSDC

Principal = NewType("Principal", str)
"""Whose budget a call draws on."""

LOCAL: Final = Principal("local")
"""Every host of this user, on stdio and loopback."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """What the model wants to buy: an offer, the tool's name it was asked under, and the arguments.

    Attributes:
        most: the most that it may cost by the model's own word, micro-USDC: it can only lower what the mandate allows.
            None where it said nothing. The same purchase at another `most` is the same purchase.
        label: tells a further copy of the same call, wanted on purpose, from a repeat; ``""`` for the call itself.
    """

    tool: str
    offer: Offer
    arguments: Mapping[str, Any]
    most: MicroUSDC | None = None
    label: str = ""
