"""A damaged ledger is saved as far as it can be read, and nothing that was spent counts less than before."""

# ruff: noqa: ASYNC240 - nothing else runs in these loops while a file is touched
import json
import random
import re
import shutil
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from jecp_mcp.clock import SystemClock
from jecp_mcp.domain.outcomes import Mark, Verdict
from jecp_mcp.errors import LedgerDamaged, LedgerUnavailable
from jecp_mcp.mandate import chain
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import Admitted, Conclusion, Meter, Note
from jecp_mcp.mandate.repair.diagnose import Finding, Level, Mend, examine
from jecp_mcp.mandate.repair.repair import mend
from jecp_mcp.mandate.states import OPEN, State
from jecp_mcp.mandate.windows import Window
from jecp_mcp.money import MicroUSDC
from tests.unit.mandate.reservations import HandClock, everything, reservation

DAY = Meter("day", Window.DAY, MicroUSDC(10_000_000), "daily_usdc", "local")
CALLS = 48
SPENT = CALLS // 4 * (4_000 + 5_000 + 5_000)
"""In every four calls one is charged 4,000, one free, and two hold 5,000."""


async def spent_into(path: Path, calls: int = CALLS) -> None:
    ledger = open_ledger(path)
    for number in range(calls):
        name, request = f"buy_{number}", json.dumps({"of": number, "text": "x" * 200}).encode()
        await ledger.reserve(reservation(ledger.session, call_id=name, meters=[DAY], request=request))
        if number % 4 == 0:
            ledger.conclude(Conclusion(name, Verdict.CHARGED, MicroUSDC(4_000), reference=f"tx_{number}", answer=b"a"))
            ledger.note_delivery(name)
        elif number % 4 == 1:
            ledger.conclude(Conclusion(name, Verdict.NOT_CHARGED, evidence="refused"))
        elif number % 4 == 2:
            ledger.conclude(Conclusion(name, Verdict.IN_DOUBT, evidence="no answer"))
    await ledger.close()


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    made = tmp_path / "state" / "ledger.sqlite"
    await spent_into(made)
    return made


