"""One paid call: place → consent → reserve → execute → conclude. The same call is never bought twice.

All of it runs in the pipeline's own task group, once for all who ask for the same at once. From the reservation on it
is shielded from the request that asked for it: a host that cancels, disconnects or times out leaves a call that still
ends properly, and whose answer is kept for the identical call that usually follows. What nobody waits for before that
is not bought.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Final, Self, assert_never

import anyio
from anyio.abc import TaskGroup

from jecp_mcp.calls import codes, consent_refusals, refusals
from jecp_mcp.calls.clock_check import ClockCheck
from jecp_mcp.calls.consent import Consents
from jecp_mcp.calls.copies import Copies
from jecp_mcp.calls.ends import refused, standing
from jecp_mcp.calls.execution import Execution, failure_end, is_unfinished, may_turn
from jecp_mcp.calls.orders import Order, Orders, Wish
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
from jecp_mcp.errors import LedgerDamaged, LedgerError
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
Placed = Order | AlreadyOpen | Undelivered | Refusal | CallEnd

_NOT_ASKED: Final = frozenset({codes.APPROVAL_REQUIRED, codes.APPROVAL_PENDING})
"""Why a call was not bought for which somebody else may be asked."""


class Calls:
    """The pipeline. It takes calls while `open` runs. `ended` is told whenever a call ended, or was looked into."""

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
        self.ended: Callable[[], None] = lambda: None
        self._policy = policy
        self._ledger = ledger
        self._rails = rails
        self._clock = clock
        clock_check = ClockCheck(rails, clock)
        self._orders = Orders(policy, ledger, rails, clock, clock_check)
        self._consents = Consents(policy, ledger, self._orders, clock)
        self._reservations = Reservations(ledger, rails, self._consents, clock, clock_check, mint)
        self._execution = Execution(policy, ledger, rails, clock, clock_check)
        self._running: dict[str, Run] = {}
        self._working = Working(self._running)
        self._copies = Copies(ledger, self._running)
        self._upkeep = Upkeep(ledger, rails, clock, clock_check, self.resolve, self._working, keep_bodies_days)
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
        """Buy one call, or say why not. Raises nothing but cancellation; what was reserved goes on when cancelled."""
        return await self._buy(self._orders.wish(purchase, caller.principal), caller)

    async def prepare(self, purchase: Purchase, caller: Caller) -> Preparation | CallEnd:
        """Promise a price for a while, and look at what stands in its way. Spends nothing and asks no person.

        Returns a call's end where there is nothing to promise: why it cannot be bought; how the identical call stands;
        or the answer, where asking for the price brought it.
        """
        wish, made = self._orders.wish(purchase, caller.principal), list[Preparation]()

        async def work(run: Run) -> CallEnd:
            run.looking = True
            found = await self._prepare(wish, run)
            if isinstance(found, CallEnd):
                return found
            made.append(found)
            return run.end

        end = await self._run_once(wish, caller, work, looking=True)
        return made[0] if made else end

    async def prepared(self, prepared_id: str, principal: Principal) -> tuple[Grant, PreparedCall] | CallEnd:
        """A prepared call of this principal by its id; or why there is none, or what came of it that cannot be read.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        grant = await self._ledger.grant(GrantRef(GrantKind.PREPARED, prepared_id))
        if grant is None or grant.principal != principal:
            return refused(consent_refusals.prepared_unknown(), None)
        try:
            return grant, PreparedCall.read(grant)
        except LedgerDamaged:
            used = None if grant.call_id is None else await self.resolve(grant.call_id)
            if used is not None and used.took_effect:
                return used
            return refused(consent_refusals.prepared_unreadable(), None)

    async def withdraw(self, prepared_id: str, principal: Principal) -> None:
        """Let a prepared call of this principal buy nothing any more; one that was used stays what it is.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        ref = GrantRef(GrantKind.PREPARED, prepared_id)
        grant = await self._ledger.grant(ref)
        if grant is not None and grant.principal == principal:
            self._ledger.withdraw_grants((ref,))

    async def execute(self, known: tuple[Grant, PreparedCall], purchase: Purchase, caller: Caller) -> CallEnd:
        """Pay for what was prepared, once; again, what it came to.

        Args:
            known: what `prepared` gave.
            purchase: the same purchase, as the catalog offers it now.
        """
        (grant, call), offer = known, purchase.offer
        stale = unusable(grant, self._clock.now())
        if stale is not None:
            return refused(stale, offer)
        if grant.call_id is not None:
            end = await self.resolve(grant.call_id, caller.patience)
            if end is not None and end.took_effect:
                return replace(end, offer=offer)
            if grant.expires_at <= self._clock.now():
                return refused(consent_refusals.prepared_expired(grant.expires_at), offer)
        if not call.is_of(offer):
            return refused(consent_refusals.price_changed(call.key, call.quote, offer.listed), offer)
        used = (GrantRef(grant.kind, grant.grant_id),)
        return await self._buy(self._orders.wish(purchase, caller.principal, used, call), caller)

    async def _buy(self, wish: Wish, caller: Caller) -> CallEnd:
        """The way of a call: place → consent → reserve → execute → conclude."""

        async def work(run: Run) -> CallEnd:
            found: Placed | Reserved = await self._place(wish)
            if isinstance(found, Order):
                found = await self._consents.obtain(found, run.caller)
            if isinstance(found, Order):
                if run.waiting == 0 and found.answer is None:
                    # Whoever wanted it has left before anything was reserved.
                    return run.end
                found = await self._reservations.reserve(found, run.caller, run.working)
            match found:
                case Reserved():
                    return await self._execution.execute(found, run)
                case CallEnd():
                    return found
                case Refusal():
                    return refused(found, wish.purchase.offer)
                case AlreadyOpen(row) | Undelivered(row):
                    self._consents.spend(wish, wish.uses, row.call_id)
                    return await self._repeat(found, wish.purchase.offer, run)
                case _:
                    assert_never(found)

        return await self._run_once(wish, caller, work)

    async def _place(self, wish: Wish) -> Placed:
        """An order, unless another copy of the call must be found out about first."""
        found = await self._orders.place(wish)
        return (await self._copies.unresolved(wish) or found) if isinstance(found, Order) else found

    async def _prepare(self, wish: Wish, run: Run) -> Preparation | CallEnd:
        """The price of a call and what stands in its way; or how it ends, where there is nothing to prepare.

        Raises:
            LedgerError: it cannot be kept.
        """
        offer = wish.purchase.offer
        order: Placed | Reserved = await self._place(wish)
        if isinstance(order, Order) and order.answer is not None:
            # It is here already, and must not be asked for twice.
            order = await self._reservations.reserve(order, run.caller, run.working)
        match order:
            case Reserved():
                return await self._execution.execute(order, run)
            case CallEnd() | Refusal():
                return order if isinstance(order, CallEnd) else refused(order, offer)
            case AlreadyOpen(row):
                return replace(standing(row), offer=offer)
            case Undelivered(row):
                return self._undelivered_end(row, offer)
        readings = await self._ledger.readings(order.permit.meters)
        full = tuple(one for one in readings if one.used + order.least > one.meter.limit)
        approval = None
        if order.because is not None:
            parked = await self._consents.park(order, order.because)
            if isinstance(parked, Refusal):
                return refused(parked, offer)
            if parked.state is GrantState.ASKED:
                approval = (order.because, parked)
        call = PreparedCall.of(order)
        grant = await self._ledger.write_grant(new_grant(wish.principal, wish.fingerprint, call, self._clock.now()))
        return Preparation(grant, call, full, approval)

    async def _run_once(self, wish: Wish, caller: Caller, work: Work, *, looking: bool = False) -> CallEnd:
        """Do it in a task of its own; or have what the run of the identical call comes to that was begun before.

        Nothing of the same call is done twice at once, from asking for its price on. Where the one before bought
        nothing, for a reason that need not hold for this one, this one is done after it.

        Args:
            looking: whether nothing is to be bought.
        """
        offer, until = wish.purchase.offer, anyio.current_time() + caller.patience
        while (running := self._running.get(wish.fingerprint)) is not None:
            end = replace(await running.wait(until), offer=offer)
            same = running.is_for(wish.purchase) or end.took_effect
            otherwise = running.done.is_set() and (running.late or not same)
            if end.call_id is not None and not otherwise:
                # The answer was paid for once: whoever asked the same meanwhile has it too, at no further cost.
                self._consents.spend(wish, wish.uses, end.call_id)
                return replace(end, stored=True) if end.answer is not None else end
            unasked = end.refusal is not None and end.refusal.code in _NOT_ASKED and caller.asker is not None
            if not (looking or running.looking or running.deserted or unasked or otherwise):
                return end
        never = refused(refusals.shutting_down(offer), offer)
        run = Run(caller, never, wish.purchase)
        return await run.wait_as_caller(until) if self._start(run, wish.fingerprint, work) else never

    def _start(self, run: Run, identity: str, work: Work) -> bool:
        """Begin a run, unless the pipeline is closing."""
        if self._closing or self._tasks is None:
            return False
        self._running[identity] = run
        self._tasks.start_soon(self._run, run, identity, work)
        return True

    async def _run(self, run: Run, identity: str, work: Work) -> None:
        try:
            run.end = await work(run)
        except Exception as exc:  # noqa: BLE001 - it is logged where it is no refusal
            # The task group carries every caller's purchase: one broken call must not cancel the others.
            run.end = failure_end(run.end, exc)
        finally:
            del self._running[identity]
            run.finish()
            self.ended()
            if run.end.charge is Charge.UNKNOWN:
                # It may be due to be asked for again sooner than anything before it.
                self._upkeep.wake()

    async def _repeat(self, found: AlreadyOpen | Undelivered, offer: Offer, run: Run) -> CallEnd:
        """The identical call is there already."""
        if isinstance(found, Undelivered):
            return self._undelivered_end(found.row, offer)
        run.stand(replace(standing(found.row), offer=offer))
        row = await self._execution.taken_over(found.row, self._working)
        return replace(await self._execution.look_into(row, run), offer=offer)

    def _undelivered_end(self, row: CallRow, offer: Offer) -> CallEnd:
        """The answer that was paid for and never delivered."""
        end = replace(standing(row), offer=offer)
        if end.answer is None:
            # The kept answer cannot be read, and must not stand in the way of a new purchase for ever.
            self._ledger.note_delivery(row.call_id)
        return end

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

    async def resolve(self, call_id: str, patience: float = math.inf) -> CallEnd | None:
        """Try to finish a call whose end is not proven, by its rail's own way.

        Returns how it ended, or stands after at most `STATUS_SECONDS` or `patience`, in seconds, the lesser; None for
        an unknown id.
        """
        seconds = min(STATUS_SECONDS, patience)
        try:
            row = await self._ledger.row(call_id)
        except LedgerError as exc:
            return CallEnd(Charge.UNKNOWN, call_id, refusal=refusals.unreadable(exc))
        if row is None:
            return None
        return await (self._confirm(row, seconds) if may_turn(row) else self._finish(row, seconds))

    async def _finish(self, row: CallRow, seconds: float) -> CallEnd:
        """How a call ended that was open, or stands when nobody waits any longer."""
        row = await self._execution.taken_over(row, self._working)
        with anyio.move_on_after(seconds):
            while row.state in OPEN and (running := self._running.get(row.fingerprint)) is not None:
                end = await running.wait()
                if end.call_id == row.call_id:
                    return end
            elsewhere = self._execution.elsewhere(row)
            if elsewhere is not None and row.owner != self._ledger.session:
                return elsewhere
            run = Run(Caller(Principal(row.principal)), standing(row))
            if is_unfinished(row) and self._start(run, row.fingerprint, partial(self._execution.look_again, row)):
                return await run.wait()
        return standing(row)

    async def _confirm(self, row: CallRow, seconds: float) -> CallEnd:
        """Find out whether a charge stands, beside whoever buys the same anew: for them this call is over."""
        run = Run(Caller(Principal(row.principal)), standing(row))
        mine = row.owner == self._ledger.session and row.call_id not in self._working
        run.working.add(row.call_id)
        if mine and self._start(run, f"charge of {row.call_id}", lambda run: self._execution.find_out(row, run.relay)):
            with anyio.move_on_after(seconds):
                await run.done.wait()
        return run.end

    async def recover(self, but: Collection[str] = ()) -> None:
        """Finish what dead processes left open, `but` of these sources. Never raises; the rest stays counted."""
        await self._upkeep.recover(but)

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
