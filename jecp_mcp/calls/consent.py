"""A person's consent to an order, where one is needed: before a purchase, and to let one call past a full limit."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from jecp_mcp.calls import codes, consent_refusals
from jecp_mcp.calls.approval import Approvals
from jecp_mcp.calls.orders import Order, Orders, Wish
from jecp_mcp.calls.ports import Caller
from jecp_mcp.clock import Clock, UnixMs
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.mandate.grants import Grant, GrantKind, GrantRef
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.mandate.policy import Policy
from jecp_mcp.mandate.records import AlreadyOpen, Meter, Undelivered
from jecp_mcp.money import format_usdc

_NO_CALL: Final = "call_0000"
_MOST_LAPSES: Final = 3
"""How often a price may have lapsed while a person thought, and be another one then, before a call is given up."""


class Consents:
    """Obtains what an order needs of a person. Every method raises `LedgerError` where it cannot be kept."""

    def __init__(self, policy: Policy, ledger: Ledger, orders: Orders, clock: Clock) -> None:
        self._policy = policy
        self._ledger = ledger
        self._orders = orders
        self._clock = clock
        self._approvals = Approvals(ledger, clock)

    async def obtain(self, order: Order, caller: Caller) -> Order | AlreadyOpen | Undelivered | Refusal:
        """The order with what was consented to, at a price that still holds; or why there is none.

        Raises:
            WireError: it could not be sent whatever a person says.
        """
        if order.because is None:
            return order
        _try_to_prepare(order, self._clock.now())
        given = await self._approvals.obtain(order.question(order.because), caller)
        if isinstance(given, Refusal):
            return self._with_lower_maximum(given, order)
        return await self._renew(replace(order, uses=(*order.uses, given)), caller)

    def _with_lower_maximum(self, refusal: Refusal, order: Order) -> Refusal:
        """The refusal with the maximum for which nobody need agree, where what it may come to is all that needs one."""
        lower = self._policy.without_approval(order.quote)
        if refusal.code != codes.APPROVAL_REQUIRED or lower is None or order.quote.because is not None:
            return refusal
        return replace(refusal, details={**refusal.details, "no_approval_with": {"max_usdc": format_usdc(lower)}})

    def spend(self, wish: Wish, uses: tuple[GrantRef, ...], call_id: str) -> None:
        """What was agreed for a call is used by the identical one that took its place: it buys no other."""
        if uses:
            self._ledger.use_grants(uses, wish.fingerprint, wish.principal, call_id)

    async def park(self, order: Order, because: str) -> Grant | Refusal:
        """The question whether to buy it, left for a person outside the host; or why it cannot be."""
        return await self._approvals.park(order.question(because))

    async def past_limit(
        self, order: Order, full: Refusal, meter: Meter, caller: Caller
    ) -> Order | AlreadyOpen | Undelivered | Refusal:
        """The order let past the full limit of a meter, if the operator lets this one call pass; else the refusal.

        Where its price lapsed meanwhile and is another one, it is an order that is not let past any limit.
        Whoever holds the chat is asked only where the operator's settings say so.
        """
        what = f"The limit {meter.label} of {format_usdc(meter.limit)} USDC"
        question = order.question(f"{what} is full; this one call would go past it.")
        asked = caller if self._policy.raise_limits_in_host else replace(caller, asker=None)
        given = await self._approvals.obtain(question, asked, GrantKind.LIMIT)
        if isinstance(given, GrantRef):
            return await self._renew(order.lifted(meter.label, given), caller)
        match given.code:
            case codes.APPROVAL_REQUIRED:
                return replace(full, details={**full.details, **given.details})
            case codes.NOT_SHOWABLE | codes.TOO_MANY_QUESTIONS:
                # Nobody can be asked to let it past, so the limit is all there is to say.
                return full
            case _:
                return given

    async def _renew(self, agreed: Order, caller: Caller) -> Order | AlreadyOpen | Undelivered | Refusal:
        """What a person agreed to, at a price that holds: a new one where it lapsed while they thought.

        Their yes is good for the same at no more. It is withdrawn where the new price is another one, which they are
        asked for anew.
        """
        good_until = agreed.quote.good_until
        if good_until is None or self._clock.now() < good_until:
            return agreed
        again = await self._orders.place(agreed.wish)
        match again:
            case Refusal():
                return again
            case AlreadyOpen(row) | Undelivered(row):
                self.spend(agreed.wish, agreed.uses, row.call_id)
                return again
        if again.answer is not None or (agreed.quote.covers(again.quote) and again.permit.hold <= agreed.permit.hold):
            return agreed.renewed(again)
        self._ledger.withdraw_grants([ref for ref in agreed.uses if ref not in agreed.wish.uses])
        if agreed.lapses + 1 >= _MOST_LAPSES:
            return consent_refusals.price_keeps_changing(agreed.offer)
        return await self.obtain(replace(again, lapses=agreed.lapses + 1), caller)


def _try_to_prepare(order: Order, now: UnixMs) -> None:
    """Nobody is asked to approve what could not be sent then. Raises `WireError`."""
    hold = order.permit.hold
    order.rail.prepare(_NO_CALL, order.offer, order.purchase.arguments, order.quote, hold, now)