def page_of(path: Path, table: str, index: int = 0) -> tuple[int, int]:
    """Where a leaf page of a table or an index is in the file, and its size."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    found = connection.execute(
        "SELECT pageno, pgoffset, pgsize FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY pageno", (table,)
    ).fetchall()
    connection.close()
    _, offset, size = found[index]
    return offset, size


def overwrite(path: Path, at: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


def faults(findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.level is Level.FAULT]


async def counted(path: Path) -> int:
    ledger = open_ledger(path)
    assert ledger.fault is None
    [reading] = await ledger.readings([DAY])
    totals = await ledger.totals()
    await ledger.close()
    assert reading.used == totals.charged + totals.held
    return reading.used


@pytest.mark.anyio
async def test_a_truncated_ledger_is_named_saved_and_spent_on(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(size - 4096)
    whole = path.read_bytes()
    [fault] = faults(examine(path, SystemClock()))
    assert f"truncated: {size - 4096} of {size} bytes" in fault.what
    assert "--restore" in fault.mend
    assert "--mend" in fault.mend
    assert path.read_bytes() == whole
    done = mend(path, [fault], SystemClock())
    assert f"{CALLS} calls are saved" in done[0]
    assert await counted(path) == SPENT
    [kept] = path.parent.glob("ledger.sqlite.damaged-*")
    assert kept.read_bytes() == whole
    assert not faults(examine(path, SystemClock()))
    ledger = open_ledger(path)
    assert not (await ledger.audit()).findings
    assert isinstance(await ledger.reserve(reservation(ledger.session, meters=[DAY])), Admitted)
    assert not (await ledger.audit()).findings
    await ledger.close()


@pytest.mark.anyio
async def test_calls_whose_rows_are_lost_are_made_anew_from_their_events(path: Path) -> None:
    offset, size = page_of(path, "call")
    overwrite(path, offset, b"\xff" * size)
    done = mend(path, faults(examine(path, SystemClock())), SystemClock())
    [rebuilt] = [words for words in done if "made anew" in words]
    assert "buy_0" in rebuilt
    assert await counted(path) == SPENT
    ledger = open_ledger(path)
    rows = await ledger.rows(limit=100)
    assert len(rows) == CALLS
    lost = [row for row in rows if row.tool == "unreadable"]
    assert lost
    assert not [row for row in lost if row.state in OPEN]
    assert {row.held for row in lost if row.state is State.WRITTEN_OFF} == {5_000}
    assert {row.charged for row in lost if row.state is State.SETTLED} == {4_000}
    assert not (await ledger.audit()).findings
    await ledger.close()


@pytest.mark.anyio
async def test_open_calls_are_taken_over_and_replayed_from_the_salvaged_ledger(path: Path) -> None:
    offset, size = page_of(path, "event")
    overwrite(path, offset, b"\xff" * size)
    mend(path, faults(examine(path, SystemClock())), SystemClock())
    ledger = open_ledger(path)
    orphans = await ledger.adopt_orphans(everything)
    assert len(orphans) == CALLS // 2
    for orphan in orphans:
        row = await ledger.row(orphan.call_id)
        assert row is not None
        assert json.loads(row.request)["of"] == int(row.call_id.removeprefix("buy_"))
    await ledger.close()
    assert await counted(path) == SPENT


@pytest.mark.anyio
async def test_a_row_that_counts_for_less_than_its_events_is_not_believed(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE call SET state = 'released' WHERE call_id = 'buy_2'")
    connection.execute("UPDATE call SET charged = 1 WHERE call_id = 'buy_4'")
    connection.close()
    offset, size = page_of(path, "request")
    overwrite(path, offset, b"\xff" * size)
    mend(path, faults(examine(path, SystemClock())), SystemClock())
    assert await counted(path) == SPENT


@pytest.mark.anyio
async def test_what_left_no_trace_is_told_by_number(path: Path) -> None:
    for table in ("call", "event"):
        offset, size = page_of(path, table)
        overwrite(path, offset, b"\xff" * size)
    done = mend(path, faults(examine(path, SystemClock())), SystemClock())
    [told] = [words for words in done if "nothing is left" in words]
    assert "calls number 1 to " in told
    [kept] = [words for words in done if "no call that can be read explains" in words]
    assert "count as spent until you rule on them" in kept
    assert await counted(path) == SPENT


@pytest.mark.anyio
async def test_where_the_calls_end_and_what_they_were_called_may_be_lost_but_not_what_they_cost(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    await spent_into(path, 2 * CALLS)
    lost = [("call", 0), ("call", 1), ("call", -1), *(("event", number) for number in (0, 2, -1))]
    for offset, size in [page_of(path, table, number) for table, number in lost]:
        overwrite(path, offset, b"\xff" * size)
    done = mend(path, faults(examine(path, SystemClock())), SystemClock())
    [traceless] = [words for words in done if "nothing is left" in words]
    assert re.search(r"number 1 to \d+, \d+ to \d+ nothing", traceless)
    [rebuilt] = [words for words in done if "made anew" in words]
    assert "lost_" in rebuilt
    assert any("whether there were calls after number" in words for words in done)
    assert await counted(path) == 2 * SPENT


def became_a_number(path: Path, call_id: str) -> None:
    """Let a call's tool be a number, which the table itself would never take."""
    with closing(apsw.Connection(str(path))) as connection:
        connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
        connection.execute("PRAGMA writable_schema = ON")
        for old, new in (("tool TEXT NOT NULL", "tool NOT NULL"), (") STRICT", ")")):
            connection.execute("UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE name = 'call'", (old, new))
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("UPDATE call SET tool = 7 WHERE call_id = ?", (call_id,))


