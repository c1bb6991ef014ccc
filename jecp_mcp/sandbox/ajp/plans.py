"""Which agents there are to be hired: three that work, and four to see what becomes of money with others."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any, Final

from jecp_mcp.money import MicroUSDC, format_usdc

HIRER: Final = "hirer"
"""The name of who hires them."""
INDEX: Final = "index"
"""The name below which the index is served."""

_CENT: Final = 10_000
_SPARE_SECONDS: Final = 60
_FEW_SECONDS: Final = 30
# RFC 8410 §7: PKCS #8 of an Ed25519 key, before its 32 bytes.
_PKCS8: Final = bytes.fromhex("302e020100300506032b657004220420")
_STRANGERS_OLD_KEY: Final = "f5d38b0bc0c1813fccc78dc8bfeea7dfc21eca1d847b560d1f842efe1b262723"


@dataclass(frozen=True, slots=True)
class AgentPlan:
    """One agent.

    Attributes:
        price: what its work costs, micro-USDC.
        max_seconds: how long to give it.
        fingerprint: of the key that hirers know it by; None for the one it is first met with.
        incident: what the index has against it; None for a good standing.
    """

    name: str
    description: str
    price: MicroUSDC
    max_seconds: int = _FEW_SECONDS
    fingerprint: str | None = None
    incident: str | None = None

    def line(self, origin: str) -> dict[str, Any]:
        """What hirers are told of it, where it is served at `origin`."""
        return {
            "name": self.name,
            "id": provenance_id(origin, self.name),
            "description": self.description,
            "price_usd": format_usdc(self.price),
            "max_seconds": self.max_seconds,
            "fingerprint": self.fingerprint,
        }


def agent_plans(slow_seconds: float) -> tuple[AgentPlan, ...]:
    """All of them.

    Args:
        slow_seconds: how long the slow one takes.
    """
    cent, two, three = (MicroUSDC(number * _CENT) for number in (1, 2, 3))
    return (
        AgentPlan("counter", "Counts the characters, words and sentences of input.text.", cent),
        AgentPlan("summariser", "Summarises input.text in its own sentences: three, or input.sentences.", two),
        AgentPlan(
            "slow",
            f"Summarises input.text as the summariser does, but takes {slow_seconds:g} seconds over it.",
            three,
            int(slow_seconds) + _SPARE_SECONDS,
        ),
        AgentPlan("overcharger", "Counts as the counter does, and then reports twice what it was offered.", cent),
        AgentPlan(
            "stranger",
            "Counts as the counter does; its key is not the one that it was known by.",
            cent,
            fingerprint=_STRANGERS_OLD_KEY,
        ),
        AgentPlan("busy", "Counts as the counter does, but always has as many jobs as it takes.", cent),
        AgentPlan(
            "accused",
            "Counts as the counter does; the index has an open incident against it.",
            cent,
            incident="Others say that it gave them results that it made up.",
        ),
    )


def provenance_id(origin: str, name: str) -> str:
    """An id that means something on this machine only."""
    return f"provenance:domain:{origin.removeprefix('http://')}/{name}"


def play_key(name: str) -> str:
    """A key that everybody knows, the same at every start: it is good for ids of this machine, and worth nothing."""
    return base64.b64encode(_PKCS8 + hashlib.sha256(f"the sandbox's {name}".encode()).digest()).decode("ascii")
