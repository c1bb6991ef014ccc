"""Group commit: many callers, one durable transaction, and no thread where none is needed.

A caller that finds nothing waiting commits at once, in the thread of the event loop: a hand-off to a thread and back
costs more than a quick disk. Callers that come within a few turns of the loop are written together at their end, and so
are those who were written together before: where many calls are under way those turns are long and bring many, and
where nothing is they pass at once. When the disk is slow or another process is writing, one thread waits instead of
the loop, and everybody who comes meanwhile shares its next transaction. Changes run in the order in which they were
asked for; one that nobody waits for and that could not be written is set apart, and keeps nobody else from writing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from typing import Any, Protocol

from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import LedgerDamaged, LedgerError, LedgerUnavailable
from jecp_mcp.mandate.records import Counting

_LOG = logging.getLogger(__name__)

_MOST_IN_BATCH = 512
_LINGER = 0.001
"""How long a change that nobody waits for may stay unwritten, in seconds: long enough that the answer it follows has
left, short enough that it is written while the host thinks, and not with the next call's reservation."""
_RETRY = 1.0
"""How long such a change rests after the file could not be written, in seconds."""
_MOST_FAILED = 2
"""How many of the changes that were set apart are tried alone in vain before the others rest too."""
_MOST_FED = 10_000
"""In how many transactions a limit may be counted before its caller is told to come again."""
_TURNS = 4
"""In how many turns of the loop callers gather for one transaction: about as many as a request takes from its arrival
to its reservation."""
_STILL_CROWDED = 8
"""How many transactions in a row one caller must have alone before the next is served at once again."""
_QUICK = 0.003
"""A transaction slower than this, in seconds, is not worth the loop's standstill."""


Step = Callable[[Any, UnixMs], Any]
"""One change, made on the books of whatever keeps the ledger."""


class Contended(LedgerUnavailable):
    """Another process or thread is writing, and the caller did not want to wait."""


class Batches(Protocol):
    """What keeps the ledger: a `jecp_mcp.mandate.sqlite.database.LedgerFile`, or a server."""

    def commit(self, steps: Sequence[Step], *, wait: bool) -> list[Any]:
        """Make the steps durably; what each came to, or the `LedgerError` it met. See `LedgerFile.commit`."""
        ...


class _Change:
    """One step on its way.

    Attributes:
        awaited: whether somebody waits for it.
        future: where its caller waits; None when nobody does, or does so without one.
        abandoned: told the outcome of a step that was made after its caller had gone.
        failed: how often it was tried alone in vain.
    """

    __slots__ = ("abandoned", "awaited", "failed", "future", "step")

    def __init__(self, step: Step, abandoned: Callable[[Any], None] | None = None, *, awaited: bool) -> None:
        self.step = step
        self.awaited = awaited
        self.future: asyncio.Future[Any] | None = None
        self.abandoned = abandoned
        self.failed = 0


