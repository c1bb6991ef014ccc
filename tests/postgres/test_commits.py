"""A connection that breaks during COMMIT: what was written is found, what was not is made again, and never both."""

import asyncio

import pytest

from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import LedgerUnavailable
from jecp_mcp.mandate.postgres.ledger import PostgresLedger
from jecp_mcp.mandate.records import Admitted, AlreadyOpen, Conclusion
from jecp_mcp.mandate.states import State
from jecp_mcp.money import MicroUSDC
from tests.postgres.cluster import Cluster
from tests.postgres.fixtures import open_server
from tests.postgres.proxy import AFTER, BEFORE, Proxy
from tests.unit.mandate.reservations import everything, meter, reservation

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def states(cluster: Cluster, database: str) -> dict[str, str]:
    """Every call as it stands on the server, whatever this process believes."""
    return dict(cluster.execute("SELECT call_id, state FROM jecp_mcp.call ORDER BY id", database))


async def check(ledger: PostgresLedger) -> None:
    assert (await ledger.audit()).findings == ()


@pytest.mark.parametrize("when", [BEFORE, AFTER])
async def test_a_reservation_whose_commit_was_cut_off_is_there_once(
    behind: PostgresLedger, proxy: Proxy, when: str
) -> None:
    proxy.break_at_commit(when)
    cap = meter(limit=10)
    assert isinstance(await behind.reserve(reservation("behind", 10, meters=[cap])), Admitted)
    assert proxy.broke.is_set()
    assert (await behind.totals()).calls == 1
    assert [one.event for one in await behind.events()] == ["meter", "reserve"]
    assert [one.used for one in await behind.readings([cap])] == [10]
    await check(behind)


async def test_a_reservation_not_known_to_be_written_is_refused_and_released_when_the_server_is_back(
    behind: PostgresLedger, proxy: Proxy, cluster: Cluster, database: str, impatient: None
) -> None:
    cap = meter(limit=10)
    wanted = reservation("behind", 10, meters=[cap], fingerprint="f")
    proxy.break_at_commit(AFTER, then_open=False)
    with pytest.raises(LedgerUnavailable):
        await behind.reserve(wanted)
    assert await states(cluster, database) == {wanted.call_id: State.SENT}
    proxy.open()
    again = await behind.reserve(reservation("behind", 10, meters=[cap], fingerprint="f", call_id="again"))
    assert isinstance(again, Admitted)
    assert await states(cluster, database) == {wanted.call_id: State.RELEASED, "again": State.SENT}
    row = await behind.row(wanted.call_id)
    assert row is not None
    assert row.evidence is not None
    assert "nothing was sent" in row.evidence
    await check(behind)


async def test_a_refused_reservation_is_released_without_any_other_call(
    behind: PostgresLedger, proxy: Proxy, cluster: Cluster, database: str, impatient: None
) -> None:
    wanted = reservation("behind")
    proxy.break_at_commit(AFTER, then_open=False)
    with pytest.raises(LedgerUnavailable):
        await behind.reserve(wanted)
    proxy.open()
    await behind.flush()
    assert await states(cluster, database) == {wanted.call_id: State.RELEASED}


async def test_a_refused_reservation_that_was_never_written_leaves_nothing(
    behind: PostgresLedger, proxy: Proxy, cluster: Cluster, database: str, impatient: None
) -> None:
    proxy.break_at_commit(BEFORE, then_open=False)
    with pytest.raises(LedgerUnavailable):
        await behind.reserve(reservation("behind"))
    proxy.open()
    await behind.flush()
    assert await states(cluster, database) == {}
    await check(behind)


async def test_a_release_that_is_cut_off_too_is_made_once(
    behind: PostgresLedger, proxy: Proxy, cluster: Cluster, database: str, impatient: None
) -> None:
    wanted = reservation("behind")
    proxy.break_at_commit(AFTER, then_open=False)
    with pytest.raises(LedgerUnavailable):
        await behind.reserve(wanted)
    for when in (BEFORE, AFTER):
        proxy.break_at_commit(when, then_open=False)
        proxy.open()
        with pytest.raises(LedgerUnavailable):
            await behind.flush()
    proxy.open()
    await behind.flush()
    assert [one.event for one in await behind.events()] == ["reserve", "release"]
    await check(behind)


