"""From an order to a durable reservation: consent, room in the limits, and a clock that can be believed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from jecp_mcp.calls import refusals
from jecp_mcp.calls.clock_check import MOST_SKEW_SECONDS
from jecp_mcp.calls.orders import Order, Orders
from jecp_mcp.calls.ports import Caller
from jecp_mcp.clock import Clock, UnixMs
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import ClockWentBack, HubError
from jecp_mcp.mandate.ledger import (
    Admission,
    Admitted,
    AlreadyOpen,
    Ledger,
    Meter,
    NotGood,
    OverLimit,
    Reservation,
    Undelivered,
)
from jecp_mcp.mandate.slips import SlipKind, SlipRef
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.base import Rail, StoredRequest, account_changed

log = logging.getLogger(__name__)

_UNCONFIRMED: Final = (
    "If it was ahead before and is right now, the Hub's answers must confirm that, and none has told the time: the "
    "operator must let this machine reach the Hub"
)

_NO_CONSENT: Final = SlipRef(SlipKind.APPROVAL, "none")
"""A consent that nobody gave: with it the ledger buys nothing."""


@dataclass(frozen=True, slots=True)
class Offered:
    """What the ledger said to a request.

    Attributes:
        meters: the caps that it was held against.
        asked_at: this machine's clock when it was written down.
    """

    request: StoredRequest
    meters: tuple[Meter, ...]
    asked_at: UnixMs
    admission: Admission | Refusal


class Admissions:
    """What stands between an order and the first byte. Every method raises `LedgerError` and `WireError`."""

    def __init__(self, ledger: Ledger, rail: Rail, orders: Orders, clock: Clock, mint: Callable[[], str]) -> None:
        self._ledger = ledger
        self._rail = rail
        self._orders = orders
        self._clock = clock
        self._mint = mint

    async def consented(self, order: Order, caller: Caller) -> Order | Refusal:
        """The order with a person's consent, if one is needed.

        Nobody is asked to pay for what is open or was paid for already: the yes would stay, and buy another call.
        """
        if order.because is None:
            return order
        unconsented = replace(order, uses=(*order.uses, _NO_CONSENT))
        # The ledger looks for the identical call first; otherwise it finds that there is no such slip.
        asked = await self._ask(unconsented, order.quoted, set())
        if isinstance(asked.admission, AlreadyOpen | Undelivered):
            return unconsented
        return await self._orders.agreed(order, caller)

    async def admit(
        self, order: Order, caller: Caller, working: set[str]
    ) -> tuple[Offered, Admitted | AlreadyOpen | Undelivered] | Refusal:
        """Ask the ledger, and where a limit is full, whether the operator lets this one call pass.

        Args:
            working: where the ids of calls go that the asking task works on, before they are in the ledger.
        """
        offered, agreed = await self._offer(order, working), order
        if isinstance(offered.admission, OverLimit):
            over, hold = offered.admission, offered.request.budget
            raised = await self._orders.past_limit(order, refusals.limit_reached(over, hold), over.meter.label, caller)
            if isinstance(raised, Refusal):
                return raised
            offered, agreed = await self._offer(raised, working), raised
        match offered.admission:
            case OverLimit():
                return refusals.limit_reached(offered.admission, offered.request.budget)
            case NotGood():
                return refusals.not_good(offered.admission)
            case Refusal():
                return offered.admission
            case AlreadyOpen(row) | Undelivered(row):
                self.spend(agreed, row.call_id)
                return offered, offered.admission
            case _:
                return offered, offered.admission

    def spend(self, order: Order, call_id: str) -> None:
        """What was agreed for the order is used by the identical call that took its place: it buys no other."""
        if order.uses:
            self._ledger.use_slips(order.uses, order.fingerprint, order.principal, call_id)

    async def _offer(self, order: Order, working: set[str]) -> Offered:
        """Ask the ledger. Where the price is only bounded, for as much as the windows have left.

        When other calls take of that meanwhile, for the price's base: the Hub refuses what comes to more.
        """
        hold = await self._room(order) if order.bounded else order.permit.hold
        offered = await self._ask(order, hold, working)
        if isinstance(offered.admission, OverLimit) and order.quoted < hold:
            return await self._ask(order, order.quoted, working)
        return offered

    async def _ask(self, order: Order, hold: MicroUSDC, working: set[str]) -> Offered:
        now = self._clock.now()
        request = self._rail.request(self._mint(), order.purchase.action, order.purchase.arguments, hold, now)
        if request.account != order.account:
            return Offered(request, order.permit.meters, now, account_changed())
        working.add(request.call_id)
        admission = await self._reserve(order.reservation(request, self._ledger.session))
        return Offered(request, order.permit.meters, now, admission)

    async def _room(self, order: Order) -> MicroUSDC:
        readings = await self._ledger.readings(order.permit.meters)
        room = min((one.meter.limit - one.used for one in readings), default=order.permit.hold)
        return max(min(order.permit.hold, MicroUSDC(room)), order.quoted)

    async def _reserve(self, reservation: Reservation) -> Admission:
        try:
            return await self._ledger.reserve(reservation)
        except ClockWentBack as exc:
            # The clock was wrong before or is wrong now; another one tells which.
            try:
                skew = await self._rail.skew(fresh=True)
            except HubError:
                skew = None
            if skew is None:
                raise ClockWentBack(f"{exc}. {_UNCONFIRMED}") from exc
            if abs(skew) > MOST_SKEW_SECONDS:
                raise
            log.warning("the clock was ahead and is right again, so every limit is counted anew: %s", exc)
            await self._ledger.trust_clock()
            return await self._ledger.reserve(reservation)
