"""A server that is away, slow, read-only or not what it should be: refused with a next step, and outlived."""

import asyncio
import os
import sys
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from jecp_mcp.cli.ledger import read as read_ledger
from jecp_mcp.cli.options import start
from jecp_mcp.cli.wallet import read as read_wallet
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import ExtraMissing, LedgerDamaged, LedgerError, LedgerUnavailable, SettingsError
from jecp_mcp.mandate.opening import open_configured
from jecp_mcp.mandate.postgres import server
from jecp_mcp.mandate.postgres.connection import Connection, place
from jecp_mcp.mandate.postgres.ledger import PostgresLedger
from jecp_mcp.mandate.postgres.schema import VERSION
from jecp_mcp.mandate.postgres.store import Store
from jecp_mcp.mandate.records import Admitted, Conclusion
from jecp_mcp.mandate.states import State
from jecp_mcp.money import MicroUSDC
from jecp_mcp.settings import LedgerSettings, load_settings
from tests.postgres.cluster import Cluster, new_cluster
from tests.postgres.fixtures import open_server
from tests.postgres.proxy import Proxy
from tests.unit.mandate.reservations import meter, reservation

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def test_a_server_that_is_away_at_the_start_is_a_fault_until_it_is_there(proxy: Proxy, impatient: None) -> None:
    proxy.shut()
    ledger = open_server(proxy.url, "early")
    with pytest.raises(LedgerUnavailable, match="cannot be reached"):
        await ledger.totals()
    with pytest.raises(LedgerUnavailable, match="cannot be reached"):
        await ledger.reserve(reservation("early"))
    assert isinstance(ledger.fault, LedgerUnavailable)
    proxy.open()
    assert isinstance(await ledger.reserve(reservation("early")), Admitted)
    assert ledger.fault is None
    await ledger.close()


async def test_a_line_that_breaks_between_two_calls_is_not_noticed(behind: PostgresLedger, proxy: Proxy) -> None:
    for _ in range(3):
        assert isinstance(await behind.reserve(reservation("behind")), Admitted)
        assert (await behind.totals()).calls
        proxy.shut()
        proxy.open()
    assert (await behind.totals()).calls == 3


async def test_what_was_queued_while_the_server_was_away_is_written_when_it_is_back(
    behind: PostgresLedger, proxy: Proxy, impatient: None
) -> None:
    wanted = reservation("behind", 10, meters=[meter()])
    await behind.reserve(wanted)
    proxy.shut()
    behind.conclude(Conclusion(wanted.call_id, Verdict.NOT_CHARGED))
    with pytest.raises(LedgerUnavailable):
        await behind.flush()
    proxy.open()
    row = await behind.row(wanted.call_id)
    assert row is not None
    assert row.state is State.RELEASED


async def test_while_the_server_is_away_nobody_waits_for_it_twice(
    behind: PostgresLedger, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "LONGEST_WAIT", 0.5)
    proxy.shut()
    with pytest.raises(LedgerUnavailable):
        await behind.reserve(reservation("behind"))
    monkeypatch.setattr(server, "LONGEST_WAIT", 60)
    async with asyncio.timeout(30):
        with pytest.raises(LedgerUnavailable):
            await behind.reserve(reservation("behind"))


async def test_the_loop_runs_on_while_another_replica_holds_the_head(behind: PostgresLedger, database: str) -> None:
    await behind.reserve(reservation("behind"))
    with psycopg.connect(database) as other:
        other.execute("SELECT FROM jecp_mcp.head FOR UPDATE")
        waiting = [asyncio.ensure_future(behind.reserve(reservation("behind"))) for _ in range(5)]
        for _ in range(100):
            await asyncio.sleep(0)
        assert not any(one.done() for one in waiting)
        assert (await asyncio.wait_for(behind._reader.read(lambda link: link.query("SELECT 1")), 30)) == [(1,)]
    assert all(isinstance(one, Admitted) for one in await asyncio.gather(*waiting))


