# ruff: noqa: ASYNC240 - nothing else runs in these loops while a file is touched
"""What a process does to a ledger before it kills itself, and every point at which it can.

A point is the boundary before an SQL statement, whatever connection runs it; the moment between a commit and the word
of it; the moment before the mark that a new file was filled. With a limit on the size of files the system kills it in
the middle of a write, at any byte of the journal.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import apsw

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.grants import Grant, GrantKind, GrantRef, GrantState
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import Conclusion, Meter
from jecp_mcp.mandate.sqlite.database import LedgerFile
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.mandate.states import State
from jecp_mcp.mandate.windows import Window
from jecp_mcp.money import MicroUSDC
from tests.unit.mandate.histories import History
from tests.unit.mandate.reservations import START, HandClock, everything, meter, reservation

CAP = meter(Window.TOTAL, 10**9, key="every call counts in this")
NEW = meter(Window.MONTH, 10**9, key="nobody met this before", pattern="docs/*")
GRANT = GrantRef(GrantKind.APPROVAL, "grant")
OLDER = [f"older {number}" for number in range(1, 8)]
LONG = b"x" * 9_000
"""A body of more than one page of the file."""

Step = Callable[[SqliteLedger], Awaitable[object]]


def reserving(name: str, *meters: Meter, send: bool = True) -> Step:
    return lambda ledger: ledger.reserve(
        reservation(ledger.session, 70, meters=meters, call_id=name, request=LONG, send=send)
    )


def settling(name: str) -> Step:
    async def step(ledger: SqliteLedger) -> None:
        ledger.conclude(Conclusion(name, Verdict.CHARGED, MicroUSDC(60), reference=f"tx {name}", answer=LONG))
        await ledger.flush()

    return step


def together(*steps: Step) -> Step:
    async def step(ledger: SqliteLedger) -> None:
        await asyncio.gather(*(one(ledger) for one in steps))

    return step


async def delivering(ledger: SqliteLedger) -> None:
    ledger.note_delivery("paid")
    ledger.note_delivery("older 1")
    await ledger.flush()


async def asking(ledger: SqliteLedger) -> None:
    expires = UnixMs(START * 2)
    # The second time its id is taken.
    with contextlib.suppress(LedgerError):
        await ledger.write_grant(
            Grant(GRANT.kind, GRANT.grant_id, "local", "what n1 is", GrantState.ASKED, LONG, START, expires)
        )


async def using(ledger: SqliteLedger) -> None:
    wanted = reservation(ledger.session, 70, meters=[CAP], call_id="n1", fingerprint="what n1 is", request=LONG)
    await ledger.reserve(replace(wanted, uses=(GRANT,)))


async def closing(ledger: SqliteLedger) -> None:
    await ledger.close()


DEEDS: dict[str, tuple[Step, ...]] = {
    "create": (reserving("n1", CAP), settling("n1")),
    "reserve": (
        reserving("n1", CAP),
        together(reserving("n2", CAP, NEW), reserving("n3", CAP), reserving("n4", CAP, NEW)),
    ),
    "send": (lambda ledger: ledger.send("asking"), reserving("n1", CAP, send=False), lambda ledger: ledger.send("n1")),
    "settle": (settling("sent"), together(settling("sent too"), reserving("n1", CAP))),
    "deliver": (delivering,),
    "refund": (
        lambda ledger: ledger.refund("paid", MicroUSDC(25), "told"),
        lambda ledger: ledger.refund("paid", MicroUSDC(40), "told"),
    ),
    "agree": (asking, lambda ledger: ledger.answer_grant(GRANT, granted=True, note="yes"), using),
    "adopt": (lambda ledger: ledger.adopt_orphans(everything),),
    "trust the clock": (lambda ledger: ledger.trust_clock(), reserving("n1", CAP, NEW)),
    "prune": (lambda ledger: ledger.prune(UnixMs(START * 2)),),
    "close": (reserving("n1", CAP), closing),
}
"""What is done, step by step. The first begins with the opening, on no file."""

OPENING = ("create",)


def clock_of(deed: str) -> HandClock:
    # Random lives move the clock, so everything begins well behind them; only one deed is about that.
    return HandClock(START + (365 if deed != "trust the clock" else 364) * 86_400_000)


async def prepare(folder: Path, deed: str, seed: int) -> None:
    """Make the folder a process of the deed will find: a ledger with a past, whose processes are all dead."""
    path = folder / "ledger.db"
    folder.mkdir(parents=True)
    if deed == "create":
        return
    clock = HandClock()
    history = History(open_ledger(path, f"h{seed}", clock), clock, seed)
    await history.live(25)
    await history.ledger.close()
    before = open_ledger(path, "before", HandClock(START + 365 * 86_400_000))
    for name in ("asking", "sent", "sent too", "doubtful", "paid", *OLDER):
        await reserving(name, CAP, send=name != "asking")(before)
    before.conclude(Conclusion("doubtful", Verdict.IN_DOUBT))
    for name in ("paid", *OLDER):
        await settling(name)(before)
    for name in OLDER[1:]:
        before.note_delivery(name)
    await before.close()


class Fuse:
    """Counts the points the process passes, and ends it at the chosen one: by number, or the first of its name."""

    def __init__(self, last: int | str, tell: Connection) -> None:
        self._last = last
        self._tell = tell
        self.lit = False
        self.passed = 0

    def passing(self, label: str) -> None:
        if not self.lit:
            return
        self.passed += 1
        if self._last in (self.passed, label):
            self._tell.send(("died", label))
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, connection: apsw.Connection) -> None:
        def before(_cursor: apsw.Cursor, sql: str, _bindings: Any) -> bool:
            self.passing(f"before {' '.join(sql.split())[:60]}")
            return True

        connection.set_exec_trace(before)

    def lay(self) -> None:
        """Make every point one that is counted."""
        apsw.connection_hooks.append(self.watch)
        commit, mark = LedgerFile._try, os.pwrite

        def committing(*args: Any) -> Any:
            done = commit(*args)
            self.passing("between a commit and the word of it")
            return done

        def marking(*args: Any) -> int:
            self.passing("before the mark that the file was filled")
            return mark(*args)

        LedgerFile._try = committing  # type: ignore[method-assign]
        os.pwrite = marking  # type: ignore[assignment]


def live(folder: Path, deed: str, last: int, torn: int | None, tell: Connection) -> None:
    """Do the deed, and die at point `last`, or when the journal has grown by `torn` bytes.

    Says ``("did", step)`` after each step, and ``("passed", points)`` when it outlives them all.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    SqliteLedger.PRUNED_AT_ONCE = 2
    path, fuse = folder / "ledger.db", Fuse(last, tell)
    fuse.lay()

    def begin() -> None:
        fuse.lit = True
        if torn is not None:
            journal = Path(f"{path}-wal")
            # Closing writes the journal back into the file, which has pages at every length.
            grown = journal.stat().st_size if deed != "close" else 0
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_FSIZE, (grown + torn, grown + torn))

    async def do() -> None:
        if deed in OPENING:
            begin()
        ledger = open_ledger(path, "dying", clock_of(deed))
        assert ledger.fault is None, ledger.fault
        if deed not in (*OPENING, "close"):
            begin()
        for number, step in enumerate(DEEDS[deed]):
            if step is closing:
                begin()
            await step(ledger)
            tell.send(("did", number))
        await ledger.close()

    asyncio.run(do())
    tell.send(("passed", fuse.passed))


async def finish(ledger: SqliteLedger, deed: str) -> None:
    """What the next process does: the same again, which changes nothing that was done, and the end of what is open."""
    for step in DEEDS[deed]:
        if step is not closing:
            await step(ledger)
    await ledger.adopt_orphans(everything)
    for row in await ledger.rows(states=frozenset({State.IN_DOUBT})):
        await ledger.conclude_now(Conclusion(row.call_id, Verdict.CHARGED, MicroUSDC(row.held // 2)))
    for row in await ledger.rows(limit=1_000):
        if row.state.value == "sent":
            ledger.conclude(Conclusion(row.call_id, Verdict.IN_DOUBT))
            ledger.conclude(Conclusion(row.call_id, Verdict.CHARGED, MicroUSDC(row.held // 2)))
        elif row.state.value == "reserved":
            ledger.conclude(Conclusion(row.call_id, Verdict.NOT_CHARGED))
    await ledger.flush()
