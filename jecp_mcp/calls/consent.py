"""A person's consent to an order, where one is needed: before a purchase, and to let one call past a full limit."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from jecp_mcp.calls import codes, consent_refusals
from jecp_mcp.calls.approval import Approvals
from jecp_mcp.calls.orders import Order, Orders
from jecp_mcp.calls.ports import Caller
from jecp_mcp.clock import Clock, UnixMs
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.mandate.grants import Grant, GrantKind, GrantRef
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.mandate.policy import Policy

_NO_CALL: Final = "call_0000"
_MOST_QUOTES: Final = 3
"""How often a price may have lapsed while a person thought, before a call is given up."""


class Consents:
    """Obtains what an order needs of a person. Every method raises `LedgerError` where it cannot be kept."""

    def __init__(self, policy: Policy, ledger: Ledger, orders: Orders, clock: Clock) -> None:
        self._policy = policy
        self._orders = orders
        self._clock = clock
        self._approvals = Approvals(ledger, clock)

    async def obtain(self, order: Order, caller: Caller) -> Order | Refusal:
        """The order with what was consented to, at a price that still holds; or why there is none.

        Raises:
            WireError: it could not be sent whatever a person says.
        """
        for _ in range(_MOST_QUOTES):
            if order.because is None:
                return order
            _try_to_prepare(order, self._clock.now())
            given = await self._approvals.obtain(order.question(order.because), caller)
            if isinstance(given, Refusal):
                return given
            agreed = replace(order, uses=(*order.uses, given))
            good_until = order.quote.good_until
            if good_until is None or self._clock.now() < good_until:
                return agreed
            again = await self._orders.place(order.purchase, caller, order.fingerprint)
            if isinstance(again, Refusal):
                return again
            if again.answer is not None or (order.quote.covers(again.quote) and again.permit.hold <= order.permit.hold):
                return replace(again, uses=agreed.uses)
            order = replace(again, uses=order.uses)
        return consent_refusals.price_keeps_changing(order.offer)

    async def park(self, order: Order, because: str) -> Grant | Refusal:
        """The question whether to buy it, left for a person outside the host; or why it cannot be."""
        return await self._approvals.park(order.question(because))

    async def past_limit(self, order: Order, full: Refusal, label: str, caller: Caller) -> Order | Refusal:
        """The order let past a full limit, if the operator lets this one call pass; else the refusal.

        Whoever holds the chat is asked only where the operator's settings say so.
        """
        question = order.question(f"The limit {label} is full; this one call would go past it.")
        asked = caller if self._policy.raise_limits_in_host else replace(caller, asker=None)
        given = await self._approvals.obtain(question, asked, GrantKind.LIMIT)
        if isinstance(given, GrantRef):
            return order.lifted(label, given)
        match given.code:
            case codes.APPROVAL_REQUIRED:
                return replace(full, details={**full.details, **given.details})
            case codes.NOT_SHOWABLE | codes.TOO_MANY_QUESTIONS:
                # Nobody can be asked to let it past, so the limit is all there is to say.
                return full
            case _:
                return given


def _try_to_prepare(order: Order, now: UnixMs) -> None:
    """Nobody is asked to approve what could not be sent then. Raises `WireError`."""
    hold = order.permit.hold
    order.rail.prepare(_NO_CALL, order.offer, order.purchase.arguments, order.quote, hold, now)