@pytest.mark.slow
async def test_a_replica_that_stops_in_the_middle_of_a_batch_keeps_the_others_waiting_for_seconds_only(
    behind: PostgresLedger, database: str
) -> None:
    stopped = Connection.open(database)
    Store(stopped, "stopped", "token").load([])
    async with asyncio.timeout(60):
        assert isinstance(await behind.reserve(reservation("behind")), Admitted)
    with pytest.raises(LedgerUnavailable):
        stopped.query("SELECT 1")
    stopped.close()


async def test_a_deadlock_and_a_slow_statement_are_tried_again(
    behind: PostgresLedger, cluster: Cluster, database: str
) -> None:
    await behind.reserve(reservation("behind"))
    for state in ("40P01", "40001", "55P03", "57014"):
        # A sequence is not rolled back: the first time fails, the second does not.
        cluster.execute(
            "DROP SEQUENCE IF EXISTS public.times; CREATE SEQUENCE public.times;"
            "CREATE OR REPLACE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"IF nextval('public.times') = 1 THEN RAISE EXCEPTION 'once' USING ERRCODE = '{state}'; END IF;"
            "RETURN NULL; END $$;"
            "CREATE OR REPLACE TRIGGER fails AFTER INSERT ON jecp_mcp.call EXECUTE FUNCTION public.fail()",
            database,
        )
        assert isinstance(await behind.reserve(reservation("behind")), Admitted)
    assert (await behind.totals()).calls == 5
    assert behind.fault is None


@pytest.mark.slow
async def test_a_standby_is_read_and_refuses_to_write(cluster: Cluster, database: str) -> None:
    primary = open_server(database, "writer")
    await primary.reserve(reservation("writer"))
    await primary.close()
    with cluster.standby() as copy:
        standby = open_server(copy.url(database.partition("@/")[2].partition("?")[0]), "reader")
        assert (await standby.totals()).calls == 1
        with pytest.raises(LedgerUnavailable, match="URL of the primary server"):
            await standby.reserve(reservation("reader"))
        assert (await standby.audit()).findings == ()
        with pytest.raises(LedgerUnavailable):
            await standby.close()


async def test_a_user_without_rights_hears_which(cluster: Cluster, database: str) -> None:
    ledger = open_server(database, "owner")
    await ledger.reserve(reservation("owner"))
    await ledger.close()
    if not cluster.execute("SELECT FROM pg_roles WHERE rolname = 'guest'"):
        cluster.execute("CREATE ROLE guest LOGIN")
    guest = open_server(database.replace("postgres@", "guest@"), "guest")
    with pytest.raises(LedgerUnavailable, match=r"permission denied|lacks a right"):
        await guest.reserve(reservation("guest"))
    with pytest.raises(LedgerUnavailable, match="lacks a right"):
        await guest.totals()
    with pytest.raises(LedgerUnavailable):
        await guest.close()


async def test_a_ledger_of_a_newer_version_is_refused_even_under_way(
    behind: PostgresLedger, cluster: Cluster, database: str
) -> None:
    await behind.reserve(reservation("behind"))
    cluster.execute("INSERT INTO jecp_mcp.migration(version) VALUES (99)", database)
    with pytest.raises(LedgerUnavailable, match="newer version"):
        await behind.reserve(reservation("behind"))
    late = open_server(database, "late")
    with pytest.raises(LedgerUnavailable, match="newer version"):
        await late.totals()
    with pytest.raises(LedgerUnavailable):
        await late.reserve(reservation("late"))
    cluster.execute("DELETE FROM jecp_mcp.migration WHERE version = 99", database)
    assert isinstance(await late.reserve(reservation("late")), Admitted)
    await late.close()


@pytest.mark.parametrize("version", [0, 1, 2])
async def test_a_ledger_from_before_the_first_release_is_refused_with_what_to_do(
    cluster: Cluster, database: str, version: int
) -> None:
    ledger = open_server(database, "new")
    assert isinstance(await ledger.reserve(reservation("new")), Admitted)
    cluster.execute(f"UPDATE jecp_mcp.migration SET version = {version}", database)
    old = open_server(database, "old")
    for ask in (old.totals(), old.reserve(reservation("old")), ledger.reserve(reservation("new"))):
        with pytest.raises(LedgerUnavailable, match=r"before the first release.*name another database, or rename"):
            await ask
    with pytest.raises(LedgerUnavailable):
        await old.close()
    cluster.execute(f"UPDATE jecp_mcp.migration SET version = {VERSION}", database)
    assert isinstance(await ledger.reserve(reservation("new")), Admitted)
    await ledger.close()


