"""Bodies of megabytes over slow lines: they go beside what others write, and what is promised of them is there."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest
from pydantic import SecretStr

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import LedgerUnavailable, TooManyWait
from jecp_mcp.mandate import grant_rules
from jecp_mcp.mandate.grants import Grant, GrantKind, GrantRef, GrantState
from jecp_mcp.mandate.postgres import body_uploads
from jecp_mcp.mandate.postgres.bodies import PART
from jecp_mcp.mandate.postgres.ledger import PostgresLedger
from jecp_mcp.mandate.records import (
    Admitted,
    AlreadyOpen,
    CallRow,
    Conclusion,
    Undelivered,
)
from jecp_mcp.mandate.states import State
from jecp_mcp.money import MicroUSDC
from tests.postgres.cluster import Cluster
from tests.postgres.fixtures import ServerClock, open_server
from tests.postgres.proxy import Proxy
from tests.unit.mandate.reservations import START, everything, meter, reservation

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

TEN_MBIT = 10_000_000 / 8
MB = 1_000_000


def body(size: int) -> bytes:
    """Bytes that no line can make fewer of."""
    return random.Random(size).randbytes(size)


def settled(call_id: str, answer: bytes | None) -> Conclusion:
    return Conclusion(call_id, Verdict.CHARGED, MicroUSDC(5), claim=0, answer=answer)


async def buy_while(ledger: PostgresLedger, going_on: Callable[[], object]) -> int:
    """Buy, one call after the other, and say how many were bought and paid for while something went on."""
    bought = 0
    while going_on():
        wanted = reservation(ledger.session, 10, meters=[meter(limit=10_000_000)])
        assert isinstance(await ledger.reserve(wanted), Admitted)
        await ledger.conclude_now(settled(wanted.call_id, b"small"))
        bought += bool(going_on())
    return bought


@pytest.mark.parametrize("size", [3 * MB, pytest.param(50 * MB, marks=pytest.mark.slow)])
async def test_purchases_go_on_while_a_large_answer_is_on_its_way(
    behind: PostgresLedger, proxy: Proxy, size: int
) -> None:
    large = reservation("behind", 10, meters=[meter(limit=10_000_000)])
    await behind.reserve(large)
    proxy.throttle(TEN_MBIT)
    before = proxy.carried
    answer = body(size)
    behind.conclude(settled(large.call_id, answer))
    bought = await buy_while(behind, lambda: behind._uploads.calls)
    assert bought >= 5
    assert size < proxy.carried - before < 1.1 * size + bought * 20_000
    await behind.flush()
    proxy.throttle(None)
    row = await behind.row(large.call_id)
    assert row is not None
    assert (row.state, row.charged, row.answered) == (State.SETTLED, 5, True)
    assert row.answer == answer
    assert (await behind.audit()).findings == ()


@pytest.mark.parametrize("size", [MB, pytest.param(50 * MB, marks=pytest.mark.slow)])
async def test_purchases_go_on_while_a_large_answer_is_read(behind: PostgresLedger, proxy: Proxy, size: int) -> None:
    large = reservation("behind", fingerprint="large")
    await behind.reserve(large)
    behind.conclude(settled(large.call_id, body(size)))
    await behind.flush()
    proxy.throttle(TEN_MBIT)
    repeat = asyncio.ensure_future(behind.reserve(reservation("behind", fingerprint="large")))
    bought = await buy_while(behind, lambda: not repeat.done())
    assert bought >= 2
    undelivered = await repeat
    assert isinstance(undelivered, Undelivered)
    assert undelivered.row.answer == body(size)


async def test_a_line_that_breaks_while_an_answer_is_on_its_way_goes_on_where_it_was(
    behind: PostgresLedger, proxy: Proxy
) -> None:
    wanted = reservation("behind")
    await behind.reserve(wanted)
    before = proxy.carried
    proxy.break_after(2 * MB)
    behind.conclude(settled(wanted.call_id, body(4 * MB)))
    with pytest.raises(LedgerUnavailable):
        await behind.flush()
    assert proxy.broke.is_set()
    proxy.open()
    await behind.flush()
    assert proxy.carried - before < 4 * MB + 2 * PART
    row = await behind.row(wanted.call_id)
    assert row is not None
    assert (row.state, row.answer) == (State.SETTLED, body(4 * MB))


async def test_a_process_that_ends_before_its_answer_is_there_has_promised_nothing(
    proxy: Proxy, cluster: Cluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_uploads, "_LONGEST_FAREWELL", 0.1)
    dying = open_server(proxy.url, "dying")
    wanted = reservation("dying", 10, meters=[meter()], fingerprint="print")
    await dying.reserve(wanted)
    proxy.throttle(TEN_MBIT)
    dying.conclude(settled(wanted.call_id, body(20 * MB)))
    async with asyncio.timeout(30):
        while not cluster.execute("SELECT FROM jecp_mcp.part", database):
            await asyncio.sleep(0)
    # A living process's answer that is on its way is work: its call is nobody's to ask for again, its own neither.
    assert await dying.adopt_orphans(everything) == []
    with pytest.raises(LedgerUnavailable, match="whoever takes its call over asks for it again"):
        await dying.close()
    proxy.throttle(None)
    heir = open_server(database, "heir")
    cluster.execute("UPDATE jecp_mcp.session SET seen = 0 WHERE id = 'dying'", database)
    assert [(row.call_id, row.state, row.answered) for row in await heir.adopt_orphans(everything)] == [
        (wanted.call_id, State.IN_DOUBT, False)
    ]
    assert isinstance(await heir.reserve(reservation("heir", fingerprint="print")), AlreadyOpen)
    heir.conclude(replace(settled(wanted.call_id, body(MB)), claim=1))
    await heir.flush()
    assert (await heir.audit()).findings == ()
    cluster.execute("UPDATE jecp_mcp.part SET at = at - 90000000", database)
    await heir.prune(START)
    row = await heir.row(wanted.call_id)
    assert row is not None
    assert row.answer == body(MB)
    # Of what the first one sent nothing is left.
    assert cluster.execute("SELECT count(*) FROM jecp_mcp.part", database) == [(-(-MB // PART),)]
    assert (await heir.audit()).findings == ()
    await heir.close()


async def test_an_answer_that_the_server_refuses_is_told_and_its_charge_is_written(
    behind: PostgresLedger, cluster: Cluster, database: str
) -> None:
    wanted = reservation("behind", 10)
    await behind.reserve(wanted)
    cluster.execute(
        "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'not this one' USING ERRCODE = '22000'; END $$;"
        "CREATE TRIGGER refuses BEFORE INSERT ON jecp_mcp.part EXECUTE FUNCTION public.refuse()",
        database,
    )
    behind.conclude(settled(wanted.call_id, body(MB)))
    await behind.flush()
    row = await behind.row(wanted.call_id)
    assert row is not None
    assert (row.state, row.charged, row.answered, row.answer) == (State.SETTLED, 5, False, None)
    assert row.evidence is not None
    assert "its answer could not be kept" in row.evidence
    assert "not this one" in row.evidence


async def test_an_answer_that_is_longer_than_any_may_be_is_told_and_its_charge_is_written(
    behind: PostgresLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_uploads, "LONGEST", MB)
    wanted = reservation("behind", 10)
    await behind.reserve(wanted)
    behind.conclude(replace(settled(wanted.call_id, body(MB + 1)), evidence="the Hub said so"))
    row = await behind.row(wanted.call_id)
    assert row is not None
    assert (row.state, row.answered) == (State.SETTLED, False)
    assert row.evidence == "the Hub said so; its answer of 1000001 bytes is too long to be kept"


async def test_large_requests_and_prepared_calls_come_back_whole(
    behind: PostgresLedger, cluster: Cluster, database: str
) -> None:
    other = open_server(database, "other")
    grant = Grant(GrantKind.PREPARED, "id", "local", "print", GrantState.GRANTED, body(MB), START, START)
    await behind.write_grant(grant)
    found = await other.grant(GrantRef(GrantKind.PREPARED, "id"))
    assert found is not None
    assert found.body == body(MB)
    wanted = reservation("behind", fingerprint="print", request=body(5 * MB))
    assert isinstance(await behind.reserve(wanted), Admitted)
    parts = cluster.execute("SELECT upload, number FROM jecp_mcp.part ORDER BY 1, 2", database)
    admission = await other.reserve(reservation("other", fingerprint="print", request=body(5 * MB)))
    assert isinstance(admission, AlreadyOpen)
    assert admission.row.request == body(5 * MB)
    # What was sent for the call that was not bought a second time is not kept.
    assert cluster.execute("SELECT upload, number FROM jecp_mcp.part ORDER BY 1, 2", database) == parts
    assert (await other.audit()).findings == ()
    await other.close()


async def test_what_was_sent_of_a_grant_that_is_refused_or_dropped_goes_with_it(
    behind: PostgresLedger, cluster: Cluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepared(grant_id: str) -> Grant:
        expires = UnixMs(START + 900_000)
        return Grant(GrantKind.PREPARED, grant_id, "local", grant_id, GrantState.GRANTED, body(MB), START, expires)

    monkeypatch.setattr(grant_rules, "MOST_GRANT_BYTES", 2 * MB)
    for grant_id in ("one", "two"):
        await behind.write_grant(prepared(grant_id))
    parts = cluster.execute("SELECT upload, number FROM jecp_mcp.part ORDER BY 1, 2", database)
    with pytest.raises(TooManyWait, match="2 prepared calls of 2000000 bytes wait already"):
        await behind.write_grant(prepared("three"))
    assert cluster.execute("SELECT upload, number FROM jecp_mcp.part ORDER BY 1, 2", database) == parts
    cluster.execute("UPDATE jecp_mcp.slip SET expires_at = 1 WHERE slip_id = 'one'", database)
    await behind.write_grant(prepared("three"))
    assert await behind.grant(GrantRef(GrantKind.PREPARED, "one")) is None
    assert cluster.execute("SELECT count(DISTINCT upload) FROM jecp_mcp.part", database) == [(2,)]


async def test_bodies_beyond_the_bound_go_oldest_first_and_those_that_nobody_received_last(
    database: str, clock: ServerClock, cluster: Cluster
) -> None:
    ledger = PostgresLedger(SecretStr(database), "session", most_kept=2 * MB + MB // 2)
    names = [f"call {number}" for number in range(5)]
    for name in names:
        await ledger.reserve(reservation("session", call_id=name))
        ledger.conclude(settled(name, body(MB)))
        await ledger.flush()
        if name != "call 0":
            ledger.note_delivery(name)
    await ledger.flush()
    await ledger.trim()
    kept = [(await ledger.row(name)).answer is not None for name in names]  # type: ignore[union-attr]
    assert kept == [True, False, False, False, True]
    assert cluster.execute("SELECT kept <= 2500000 FROM jecp_mcp.head", database) == [(True,)]
    assert (await ledger.audit()).findings == ()
    await ledger.close()


async def test_an_answer_whose_parts_are_gone_is_no_answer(
    ledger: PostgresLedger, cluster: Cluster, database: str
) -> None:
    await ledger.reserve(reservation("session", call_id="a", fingerprint="f"))
    await ledger.conclude_now(settled("a", body(MB)))
    row = await ledger.row("a")
    assert row is not None
    assert row.answer == body(MB)
    cluster.execute("DELETE FROM jecp_mcp.part WHERE number = 2", database)
    row = await ledger.row("a")
    assert row is not None
    assert (row.state, row.answered, row.answer) == (State.SETTLED, True, None)


async def test_a_part_that_a_server_never_takes_is_given_up_and_sent_later(
    behind: PostgresLedger, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await behind.reserve(reservation("behind", call_id="a"))
    monkeypatch.setattr(body_uploads, "_LONGEST_PART", 0.2)
    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE jecp_mcp.part IN ACCESS EXCLUSIVE MODE")
        behind.conclude(settled("a", body(MB)))
        async with asyncio.timeout(25):
            with pytest.raises(LedgerUnavailable, match="cannot be reached"):
                await behind.flush()
    monkeypatch.setattr(body_uploads, "_LONGEST_PART", 60.0)
    await behind.flush()
    row = await behind.row("a")
    assert row is not None
    assert (row.state, row.answer) == (State.SETTLED, body(MB))


def test_a_large_answer_that_comes_where_no_loop_runs_is_sent_with_what_comes_next(database: str) -> None:
    ledger = open_server(database, "session")

    async def reserve() -> None:
        await ledger.reserve(reservation("session", call_id="a"))

    async def flush_and_close() -> CallRow | None:
        await ledger.flush()
        row = await ledger.row("a")
        await ledger.close()
        return row

    asyncio.run(reserve())
    ledger.conclude(settled("a", body(MB)))
    row = asyncio.run(flush_and_close())
    assert row is not None
    assert (row.state, row.answer) == (State.SETTLED, body(MB))
