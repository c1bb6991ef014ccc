"""What the ledger in PostgreSQL does where hardly anybody gets, each way in by a real server and a real line to it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest
from pydantic import SecretStr

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import LedgerDamaged, LedgerError, LedgerUnavailable
from jecp_mcp.mandate import commands
from jecp_mcp.mandate.grants import Grant, GrantKind, GrantRef, GrantState
from jecp_mcp.mandate.postgres import connection, heartbeat, read_thread, server
from jecp_mcp.mandate.postgres.connection import Connection
from jecp_mcp.mandate.postgres.ledger import PostgresLedger
from jecp_mcp.mandate.records import Admitted, Conclusion, OverLimit
from jecp_mcp.mandate.states import State
from jecp_mcp.mandate.windows import Window
from jecp_mcp.money import MicroUSDC
from tests.postgres.cluster import Cluster
from tests.postgres.fixtures import ServerClock, open_server
from tests.postgres.proxy import AFTER, BEFORE, Proxy
from tests.unit.mandate.reservations import START, meter, reservation

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

GRANT = Grant(GrantKind.APPROVAL, "AAAA-BBBB", "local", "print", GrantState.ASKED, b"{}", START, UnixMs(START + 60_000))


# --- a server that does not answer -----------------------------------------------------------------------------------


async def test_a_batch_that_a_server_takes_too_long_over_is_broken_off_and_outlived(
    behind: PostgresLedger, database: str, monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    # The server itself would give up later than this waits.
    patient = connection._OPENING.replace("'5s'", "'100s'").replace("'10s'", "'100s'")
    assert patient.count("'100s'") == 2
    monkeypatch.setattr(connection, "_OPENING", patient)
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.05)
    await behind.reserve(reservation("behind"))
    monkeypatch.setattr(heartbeat, "STUCK_SECONDS", 0.1)
    with psycopg.connect(database) as other:
        other.execute("SELECT FROM jecp_mcp.head FOR UPDATE")
        async with asyncio.timeout(60):
            with pytest.raises(LedgerUnavailable, match="cannot be reached"):
                await behind.reserve(reservation("behind"))
    monkeypatch.setattr(heartbeat, "STUCK_SECONDS", 60)
    assert isinstance(await behind.reserve(reservation("behind")), Admitted)


async def test_a_read_that_a_server_never_answers_is_given_up_the_second_time_too(
    behind: PostgresLedger, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await behind.reserve(reservation("behind"))
    monkeypatch.setattr(read_thread, "_LONGEST_READ", 0.2)
    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE jecp_mcp.tally IN ACCESS EXCLUSIVE MODE")
        async with asyncio.timeout(25):
            with pytest.raises(LedgerUnavailable, match="cannot be reached"):
                await behind.totals()
    monkeypatch.setattr(read_thread, "_LONGEST_READ", 30.0)
    assert (await behind.totals()).calls == 1


async def test_nothing_is_broken_off_where_nothing_is_open(proxy: Proxy) -> None:
    proxy.shut()
    ledger = open_server(proxy.url, "alone")
    with pytest.raises(LedgerUnavailable):
        await ledger.totals()
    ledger._server.reader.break_off()
    ledger._server.break_off_after(0)
    await ledger.close()


def test_a_line_that_breaks_while_a_transaction_is_left_is_given_up(proxy: Proxy) -> None:
    link = Connection.open(proxy.url)
    link.lock()
    proxy.shut()
    link.rollback()
    assert link.broken
    # And once more, from whoever believed that it still waits.
    link.break_off()


async def test_a_batch_that_is_rolled_back_again_and_again_is_refused_without_a_fault_of_the_ledger(
    behind: PostgresLedger, cluster: Cluster, database: str, impatient: None
) -> None:
    await behind.reserve(reservation("behind"))
    cluster.execute(
        "CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'always' USING ERRCODE = '40P01'; END $$;"
        "CREATE TRIGGER fails AFTER INSERT ON jecp_mcp.call EXECUTE FUNCTION public.fail()",
        database,
    )
    with pytest.raises(LedgerUnavailable, match="is busy: always"):
        await behind.reserve(reservation("behind"))
    assert behind.fault is None
    cluster.execute("DROP TRIGGER fails ON jecp_mcp.call", database)
    assert isinstance(await behind.reserve(reservation("behind")), Admitted)


# --- a server that is not what it should be --------------------------------------------------------------------------


async def test_a_database_that_cannot_hold_every_text_is_refused(cluster: Cluster) -> None:
    cluster.execute("DROP DATABASE IF EXISTS narrow")
    cluster.execute("CREATE DATABASE narrow TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'")
    ledger = open_server(cluster.url("narrow"), "session")
    with pytest.raises(LedgerUnavailable, match="encoding is SQL_ASCII; create the database with ENCODING 'UTF8'"):
        await ledger.totals()
    await ledger.close()


async def test_a_driver_that_does_not_load_is_a_fault_and_not_a_crash(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "jecp_mcp.mandate.postgres.connection", None)
        ledger = open_server(database, "session")
        with pytest.raises(LedgerUnavailable, match="psycopg does not load"):
            await ledger.totals()
    assert (await ledger.totals()).calls == 0
    await ledger.close()


async def test_a_row_that_cannot_be_read_is_damage(ledger: PostgresLedger, cluster: Cluster, database: str) -> None:
    await ledger.reserve(reservation("session"))
    for (name,) in cluster.execute(
        "SELECT conname FROM pg_constraint WHERE conrelid = 'jecp_mcp.call'::regclass AND contype = 'c'", database
    ):
        cluster.execute(f'ALTER TABLE jecp_mcp.call DROP CONSTRAINT "{name}"', database)
    cluster.execute("UPDATE jecp_mcp.call SET state = 'gone'", database)
    with pytest.raises(LedgerDamaged, match="damaged: 'gone'"):
        await ledger.rows()
    assert isinstance(ledger.fault, LedgerDamaged)


async def test_what_cannot_be_written_now_does_not_keep_the_books_from_being_read(
    ledger: PostgresLedger, cluster: Cluster, database: str
) -> None:
    wanted = reservation("session", 10, meters=[meter()])
    await ledger.reserve(wanted)
    cluster.execute("ALTER TABLE jecp_mcp.slot RENAME TO hidden", database)
    ledger.conclude(Conclusion(wanted.call_id, Verdict.NOT_CHARGED))
    row = await ledger.row(wanted.call_id)
    assert row is not None
    assert row.state is State.SENT
    cluster.execute("ALTER TABLE jecp_mcp.hidden RENAME TO slot", database)
    await ledger.flush()  # a read waits for it a tenth of a second
    row = await ledger.row(wanted.call_id)
    assert row is not None
    assert row.state is State.RELEASED


async def test_a_meter_that_counts_more_than_its_slots_hold_names_no_time_at_which_there_is_room(
    ledger: PostgresLedger, cluster: Cluster, database: str
) -> None:
    cap = meter(limit=100)
    await ledger.reserve(reservation("session", 10, meters=[cap]))
    cluster.execute("UPDATE jecp_mcp.meter SET used = 1000", database)
    over = await ledger.reserve(reservation("session", 10, meters=[cap]))
    assert isinstance(over, OverLimit)
    assert (over.used, over.resets_at) == (1000, None)


# --- batches of several ----------------------------------------------------------------------------------------------


async def test_what_was_written_before_a_batch_broke_off_is_told_as_written(
    ledger: PostgresLedger, cluster: Cluster, database: str
) -> None:
    await ledger.reserve(reservation("session"))
    cluster.execute("ALTER FUNCTION jecp_mcp.prune RENAME TO hidden", database)
    # To prune has a transaction to itself: the reservation before it has been written by then.
    prune = commands.Prune(UnixMs(START), 0, 10)
    outcomes = await asyncio.gather(
        ledger.reserve(reservation("session", call_id="first")), ledger._writer.do(prune), return_exceptions=True
    )
    assert [type(one) for one in outcomes] == [Admitted, LedgerDamaged]
    cluster.execute("ALTER FUNCTION jecp_mcp.hidden RENAME TO prune", database)
    assert await ledger._writer.do(prune) == 0
    assert (await ledger.totals()).calls == 2


async def test_old_bodies_go_in_portions(
    ledger: PostgresLedger, clock: ServerClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PostgresLedger, "PRUNED_AT_ONCE", 2)
    for number in range(5):
        await ledger.reserve(reservation("session", call_id=f"{number}"))
        ledger.conclude(Conclusion(f"{number}", Verdict.NOT_CHARGED))
    await ledger.flush()
    clock.forward(hours=1)
    assert await ledger.prune(clock.now()) == 5
    assert await ledger.prune(clock.now()) == 0


async def test_a_caller_who_left_before_it_was_refused_leaves_nothing(ledger: PostgresLedger, database: str) -> None:
    await ledger.reserve(reservation("session"))
    with psycopg.connect(database) as other:
        other.execute("SELECT FROM jecp_mcp.head FOR UPDATE")
        leaving = asyncio.ensure_future(ledger.reserve(reservation("session", 10, meters=[meter(limit=1)])))
        for _ in range(10):
            await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
    await ledger.flush()
    assert [one.event for one in await ledger.events()] == ["reserve", "meter"]


async def test_amounts_that_no_column_holds_are_errors_of_their_calls_alone(ledger: PostgresLedger) -> None:
    with pytest.raises(LedgerError, match="the quote is out of bounds"):
        await ledger.reserve(replace(reservation("session"), quoted=MicroUSDC(2**70)))
    wanted = reservation("session")
    await ledger.reserve(wanted)
    for end in (
        Conclusion(wanted.call_id, Verdict.CHARGED, MicroUSDC(2**70)),
        Conclusion(wanted.call_id, Verdict.CHARGED, balance_after=MicroUSDC(2**70)),
    ):
        with pytest.raises(LedgerError, match="an amount is out of bounds"):
            await ledger.conclude_now(end)
    assert (await ledger.audit()).findings == ()


async def test_bodies_that_are_too_much_go_in_portions_and_those_that_nobody_received_last(
    database: str, clock: ServerClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PostgresLedger, "TRIMMED_AT_ONCE", 2)
    ledger = PostgresLedger(SecretStr(database), "session", most_kept=250)
    for number in range(6):
        await ledger.reserve(reservation("session", call_id=f"{number}"))
        await ledger.conclude_now(Conclusion(f"{number}", Verdict.NOT_CHARGED, answer=b"x" * 98))
        if number > 2:
            ledger.note_delivery(f"{number}")
    assert await ledger.trim() == 4
    assert [row.call_id for row in await ledger.rows() if row.answer is not None] == ["2", "1"]
    assert [one.facts["calls"] for one in await ledger.events() if one.event == "trim"] == [2, 2]
    assert await ledger.trim() == 0
    assert (await ledger.audit()).findings == ()
    await ledger.close()


async def test_a_grant_that_the_server_cannot_take_now_is_refused_and_can_be_written_later(
    behind: PostgresLedger, proxy: Proxy, impatient: None
) -> None:
    proxy.shut()
    with pytest.raises(LedgerUnavailable, match="cannot be reached"):
        await behind.write_grant(GRANT)
    proxy.open()
    assert (await behind.write_grant(GRANT)).grant_id == GRANT.grant_id


async def test_two_caps_of_one_name_are_refused_together(ledger: PostgresLedger) -> None:
    with pytest.raises(LedgerError, match="two caps share one meter"):
        await ledger.reserve(reservation("session", 10, meters=[meter(), meter()]))
    assert (await ledger.totals()).calls == 0


async def test_a_session_s_limit_is_left_as_it_is_when_the_clock_is_trusted_again(
    ledger: PostgresLedger, clock: ServerClock
) -> None:
    caps = [meter(Window.SESSION), meter(Window.HOUR)]
    await ledger.reserve(reservation("session", 10, meters=caps))
    clock.forward(hours=3)
    await ledger.reserve(reservation("session", 5, meters=caps))
    clock.forward(hours=-3)
    await ledger.trust_clock()
    assert [one.used for one in await ledger.readings(caps)] == [15, 15]
    assert (await ledger.audit()).findings == ()


async def test_what_no_column_can_hold_is_not_looked_for(ledger: PostgresLedger) -> None:
    assert await ledger.grant(GrantRef(GrantKind.APPROVAL, "a\0b")) is None
    assert await ledger.events("a\0b") == []
    with pytest.raises(LedgerError, match="cannot hold a value: UnicodeEncodeError"):
        await ledger.has_paid("half of a \ud83d", "jecp", "account", "docs")
    assert ledger.fault is None


async def test_a_limit_whose_name_no_column_can_hold_is_refused(ledger: PostgresLedger) -> None:
    with pytest.raises(LedgerError, match="a limit's name has a NUL or a lone surrogate"):
        await ledger.reserve(reservation("session", meters=[meter(key="a\0b")]))
    assert (await ledger.totals()).calls == 0


async def test_a_meter_that_somebody_changed_is_found(ledger: PostgresLedger, cluster: Cluster, database: str) -> None:
    await ledger.reserve(reservation("session", meters=[meter()]))
    await ledger.check()
    cluster.execute("UPDATE jecp_mcp.meter SET used = used - 1", database)
    with pytest.raises(LedgerDamaged, match="1 of the ledger's meters do not agree with what they counted"):
        await ledger.check()


# --- changes that nobody waits for -----------------------------------------------------------------------------------

POISON = """
CREATE FUNCTION public.poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.evidence = 'poison' THEN RAISE EXCEPTION 'too slow' USING ERRCODE = '57014'; END IF; RETURN NEW; END $$;
CREATE TRIGGER poisons BEFORE UPDATE ON jecp_mcp.call FOR EACH ROW EXECUTE FUNCTION public.poison()
"""


async def test_a_change_that_nobody_waits_for_keeps_no_other_from_being_written(
    ledger: PostgresLedger, cluster: Cluster, database: str, impatient: None
) -> None:
    names = ["a", "b", "c", "d"]
    for name in names:
        await ledger.reserve(reservation("session", call_id=name))
    cluster.execute(POISON, database)
    for name in names:
        ledger.conclude(Conclusion(name, Verdict.NOT_CHARGED, evidence="poison" if name in "ab" else "fine"))
    # Whoever waits is written without them, and in the end so is everything but the poison.
    assert ledger.trouble is None
    assert isinstance(await ledger.reserve(reservation("session", call_id="e")), Admitted)
    assert "too slow" in str(ledger.trouble)
    with pytest.raises(LedgerUnavailable, match="too slow"):
        await ledger.flush()
    with pytest.raises(LedgerUnavailable, match="too slow"):
        await ledger.flush()
    states = dict(cluster.execute("SELECT call_id, state FROM jecp_mcp.call", database))
    assert states == {"a": "sent", "b": "sent", "c": "released", "d": "released", "e": "sent"}
    assert isinstance(await ledger.reserve(reservation("session", call_id="f")), Admitted)
    cluster.execute("DROP TRIGGER poisons ON jecp_mcp.call", database)
    await ledger.flush()
    assert ledger.trouble is None
    assert [(await ledger.row(name)).state for name in names] == [State.RELEASED] * 4  # type: ignore[union-attr]
    assert (await ledger.audit()).findings == ()


# --- commits whose answer was lost -----------------------------------------------------------------------------------


async def lose(ledger: PostgresLedger, proxy: Proxy, asking: Callable[[], object], when: str = AFTER) -> None:
    """Let what `asking` writes be cut off at its commit, and the line stay broken."""
    proxy.break_at_commit(when, then_open=False)
    with pytest.raises(LedgerUnavailable):
        await asking()  # type: ignore[misc]


async def test_a_call_that_ended_meanwhile_is_not_released_and_that_is_told(
    behind: PostgresLedger, proxy: Proxy, database: str, impatient: None, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = reservation("behind")
    await lose(behind, proxy, lambda: behind.reserve(wanted))
    operator = open_server(database, "operator")
    await operator.conclude_now(Conclusion(wanted.call_id, Verdict.NOT_CHARGED, evidence="the operator ruled"))
    await operator.close()
    proxy.open()
    await behind.flush()
    assert "a call that was not sent could not be released: not_charged says nothing new" in caplog.text
    row = await behind.row(wanted.call_id)
    assert row is not None
    assert row.evidence == "the operator ruled"


async def test_a_sign_of_life_whose_commit_was_cut_off_leaves_nothing_to_look_up(
    behind: PostgresLedger, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.02)
    await behind.reserve(reservation("behind"))
    proxy.break_at_commit(AFTER)
    async with asyncio.timeout(60):
        while not proxy.broke.is_set():
            await asyncio.sleep(0.001)
    await behind.flush()
    assert not behind._server.unsettled
    assert [one.event for one in await behind.events()] == ["reserve"]


@pytest.mark.parametrize("when", [BEFORE, AFTER])
async def test_a_sign_of_life_in_a_batch_that_was_cut_off_is_not_taken_back(
    behind: PostgresLedger, proxy: Proxy, impatient: None, when: str
) -> None:
    wanted = reservation("behind", call_id="refused")
    await behind.reserve(reservation("behind", call_id="first"))
    behind._heartbeat.beat()
    await lose(behind, proxy, lambda: behind.reserve(wanted), when)
    proxy.open()
    await behind.flush()
    row = await behind.row("refused")
    assert row is None if when == BEFORE else row is not None and row.state is State.RELEASED


async def test_of_what_nobody_comes_back_for_only_so_much_is_remembered(
    behind: PostgresLedger, proxy: Proxy, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_MOST_REMEMBERED", 2)
    names = [f"call {number}" for number in range(4)]
    for name in names:
        await behind.reserve(reservation("behind", call_id=name))
    proxy.break_at_commit(AFTER, then_open=False)
    told = await asyncio.gather(
        *(behind.conclude_now(Conclusion(name, Verdict.NOT_CHARGED)) for name in names), return_exceptions=True
    )
    assert [type(one) for one in told] == [LedgerUnavailable] * 4
    proxy.open()
    await behind.flush()
    assert len(behind._server._remembered) == 2
    assert {(await behind.row(name)).state for name in names} == {State.RELEASED}  # type: ignore[union-attr]
