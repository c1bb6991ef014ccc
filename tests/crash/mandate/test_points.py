# ruff: noqa: ASYNC240 - nothing else runs in these loops while a file is touched
"""kill -9 at every point of everything that writes a ledger: what was promised is there, and nothing half-done is.

The long run is ``pytest -m slow tests/crash/mandate/test_points.py``; the kills are counted on its last line with -s.
"""

import asyncio
import multiprocessing
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import apsw
import pytest

from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import Admitted, Meter, OverLimit
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.mandate.states import OPEN, counted_amount
from jecp_mcp.mandate.windows import Window
from jecp_mcp.money import MicroUSDC
from tests.crash.mandate import dying
from tests.crash.mandate.points import spread
from tests.daily import mostly_slow
from tests.unit.mandate.reservations import reservation

# Each death costs a fork of a process that has everything imported.
CHILDREN = multiprocessing.get_context("forkserver")
CHILDREN.set_forkserver_preload(["tests.crash.mandate.dying"])

Told = tuple[str | None, str]
Rows = dict[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Death:
    """How a process ended: where, what it had done by its own word, and how many points it passed if it lived."""

    at: str
    did: int
    passed: int | None


@dataclass(frozen=True)
class Story:
    """A deed, the folder it begins with, and how it goes when nobody dies.

    Attributes:
        head: the digest of the last event before it.
        told: every event, by call and name; those from number `before` on are the deed's own.
        ends: how many events there are after each step.
        rows: every call, once everything is finished.
        points: how many points there are.
        grows: by how many bytes the journal grows; how many the file has, where it is closed.
    """

    deed: str
    folder: Path
    head: str | None
    before: int
    told: list[Told]
    ends: list[int]
    rows: Rows
    points: int
    grows: int


@pytest.fixture(scope="module", autouse=True)
def _nursery() -> None:
    """Start the process that the dying are forked from where it finds what it is to import beforehand."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
        forkserver.ensure_running()


@pytest.fixture
def room() -> Iterator[Path]:
    """A folder in memory, where there is one: a kill leaves the system's own copies of files as they are."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


def let_live(folder: Path, deed: str, last: int = 0, torn: int | None = None) -> Death:
    ours, theirs = CHILDREN.Pipe(duplex=False)
    child = CHILDREN.Process(target=dying.live, args=(folder, deed, last, torn, theirs))
    child.start()
    theirs.close()
    at, did, passed = "in the middle of a write", 0, None
    while True:
        try:
            word, value = ours.recv()
        except EOFError:
            break
        if word == "did":
            did = value + 1
        elif word == "died":
            at = value
        else:
            passed = value
    child.join(60)
    ours.close()
    expected = 0 if passed is not None else -(signal.SIGKILL if torn is None else signal.SIGXFSZ)
    assert child.exitcode == expected, (deed, last, torn, at)
    child.close()
    return Death(at, did, passed)


async def told(ledger: SqliteLedger) -> list[Told]:
    return [(one.call_id, one.event) for one in await ledger.events(limit=10_000)]


async def rows(ledger: SqliteLedger) -> Rows:
    listed = await ledger.rows(limit=10_000)
    whole = [await ledger.row(row.call_id) for row in listed]
    grant = await ledger.grant(dying.GRANT)
    return {"grant": () if grant is None else (grant.state, grant.call_id, grant.note)} | {
        row.call_id: (row.state, row.held, row.charged, row.refunded, row.delivered, row.request, row.answer)
        for row in whole
        if row is not None
    }


async def tell_story(room: Path, deed: str, seed: int) -> Story:
    """Do the deed once, step by step, in this process and without harm."""
    folder, copy = room / f"{deed} {seed}", room / f"{deed} {seed} done"
    await dying.prepare(folder, deed, seed)
    shutil.copytree(folder, copy)
    head, before = None, 0
    if deed not in dying.OPENING:
        ledger = open_ledger(copy / "ledger.db", clock=dying.clock_of(deed))
        report = await ledger.audit()
        head, before = report.head, report.events
        await ledger.close()
    ledger, observer = [open_ledger(copy / "ledger.db", name, dying.clock_of(deed)) for name in ("dying", "observer")]
    journal, grown = Path(f"{copy / 'ledger.db'}-wal"), 0
    events, ends = await told(observer), []
    for step in dying.DEEDS[deed]:
        grown = max(grown, journal.stat().st_size)
        await step(ledger)
        events = await told(observer)
        ends.append(len(events))
    grown = max(grown, journal.stat().st_size)
    await ledger.close()
    await observer.close()
    ledger = open_ledger(copy / "ledger.db", "next", dying.clock_of(deed))
    await dying.finish(ledger, deed)
    finished = await rows(ledger)
    await ledger.close()
    again = room / f"{deed} {seed} lived"
    shutil.copytree(folder, again)
    passed = let_live(again, deed).passed
    assert passed is not None
    if deed == "close":
        grown = (copy / "ledger.db").stat().st_size
    return Story(deed, folder, head, before, events, ends, finished, passed, grown)


async def check(story: Story, folder: Path, death: Death) -> None:
    """The next process opens the file, finds what was promised and nothing half-done, and finishes."""
    where = (story.deed, death.at)
    ledger = open_ledger(folder / "ledger.db", "next", dying.clock_of(story.deed))
    assert ledger.fault is None, where
    found = await told(ledger)
    promised = story.ends[death.did - 1] if death.did else story.before
    assert found == story.told[: len(found)], where
    assert len(found) >= promised, where
    report = await ledger.audit(story.head)
    assert report.findings == (), where
    assert report.anchored is not False, where
    await full_to_the_last_micro(ledger, where)
    await dying.finish(ledger, story.deed)
    ended = await rows(ledger)
    ended.pop("fill", None)
    assert ended == story.rows, where
    assert not [row for row in await ledger.rows(limit=10_000) if row.state in OPEN and row.call_id != "fill"], where
    assert (await ledger.audit(report.head)).findings == (), where
    await ledger.close()
    connection = apsw.Connection(str(folder / "ledger.db"), flags=apsw.SQLITE_OPEN_READONLY)
    assert connection.execute("PRAGMA integrity_check").get == "ok", where
    connection.close()


async def full_to_the_last_micro(ledger: SqliteLedger, where: object) -> None:
    """A limit over everything counts exactly the calls, so it admits exactly what is left of it."""
    calls = await ledger.rows(limit=10_000)
    spent = sum(
        counted_amount(row.state, row.held, row.charged, row.refunded) for row in calls if row.principal == "local"
    )
    if any(one.event == "meter" and dying.CAP.key in one.facts for one in await ledger.events(limit=10_000)):
        assert [one.used for one in await ledger.readings([dying.CAP])] == [spent], where
    await ledger.trust_clock()
    limit = Meter(dying.CAP.key, Window.TOTAL, MicroUSDC(spent + 10), "total_usdc", "local")
    over = await ledger.reserve(reservation(ledger.session, 11, meters=[limit], call_id="too much"))
    assert isinstance(over, OverLimit), where
    assert over.used == spent, where
    fits = reservation(ledger.session, 10, meters=[limit], call_id="fill")
    assert isinstance(await ledger.reserve(fits), Admitted), where


def kill(story: Story, room: Path, points: list[int], tears: list[int]) -> int:
    """Kill one process at each of these points, and one at each of these lengths of the journal; how many died."""
    died = 0
    for last, torn in [*((point, None) for point in points), *((0, tear) for tear in tears)]:
        folder = room / "dying"
        shutil.copytree(story.folder, folder)
        death = let_live(folder, story.deed, last, torn)
        died += death.passed is None
        asyncio.run(check(story, folder, death))
        shutil.rmtree(folder)
    return died


@pytest.fixture(autouse=True)
def _few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SqliteLedger, "PRUNED_AT_ONCE", 2)


DAILY = {"reserve", "settle"}


@pytest.mark.parametrize("deed", mostly_slow(dying.DEEDS, DAILY))
def test_a_process_killed_at_any_point_leaves_what_it_promised_and_nothing_half_done(room: Path, deed: str) -> None:
    story = asyncio.run(tell_story(room, deed, seed=1))
    tears = [] if deed in dying.OPENING else spread(story.grows, 5)
    points = spread(story.points, 12)
    # Where the process comes to the end of its journal a little earlier than the story did, it lives.
    assert kill(story, room, points, tears) >= len(points) + len(tears) - 1


@pytest.mark.slow
@pytest.mark.parametrize("deed", list(dying.DEEDS))
def test_two_thousand_kills_at_every_point_lose_nothing(room: Path, deed: str) -> None:
    died = 0
    for seed in (2, 3, 4, 5):
        story = asyncio.run(tell_story(room, deed, seed))
        tears = [] if deed in dying.OPENING else spread(story.grows, 40)
        died += kill(story, room, list(range(1, story.points + 1)), tears)
    print(f"{deed}: {died} kills")
