"""What the operator's mandate has against an action, as it stands at the head of its description. Pure: no I/O."""

from __future__ import annotations

from typing import Final

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.offers import Offer
from jecp_mcp.mandate.codes import PER_CALL_LIMIT, PRICE_UNKNOWN
from jecp_mcp.mandate.policy import Policy, bound, objections
from jecp_mcp.money import MICRO_PER_USDC, MOST_USDC, MicroUSDC, format_usdc

_ANY: Final = MicroUSDC(MOST_USDC * MICRO_PER_USDC)
_LONG_AGO: Final = UnixMs(0)
"""That a mandate has ended is no news of an action, and would change every description."""

_WORDS: Final = {
    PER_CALL_LIMIT: "Blocked: above the limit for one call.",
    PRICE_UNKNOWN: "Blocked: its price is unknown.",
}


class Obstacles:
    """The mandate as whoever publishes actions asks it."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def allows_all_like(self, key: str) -> bool:
        """Whether an action of this key is published, whatever else is said of it."""
        return self._policy.allows_all_like(key)

    def permits(self, offer: Offer, tool: str) -> bool:
        """Whether an action may be bought at all, and so is published."""
        return self._policy.permits(offer, tool)

    def words(self, offer: Offer, tool: str) -> str:
        """What keeps an action from being bought, or bought at once, as sentences; "" where nothing does."""
        quote = offer.listed
        against = objections(self._policy, offer, tool, quote, now=_LONG_AGO, most_per_call=_ANY)
        found = [_WORDS[one.code] for one in against if one.code in _WORDS]
        if self._policy.needs_approval(bound(self._policy, offer, tool, quote, _ANY)):
            lower = self._policy.without_approval(quote)
            unless = "" if lower is None else f", unless bought by jecp_call with max_usdc {format_usdc(lower)}"
            found.append(f"Needs the user's approval{unless}.")
        return "".join(f"{one} " for one in found)

    def most(self, offer: Offer, tool: str) -> MicroUSDC | None:
        """The most that a call can come to, micro-USDC; None where nothing bounds it."""
        most = bound(self._policy, offer, tool, offer.listed, _ANY)
        return None if most in {0, _ANY} else most
