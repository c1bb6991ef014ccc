"""From an order to a durable reservation: consent, room in the limits, and a clock that can be believed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from jecp_mcp.calls import refusals
from jecp_mcp.calls.orders import MOST_SKEW_SECONDS, Order, Orders
from jecp_mcp.calls.ports import Caller
from jecp_mcp.errors import ClockWentBack
from jecp_mcp.mandate.ledger import (
    Admission,
    Admitted,
    AlreadyOpen,
    Ledger,
    NotGood,
    OverLimit,
    Reservation,
    Undelivered,
)
from jecp_mcp.mandate.slips import SlipKind, SlipRef
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.base import Quote, QuoteKind, Rail, StoredRequest
from jecp_mcp.wire.forms import Refusal

log = logging.getLogger(__name__)

_NO_CONSENT: Final = SlipRef(SlipKind.APPROVAL, "none")
"""A consent that nobody gave: with it the ledger buys nothing."""


class Admissions:
    """What stands between an order and the first byte. Every method raises `LedgerError` and `WireError`."""

    def __init__(self, ledger: Ledger, rail: Rail, orders: Orders, mint: Callable[[], str]) -> None:
        self._ledger = ledger
        self._rail = rail
        self._orders = orders
        self._mint = mint

    async def consented(self, order: Order, caller: Caller) -> Order | Refusal:
        """The order with a person's consent, if one is needed.

        Nobody is asked to pay for what is open or was paid for already: the yes would stay, and buy another call.
        """
        if order.because is None:
            return order
        unconsented = replace(order, uses=(*order.uses, _NO_CONSENT))
        # The ledger looks for the identical call first; otherwise it finds that there is no such slip.
        _, admission = await self._ask(unconsented, order.quoted)
        if isinstance(admission, AlreadyOpen | Undelivered):
            return unconsented
        return await self._orders.agreed(order, caller)

    async def admit(
        self, order: Order, caller: Caller
    ) -> tuple[StoredRequest, Admitted | AlreadyOpen | Undelivered | Refusal]:
        """Ask the ledger, and where a limit is full, whether the operator lets this one call pass."""
        request, admission = await self._offer(order)
        agreed = order
        if isinstance(admission, OverLimit):
            full, label = refusals.limit_reached(admission, request.budget), admission.meter.label
            raised = await self._orders.past_limit(order, full, label, caller)
            if isinstance(raised, Refusal):
                return request, raised
            agreed = raised
            request, admission = await self._offer(raised)
            if isinstance(admission, OverLimit):
                return request, refusals.limit_reached(admission, request.budget)
        if isinstance(admission, AlreadyOpen | Undelivered):
            self.spend(agreed, admission.row.call_id)
        return request, refusals.not_good(admission) if isinstance(admission, NotGood) else admission

    def spend(self, order: Order, call_id: str) -> None:
        """What was agreed for the order is used by the identical call that took its place: it buys no other."""
        if order.uses:
            self._ledger.use_slips(order.uses, order.fingerprint, order.principal, call_id)

    async def _offer(self, order: Order) -> tuple[StoredRequest, Admission]:
        """Ask the ledger. Where the price is only bounded, for as much as the windows have left.

        When other calls take of that meanwhile, for the price's base: the Hub refuses what comes to more.
        """
        hold = await self._room(order) if order.bounded else order.permit.hold
        request, admission = await self._ask(order, hold)
        if isinstance(admission, OverLimit) and order.quoted < hold:
            return await self._ask(order, order.quoted)
        return request, admission

    async def _ask(self, order: Order, hold: MicroUSDC) -> tuple[StoredRequest, Admission]:
        quote = Quote(hold, QuoteKind.MAX if order.bounded else QuoteKind.EXACT)
        request = self._rail.request(self._mint(), order.purchase.action, order.purchase.arguments, quote)
        return request, await self._reserve(order.reservation(request, self._ledger.session))

    async def _room(self, order: Order) -> MicroUSDC:
        readings = await self._ledger.readings(order.permit.meters)
        room = min((one.meter.limit - one.used for one in readings), default=order.permit.hold)
        return max(min(order.permit.hold, MicroUSDC(room)), order.quoted)

    async def _reserve(self, reservation: Reservation) -> Admission:
        try:
            return await self._ledger.reserve(reservation)
        except ClockWentBack as exc:
            # The clock was wrong before or is wrong now; another one tells which.
            skew = await self._rail.skew(fresh=True)
            if skew is None or abs(skew) > MOST_SKEW_SECONDS:
                raise
            log.warning("the clock was ahead and is right again, so every limit is counted anew: %s", exc)
            await self._ledger.trust_clock()
            return await self._ledger.reserve(reservation)
