"""A ledger of the first version goes on: nothing it counted is lost, and from then on it proves itself."""

from pathlib import Path

import apsw
import pytest

from jecp_mcp.errors import LedgerDamaged, LedgerUnavailable
from jecp_mcp.mandate import schema, upgrades
from jecp_mcp.mandate.ledger import Admitted, Conclusion, Meter, OverLimit, Undelivered, Window
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.states import Event, State
from jecp_mcp.money import MicroUSDC
from tests.unit.mandate import version_1
from tests.unit.mandate.reservations import START, HandClock, reservation

LIMIT = MicroUSDC(1_000_000)
METERS = [
    Meter(version_1.DAY, Window.DAY, LIMIT, "daily_usdc"),
    Meter(version_1.HOUR, Window.HOUR, LIMIT, "hourly_usdc"),
    Meter(version_1.TOTAL, Window.TOTAL, LIMIT, "total_usdc"),
    Meter(version_1.SESSION, Window.SESSION, LIMIT, "session_usdc"),
]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    version_1.write(path)
    return path


@pytest.mark.anyio
async def test_the_windows_and_the_totals_stay_as_they_were(old: Path, clock: HandClock) -> None:
    ledger = open_ledger(old, "s3", clock)
    assert ledger.fault is None
    assert [reading.used for reading in await ledger.readings(METERS)] == list(version_1.USED.values())
    totals = await ledger.totals()
    assert (totals.charged, totals.held, totals.in_doubt) == (400 + 45 + 55 + 80, 10 + 20 + 30 + 40 + 100, 30 + 40)
    assert totals.calls == len(version_1.LIVES)
    await ledger.recount()
    assert [reading.used for reading in await ledger.readings(METERS)] == list(version_1.USED.values())
    await ledger.close()


@pytest.mark.anyio
async def test_it_audits_clean_and_its_chain_covers_what_came_before(old: Path, clock: HandClock) -> None:
    ledger = open_ledger(old, "s3", clock)
    report = await ledger.audit()
    assert report.findings == ()
    events = await ledger.events()
    assert report.events == len(events)
    assert events[-1].event == "upgrade"
    old_ones = sum(1 + len(life[2]) for life in version_1.LIVES.values())
    assert [one.event for one in events[old_ones:]] == [
        "deliver",
        "adopt",
        "deliver",
        "deliver",
        *["meter"] * 4,
        "upgrade",
    ]
    await ledger.close()
    connection = apsw.Connection(str(old))
    connection.execute("DROP TRIGGER event_stays; UPDATE event SET held = held + 1 WHERE id = 3")
    connection.close()
    again = open_ledger(old, "s4", clock)
    assert (await again.audit()).findings != ()
    await again.close()


@pytest.mark.anyio
async def test_every_call_is_what_it_was_and_goes_on_from_there(old: Path, clock: HandClock) -> None:
    ledger = open_ledger(old, "s3", clock)
    rows = {row.call_id: row for row in await ledger.rows()}
    states = {name: life[2][-1][1] if life[2] else name for name, life in version_1.LIVES.items()}
    assert {name: row.state for name, row in rows.items()} == states
    assert all(row.refunded == 0 for row in rows.values())
    adopted = await ledger.adopt_orphans()
    assert [row.call_id for row in adopted] == ["sent", "in doubt", "adopted"]
    assert adopted[0].request == b"request of sent"
    ledger.conclude(Conclusion("sent", Event.PROVE_CHARGED, MicroUSDC(20)))
    ledger.conclude(Conclusion("in doubt", Event.PROVE_FREE))
    assert await ledger.refund("settled", MicroUSDC(45), "told") is True
    again = await ledger.reserve(reservation("s3", fingerprint="print of undelivered"))
    assert isinstance(again, Undelivered)
    assert again.row.answer == b"answer of undelivered"
    # Released: reserved (10); free: in doubt (30); given back: 45.
    assert [reading.used for reading in await ledger.readings(METERS)] == [
        used - 85 for used in version_1.USED.values()
    ]
    room = LIMIT - version_1.USED[version_1.DAY] + 85
    assert isinstance(await ledger.reserve(reservation("s3", room + 1, meters=METERS[:1])), OverLimit)
    assert isinstance(await ledger.reserve(reservation("s3", room, meters=METERS[:1])), Admitted)
    assert (await ledger.audit()).findings == ()
    row = await ledger.row("reserved")
    assert row is not None
    assert row.state is State.RELEASED
    await ledger.close()


@pytest.mark.anyio
async def test_the_windows_go_on_rolling(old: Path, clock: HandClock) -> None:
    ledger = open_ledger(old, "s3", clock)
    early, used = 400, version_1.USED
    clock.at = version_1.EARLIER + 86_400_000 + 600_000
    await ledger.reserve(reservation("s3", 1, meters=METERS))
    assert [reading.used for reading in await ledger.readings(METERS)] == [
        used[version_1.DAY] - early + 1,
        1,
        used[version_1.TOTAL] + 1,
        used[version_1.SESSION] + 1,
    ]
    assert (await ledger.audit()).findings == ()
    await ledger.close()


@pytest.mark.anyio
async def test_two_processes_that_upgrade_at_once_do_it_once(old: Path, clock: HandClock) -> None:
    connection = apsw.Connection(str(old))
    schema.configure(connection)
    first = open_ledger(old, "s3", clock)
    upgrades.upgrade(connection, 1, "s4", clock.now())
    connection.close()
    report = await first.audit()
    assert report.findings == ()
    assert [one.event for one in await first.events()].count("upgrade") == 1
    await first.close()
    again = open_ledger(old, "s5", clock)
    assert (await again.audit()).head == report.head
    await again.close()


@pytest.mark.anyio
async def test_a_clock_behind_the_old_ledger_is_seen_after_the_upgrade(old: Path, clock: HandClock) -> None:
    clock.at = START - 3_600_000
    ledger = open_ledger(old, "s3", clock)
    with pytest.raises(LedgerUnavailable, match="the clock shows"):
        await ledger.reserve(reservation("s3"))
    await ledger.close()


@pytest.mark.anyio
@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM request WHERE call = 3",
        "DELETE FROM call WHERE id = 3",
        "UPDATE call SET slots = 'x' WHERE id = 4",
        "DROP TABLE slot",
    ],
)
async def test_an_old_ledger_that_cannot_be_upgraded_is_left_as_it_is(old: Path, clock: HandClock, damage: str) -> None:
    connection = apsw.Connection(str(old))
    connection.execute(damage)
    before = list(connection.execute("SELECT * FROM event").fetchall())
    connection.close()
    ledger = open_ledger(old, "s3", clock)
    assert isinstance(ledger.fault, LedgerDamaged)
    with pytest.raises(LedgerDamaged):
        await ledger.reserve(reservation("s3"))
    await ledger.close()
    connection = apsw.Connection(str(old))
    assert connection.pragma("user_version") == 1
    assert list(connection.execute("SELECT * FROM event").fetchall()) == before
    connection.close()
