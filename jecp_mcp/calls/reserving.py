"""From an order to a durable reservation: room in the limits, and a clock that can be believed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from jecp_mcp.calls import consent_refusals, refusals
from jecp_mcp.calls.clock_check import MOST_SKEW_SECONDS, ClockCheck
from jecp_mcp.calls.consent import Consents
from jecp_mcp.calls.orders import Order
from jecp_mcp.calls.ports import Caller
from jecp_mcp.clock import Clock, UnixMs
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import ClockWentBack
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.mandate.records import (
    Admission,
    Admitted,
    AlreadyOpen,
    Meter,
    NotGood,
    OverLimit,
    Reservation,
    Undelivered,
)
from jecp_mcp.money import ZERO, MicroUSDC
from jecp_mcp.rails.base import Rail, StoredRequest, account_changed
from jecp_mcp.rails.registry import Rails

log = logging.getLogger(__name__)

_UNCONFIRMED: Final = (
    "If it was ahead before and is right now, the operator must say so (ledger --trust-clock, as doctor writes it), or "
    "let this machine reach a Hub, whose answers tell the time"
)


@dataclass(frozen=True, slots=True)
class Reserved:
    """A call that is durable and may be sent.

    Attributes:
        meters: the caps that it was held against.
        asked_at: this machine's clock when it was written down.
    """

    order: Order
    request: StoredRequest
    meters: tuple[Meter, ...]
    asked_at: UnixMs
    admitted: Admitted


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the ledger said to a request."""

    request: StoredRequest
    asked_at: UnixMs
    admission: Admission | Refusal


class Reservations:
    """Writes orders down. Every method raises `LedgerError` and `WireError`; then nothing was sent."""

    def __init__(
        self,
        ledger: Ledger,
        rails: Rails,
        consents: Consents,
        clock: Clock,
        clock_check: ClockCheck,
        mint: Callable[[], str],
    ) -> None:
        self._ledger = ledger
        self._rails = rails
        self._consents = consents
        self._clock = clock
        self._clock_check = clock_check
        self._mint = mint

    async def reserve(
        self, order: Order, caller: Caller, working: set[str]
    ) -> Reserved | AlreadyOpen | Undelivered | Refusal:
        """Ask the ledger, and where a limit is full, whether the operator lets this one call pass.

        Args:
            working: where the ids of calls go that the asking task works on, before they are in the ledger.
        """
        asked = await self._offer(order, working)
        while isinstance(asked.admission, OverLimit) and not order.let_past:
            over = asked.admission
            full = refusals.limit_reached(over, asked.request.hold)
            raised = await self._consents.past_limit(order, full, over.meter, caller)
            if not isinstance(raised, Order):
                return raised
            order = raised
            asked = await self._offer(order, working)
        match asked.admission:
            case Admitted() as admitted:
                return Reserved(order, asked.request, order.permit.meters, asked.asked_at, admitted)
            case OverLimit() as over:
                return refusals.limit_reached(over, asked.request.hold)
            case NotGood() as found:
                return consent_refusals.not_good(found)
            case AlreadyOpen(row) | Undelivered(row):
                self._consents.spend(order.wish, order.uses, row.call_id)
                return asked.admission
            case refusal:
                return refusal

    async def _offer(self, order: Order, working: set[str]) -> _Asked:
        """Ask the ledger. Where the price is only bounded, for as much as the windows have left.

        When other calls take of that meanwhile, for the price's base: the payee refuses what comes to more.
        """
        hold = order.permit.hold if order.least == order.permit.hold else await self._room(order)
        asked = await self._ask(order, hold, working)
        if isinstance(asked.admission, OverLimit) and order.least < hold:
            return await self._ask(order, order.least, working)
        return asked

    async def _ask(self, order: Order, hold: MicroUSDC, working: set[str]) -> _Asked:
        # A person may have taken their time, in which the clock may have leapt; an answer that is here needs none.
        fault = None if order.answer is not None else await self._clock_check.fault(self._rails.witness_of(order.rail))
        now, call_id = self._clock.now(), self._mint()
        if order.answer is not None:
            # Whoever finds it after a crash knows that nothing was to be paid.
            request = StoredRequest(order.rail.name, order.quote.account, call_id, ZERO, b"", None, sent_first=False)
        else:
            purchase = order.purchase
            request = order.rail.prepare(call_id, purchase.offer, purchase.arguments, order.quote, hold, now)
        if request.account != order.quote.account:
            fault = account_changed()
        if fault is not None:
            return _Asked(request, now, fault)
        assert (request.call_id, request.rail, request.hold) == (call_id, order.rail.name, hold)
        working.add(call_id)
        reservation = order.reservation(request, self._ledger.session)
        return _Asked(request, now, await self._reserve(reservation, order.rail))

    async def _room(self, order: Order) -> MicroUSDC:
        readings = await self._ledger.readings(order.permit.meters)
        room = min((one.meter.limit - one.used for one in readings), default=order.permit.hold)
        return max(min(order.permit.hold, MicroUSDC(room)), order.least)

    async def _reserve(self, reservation: Reservation, rail: Rail) -> Admission | Refusal:
        try:
            admission = await self._ledger.reserve(reservation)
        except ClockWentBack as exc:
            apart = 0.0 if exc.shown is None else (self._clock.now() - exc.shown) / 1000
            if abs(apart) > MOST_SKEW_SECONDS:
                # Whoever vouches for this machine's clock vouches for no server's.
                return refusals.clocks_apart(apart)
            # The clock was wrong before or is wrong now.
            right = await self._clock_check.is_right(self._rails.witness_of(rail))
            if right is None:
                raise ClockWentBack(f"{exc}. {_UNCONFIRMED}") from exc
            if not right:
                raise
            log.warning("the clock was ahead and is right again, so every limit is counted anew: %s", exc)
            await self._ledger.trust_clock()
            admission = await self._ledger.reserve(reservation)
        if isinstance(admission, Admitted):
            self._clock_check.believed()
        return admission