async def test_tables_that_are_gone_are_damage_until_they_are_back(
    behind: PostgresLedger, cluster: Cluster, database: str
) -> None:
    wanted = reservation("behind", 10, meters=[meter()])
    await behind.reserve(wanted)
    cluster.execute("ALTER TABLE jecp_mcp.slot RENAME TO hidden", database)
    with pytest.raises(LedgerDamaged, match="damaged"):
        await behind.reserve(reservation("behind"))
    assert isinstance(behind.fault, LedgerDamaged)
    cluster.execute("ALTER TABLE jecp_mcp.hidden RENAME TO slot", database)
    assert isinstance(await behind.reserve(reservation("behind")), Admitted)


async def test_meters_that_contradict_the_calls_are_damage(
    behind: PostgresLedger, cluster: Cluster, database: str
) -> None:
    wanted = reservation("behind", 10, meters=[meter()])
    await behind.reserve(wanted)
    cluster.execute("UPDATE jecp_mcp.meter SET used = 1", database)
    with pytest.raises(LedgerDamaged):
        await behind.conclude_now(Conclusion(wanted.call_id, Verdict.NOT_CHARGED))
    await behind.recount()
    await behind.conclude_now(Conclusion(wanted.call_id, Verdict.NOT_CHARGED))


async def test_a_server_that_does_not_wait_for_its_disk_is_refused() -> None:
    cluster = new_cluster()
    try:
        cluster.execute("ALTER SYSTEM SET fsync = off")
        cluster.stop()
        cluster.start()
        ledger = open_server(cluster.url(), "careless")
        with pytest.raises(LedgerUnavailable, match="fsync is off"):
            await ledger.reserve(reservation("careless"))
        with pytest.raises(LedgerUnavailable):
            await ledger.close()
    finally:
        cluster.remove()


