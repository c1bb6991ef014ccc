"""One paid call: authorise, reserve, execute, conclude. The same call is never bought twice.

Everything from the reservation on runs in the pipeline's own task group, shielded from the request that asked for it:
a host that cancels, disconnects or times out leaves a call that still ends properly, and whose answer is kept for the
identical call that usually follows.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Self, assert_never

import anyio
from anyio.abc import TaskGroup

from jecp_mcp.calls import refusals
from jecp_mcp.calls.ends import conclusion, ended, refused, standing
from jecp_mcp.calls.ports import CallEnd, Caller, Charge, Purchase
from jecp_mcp.calls.stored import fingerprint, pack, unpack
from jecp_mcp.clock import Clock
from jecp_mcp.errors import LedgerError, WireError
from jecp_mcp.mandate.caps import standing_meters
from jecp_mcp.mandate.ledger import (
    Admitted,
    AlreadyOpen,
    CallRow,
    Conclusion,
    Ledger,
    MeterReading,
    OverLimit,
    Reservation,
    Totals,
    Undelivered,
)
from jecp_mcp.mandate.policy import Permit, Policy, authorise
from jecp_mcp.mandate.states import Event, State
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.base import Outcome, Progress, Quote, QuoteKind, Rail, StoredRequest, Verdict
from jecp_mcp.wire.forms import Refusal

log = logging.getLogger(__name__)

REPLAY_WINDOW_MS = 55 * 60 * 1000
"""How long a lost call may be replayed: five minutes inside the shortest idempotency window allowed (1 h)."""

GRACE_SECONDS = 5.0
"""How long a closing pipeline lets running calls end before it leaves them to the next start."""


class _Relay:
    """Progress that can be cut off when nobody listens any more."""

    def __init__(self, sink: Progress | None) -> None:
        self.sink = sink

    async def report(self, done: float, total: float | None, message: str | None) -> None:
        """Pass the report on while the caller is there."""
        if self.sink is not None:
            await self.sink.report(done, total, message)


class _Run:
    """One execution and those who wait for it."""

    __slots__ = ("done", "end", "relay")

    def __init__(self, progress: Progress | None) -> None:
        self.done = anyio.Event()
        self.end: CallEnd | None = None
        self.relay = _Relay(progress)


@dataclass(frozen=True, slots=True)
class _Order:
    """An authorised purchase on its way to the ledger."""

    purchase: Purchase
    principal: str
    fingerprint: str
    quoted: MicroUSDC
    permit: Permit


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
    ) -> None:
        """Wire the pipeline.

        Args:
            ledger: where every call is reserved; one that cannot be written refuses each of them.
            mint: makes a new idempotency id from randomness.
            unready: says what is missing before anything can be bought (credentials), or None.
        """
        self._policy = policy
        self._ledger = ledger
        self._rail = rail
        self._clock = clock
        self._mint = mint
        self._unready = unready
        self._running: dict[str, _Run] = {}
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
        action = purchase.action
        missing = self._unready()
        if missing is not None:
            return refused(missing, action)
        quote = self._rail.quote(action, purchase.arguments)
        permit = authorise(
            self._policy,
            action,
            purchase.tool,
            None if quote is None else quote.amount,
            exact=quote is not None and quote.kind is QuoteKind.EXACT,
            now=self._clock.now(),
            principal=caller.principal,
            session=self._ledger.session,
            approved=caller.person_consents,
        )
        if isinstance(permit, Refusal):
            return refused(permit, action)
        order = _Order(
            purchase=purchase,
            principal=caller.principal,
            fingerprint=fingerprint(caller.principal, self._rail.account, action.key, purchase.arguments),
            quoted=permit.hold if quote is None else quote.amount,
            permit=permit,
        )
        running = self._running.get(order.fingerprint)
        if running is not None:
            end = await self._wait(running)
            return replace(end, stored=True) if end.answer is not None else end
        if self._closing or self._tasks is None:
            return refused(refusals.shutting_down(action), action)
        run = _Run(caller.progress)
        self._running[order.fingerprint] = run
        self._tasks.start_soon(self._run, run, order)
        return await self._wait(run)

    def delivered(self, end: CallEnd) -> None:
        """Note that the answer of `end` is on its way to the client: the identical call is then a new purchase."""
        if end.call_id is not None and end.answer is not None:
            self._ledger.delivered(end.call_id)

    async def resolve(self, call_id: str) -> CallEnd | None:
        """Try to finish a call whose end is not proven, by sending the identical request again under its id.

        Returns how it ended, or stands; None for an unknown id.
        """
        try:
            row = await self._ledger.row(call_id)
        except LedgerError as exc:
            return refused(refusals.ledger_trouble(exc), None)
        if row is None:
            return None
        running = self._running.get(row.fingerprint)
        if running is not None:
            return await self._wait(running)
        if row.state is not State.IN_DOUBT or self._closing or self._tasks is None or self._unready() is not None:
            return standing(row)
        run = _Run(None)
        self._running[row.fingerprint] = run
        self._tasks.start_soon(self._rerun, run, row)
        return await self._wait(run)

    async def recover(self) -> None:
        """Finish what dead processes left open. Never raises; what cannot be finished stays counted as spent."""
        try:
            orphans = await self._ledger.adopt_orphans()
        except LedgerError as exc:
            log.error("open calls of earlier runs could not be taken over: %s", exc)  # noqa: TRY400 - the cause is in the message
            return
        for row in orphans:
            end = await self.resolve(row.call_id)
            if end is not None:
                log.warning("call %s of an earlier run: charged=%s", row.call_id, end.charge.value)

    async def status(self, call_id: str | None = None, *, limit: int = 10) -> Sequence[CallRow]:
        """One call by id, or the latest ones, newest first.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        if call_id is None:
            return await self._ledger.rows(limit=limit)
        row = await self._ledger.row(call_id)
        return [] if row is None else [row]

    async def windows(self, principal: str = "local") -> Sequence[MeterReading]:
        """How full every cap is that always applies to `principal`.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        session = self._ledger.session
        return await self._ledger.readings(standing_meters(self._policy, principal=principal, session=session))

    async def totals(self) -> Totals:
        """The ledger's sums.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        return await self._ledger.totals()

    def kept(self, row: CallRow) -> CallEnd:
        """How a call of the ledger ended or stands, with its kept answer if there is one."""
        return standing(row)

    async def _wait(self, run: _Run) -> CallEnd:
        try:
            await run.done.wait()
        except anyio.get_cancelled_exc_class():
            run.relay.sink = None
            raise
        end = run.end
        assert end is not None
        return end

    async def _run(self, run: _Run, order: _Order) -> None:
        end = refused(refusals.shutting_down(order.purchase.action), order.purchase.action)
        try:
            end = await self._reserve_and_execute(run, order)
        except LedgerError as exc:
            end = refused(refusals.ledger_trouble(exc), order.purchase.action)
        except Exception:
            # The task group carries every caller's purchase: one broken call must not cancel the others.
            log.exception("a paid call failed inside the bridge")
            end = CallEnd(Charge.UNKNOWN, action=order.purchase.action, refusal=refusals.bridge_fault())
        finally:
            self._finish(run, order.fingerprint, end)

    async def _rerun(self, run: _Run, row: CallRow) -> None:
        end = standing(row)
        try:
            end = await self._replay(run, row)
        except LedgerError as exc:
            log.error("call %s could not be replayed: %s", row.call_id, exc)  # noqa: TRY400 - the cause is in the message
        except Exception:
            # As in `_run`: the others' purchases live in this task group too.
            log.exception("replaying call %s failed inside the bridge", row.call_id)
        finally:
            self._finish(run, row.fingerprint, end)

    def _finish(self, run: _Run, key: str, end: CallEnd) -> None:
        if self._running.get(key) is run:
            del self._running[key]
        run.end = end
        run.done.set()

    async def _reserve_and_execute(self, run: _Run, order: _Order) -> CallEnd:
        action, call_id = order.purchase.action, self._mint()
        hold = order.permit.hold
        quote = Quote(hold, QuoteKind.EXACT if hold == order.quoted else QuoteKind.MAX)
        try:
            request = self._rail.request(call_id, action, order.purchase.arguments, quote)
        except WireError as exc:
            return refused(refusals.unwritable(exc), action)
        admission = await self._ledger.reserve(
            Reservation(
                call_id=call_id,
                principal=order.principal,
                session=self._ledger.session,
                tool=order.purchase.tool,
                payee=action.namespace,
                capability=action.capability,
                action=action.action,
                version=action.version,
                fingerprint=order.fingerprint,
                quoted=order.quoted,
                hold=hold,
                meters=order.permit.meters,
                request=pack(request),
            )
        )
        match admission:
            case Admitted():
                outcome = await self._execute(request, run)
                self._ledger.conclude(conclusion(call_id, outcome))
                return ended(call_id, action, outcome, request)
            case OverLimit():
                return refused(refusals.limit_reached(admission, hold), action)
            case AlreadyOpen(row):
                if row.state is State.IN_DOUBT:
                    return replace(await self._replay(run, row), action=action)
                return CallEnd(
                    Charge.UNKNOWN,
                    call_id=row.call_id,
                    action=action,
                    refusal=refusals.in_progress(row),
                    held=row.held,
                )
            case Undelivered(row):
                return replace(standing(row), action=action)
            case _:
                assert_never(admission)

    async def _execute(self, request: StoredRequest, run: _Run) -> Outcome:
        try:
            return await self._rail.execute(request, progress=run.relay)
        except Exception:
            # A rail promises not to raise. If it does, the row must not stay `sent` in a living process: nobody
            # would ever take it over.
            self._ledger.conclude(
                Conclusion(request.call_id, Event.DOUBT, evidence="the bridge failed during the call")
            )
            raise

    async def _replay(self, run: _Run, row: CallRow) -> CallEnd:
        if self._clock.now() - row.created_at > REPLAY_WINDOW_MS:
            self._ledger.conclude(
                Conclusion(row.call_id, Event.WRITE_OFF, evidence="the Hub's idempotency window has passed", attempts=0)
            )
            return standing(replace(row, state=State.WRITTEN_OFF))
        request = unpack(row.request)
        outcome = await self._rail.execute(request, replay=True, progress=run.relay)
        if outcome.verdict is Verdict.IN_DOUBT:
            return standing(row)
        proven = Event.PROVE_CHARGED if outcome.verdict is Verdict.CHARGED else Event.PROVE_FREE
        self._ledger.conclude(replace(conclusion(row.call_id, outcome), event=proven))
        return replace(ended(row.call_id, None, outcome, request), stored=True)