@pytest.mark.anyio
async def test_a_record_that_reads_and_cannot_be_true_is_not_believed(path: Path) -> None:
    became_a_number(path, "buy_3")
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute(
            "PRAGMA ignore_check_constraints = ON;"
            "DROP TRIGGER event_stays;"
            # Was settled at 4,000; its events say so.
            "UPDATE call SET state = 'sent', held = 100, charged = 0, ended_at = NULL WHERE call_id = 'buy_0';"
            "UPDATE call SET held = -1 WHERE call_id IN ('buy_7', 'buy_8');"
            "DELETE FROM call WHERE call_id = 'buy_11';"
            # Neither the row nor the events of this one can be true.
            "UPDATE event SET body = x'00' WHERE call = 9;"
        )
    done = salvaged(path)
    [rebuilt] = [words for words in done if "made anew" in words]
    assert "3 calls (buy_3, buy_7, buy_11)" in rebuilt
    assert any("of the calls number 9 nothing is left" in words for words in done)
    assert await counted(path) == SPENT
    ledger = open_ledger(path)
    row = await ledger.row("buy_0")
    assert row is not None
    assert (row.state, row.charged, row.ended_at) == (State.SETTLED, 4_000, row.created_at)
    assert not (await ledger.audit()).findings
    await ledger.close()


def salvaged(path: Path) -> list[str]:
    return mend(path, [Finding(Level.FAULT, "structure", "", safe=Mend.SALVAGE)], SystemClock())


@pytest.mark.anyio
async def test_of_two_calls_that_cannot_both_be_one_is_made_anew_or_told_as_lost(path: Path) -> None:
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute(
            "DROP INDEX call_reference;"
            # One payment of two calls: the events of the second do not name it.
            "UPDATE call SET reference = 'tx_0' WHERE call_id = 'buy_4';"
            # One name of two calls: of the second only the name that its events tell is left.
            "DELETE FROM call WHERE call_id = 'buy_10';"
            "UPDATE call SET call_id = 'buy_10' WHERE call_id = 'buy_6';"
        )
    done = salvaged(path)
    assert any("1 call (buy_4)" in words for words in done if "made anew" in words)
    assert any("of the calls number 11 nothing is left" in words for words in done)
    assert await counted(path) == SPENT


@pytest.mark.anyio
async def test_a_call_that_was_taken_over_and_sent_again_is_saved_with_its_history(tmp_path: Path) -> None:
    path, clock = tmp_path / "ledger.sqlite", HandClock(SystemClock().now() - 60_000)
    dead = open_ledger(path, "dead", clock)
    await dead.reserve(reservation("dead", call_id="a", meters=[DAY]))
    await dead.close()
    living = open_ledger(path, "living", clock)
    [orphan] = await living.adopt_orphans(everything)
    clock.forward(seconds=9)
    assert isinstance(await living.resend("a", orphan.claim, [DAY]), Admitted)
    before = await living.row("a")
    await living.close()
    salvaged(path)
    saved = open_ledger(path)
    assert await saved.row("a") == before
    assert [one.event for one in await saved.events("a")] == ["reserve", "resend", "adopt", "doubt"]
    assert not (await saved.audit()).findings
    await saved.close()


@pytest.mark.anyio
async def test_events_that_read_and_cannot_be_true_are_not_believed(path: Path) -> None:
    with closing(apsw.Connection(str(path))) as connection:
        connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
        connection.execute(
            "DROP TRIGGER event_stays; PRAGMA writable_schema = ON;"
            "UPDATE sqlite_schema SET sql = replace(sql, ') STRICT', ')') WHERE name = 'event'"
        )
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute(
            "UPDATE event SET body = 'a text' WHERE call = 3;"
            "UPDATE event SET call = 4 WHERE call = 8;"
            "DELETE FROM call WHERE id IN (3, 8)"
        )
    done = salvaged(path)
    assert any("of the calls number 3, 8 nothing is left" in words for words in done)
    assert await counted(path) == SPENT


@pytest.mark.anyio
async def test_without_its_limits_every_call_is_saved_and_nothing_is_written_off_beside_them(path: Path) -> None:
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("DROP TABLE slot")
    done = salvaged(path)
    assert f"{CALLS} calls are saved" in done[0]
    assert await counted(path) == SPENT
    ledger = open_ledger(path)
    assert not await ledger.rows(states=frozenset({State.WRITTEN_OFF}))
    await ledger.close()