@pytest.mark.parametrize("replicas", [8])
async def test_replicas_that_start_at_once_lay_out_the_tables_once(
    cluster: Cluster, database: str, replicas: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # They wait for each other, on a machine that others may keep busy. Once a connection is given up, the server counts
    # as away and is tried only once more, so patience with a batch does not help without patience with connecting.
    monkeypatch.setattr(server, "LONGEST_WAIT", 60)
    ledgers = [open_server(f"{database}&connect_timeout=60", f"r{number}") for number in range(replicas)]
    admitted = await asyncio.gather(*(one.reserve(reservation(one.session)) for one in ledgers))
    assert all(isinstance(one, Admitted) for one in admitted)
    assert cluster.execute("SELECT version FROM jecp_mcp.migration", database) == [(VERSION,)]
    await asyncio.gather(*(one.close() for one in ledgers))


async def test_a_layout_that_breaks_off_leaves_nothing_behind(cluster: Cluster, database: str) -> None:
    cluster.execute(
        "CREATE FUNCTION public.stop() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN "
        "PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); END $$;"
        "CREATE EVENT TRIGGER stops ON ddl_command_end WHEN TAG IN ('CREATE TRIGGER') EXECUTE FUNCTION public.stop()",
        database,
    )
    ledger = open_server(database, "session")
    with pytest.raises(LedgerUnavailable):
        await ledger.totals()
    assert cluster.execute("SELECT FROM pg_namespace WHERE nspname = 'jecp_mcp'", database) == []
    cluster.execute("DROP EVENT TRIGGER stops", database)
    assert isinstance(await ledger.reserve(reservation("session")), Admitted)
    await ledger.close()


async def test_a_password_is_in_no_message_and_no_repr(
    caplog: pytest.LogCaptureFixture, impatient: None, tmp_path: Path
) -> None:
    hidden = "s3cr%20t"
    for url in (
        f"postgresql://user:{hidden}@127.0.0.1:1/db",
        f"postgresql://user:{hidden}@127.0.0.1:1/db?nonsense={hidden}",
        f"postgresql://user@127.0.0.1:1/db?password={hidden}",
    ):
        settings = LedgerSettings(url=SecretStr(url))
        assert "s3cr" not in repr(settings)
        ledger = open_configured(settings, tmp_path)
        with pytest.raises(LedgerUnavailable) as refused:
            await ledger.reserve(reservation(ledger.session))
        assert "s3cr" not in f"{refused.value!r} {refused.value.__cause__!r} {ledger.fault}"
        with pytest.raises(LedgerUnavailable):
            await ledger.close()
    assert "s3cr" not in caplog.text


@pytest.mark.parametrize("url", ["mysql://user:s3cret@db/ledger", "postgresql://user:s3cret@[::1/db", "s3cret"])
def test_a_url_of_something_else_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(SettingsError, match=r"ledger.url: a ledger's URL is like postgresql://") as refused:
        load_settings(environ={"JECP_MCP_LEDGER__URL": url, "XDG_CONFIG_HOME": "/nonexistent"})
    assert "s3cret" not in str(refused.value)


def test_the_sandbox_never_writes_in_the_real_books(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JECP_MCP_LEDGER__URL", "postgresql://db/ledger")
    assert start(None, None, tmp_path).settings.ledger.url is not None
    monkeypatch.setattr("jecp_mcp.cli.options.sandbox_asked", lambda: True)
    assert start(None, None, tmp_path).settings.ledger.url is None


async def test_the_commands_show_the_ledger_that_the_settings_name(
    database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ledger = open_server(database, "session")
    await ledger.reserve(reservation("session", 5_000, call_id="call_1"))
    await ledger.close()
    monkeypatch.setenv("JECP_MCP_LEDGER__URL", database)
    given = start(None, None, tmp_path)
    assert [row["call_id"] for row in await read_ledger(given)] == ["call_1"]
    wallet = await read_wallet(given)
    assert (wallet["held_usdc"], wallet["ledger"]) == ("0.005", place(database))
    assert not given.ledger.exists()


def test_a_url_is_shown_without_what_is_secret() -> None:
    assert place("postgresql://user:word@db.example:5433/ledger?password=word") == (
        "postgresql://db.example:5433/ledger"
    )


async def test_a_server_without_the_extra_is_a_wrong_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("jecp_mcp.extras.find_spec", lambda name: None if name == "psycopg" else object())
    with pytest.raises(ExtraMissing, match=r"needs psycopg.*\[postgres\]"):
        open_configured(LedgerSettings(url=SecretStr("postgresql://db/ledger")), tmp_path)


async def test_a_server_keeps_as_much_of_bodies_as_the_settings_say(database: str, tmp_path: Path) -> None:
    settings = LedgerSettings(url=SecretStr(database), keep_bodies_mb=1)
    ledger = open_configured(settings, tmp_path, "session")
    for name in ("first", "second", "third"):
        await ledger.reserve(reservation("session", call_id=name))
        ledger.conclude(Conclusion(name, Verdict.CHARGED, MicroUSDC(5), claim=0, answer=bytes(400_000)))
        ledger.note_delivery(name)
        await ledger.flush()
    assert [row.call_id for row in await ledger.rows() if row.answer is not None] == ["third", "second"]
    await ledger.close()


async def test_opening_waits_for_no_server_and_imports_no_driver() -> None:
    program = (
        "import sys, time; from pathlib import Path; from pydantic import SecretStr;"
        "from jecp_mcp.mandate.opening import open_configured; from jecp_mcp.settings import LedgerSettings, load_settings;"
        "from jecp_mcp.mandate.postgres import ledger; print('psycopg' in sys.modules)"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, env={**os.environ}
    )
    told, _ = await process.communicate()
    assert told == b"False\n"


async def test_a_closed_ledger_writes_and_reads_nothing(database: str) -> None:
    ledger = open_server(database, "closed")
    await ledger.close()
    await ledger.close()
    for ask in (ledger.reserve(reservation("closed")), ledger.totals()):
        with pytest.raises(LedgerError, match="closed"):
            await ask