class Writer:
    """The one road by which changes reach the file. Used from one event loop at a time."""

    def __init__(self, file: Batches) -> None:
        self._file = file
        self._changes: deque[_Change] = deque()
        self._apart: deque[_Change] = deque()
        """What nobody waits for and what could not be written."""
        self._flushing: list[asyncio.Future[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._busy = False
        self._retrying = False
        """Whether what was set apart is being written."""
        self._turn = False
        self._timer: asyncio.TimerHandle | None = None
        self._crowd = 0
        """For how many transactions more callers gather first, since several shared one: they will come again."""
        self.trouble: str | None = None
        """Why changes that nobody waits for could not be written the last time, or None."""
        self._recent = 0.0
        """A sliding mean of what a transaction takes, in seconds."""

    async def do(self, step: Step, abandoned: Callable[[Any], None] | None = None) -> Any:
        """Make a change, and everything queued before it; return what the step returned, durably.

        Args:
            step: the change.
            abandoned: called with the step's result when the caller was cancelled, yet the change was made.

        Raises:
            LedgerError: what the step or the file raised; the change was not made.
        """
        loop = self._bind()
        change = _Change(step, abandoned, awaited=True)
        alone = not (self._turn or self._busy or self._crowd)
        if alone and self._recent < _QUICK and len(self._changes) < _MOST_IN_BATCH:
            self._start_turn(loop)
            batch = [*self._take(), change]
            outcomes = self._commit_here(batch)
            if outcomes is not None:
                self._settle(batch[:-1], outcomes[:-1])
                outcome = outcomes[-1]
                if isinstance(outcome, Exception):
                    raise outcome
                return outcome
            self._changes.extendleft(reversed(batch[:-1]))
        change.future = loop.create_future()
        self._changes.append(change)
        self._start_turn(loop)
        try:
            return await change.future
        except asyncio.CancelledError:
            if not change.future.cancelled() and change.future.exception() is None and abandoned is not None:
                abandoned(change.future.result())
            raise

    async def do_counted(
        self, step: Step, abandoned: Callable[[Any], None] | None = None, *, rest: float | None = None
    ) -> Any:
        """As `do`, again until every limit is counted: one that is new to millions of calls takes several transactions.

        Args:
            rest: how long others may write between two of them, in seconds; None where they need no such help.

        Raises:
            LedgerUnavailable: a limit is not counted yet.
        """
        for _ in range(_MOST_FED):
            outcome = await self.do(step, abandoned)
            if not isinstance(outcome, Counting):
                return outcome
            if rest is not None:
                await asyncio.sleep(rest)
        raise LedgerUnavailable(f"the limit {outcome.meter.label} is still being counted from earlier calls; try again")

    def queue(self, step: Step) -> None:
        """Make a change soon. A step that cannot be done is logged and dropped; one that cannot be written waits."""
        self._changes.append(_Change(step, awaited=False))
        try:
            loop = self._bind()
        except RuntimeError:
            # No loop runs: the change is written with the next one that somebody waits for.
            return
        self._linger(loop, _LINGER)

    async def flush(self) -> None:
        """Wait until everything queued so far is durable.

        Raises:
            LedgerError: it could not be written, and stays queued.
        """
        if self._changes or self._busy:
            await self.do(lambda _books, _at: None)
        if self._apart or self._flushing or self._retrying:
            # Or the timer or another flush has begun to write it.
            flushed = self._bind().create_future()
            self._flushing.append(flushed)
            if not self._busy:
                self._write_apart()
            await flushed

    def stop(self) -> None:
        """Let go of the thread and the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._pool is not None:
            self._pool.shutdown(wait=True)
            self._pool = None

    def _bind(self) -> asyncio.AbstractEventLoop:
        """The running loop; what was scheduled on an earlier one will never come.

        Raises:
            RuntimeError: no loop runs.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._timer, self._turn, self._busy, self._retrying = loop, None, False, False, False
            self._flushing.clear()
        return loop

    def _start_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._turn:
            self._turn = True
            loop.call_soon(self._end_turn, loop, _TURNS - 1)

    def _end_turn(self, loop: asyncio.AbstractEventLoop, left: int) -> None:
        if left:
            loop.call_soon(self._end_turn, loop, left - 1)
            return
        self._turn = False
        if not self._busy and self._has_awaited():
            self._write()

    def _linger(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        if self._timer is None:
            self._timer = loop.call_later(seconds, self._end_linger)

    def _end_linger(self) -> None:
        self._timer = None
        if self._busy:
            return
        if self._changes:
            self._write()
        elif self._apart:
            self._write_apart()

    def _write(self) -> None:
        """Write what is queued: here when that is quick, else in the thread."""
        batch = self._take()
        if not batch:
            return
        waiting = sum(change.future is not None for change in batch)
        if waiting:
            self._crowd = _STILL_CROWDED if waiting > 1 else max(0, self._crowd - 1)
        if self._recent < _QUICK:
            outcomes = self._commit_here(batch)
            if outcomes is not None:
                self._settle(batch, outcomes)
                self._go_on()
                return
        self._in_thread(batch, self._commit)

    def _write_apart(self) -> None:
        """Write what was set apart, in the thread: together, and where that fails, one by one as far as it goes."""
        batch, self._apart = list(self._apart), deque()
        self._retrying = True
        self._in_thread(batch, self._commit_apart)

    def _in_thread(self, batch: list[_Change], commit: Callable[[Sequence[_Change], bool], list[Any]]) -> None:
        self._busy = True
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "ledger")
        assert self._loop is not None
        written = self._loop.run_in_executor(self._pool, commit, batch, True)
        written.add_done_callback(lambda done: self._on_written(batch, done))

    def _on_written(self, batch: list[_Change], done: asyncio.Future[list[Any]]) -> None:
        self._busy = self._retrying = False
        outcomes = done.result()
        self._settle(batch, outcomes)
        if not any(change.awaited for change in batch):
            self._end_flush(next(filter(_is_unwritten, outcomes), None))
        self._go_on()

    def _end_flush(self, fault: LedgerError | None) -> None:
        """Tell those who wait for what was set apart."""
        waiting, self._flushing = self._flushing, []
        for future in waiting:
            if future.cancelled():
                continue
            if fault is None:
                future.set_result(None)
            else:
                future.set_exception(copy(fault))

    def _go_on(self) -> None:
        """See to what a batch left behind or what came while it was written."""
        assert self._loop is not None
        if self._has_awaited():
            self._start_turn(self._loop)
        elif self._flushing and self._apart:
            self._write_apart()
        elif self._changes:
            self._linger(self._loop, _LINGER)

    def _has_awaited(self) -> bool:
        return any(change.awaited for change in self._changes)

    def _take(self) -> list[_Change]:
        """The next changes, without those whose callers have gone."""
        batch: list[_Change] = []
        while self._changes and len(batch) < _MOST_IN_BATCH:
            change = self._changes.popleft()
            if change.future is None or not change.future.cancelled():
                batch.append(change)
        return batch

    def _commit_here(self, batch: Sequence[_Change]) -> list[Any] | None:
        """Commit in this thread, or None when that would mean to wait."""
        try:
            return self._commit(batch, False)
        except Contended:
            return None

    def _commit(self, batch: Sequence[_Change], wait: bool) -> list[Any]:
        outcomes = self._attempt(batch, wait)
        again = [
            index
            for index, (change, outcome) in enumerate(zip(batch, outcomes, strict=True))
            if change.awaited and _is_unwritten(outcome)
        ]
        if not again or all(change.awaited for change in batch):
            return outcomes
        try:
            # What nobody waits for may be why: the others are written without it.
            alone = self._attempt([batch[index] for index in again], wait)
        except Contended:
            return outcomes
        for index, outcome in zip(again, alone, strict=True):
            outcomes[index] = outcome
        return outcomes

    def _commit_apart(self, batch: Sequence[_Change], wait: bool) -> list[Any]:
        outcomes = self._attempt(batch, wait)
        left = _MOST_FAILED
        # Those that failed least first: whatever keeps the others from being written is found in the end.
        for index in sorted(range(len(batch)), key=lambda index: batch[index].failed):
            if left and len(batch) > 1 and _is_unwritten(outcomes[index]):
                (outcomes[index],) = self._attempt([batch[index]], wait)
                failed = _is_unwritten(outcomes[index])
                batch[index].failed += failed
                left -= failed
        return outcomes

    def _attempt(self, batch: Sequence[_Change], wait: bool) -> list[Any]:
        started = time.perf_counter()
        try:
            return self._file.commit([change.step for change in batch], wait=wait)
        except Contended:
            if wait:
                return [LedgerUnavailable("the ledger is being written by another thread")] * len(batch)
            raise
        except Exception as exc:  # noqa: BLE001 whoever waits must be told, whatever broke; _settle passes it on whole
            return [exc] * len(batch)
        finally:
            self._recent += (time.perf_counter() - started - self._recent) / 8

    def _settle(self, batch: Sequence[_Change], outcomes: Sequence[Any]) -> None:
        """Tell everybody what became of their changes; set apart what nobody waits for and what was not written."""
        kept: list[_Change] = []
        for change, outcome in zip(batch, outcomes, strict=True):
            failed = isinstance(outcome, Exception)
            if change.future is None:
                if _is_unwritten(outcome):
                    kept.append(change)
                    self.trouble = outcome.cause
                elif failed and not change.awaited:
                    _LOG.error("a change of the ledger was dropped: %s", outcome)
            elif change.future.cancelled():
                if not failed and change.abandoned is not None:
                    change.abandoned(outcome)
            elif failed:
                # One exception for each: a traceback belongs to one caller.
                change.future.set_exception(copy(outcome))
            else:
                change.future.set_result(outcome)
        self._apart.extendleft(reversed(kept))
        if not self._apart:
            self.trouble = None
        if self._apart and self._loop is not None:
            self._linger(self._loop, _RETRY)


def _is_unwritten(outcome: Any) -> bool:
    """Whether a change was not written for a reason that is not its own."""
    return isinstance(outcome, LedgerUnavailable | LedgerDamaged)
