"""One paid call: place → consent → reserve → execute → conclude. The same call is never bought twice.

Everything from the reservation on runs in the pipeline's own task group, shielded from the request that asked for it:
a host that cancels, disconnects or times out leaves a call that still ends properly, and whose answer is kept for the
identical call that usually follows.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Self, assert_never

import anyio
from anyio.abc import TaskGroup

from jecp_mcp.calls import consent_refusals, refusals
from jecp_mcp.calls.consent import Consents
from jecp_mcp.calls.ends import refused, standing
from jecp_mcp.calls.execution import Execution, is_unfinished
from jecp_mcp.calls.orders import Order, Orders, identity_of
from jecp_mcp.calls.ports import CallEnd, Caller, Charge
from jecp_mcp.calls.prepared import Preparation, PreparedCall, new_grant, unusable
from jecp_mcp.calls.reader import Reader
from jecp_mcp.calls.reserving import Reservations, Reserved
from jecp_mcp.calls.runs import Run, Working
from jecp_mcp.calls.upkeep import Upkeep
from jecp_mcp.clock import Clock
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.purchases import Principal, Purchase
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import LedgerError, WireError
from jecp_mcp.mandate.grants import Grant, GrantKind, GrantRef, GrantState
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.mandate.policy import Policy
from jecp_mcp.mandate.records import AlreadyOpen, CallRow, Undelivered
from jecp_mcp.mandate.states import OPEN
from jecp_mcp.money import ZERO, MicroUSDC
from jecp_mcp.rails.registry import Rails

log = logging.getLogger(__name__)

STATUS_SECONDS = 20.0
"""How long a question for a call's status waits for the call to end: well within a host's patience."""

GRACE_SECONDS = 5.0
"""How long a closing pipeline lets running calls end before it leaves them to the next start."""

Work = Callable[[Run], Awaitable[CallEnd]]


@dataclass(frozen=True, slots=True)
class _Wish:
    """A purchase on its way to an order.

    Attributes:
        identity: the call's fingerprint.
        uses: the grants that buying it uses.
    """

    purchase: Purchase
    caller: Caller
    identity: str
    uses: tuple[GrantRef, ...]


class Calls:
    """The pipeline. It takes calls while `open` runs."""

    def __init__(
        self,
        *,
        policy: Policy,
        ledger: Ledger,
        rails: Rails,
        clock: Clock,
        mint: Callable[[], str],
        keep_bodies_days: int = 90,
    ) -> None:
        """Wire the pipeline.

        Args:
            ledger: where every call is reserved; one that cannot be written refuses each of them.
            mint: makes a new idempotency id from randomness.
            keep_bodies_days: how long the request and answer of a call that has ended are kept.
        """
        self._policy = policy
        self._ledger = ledger
        self._rails = rails
        self._clock = clock
        self._orders = Orders(policy, ledger, rails, clock)
        self._consents = Consents(policy, ledger, self._orders, clock)
        self._reservations = Reservations(ledger, rails, self._consents, clock, mint)
        self._execution = Execution(policy, ledger, rails, clock)
        self._running: dict[str, Run] = {}
        self._working = Working(self._running)
        self._upkeep = Upkeep(
            ledger, rails, clock, self.resolve, working=self._working, keep_bodies_days=keep_bodies_days
        )
        self._tasks: TaskGroup | None = None
        self._closing = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Self]:
        """Take calls while the block runs.

        Leaving it lets running calls end; what does not end within `GRACE_SECONDS` stays ``sent`` in the ledger, for
        the next start to finish.
        """
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            try:
                yield self
            finally:
                self._closing = True
                with anyio.move_on_after(GRACE_SECONDS, shield=True):
                    for run in list(self._running.values()):
                        await run.done.wait()
                tasks.cancel_scope.cancel()
        try:
            with anyio.CancelScope(shield=True):
                await self._ledger.flush()
        except LedgerError as exc:
            log.error("the ledger could not be brought up to date while closing: %s", exc)  # noqa: TRY400 - the cause is in the message

    async def pay(self, purchase: Purchase, caller: Caller) -> CallEnd:
        """Buy one call, or say why not. Raises nothing but cancellation; the call goes on when cancelled."""
        return await self._buy(purchase, caller)

    async def prepare(self, purchase: Purchase, caller: Caller) -> Preparation | Refusal:
        """Promise a price for a while, and look at what stands in its way. Spends nothing and asks nobody.

        Raises:
            LedgerError: it cannot be kept.
        """
        order = await self._orders.place(purchase, caller, identity_of(purchase, caller.principal))
        if isinstance(order, Refusal):
            return order
        readings = await self._ledger.readings(order.permit.meters)
        full = tuple(one for one in readings if one.used + order.least > one.meter.limit)
        approval = None
        if order.because is not None:
            parked = await self._consents.park(order, order.because)
            if isinstance(parked, Refusal):
                return parked
            if parked.state is GrantState.ASKED:
                approval = (order.because, parked)
        call = PreparedCall.of(order)
        grant = await self._ledger.write_grant(new_grant(order.principal, order.fingerprint, call, self._clock.now()))
        return Preparation(grant, call, full, approval)

    async def prepared(self, prepared_id: str, principal: Principal) -> tuple[Grant, PreparedCall] | None:
        """A prepared call of this principal by its id.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        grant = await self._ledger.grant(GrantRef(GrantKind.PREPARED, prepared_id))
        return None if grant is None or grant.principal != principal else (grant, PreparedCall.read(grant))

    async def execute(self, grant: Grant, purchase: Purchase, caller: Caller) -> CallEnd:
        """Pay for what was prepared, once; again, what it came to.

        Args:
            grant: what `prepared` gave.
            purchase: the same purchase, as the catalog offers it now.
        """
        stale = unusable(grant, self._clock.now())
        if stale is not None:
            return refused(stale, purchase.offer)
        if grant.call_id is not None:
            end = await self.resolve(grant.call_id)
            if end is not None and (end.charge is not Charge.NO or end.answer is not None):
                return replace(end, offer=purchase.offer)
            if grant.expires_at <= self._clock.now():
                return refused(consent_refusals.prepared_expired(grant.expires_at), purchase.offer)
        return await self._buy(purchase, caller, grant)

    async def _buy(self, purchase: Purchase, caller: Caller, grant: Grant | None = None) -> CallEnd:
        uses = () if grant is None else (GrantRef(grant.kind, grant.grant_id),)
        wish = _Wish(purchase, caller, identity_of(purchase, caller.principal), uses)
        try:
            order = await self._agreed(wish, grant)
        except LedgerError as exc:
            return refused(refusals.ledger_trouble(exc), purchase.offer)
        except WireError as exc:
            return refused(refusals.unwritable(exc), purchase.offer)
        if isinstance(order, CallEnd):
            return order
        if isinstance(order, Refusal):
            return refused(order, purchase.offer)
        return await self._work(replace(wish, uses=order.uses), lambda run: self._complete(order, run))

    async def _agreed(self, wish: _Wish, grant: Grant | None) -> Order | CallEnd | Refusal:
        """The first half of a call's way: place → consent. Nothing is spent; the identical call is never quoted anew.

        Raises:
            LedgerError: the ledger cannot be read, or a consent not be kept.
        """
        purchase, caller = wish.purchase, wish.caller
        rail = self._rails.selling(purchase.offer)
        probes = rail is not None and rail.probes and rail.ready() is None
        known = await self._known(wish) if probes else None
        if known is not None:
            return known
        order = await self._orders.place(purchase, caller, wish.identity)
        if isinstance(order, Order) and grant is not None:
            order = _as_promised(order, grant)
        if isinstance(order, Refusal):
            return order
        if order.because is not None or wish.identity in self._running:
            # Nobody is asked to pay for what is open or was paid for already: the yes would buy another call.
            known = await self._known(wish)
        return known or await self._consents.obtain(replace(order, uses=wish.uses), caller)

    async def _complete(self, order: Order, run: Run) -> CallEnd:
        """The second half, which goes on without whoever asked for it: reserve → execute → conclude."""
        reserved = await self._reservations.reserve(order, run.caller, run.working)
        if isinstance(reserved, Refusal):
            return refused(reserved, order.offer)
        if isinstance(reserved, Reserved):
            return await self._execution.execute(reserved, run)
        return await self._repeat(reserved, order.offer, run)

    async def _known(self, wish: _Wish) -> CallEnd | None:
        """How the identical call ends that is running, open or not delivered yet; None where there is none."""
        found = None if wish.identity in self._running else await self._ledger.identical(wish.identity)
        if found is None and wish.identity not in self._running:
            return None

        async def repeat(run: Run) -> CallEnd:
            assert found is not None, "who joins another run does no work"
            self._spend(wish, found.row.call_id)
            return await self._repeat(found, wish.purchase.offer, run)

        return await self._work(wish, repeat)

    async def _work(self, wish: _Wish, work: Work) -> CallEnd:
        """Do it in a task of its own, or join the run of the identical call that was begun meanwhile."""
        offer = wish.purchase.offer
        running = self._running.get(wish.identity)
        if running is not None:
            # The answer was paid for once: whoever asked the same meanwhile has it too, at no further cost.
            end = replace(await running.wait(), offer=offer)
            if end.call_id is not None:
                self._spend(wish, end.call_id)
            return replace(end, stored=True) if end.answer is not None else end
        never = refused(refusals.shutting_down(offer), offer)
        if self._closing or self._tasks is None:
            return never
        run = self._running[wish.identity] = Run(wish.caller, never)
        self._tasks.start_soon(self._run, run, wish.identity, work)
        return await run.wait_as_caller()

    def _spend(self, wish: _Wish, call_id: str) -> None:
        """What was agreed for a call is used by the identical one that took its place: it would buy another."""
        self._reservations.spend(wish.uses, wish.identity, wish.caller.principal, call_id)

    async def _run(self, run: Run, identity: str, work: Work) -> None:
        try:
            run.end = await work(run)
        except Exception as exc:  # noqa: BLE001 - it is logged where it is no refusal
            # The task group carries every caller's purchase: one broken call must not cancel the others.
            run.end = _failed(run.end, exc)
        finally:
            del self._running[identity]
            run.done.set()
            if run.end.charge is Charge.UNKNOWN:
                # It may be due to be asked for again sooner than anything before it.
                self._upkeep.wake()

    async def _repeat(self, found: AlreadyOpen | Undelivered, offer: Offer, run: Run) -> CallEnd:
        """The identical call is there already."""
        match found:
            case AlreadyOpen(row):
                run.end = replace(standing(row), offer=offer)
                row = await self._execution.taken_over(row, self._working)
                return replace(await self._found_out(row, run), offer=offer)
            case Undelivered(row):
                end = replace(standing(row), offer=offer)
                if end.answer is None:
                    # The kept answer cannot be read, and must not stand in the way of a new purchase for ever.
                    self._ledger.note_delivery(row.call_id)
                return end
            case _:
                assert_never(found)

    async def _found_out(self, row: CallRow, run: Run) -> CallEnd:
        """How a call stands, once its payee was asked where that is to be done."""
        if not is_unfinished(row):
            return standing(row)
        run.working.add(row.call_id)
        return await self._execution.find_out(row, run.relay)

    def most_per_call(self, offer: Offer) -> MicroUSDC:
        """The most that one call of an offer can cost by the rail that pays for it, micro-USDC; 0 where none does."""
        rail = self._rails.selling(offer)
        return ZERO if rail is None else rail.most_per_call

    def reader(self, principal: Principal) -> Reader:
        """The ledger as `principal` may read it."""
        return Reader(self._policy, self._ledger, self._rails, principal)

    def delivered(self, end: CallEnd) -> None:
        """Note that the answer of `end` is on its way to the client: the identical call is then a new purchase."""
        if end.call_id is not None and end.answer is not None:
            self._ledger.note_delivery(end.call_id)

    async def resolve(self, call_id: str) -> CallEnd | None:
        """Try to finish a call whose end is not proven, by its rail's own way.

        Returns how it ended, or stands after at most `STATUS_SECONDS`; None for an unknown id.
        """
        try:
            row = await self._ledger.row(call_id)
        except LedgerError as exc:
            return CallEnd(Charge.UNKNOWN, call_id, refusal=refusals.unreadable(exc))
        if row is None:
            return None
        row = await self._execution.taken_over(row, self._working)
        run = self._running.get(row.fingerprint) if row.state in OPEN else None
        if run is None:
            elsewhere = self._execution.elsewhere(row)
            if elsewhere is not None and row.owner != self._ledger.session:
                return elsewhere
            if not is_unfinished(row) or self._closing or self._tasks is None:
                return standing(row)
            run = self._running[row.fingerprint] = Run(Caller(Principal(row.principal)), standing(row))
            self._tasks.start_soon(self._run, run, row.fingerprint, lambda run: self._found_out(row, run))
        with anyio.move_on_after(STATUS_SECONDS):
            return await run.wait()
        return standing(row)

    async def recover(self) -> None:
        """Finish what dead processes left open. Never raises; what cannot be finished stays counted as spent."""
        await self._upkeep.recover()

    async def keep_recovering(self) -> None:
        """`recover`, and then, until cancelled, what `jecp_mcp.calls.upkeep` does beside the calls."""
        await self._upkeep.keep()

    async def note_refunds(self) -> int:
        """Take what payees gave back into the windows it came from; returns how many calls that was news for.

        Raises:
            PayeeError: a payee does not say.
            LedgerError: it cannot be written down.
        """
        return await self._upkeep.note_refunds()


def _failed(known: CallEnd, fault: Exception) -> CallEnd:
    """How a call ends that failed here, `known` to stand so far.

    It has an id from before anything of it can leave; until then, what the ledger or the request lacks is all there is.
    """
    if known.call_id is None and isinstance(fault, LedgerError):
        return refused(refusals.ledger_trouble(fault), known.offer)
    if known.call_id is None and isinstance(fault, WireError):
        return refused(refusals.unwritable(fault), known.offer)
    log.error("the call %s failed inside the bridge", known.call_id or "that was not sent", exc_info=fault)
    refusal = refusals.unreadable(fault) if isinstance(fault, LedgerError) else refusals.bridge_fault()
    return CallEnd(Charge.UNKNOWN, known.call_id, known.offer, refusal=refusal, held=known.held)


def _as_promised(order: Order, grant: Grant) -> Order | Refusal:
    """The order for no more than was promised for it when it was prepared."""
    call = PreparedCall.read(grant)
    if not call.still(order):
        return consent_refusals.price_changed(call.key, call.quote, order.quote)
    return order.at_most(call.hold)
