"""Many processes on one file, killed at random and replaced: a shared limit admits exactly what it says."""

import asyncio
import multiprocessing
import random
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing import connection, forkserver
from pathlib import Path
from typing import Any

import apsw
import pytest

from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.states import OPEN, State
from tests.crash.mandate import filling
from tests.unit.mandate.reservations import everything

CHILDREN = multiprocessing.get_context("forkserver")
CHILDREN.set_forkserver_preload(["tests.crash.mandate.filling"])


@pytest.fixture(scope="module", autouse=True)
def _nursery() -> None:
    """Start the process that the others are forked from where it finds what it is to import beforehand."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
        forkserver.ensure_running()


@dataclass
class Run:
    """What came of it: the calls that were promised, and how many processes were killed."""

    promised: set[str] = field(default_factory=set)
    killed: int = 0


def fill(path: Path, processes: int, calls: int, callers: int, kills: int, seed: int) -> Run:
    """Let so many processes fill a limit of so many calls, killing one every so often, until it is full."""
    dice, run = random.Random(seed), Run()
    living: dict[Any, Any] = {}
    started = 0

    def start() -> None:
        nonlocal started
        ours, theirs = CHILDREN.Pipe(duplex=False)
        child = CHILDREN.Process(target=filling.live, args=(path, f"p{started}", calls, callers, theirs))
        child.start()
        theirs.close()
        living[ours] = child
        started += 1

    def bury(pipe: Any) -> int:
        child = living.pop(pipe)
        child.join(60)
        code = child.exitcode
        child.close()
        pipe.close()
        assert code is not None
        return code

    every = calls // (kills + 1) if kills else calls
    for _ in range(processes):
        start()
    full = False
    while living:
        for pipe in connection.wait(list(living)):
            try:
                word, admitted = pipe.recv()
            except EOFError:
                code = bury(pipe)
                assert code in (0, -signal.SIGKILL)
                run.killed += code == -signal.SIGKILL
                if code and not full:
                    start()
                continue
            full = full or word == "full"
            for call_id in admitted or ():
                run.promised.add(call_id)
                if not full and len(run.promised) % every == 0 and run.killed < kills:
                    dice.choice(list(living.values())).kill()
    return run


async def check(path: Path, run: Run, calls: int) -> None:
    ledger = open_ledger(path)
    assert ledger.fault is None
    totals = await ledger.totals()
    assert totals.calls == calls
    assert totals.charged + totals.held == filling.PRICE * calls
    assert [one.used for one in await ledger.readings([filling.limit_of(calls)])] == [filling.PRICE * calls]
    rows = await ledger.rows(limit=2 * calls)
    assert run.promised <= {row.call_id for row in rows}
    await ledger.adopt_orphans(everything)
    adopted = [row for row in await ledger.rows(limit=2 * calls, states=OPEN) if row.owner == ledger.session]
    # What the killed left open is held, every one of it, and nothing else is.
    assert {row.call_id for row in adopted} == {row.call_id for row in rows if row.state is State.SENT}
    assert (await ledger.totals()).in_doubt == filling.PRICE * len(adopted)
    assert (await ledger.audit()).findings == ()
    await ledger.close()
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    assert connection.execute("PRAGMA integrity_check").get == "ok"
    connection.close()


@pytest.fixture
def room() -> Iterator[Path]:
    """A folder in memory, where there is one: a kill leaves the system's own copies of files as they are."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


@pytest.mark.parametrize("callers", [1, 16])
def test_four_processes_killed_at_random_fill_a_limit_exactly(room: Path, callers: int) -> None:
    run = fill(room / "ledger.db", processes=4, calls=1_200, callers=callers, kills=8, seed=callers)
    assert run.killed >= 4
    asyncio.run(check(room / "ledger.db", run, 1_200))


@pytest.mark.slow
@pytest.mark.parametrize("callers", [1, 16])
def test_eight_processes_killed_at_random_fill_a_limit_of_twenty_thousand_exactly(tmp_path: Path, callers: int) -> None:
    """On a real disk."""
    run = fill(tmp_path / "ledger.db", processes=8, calls=20_000, callers=callers, kills=60, seed=callers)
    assert run.killed >= 40
    asyncio.run(check(tmp_path / "ledger.db", run, 20_000))
