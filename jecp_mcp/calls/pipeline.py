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
from jecp_mcp.calls.admission import Admissions
from jecp_mcp.calls.ends import MOST_ATTEMPTS, conclusion, ended, refused, standing
from jecp_mcp.calls.orders import Order, Orders
from jecp_mcp.calls.ports import CallEnd, Caller, Charge, Purchase
from jecp_mcp.calls.prepared import Preparation, PreparedCall, new_slip, unusable
from jecp_mcp.calls.replays import Replays
from jecp_mcp.calls.runs import Run
from jecp_mcp.calls.upkeep import Upkeep
from jecp_mcp.clock import Clock
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
from jecp_mcp.mandate.states import OPEN, Event, State
from jecp_mcp.money import format_usdc
from jecp_mcp.rails.base import Rail, StoredRequest
from jecp_mcp.wire.forms import Action, Refusal

log = logging.getLogger(__name__)

STATUS_SECONDS = 20.0
"""How long a question for a call's status waits for the call to end: well within a host's patience."""

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
        self._unready = unready
        self._orders = Orders(policy, ledger, rail, clock, unready)
        self._admissions = Admissions(ledger, rail, self._orders, mint)
        self._replays = Replays(ledger, rail, clock)
        self._upkeep = Upkeep(ledger, rail, clock, self._resolve, keep_bodies_days=keep_bodies_days)
        self._running: dict[str, Run] = {}
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
            purchase.tool, action.key, action.version, price.amount, price.exact, order.permit.hold, purchase.arguments
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
            end = await self._resolve(slip.call_id, MOST_ATTEMPTS)
            if end is not None and (end.charge is not Charge.NO or end.answer is not None):
                return replace(end, action=action)
            if slip.expires_at <= self._clock.now():
                return refused(refusals.prepared_expired(slip.expires_at), action)
        call = PreparedCall.read(slip)
        if not call.still(action):
            return refused(refusals.price_changed(call.key, call.quoted, action.price.amount), action)
        return await self._buy(purchase, caller, (SlipRef(slip.kind, slip.slip_id),))

    async def _buy(self, purchase: Purchase, caller: Caller, uses: tuple[SlipRef, ...]) -> CallEnd:
        action = purchase.action
        try:
            order = await self._orders.place(purchase, caller)
            if isinstance(order, Order):
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
        return await self._resolve(call_id, MOST_ATTEMPTS)

    async def _resolve(self, call_id: str, most: int | None) -> CallEnd | None:
        try:
            row = await self._ledger.row(call_id)
        except LedgerError as exc:
            return CallEnd(Charge.UNKNOWN, call_id, refusal=refusals.unreadable(exc))
        if row is None:
            return None
        row = await self._replays.taken_over(row)
        run = self._running.get(row.fingerprint)
        if run is None:
            if row.state is not State.IN_DOUBT or self._closing or self._tasks is None or self._unready() is not None:
                return standing(row)
            run = Run(Caller(row.principal), standing(row))
            self._running[row.fingerprint] = run
            self._tasks.start_soon(self._rerun, run, row, most)
        with anyio.move_on_after(STATUS_SECONDS):
            return await run.wait()
        return standing(row)

    async def recover(self) -> None:
        """Finish what dead processes left open. Never raises; what cannot be finished stays counted as spent."""
        await self._upkeep.recover()

    async def keep_recovering(self) -> None:
        """`recover`, and then, until cancelled, what `jecp_mcp.calls.upkeep` does every five minutes."""
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

    async def _rerun(self, run: Run, row: CallRow, most: int | None) -> None:
        try:
            run.end = await self._replays.replay(row, most, run.relay)
        except Exception:
            # As in `_run`: the others' purchases live in this task group too.
            log.exception("replaying call %s failed inside the bridge", row.call_id)
        finally:
            self._finish(run, row.fingerprint)

    def _finish(self, run: Run, key: str) -> None:
        del self._running[key]
        run.done.set()

    async def _reserve_and_execute(self, run: Run, order: Order) -> CallEnd:
        action = order.purchase.action
        try:
            request, admission = await self._admissions.admit(order, run.caller)
        except WireError as exc:
            return refused(refusals.unwritable(exc), action)
        match admission:
            case Admitted(call_id):
                # What whoever waits hears if this process ends before the Hub has answered.
                hold = request.budget
                run.end = CallEnd(Charge.UNKNOWN, call_id, action, refusal=refusals.left_running(hold), held=hold)
                return await self._execute(request, run, action)
            case Refusal():
                return refused(admission, action)
            case AlreadyOpen(row):
                run.end = replace(standing(row), action=action)
                row = await self._replays.taken_over(row)
                in_doubt = row.state is State.IN_DOUBT
                end = await self._replays.replay(row, MOST_ATTEMPTS, run.relay) if in_doubt else standing(row)
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

    async def _execute(self, request: StoredRequest, run: Run, action: Action) -> CallEnd:
        try:
            outcome = await self._rail.execute(request, progress=run.relay)
            concluded = conclusion(request.call_id, outcome)
        except Exception:
            # A rail promises not to raise. If it does, the row must not stay `sent` in a living process: nobody
            # would ever take it over.
            self._ledger.conclude(
                Conclusion(request.call_id, Event.DOUBT, evidence="the bridge failed during the call")
            )
            raise
        self._ledger.conclude(concluded)
        if concluded.charged > request.budget:
            log.warning(
                "call %s: the Hub charged %s USDC, more than its mandate of %s",
                request.call_id,
                format_usdc(concluded.charged),
                format_usdc(request.budget),
            )
        return ended(request.call_id, action, outcome, request)
