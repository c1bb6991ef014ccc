"""One paid call: authorise, reserve, execute, conclude. The same call is never bought twice.

Everything from the reservation on runs in the pipeline's own task group, shielded from the request that asked for it:
a host that cancels, disconnects or times out leaves a call that still ends properly, and whose answer is kept for the
identical call that usually follows.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Self, assert_never

import anyio
from anyio.abc import TaskGroup

from jecp_mcp.calls import refusals
from jecp_mcp.calls.admission import Admissions, Offered
from jecp_mcp.calls.ends import conclusion, ended, refused, soon, standing
from jecp_mcp.calls.orders import Order, Orders
from jecp_mcp.calls.ports import CallEnd, Caller, Charge, Purchase
from jecp_mcp.calls.prepared import Preparation, PreparedCall, new_slip, terms_of, unusable
from jecp_mcp.calls.replays import Replays
from jecp_mcp.calls.runs import Run, Working
from jecp_mcp.calls.sending import Sending
from jecp_mcp.calls.upkeep import Upkeep
from jecp_mcp.clock import Clock
from jecp_mcp.domain.offers import Action
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import LedgerError, WireError
from jecp_mcp.mandate.caps import meters_for, names_of, standing_meters
from jecp_mcp.mandate.ledger import (
    Admitted,
    AlreadyOpen,
    CallRow,
    Conclusion,
    Ledger,
    MeterReading,
    Totals,
    Undelivered,
)
from jecp_mcp.mandate.policy import Policy
from jecp_mcp.mandate.slips import Slip, SlipKind, SlipRef
from jecp_mcp.mandate.states import OPEN, State, Verdict
from jecp_mcp.money import MicroUSDC, format_usdc
from jecp_mcp.rails.base import Rail

log = logging.getLogger(__name__)

STATUS_SECONDS = 20.0
"""How long a question for a call's status waits for the call to end: well within a host's patience."""

_AFTER_FAULT_MS = 60_000
"""When a call is asked for again during which this program failed."""

GRACE_SECONDS = 5.0
"""How long a closing pipeline lets running calls end before it leaves them to the next start."""


class Calls:
    """The pipeline. It takes calls while `open` runs."""

    def __init__(
        self,
        *,
        policy: Policy,
        ledger: Ledger,
        rail: Rail,
        clock: Clock,
        mint: Callable[[], str],
        unready: Callable[[], Refusal | None],
        keep_bodies_days: int = 90,
    ) -> None:
        """Wire the pipeline.

        Args:
            ledger: where every call is reserved; one that cannot be written refuses each of them.
            mint: makes a new idempotency id from randomness.
            unready: says what is missing before anything can be bought (credentials), or None.
            keep_bodies_days: how long the request and answer of a call that has ended are kept.
        """
        self._policy = policy
        self._ledger = ledger
        self._rail = rail
        self._clock = clock
        self._orders = Orders(policy, ledger, rail, clock, unready)
        self._admissions = Admissions(ledger, rail, self._orders, clock, mint)
        self._replays = Replays(policy, ledger, rail, clock)
        self._running: dict[str, Run] = {}
        self._working = Working(self._running)
        self._upkeep = Upkeep(
            ledger,
            rail,
            clock,
            self.resolve,
            serves=self._replays.serves,
            working=self._working,
            keep_bodies_days=keep_bodies_days,
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
        return await self._buy(purchase, caller, ())

    async def prepare(self, purchase: Purchase, caller: Caller) -> Preparation | Refusal:
        """Promise a price for a while, and look at what stands in its way. Spends nothing and asks nobody.

        Raises:
            LedgerError: it cannot be kept.
        """
        order = await self._orders.place(purchase, caller)
        if isinstance(order, Refusal):
            return order
        action, price = purchase.action, purchase.action.price
        call = PreparedCall(
            tool=purchase.tool,
            key=action.key,
            version=action.version,
            quoted=price.amount,
            exact=price.exact,
            terms=terms_of(price),
            hold=order.permit.hold,
            arguments=purchase.arguments,
        )
        readings = await self._ledger.readings(order.permit.meters)
        least = order.quoted if order.bounded else order.permit.hold
        full = tuple(one for one in readings if one.used + least > one.meter.limit)
        approval = None
        if order.because is not None:
            parked = await self._orders.parked(order, order.because)
            if isinstance(parked, Refusal):
                return parked
            approval = (order.because, parked)
        slip = await self._ledger.write_slip(new_slip(order.principal, order.fingerprint, call, self._clock.now()))
        return Preparation(slip, call, full, approval)

    async def prepared(self, prepared_id: str, principal: str) -> tuple[Slip, PreparedCall] | None:
        """A prepared call of this principal by its id.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        slip = await self._ledger.slip(SlipRef(SlipKind.PREPARED, prepared_id))
        return None if slip is None or slip.principal != principal else (slip, PreparedCall.read(slip))

    async def execute(self, slip: Slip, purchase: Purchase, caller: Caller) -> CallEnd:
        """Pay for what was prepared, once; again, what it came to.

        Args:
            slip: what `prepared` gave.
            purchase: the same purchase, as the catalog offers it now.
        """
        action = purchase.action
        stale = unusable(slip, self._clock.now())
        if stale is not None:
            return refused(stale, action)
        if slip.call_id is not None:
            end = await self.resolve(slip.call_id)
            if end is not None and (end.charge is not Charge.NO or end.answer is not None):
                return replace(end, action=action)
            if slip.expires_at <= self._clock.now():
                return refused(refusals.prepared_expired(slip.expires_at), action)
        call = PreparedCall.read(slip)
        if not call.still(action):
            return refused(refusals.price_changed(call.key, call.quoted, action.price.amount), action)
        return await self._buy(purchase, caller, (SlipRef(slip.kind, slip.slip_id),), call.hold)

    async def _buy(
        self, purchase: Purchase, caller: Caller, uses: tuple[SlipRef, ...], promised: MicroUSDC | None = None
    ) -> CallEnd:
        action = purchase.action
        try:
            order = await self._orders.place(purchase, caller)
            if isinstance(order, Order):
                order = order if promised is None else order.at_most(promised)
                running = self._running.get(order.fingerprint)
                if running is not None:
                    return await self._joined(running, replace(order, uses=uses))
                order = await self._admissions.consented(replace(order, uses=uses), caller)
        except LedgerError as exc:
            return refused(refusals.ledger_trouble(exc), action)
        except WireError as exc:
            return refused(refusals.unwritable(exc), action)
        return refused(order, action) if isinstance(order, Refusal) else await self._started(order, caller)

    async def _started(self, order: Order, caller: Caller) -> CallEnd:
        """Run the order, or join the run of the identical one that was begun meanwhile."""
        action = order.purchase.action
        never = refused(refusals.shutting_down(action), action)
        if self._closing or self._tasks is None:
            return never
        running = self._running.get(order.fingerprint)
        if running is not None:
            return await self._joined(running, order)
        run = self._running[order.fingerprint] = Run(caller, never)
        self._tasks.start_soon(self._run, run, order)
        return await run.wait_as_caller()

    def delivered(self, end: CallEnd) -> None:
        """Note that the answer of `end` is on its way to the client: the identical call is then a new purchase."""
        if end.call_id is not None and end.answer is not None:
            self._ledger.delivered(end.call_id)

    async def resolve(self, call_id: str) -> CallEnd | None:
        """Try to finish a call whose end is not proven, by sending the identical request again under its id.

        Returns how it ended, or stands after at most `STATUS_SECONDS`; None for an unknown id.
        """
        try:
            row = await self._ledger.row(call_id)
        except LedgerError as exc:
            return CallEnd(Charge.UNKNOWN, call_id, refusal=refusals.unreadable(exc))
        if row is None:
            return None
        row = await self._replays.taken_over(row, self._working)
        run = self._running.get(row.fingerprint) if row.state in OPEN else None
        if run is None:
            elsewhere = self._replays.elsewhere(row)
            if elsewhere is not None and row.owner != self._ledger.session:
                return elsewhere
            if row.state is not State.IN_DOUBT or self._closing or self._tasks is None:
                return standing(row)
            run = Run(Caller(row.principal), standing(row))
            self._running[row.fingerprint] = run
            self._tasks.start_soon(self._rerun, run, row)
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
        """Take what the Hub gave back into the windows it came from; returns how many calls that was news for.

        Raises:
            HubError: the Hub does not say.
            LedgerError: it cannot be written down.
        """
        return await self._upkeep.note_refunds()

    async def status(self, call_id: str | None = None, *, limit: int = 10) -> Sequence[CallRow]:
        """One call by id, or the latest ones, newest first.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        if call_id is None:
            return await self._ledger.rows(limit=limit)
        row = await self._ledger.row(call_id)
        return [] if row is None else [row]

    def own(self, row: CallRow) -> bool:
        """Whether this process's account paid for a call, at its payee."""
        return (row.rail, row.account) == (self._rail.name, self._rail.account)

    @property
    def trouble(self) -> str | None:
        """Why the ledger cannot be written at the moment, as far as it is known, or None."""
        return self._ledger.trouble

    async def last_told(self) -> CallRow | None:
        """The latest call of this process's account whose answer told the balance, or None.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        return await self._ledger.last_of(self._rail.name, self._rail.account)

    async def excessive(self, *, limit: int) -> Sequence[CallRow]:
        """The latest calls that were charged more than they were allowed to cost, newest first.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        return await self._ledger.excessive(limit=limit)

    async def holding(self, *, limit: int) -> Sequence[CallRow]:
        """The latest calls that hold money without a proven end, newest first.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        return await self._ledger.rows(limit=limit, states=OPEN)

    async def windows(
        self, principal: str = "local", bought: tuple[Action, str] | None = None
    ) -> Sequence[MeterReading]:
        """How full the caps of `principal` are: all of them, or those that apply to an action under a tool's name.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        session = self._ledger.session
        if bought is None:
            meters = standing_meters(self._policy, principal=principal, session=session)
        else:
            meters = meters_for(self._policy.caps, names_of(*bought), principal, session)
        return await self._ledger.readings(meters)

    async def totals(self) -> Totals:
        """The ledger's sums.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        return await self._ledger.totals()

    async def _run(self, run: Run, order: Order) -> None:
        action = order.purchase.action
        try:
            run.end = await self._reserve_and_execute(run, order)
        except LedgerError as exc:
            # Only what comes before the request is sent raises this.
            run.end = refused(refusals.ledger_trouble(exc), action)
        except Exception:
            # The task group carries every caller's purchase: one broken call must not cancel the others.
            log.exception("a paid call failed inside the bridge")
            known = run.end
            run.end = CallEnd(Charge.UNKNOWN, known.call_id, action, refusal=refusals.bridge_fault(), held=known.held)
        finally:
            self._finish(run, order.fingerprint)

    async def _rerun(self, run: Run, row: CallRow) -> None:
        try:
            run.end = await self._replayed(run, row)
        except Exception:
            # As in `_run`: the others' purchases live in this task group too.
            log.exception("replaying call %s failed inside the bridge", row.call_id)
        finally:
            self._finish(run, row.fingerprint)

    async def _replayed(self, run: Run, row: CallRow) -> CallEnd:
        run.working.add(row.call_id)
        try:
            return await self._replays.replay(row, run.relay)
        except Exception:
            self._broken(row.call_id, row.claim)
            raise

    def _finish(self, run: Run, key: str) -> None:
        del self._running[key]
        run.done.set()
        # It may be due to be asked for again sooner than anything before it.
        self._upkeep.wake()

    async def _reserve_and_execute(self, run: Run, order: Order) -> CallEnd:
        action = order.purchase.action
        try:
            admitted = await self._admissions.admit(order, run.caller, run.working)
        except WireError as exc:
            return refused(refusals.unwritable(exc), action)
        if isinstance(admitted, Refusal):
            return refused(admitted, action)
        offered, admission = admitted
        match admission:
            case Admitted():
                return await self._execute(offered, admission, run, action)
            case AlreadyOpen(row):
                run.end = replace(standing(row), action=action)
                row = await self._replays.taken_over(row, self._working)
                in_doubt = row.state is State.IN_DOUBT
                end = await self._replayed(run, row) if in_doubt else standing(row)
                return replace(end, action=action)
            case Undelivered(row):
                end = replace(standing(row), action=action)
                if end.answer is None:
                    # The kept answer cannot be read, and must not stand in the way of a new purchase for ever.
                    self._ledger.delivered(row.call_id)
                return end
            case _:
                assert_never(admission)

    async def _joined(self, running: Run, order: Order) -> CallEnd:
        """The answer was paid for once: whoever asked the same meanwhile has it too, at no further cost.

        What was agreed for it is used by it as well: it would buy another call otherwise.
        """
        end = replace(await running.wait(), action=order.purchase.action)
        if end.call_id is not None:
            self._admissions.spend(order, end.call_id)
        return replace(end, stored=True) if end.answer is not None else end

    async def _execute(self, offered: Offered, admitted: Admitted, run: Run, action: Action) -> CallEnd:
        request, call_id = offered.request, admitted.call_id
        # What whoever waits hears if this process ends before the payee has answered.
        hold = request.budget
        run.end = CallEnd(Charge.UNKNOWN, call_id, action, refusal=refusals.left_running(hold), held=hold)
        sending = Sending(
            self._ledger,
            self._clock,
            call_id,
            hold,
            offered.meters,
            admitted.claim,
            since=offered.asked_at,
            admitted_at=admitted.at,
        )
        try:
            outcome = await self._rail.execute(request, sending, progress=run.relay)
            concluded = conclusion(call_id, outcome, admitted.claim, self._clock.now())
        except Exception:
            self._broken(call_id, admitted.claim)
            raise
        self._ledger.conclude(concluded)
        if concluded.charged > hold:
            log.warning(
                "call %s: the Hub charged %s USDC, more than its mandate of %s; `jecp-mcp reconcile` lists it",
                call_id,
                format_usdc(concluded.charged),
                format_usdc(hold),
            )
        overruled = await self._replays.overruled(call_id, admitted.claim, outcome, sending)
        if overruled is not None:
            return replace(overruled, action=action)
        return ended(call_id, action, outcome, request)

    def _broken(self, call_id: str, claim: int) -> None:
        """Note that a rail raised, which it promises not to: the row must not wait for a task that has ended."""
        now = self._clock.now()
        self._ledger.conclude(
            Conclusion(
                call_id,
                Verdict.IN_DOUBT,
                claim=claim,
                evidence="the bridge failed during the call",
                look_again_at=soon(now + _AFTER_FAULT_MS, now),
            )
        )