@pytest.mark.anyio
@pytest.mark.parametrize("seed", [*range(2), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 30))])
async def test_damage_anywhere_never_lets_more_be_spent_unsaid(path: Path, tmp_path: Path, seed: int) -> None:
    chance, whole = random.Random(seed), path.read_bytes()
    saved = refused = 0
    for number in range(12):
        tried = tmp_path / f"{number}" / "ledger.sqlite"
        tried.parent.mkdir()
        shutil.copy(f"{path}.lock", f"{tried}.lock")
        content = bytearray(whole)
        for _ in range(chance.choice([1, 3])):
            at = chance.randrange(0, len(content) - 512)
            content[at : at + 512] = chance.randbytes(512)
        tried.write_bytes(content)
        tried.chmod(0o600)
        found = faults(examine(tried, SystemClock()))
        if not any(one.safe is Mend.SALVAGE for one in found):
            continue
        try:
            done = mend(tried, found, SystemClock())
        except LedgerDamaged:
            refused += 1
            assert tried.read_bytes() == bytes(content)
            continue
        saved += 1
        unsaid = not any("nothing is left" in words or "not known" in words for words in done)
        assert not unsaid or await counted(tried) >= SPENT, done
        ledger = open_ledger(tried)
        assert not (await ledger.audit()).findings
        await ledger.close()
    assert saved + refused


@pytest.mark.anyio
async def test_a_ledger_in_use_is_not_salvaged_under_its_user(path: Path) -> None:
    user = open_ledger(path)
    await user.adopt_orphans(everything)
    size = path.stat().st_size
    found = [Finding(Level.FAULT, "structure", "", safe=Mend.SALVAGE)]
    with pytest.raises(LedgerUnavailable, match="in use"):
        mend(path, found, SystemClock())
    assert path.stat().st_size == size
    assert isinstance(await user.reserve(reservation(user.session, meters=[DAY])), Admitted)
    await user.close()


@pytest.mark.anyio
async def test_what_cannot_be_read_at_all_is_left_as_it_is(path: Path) -> None:
    overwrite(path, 100, b"\xff" * 3_996)
    before = path.read_bytes()
    with pytest.raises(LedgerDamaged, match="restore a backup"):
        mend(path, faults(examine(path, SystemClock())), SystemClock())
    assert path.read_bytes() == before


@pytest.mark.anyio
async def test_meters_that_disagree_are_counted_anew(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE meter SET used = used + 1; UPDATE slot SET amount = 3")
    connection.close()
    [fault] = faults(examine(path, SystemClock()))
    assert (fault.about, fault.safe) == ("meters", Mend.RECOUNT)
    mend(path, [fault], SystemClock())
    assert not faults(examine(path, SystemClock()))
    assert await counted(path) == SPENT


@pytest.mark.anyio
@pytest.mark.parametrize("lost", ["nothing", "the chain"])
async def test_what_a_rail_wrote_down_is_saved_with_its_call(path: Path, lost: str) -> None:
    ledger = open_ledger(path)
    await ledger.reserve(reservation(ledger.session, call_id="noted", fingerprint="noted"))
    await ledger.note("noted", 0, [Note(Mark.ACCEPTED), Note(Mark.RESULT, answer=b"{}"), Note(Mark.INTENT, "5000")])
    await ledger.close()
    if lost == "the chain":
        with closing(apsw.Connection(str(path))) as connection:
            connection.execute("PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE type = 'trigger'")
        with closing(apsw.Connection(str(path))) as connection:
            connection.execute("DELETE FROM event")
    salvaged(path)
    ledger = open_ledger(path)
    row = await ledger.row("noted")
    assert row is not None
    assert (row.mark, row.answer) == (Mark.INTENT, b"{}")
    notes = [event.facts for event in await ledger.events("noted") if event.event == chain.NOTE]
    assert notes[-1] == ({"mark": "intent"} if lost == "the chain" else {"mark": "intent", "data": "5000"})
    assert not (await ledger.audit()).findings
    await ledger.close()
