"""One execution, those who wait for it, the reports of its progress, and the question it may ask."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import replace

import anyio

from jecp_mcp.calls import refusals
from jecp_mcp.calls.ports import Asker, CallEnd, Caller, Decision, Question, Reply
from jecp_mcp.domain.purchases import Purchase
from jecp_mcp.rails.base import Progress

PROGRESS_SECONDS = 2.0
"""How long one report of progress may take: a host that does not read must not hold up what is being paid for."""


class Relay:
    """Progress that can be cut off when nobody listens any more."""

    def __init__(self, sink: Progress | None) -> None:
        self._sink = sink

    def cut(self) -> None:
        """Stop reporting."""
        self._sink = None

    async def report(self, done: float, total: float | None, message: str | None) -> None:
        """Pass the report on while the caller is there and takes it."""
        if self._sink is None:
            return
        with anyio.move_on_after(PROGRESS_SECONDS) as scope:
            await self._sink.report(done, total, message)
        if scope.cancelled_caught:
            self._sink = None


class Withdrawable:
    """An asker whose question is taken back when nobody waits for the answer any more."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._asked: tuple[anyio.CancelScope, anyio.Event] | None = None
        """What takes the question back, and tells that it was: made with it, for hardly any call asks one."""
        self._withdrawn = False

    @property
    def can_ask(self) -> bool:
        """As `jecp_mcp.calls.ports.Asker.can_ask`."""
        return self._asker.can_ask

    async def withdraw(self) -> None:
        """Take back what is being asked, and ask nothing more. Returns when the host was told, cancelled or not."""
        self._withdrawn = True
        if self._asked is None:
            return
        asking, idle = self._asked
        asking.cancel()
        # Over HTTP the host can only be told while the request that asks is still open.
        with anyio.CancelScope(shield=True):
            await idle.wait()

    async def approve(self, question: Question) -> Reply:
        """As `jecp_mcp.calls.ports.Asker.approve`; the answer to a question that was taken back never counts."""
        reply = Reply(Decision.WAITING)
        if self._withdrawn:
            return reply
        asking, idle = self._asked = anyio.CancelScope(), anyio.Event()
        try:
            with asking:
                reply = await self._asker.approve(question)
        finally:
            idle.set()
        return Reply(Decision.WAITING) if self._withdrawn else reply

    async def show_link(self, purpose: str, message: str, make: Callable[[], Awaitable[str]]) -> Reply:
        """As `jecp_mcp.calls.ports.Asker.show_link`."""
        return await self._asker.show_link(purpose, message, make)


class Run:
    """One execution and those who wait for it.

    Attributes:
        caller: who asked for it first, as the execution reaches them.
        end: how the call stands as far as it is known; final once `done` is set.
        asked: what was asked for first: of the same call, its bounds and its spelling may be others. None where nothing
            was, because an open call is found out about.
        waiting: how many wait for it. What nobody waits for any more is not bought.
        deserted: whether who asked first has left, so that nobody can be asked any more.
        late: whether the call that it was to find out about had ended before, so that the ledger tells whoever asks the
            same whether that is still to be delivered.
        looking: whether it buys nothing.
        working: the ids of the calls that it works on, each from before it is in the ledger.
    """

    __slots__ = (
        "_asker", "_named", "asked", "caller", "deserted", "done", "end", "late", "looking", "relay", "waiting",
        "working",
    )  # fmt: skip

    def __init__(self, caller: Caller, end: CallEnd, asked: Purchase | None = None) -> None:
        self.done = anyio.Event()
        self._named = anyio.Event()
        self.end = end
        self.asked = asked
        self.waiting = 0
        self.deserted = self.late = self.looking = False
        self.working: set[str] = set()
        self.relay = Relay(caller.progress)
        self._asker = None if caller.asker is None else Withdrawable(caller.asker)
        self.caller = caller if self._asker is None else replace(caller, asker=self._asker)

    def stand(self, end: CallEnd) -> None:
        """Let it be known how the call stands that is worked on, from now on under its id."""
        self.end = end
        self._named.set()

    def finish(self) -> None:
        """Let everybody have `end`, who waits for it."""
        self.done.set()
        self._named.set()

    def is_for(self, purchase: Purchase) -> bool:
        """Whether exactly this was asked for, so that what it was refused for is refused here too."""
        asked = self.asked
        if asked is None:
            return purchase.most is None
        return (asked.most, asked.arguments) == (purchase.most, purchase.arguments)

    async def wait(self, until: float = math.inf) -> CallEnd:
        """How it ended; or, from `until` on, how it stands, as soon as it has an id under which it is found again.

        Whoever is cancelled here, or does not wait to the end, leaves the execution running.

        Args:
            until: an instant of the event loop's clock, in seconds.
        """
        self.waiting += 1
        try:
            if until == math.inf:
                await self.done.wait()
            else:
                with anyio.CancelScope(deadline=until):
                    await self.done.wait()
            if not self.done.is_set():
                await self._named.wait()
        finally:
            self.waiting -= 1
        return self.end if self.done.is_set() else replace(self.end, refusal=refusals.still_running())

    async def wait_as_caller(self, until: float = math.inf) -> CallEnd:
        """As `wait`, for who asked first: leaving cuts off the progress, and a cancel also withdraws the question."""
        try:
            return await self.wait(until)
        except anyio.get_cancelled_exc_class():
            if self._asker is not None:
                await self._asker.withdraw()
            raise
        finally:
            self.deserted = not self.done.is_set()
            self.relay.cut()


class Working(Collection[str]):
    """The ids of the calls that a process works on, as they are whenever one looks."""

    def __init__(self, runs: Mapping[str, Run]) -> None:
        self._runs = runs

    def __contains__(self, call_id: object) -> bool:
        return any(call_id in run.working for run in self._runs.values())

    def __iter__(self) -> Iterator[str]:
        return iter([call_id for run in self._runs.values() for call_id in run.working])

    def __len__(self) -> int:
        return sum(len(run.working) for run in self._runs.values())