async def test_a_call_not_known_to_be_marked_as_sent_is_released(
    behind: PostgresLedger, proxy: Proxy, impatient: None
) -> None:
    wanted = reservation("behind", send=False)
    await behind.reserve(wanted)
    proxy.break_at_commit(AFTER, then_open=False)
    with pytest.raises(LedgerUnavailable):
        await behind.send(wanted.call_id)
    proxy.open()
    await behind.flush()
    assert [one.event for one in await behind.events()] == ["reserve", "send", "release"]


@pytest.mark.parametrize("when", [BEFORE, AFTER])
async def test_what_was_queued_is_written_once(
    behind: PostgresLedger, proxy: Proxy, when: str, impatient: None
) -> None:
    wanted = reservation("behind")
    await behind.reserve(wanted)
    behind.conclude(Conclusion(wanted.call_id, Verdict.IN_DOUBT, evidence="lost"))
    behind.conclude(Conclusion(wanted.call_id, Verdict.IN_DOUBT, evidence="lost again"))
    proxy.break_at_commit(when, then_open=False)
    with pytest.raises(LedgerUnavailable):
        await behind.flush()
    proxy.open()
    await behind.flush()
    row = await behind.row(wanted.call_id)
    assert row is not None
    assert (row.state, row.attempts, row.evidence) == (State.IN_DOUBT, 2, "lost again")
    assert [one.event for one in await behind.events()] == ["reserve", "doubt", "doubt"]
    await check(behind)


@pytest.mark.parametrize("when", [BEFORE, AFTER])
async def test_what_was_found_written_is_not_written_again_when_the_line_breaks_once_more(
    behind: PostgresLedger, proxy: Proxy, when: str, impatient: None
) -> None:
    wanted = reservation("behind")
    await behind.reserve(wanted)
    behind.conclude(Conclusion(wanted.call_id, Verdict.IN_DOUBT, evidence="lost"))
    proxy.break_at_commit(AFTER, then_open=False)
    with pytest.raises(LedgerUnavailable):
        await behind.flush()
    proxy.break_at_commit(when, then_open=False)
    proxy.open()
    behind.conclude(Conclusion(wanted.call_id, Verdict.IN_DOUBT, evidence="lost again"))
    with pytest.raises(LedgerUnavailable):
        await behind.flush()
    assert proxy.broke.wait(60)
    proxy.open()
    await behind.flush()
    row = await behind.row(wanted.call_id)
    assert row is not None
    assert (row.attempts, row.evidence) == (2, "lost again")
    assert [one.event for one in await behind.events()] == ["reserve", "doubt", "doubt"]
    await check(behind)


async def test_every_caller_of_a_batch_that_was_cut_off_hears_what_became_of_it(
    behind: PostgresLedger, proxy: Proxy
) -> None:
    proxy.break_at_commit(AFTER)
    admissions = await asyncio.gather(*(behind.reserve(reservation("behind", fingerprint="f")) for _ in range(5)))
    assert proxy.broke.is_set()
    first, *others = admissions
    assert isinstance(first, Admitted)
    assert [one.row.call_id for one in others if isinstance(one, AlreadyOpen)] == [first.call_id] * 4


async def test_a_process_that_dies_not_knowing_leaves_the_call_in_doubt(
    behind: PostgresLedger, proxy: Proxy, database: str, impatient: None
) -> None:
    wanted = reservation("behind", 10)
    proxy.break_at_commit(AFTER, then_open=False)
    with pytest.raises(LedgerUnavailable):
        await behind.reserve(wanted)
    with pytest.raises(LedgerUnavailable):
        await behind.close()
    heir = open_server(database, "heir")
    assert await heir.adopt_orphans(everything) == []  # its lease has not run out yet
    await heir._reader.run(
        lambda: heir._server.read(lambda link: link.query("UPDATE jecp_mcp.session SET seen = seen - 60001"))
    )
    assert [(row.call_id, row.state) for row in await heir.adopt_orphans(everything)] == [
        (wanted.call_id, State.IN_DOUBT)
    ]
    heir.conclude(Conclusion(wanted.call_id, Verdict.CHARGED, MicroUSDC(10)))
    await check(heir)
    await heir.close()
