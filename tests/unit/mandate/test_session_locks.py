"""Sessions, dead and alive, and the rows they leave."""

import asyncio
from pathlib import Path

import pytest

from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import Admitted, Conclusion
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.mandate.sqlite.session_locks import SessionLocks
from jecp_mcp.mandate.states import State
from tests.unit.mandate.reservations import HandClock, everything, meter, reservation


@pytest.fixture
def owners(tmp_path: Path) -> SessionLocks:
    return SessionLocks(tmp_path / "owners")


def test_a_held_session_cannot_be_claimed(owners: SessionLocks) -> None:
    lock = owners.hold("s1")
    assert owners.claim("s1") is None
    lock.release()
    lock.release()
    claimed = owners.claim("s1")
    assert claimed is not None
    claimed.release()
    assert owners.known() == set()


def test_a_session_is_held_once(owners: SessionLocks) -> None:
    lock = owners.hold("s1")
    with pytest.raises(ValueError, match="is another process"):
        owners.hold("s1")
    lock.release()


@pytest.mark.anyio
async def test_a_session_whose_new_lock_is_looked_at_buys_once_it_has_it(path: Path, clock: HandClock) -> None:
    ledger = open_ledger(path, "s1", clock)
    looked_at = ledger._locks.claim("s1")
    assert looked_at is not None
    first = asyncio.create_task(ledger.reserve(reservation("s1", call_id="a")))
    second = asyncio.create_task(ledger.reserve(reservation("s1", call_id="b")))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not any(one.done() for one in (first, second))
    looked_at.release()
    assert await asyncio.gather(first, second) == [Admitted("a", clock.at), Admitted("b", clock.at)]
    assert ledger._locks.claim("s1") is None
    await ledger.close()


@pytest.mark.anyio
async def test_a_session_that_another_process_keeps_buys_nothing(
    path: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jecp_mcp.mandate.sqlite.ledger._BETWEEN_TRIES", 0)
    ledger = open_ledger(path, "s1", clock)
    held = ledger._locks.claim("s1")
    with pytest.raises(LedgerError, match="is another process"):
        await ledger.reserve(reservation("s1"))
    assert held is not None
    held.release()
    await ledger.close()


@pytest.mark.parametrize("session", ["", "../s1", "a/b", "x" * 65, "a\n"])
def test_a_session_that_is_no_file_name_is_refused(owners: SessionLocks, session: str) -> None:
    with pytest.raises(ValueError, match="session id"):
        owners.hold(session)
    assert owners.claim(session) is None


@pytest.mark.anyio
async def test_a_session_that_is_no_file_name_buys_nothing(path: Path, clock: HandClock) -> None:
    ledger = open_ledger(path, "../s1", clock)
    with pytest.raises(LedgerError, match="session id"):
        await ledger.reserve(reservation("../s1"))
    assert (await ledger.totals()).calls == 0
    await ledger.close()


async def leave_rows(path: Path, clock: HandClock, session: str) -> SqliteLedger:
    """A session with a reserved, a sent, an in-doubt and a settled call, each of 10."""
    ledger = open_ledger(path, session, clock)
    for name in ("reserved", "sent", "in_doubt", "settled"):
        cap = meter(limit=10_000)
        await ledger.reserve(
            reservation(session, 10, meters=[cap], call_id=f"{session} {name}", send=name != "reserved")
        )
    ledger.conclude(Conclusion(f"{session} in_doubt", Verdict.IN_DOUBT))
    ledger.conclude(Conclusion(f"{session} settled", Verdict.NOT_CHARGED))
    await ledger.flush()
    return ledger


@pytest.mark.anyio
async def test_a_dead_sessions_rows_are_released_or_taken_over(path: Path, clock: HandClock) -> None:
    await (await leave_rows(path, clock, "dead")).close()
    ledger = open_ledger(path, "living", clock)
    rows = await ledger.adopt_orphans(everything)
    assert [(row.call_id, row.state, row.owner) for row in rows] == [
        ("dead sent", State.IN_DOUBT, "living"),
        ("dead in_doubt", State.IN_DOUBT, "living"),
    ]
    released = await ledger.row("dead reserved")
    assert released is not None
    assert released.state is State.RELEASED
    assert [reading.used for reading in await ledger.readings([meter()])] == [20]
    assert [one.event for one in await ledger.events("dead sent")] == ["reserve", "doubt", "adopt"]
    await ledger.close()


@pytest.mark.anyio
async def test_a_living_sessions_rows_are_left_alone(path: Path, clock: HandClock) -> None:
    living = await leave_rows(path, clock, "living")
    ledger = open_ledger(path, "other", clock)
    assert await ledger.adopt_orphans(everything) == []
    row = await ledger.row("living sent")
    assert row is not None
    assert (row.state, row.owner) == (State.SENT, "living")
    await living.close()
    await ledger.close()


@pytest.mark.anyio
async def test_two_that_adopt_at_once_never_own_one_row(path: Path, clock: HandClock) -> None:
    for session in ("d1", "d2", "d3"):
        await (await leave_rows(path, clock, session)).close()
    ledgers = [open_ledger(path, f"living{number}", clock) for number in range(3)]
    taken = await asyncio.gather(*(ledger.adopt_orphans(everything) for ledger in ledgers))
    names = [row.call_id for rows in taken for row in rows]
    assert len(names) == len(set(names)) == 6
    for ledger in ledgers:
        assert [row.owner for row in await ledger.adopt_orphans(everything)] == [ledger.session] * len(
            taken[ledgers.index(ledger)]
        )
    for ledger in ledgers:
        await ledger.close()


@pytest.mark.anyio
async def test_a_session_in_use_is_refused_to_a_second_process(
    path: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jecp_mcp.mandate.sqlite.ledger._BETWEEN_TRIES", 0)
    first, second = open_ledger(path, "same", clock), open_ledger(path, "same", clock)
    await first.reserve(reservation("same"))
    with pytest.raises(LedgerError, match="is another process"):
        await second.reserve(reservation("same"))
    await first.close()
    await second.close()


@pytest.mark.anyio
async def test_nothing_of_the_dead_is_left_in_the_folder(path: Path, clock: HandClock) -> None:
    owners = path.parent / "ledger.db.owners"
    await (await leave_rows(path, clock, "dead")).close()
    (owners / "settled-everything.lock").touch()
    ledger = open_ledger(path, "living", clock)
    await ledger.adopt_orphans(everything)
    assert [found.name for found in owners.iterdir()] == ["living.lock"]
    await ledger.close()
    assert list(owners.iterdir()) == []
