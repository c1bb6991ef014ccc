"""Which sessions live, and who takes over the calls of the dead."""

import asyncio
from collections.abc import Callable

import pytest

from jecp_mcp.errors import LedgerError, LedgerUnavailable
from jecp_mcp.mandate.ledger import Admitted, Conclusion
from jecp_mcp.mandate.postgres import ledger as ledgers
from jecp_mcp.mandate.postgres.ledger import PostgresLedger
from jecp_mcp.mandate.states import Event, State
from tests.postgres.cluster import Cluster
from tests.postgres.fixtures import open_server
from tests.unit.mandate.reservations import meter, reservation

pytestmark = pytest.mark.anyio

Opener = Callable[[str], PostgresLedger]


async def leave_rows(ledger: PostgresLedger) -> PostgresLedger:
    """A reserved, a sent, an in-doubt and a released call, each of 10."""
    session = ledger.session
    for name in ("reserved", "sent", "in_doubt", "settled"):
        cap = meter(limit=10_000)
        wanted = reservation(session, 10, meters=[cap], call_id=f"{session} {name}", send=name != "reserved")
        await ledger.reserve(wanted)
    ledger.conclude(Conclusion(f"{session} in_doubt", Event.DOUBT))
    ledger.conclude(Conclusion(f"{session} settled", Event.RELEASE))
    await ledger.flush()
    return ledger


def expire(cluster: Cluster, database: str, session: str) -> None:
    """Let a session seem silent for just too long, as a process does that was stopped."""
    cluster.execute(f"UPDATE jecp_mcp.session SET seen = seen - 60001 WHERE id = '{session}'", database)


async def test_a_dead_sessions_rows_are_released_or_taken_over(open_one: Opener) -> None:
    await (await leave_rows(open_one("dead"))).close()
    ledger = open_one("living")
    rows = await ledger.adopt_orphans()
    assert [(row.call_id, row.state, row.session) for row in rows] == [
        ("dead sent", State.IN_DOUBT, "living"),
        ("dead in_doubt", State.IN_DOUBT, "living"),
    ]
    released = await ledger.row("dead reserved")
    assert released is not None
    assert released.state is State.RELEASED
    assert [one.used for one in await ledger.readings([meter()])] == [20]
    assert [one.event for one in await ledger.events("dead sent")] == ["reserve", "doubt", "adopt"]
    assert [row.call_id for row in await ledger.adopt_orphans()] == ["dead sent", "dead in_doubt"]
    assert (await ledger.audit()).findings == ()
    await ledger.close()


async def test_a_living_sessions_rows_are_left_alone(open_one: Opener) -> None:
    living, other = await leave_rows(open_one("living")), open_one("other")
    assert await other.adopt_orphans() == []
    row = await other.row("living sent")
    assert row is not None
    assert (row.state, row.session) == (State.SENT, "living")
    await living.close()
    await other.close()


async def test_replicas_that_adopt_at_once_share_the_dead_and_never_own_one_row_twice(
    open_one: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "_ADOPTED_AT_ONCE", 2)
    for number in range(6):
        await (await leave_rows(open_one(f"dead{number}"))).close()
    living = [open_one(f"living{number}") for number in range(4)]
    taken = await asyncio.gather(*(ledger.adopt_orphans() for ledger in living))
    names = [row.call_id for rows in taken for row in rows]
    assert len(names) == len(set(names)) == 12
    for ledger, rows in zip(living, taken, strict=True):
        assert {row.session for row in rows} <= {ledger.session}
        assert len(await ledger.adopt_orphans()) == len(rows)
    assert (await living[0].audit()).findings == ()
    for ledger in living:
        await ledger.close()


async def test_a_session_that_was_silent_too_long_loses_its_calls_and_goes_on(
    open_one: Opener, cluster: Cluster, database: str
) -> None:
    stopped, other = await leave_rows(open_one("stopped")), open_one("other")
    expire(cluster, database, "stopped")
    assert [row.call_id for row in await other.adopt_orphans()] == ["stopped sent", "stopped in_doubt"]
    assert not await stopped.send("stopped reserved")
    with pytest.raises(LedgerError, match="cannot happen"):
        await stopped.conclude_now(Conclusion("stopped sent", Event.SETTLE))
    assert isinstance(await stopped.reserve(reservation("stopped")), Admitted)
    assert [row.call_id for row in await stopped.adopt_orphans()] == []
    await stopped.close()
    await other.close()


async def test_while_its_calls_are_being_taken_over_a_session_reserves_nothing(
    open_one: Opener, cluster: Cluster, database: str
) -> None:
    stopped, heir, second = await leave_rows(open_one("stopped")), open_one("heir"), open_one("second")
    expire(cluster, database, "stopped")
    assert await heir._in_thread(heir._server.claim) == ["stopped"]
    with pytest.raises(LedgerUnavailable, match="taking over"):
        await stopped.reserve(reservation("stopped"))
    assert await second.adopt_orphans() == []
    assert len(await heir.adopt_orphans()) == 2
    assert isinstance(await stopped.reserve(reservation("stopped")), Admitted)
    for ledger in (stopped, heir, second):
        await ledger.close()


async def test_a_heir_that_dies_is_inherited_from(open_one: Opener, cluster: Cluster, database: str) -> None:
    await (await leave_rows(open_one("dead"))).close()
    heir, last = open_one("heir"), open_one("last")
    assert await heir._in_thread(heir._server.claim) == ["dead"]
    assert await last.adopt_orphans() == []
    expire(cluster, database, "dead")
    assert len(await last.adopt_orphans()) == 2
    await heir.close()
    await last.close()


async def test_a_session_in_use_is_refused_to_a_second_process(open_one: Opener) -> None:
    first, second = open_one("same"), open_one("same")
    await first.reserve(reservation("same"))
    with pytest.raises(LedgerError, match="is another process"):
        await second.reserve(reservation("same"))
    await second.close()
    await first.close()


async def test_nothing_of_the_dead_is_left(open_one: Opener, cluster: Cluster, database: str) -> None:
    await (await leave_rows(open_one("dead"))).close()
    living = open_one("living")
    await living.adopt_orphans()
    assert cluster.execute("SELECT id FROM jecp_mcp.session", database) == [("living",)]
    await living.close()


async def test_a_process_that_lives_says_so_again_and_again(
    cluster: Cluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "BEAT_SECONDS", 0.01)
    living = open_server(database, "living")
    await living.reserve(reservation("living"))
    expire(cluster, database, "living")
    async with asyncio.timeout(10):
        while cluster.execute("SELECT seen < jecp_mcp.lease_ms() - 60000 FROM jecp_mcp.session", database)[0][0]:
            await asyncio.sleep(0.01)
    await living.close()


async def test_a_session_whose_row_is_gone_is_dead_all_the_same(
    open_one: Opener, cluster: Cluster, database: str
) -> None:
    await (await leave_rows(open_one("dead"))).close()
    cluster.execute("DELETE FROM jecp_mcp.session", database)
    living = open_one("living")
    assert len(await living.adopt_orphans()) == 2
    await living.close()
