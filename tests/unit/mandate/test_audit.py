"""The audit: silent on what the ledger's own methods wrote, and never on anything else."""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw
import pytest

from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import LedgerDamaged
from jecp_mcp.mandate import chain
from jecp_mcp.mandate.audit import MOST_FINDINGS, Audit
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import AuditReport, Conclusion, OverLimit
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.mandate.sqlite.verify import verify
from jecp_mcp.mandate.states import State
from jecp_mcp.money import MicroUSDC
from tests.unit.mandate.histories import History
from tests.unit.mandate.reservations import HandClock, meter, reservation

MEANINGLESS = {("slot", "id"), ("slip", "id")}
"""Nothing refers to a slot or a grant by its number."""

SEEDS = range(40)


async def lived(path: Path, seed: int, steps: int) -> AuditReport:
    clock = HandClock()
    history = History(open_ledger(path, f"h{seed}", clock), clock, seed)
    await history.live(steps)
    report = await history.ledger.audit()
    await history.ledger.close()
    return report


@pytest.mark.parametrize("seed", SEEDS)
def test_a_ledger_nobody_touched_has_no_findings_whatever_happened_to_it(tmp_path: Path, seed: int) -> None:
    report = asyncio.run(lived(tmp_path / "ledger.db", seed, 60))
    assert report.findings == ()
    assert report.calls > 3
    assert report.events > report.calls


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A ledger file in which every table has rows, and rows have every column."""
    path = tmp_path_factory.mktemp("whole") / "ledger.db"
    assert asyncio.run(lived(path, seed=11, steps=240)).findings == ()
    return path.read_bytes()


def opened(content: bytes) -> apsw.Connection:
    """A copy of the file that takes any change."""
    connection = apsw.Connection(":memory:")
    # In memory there is no WAL: bytes 18 and 19 say how the file is written (SQLite file format, section 1.3.3).
    connection.deserialize("main", content[:18] + b"\x01\x01" + content[20:])
    connection.execute("PRAGMA ignore_check_constraints = 1; DROP TRIGGER event_stays; DROP TRIGGER event_kept")
    return connection


def found(connection: apsw.Connection) -> bool:
    """Whether the audit, or the reading that feeds it, objects."""
    try:
        return bool(verify(connection, None).findings)
    except ValueError:
        # Read as damage: the file, which translates this, is tested below.
        return True


def columns(content: bytes) -> Iterator[tuple[str, str, str]]:
    connection = opened(content)
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
    for (table,) in tables.fetchall():
        for _, column, kind, *_ in connection.execute(f"PRAGMA table_info({table})").fetchall():
            if (table, column) not in MEANINGLESS:
                yield table, column, kind
    connection.close()


def altered(value: Any, kind: str, table: str, column: str) -> Any:
    if table == "slip" and column in {"state", "kind"}:
        return {"granted": "denied", "prepared": "limit"}.get(value, "granted" if column == "state" else "prepared")
    if column in {"state", "before", "after"}:
        return State.SETTLED.value if value != State.SETTLED.value else State.SENT.value
    if kind == "INTEGER":
        if column in {"answered", "delivered"}:
            return 1 - value
        return 4_711 if value is None else value + 4_711
    if kind == "BLOB":
        return value + b"\x00"
    return "x" if value is None else f"{value}x"


def tampered(content: bytes, most: int | None) -> tuple[int, list[str]]:
    """Change every column of each row, or of so many rows, one at a time: how often, and what went unseen."""
    times, unseen = 0, []
    for table, column, kind in columns(content):
        connection = opened(content)
        rows = connection.execute(f"SELECT rowid, {column} FROM {table}").fetchall()
        connection.close()
        for number, value in rows if most is None else rows[:: max(1, len(rows) // most)]:
            connection = opened(content)
            with suppress(apsw.ConstraintError):  # SQLite refuses a second row for a state
                connection.execute(
                    f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (altered(value, kind, table, column), number)
                )
            if not connection.changes():
                continue
            times += 1
            if not found(connection):
                unseen.append(f"{table}.{column} of row {number}, which was {value!r}")
            connection.close()
    return times, unseen


def test_a_change_of_any_column_of_any_table_is_found(whole: bytes) -> None:
    times, unseen = tampered(whole, most=5)
    assert unseen == []
    assert times > 200


@pytest.mark.slow
def test_a_change_of_any_column_of_any_row_is_found(whole: bytes) -> None:
    times, unseen = tampered(whole, most=None)
    assert unseen == []
    assert times > 2_000


@pytest.mark.parametrize("table", ["event", "call", "meter", "slot", "slip", "request", "answer"])
def test_a_row_that_is_gone_is_found(whole: bytes, table: str) -> None:
    connection = opened(whole)
    # An empty slot counts for nothing, and the last event may be missing: see the digest kept elsewhere.
    where = {"slot": "WHERE amount > 0", "event": "WHERE id < (SELECT max(id) FROM event)"}.get(table, "")
    numbers = connection.execute(f"SELECT rowid FROM {table} {where}").fetchall()
    connection.close()
    assert numbers
    for (number,) in numbers[:: max(1, len(numbers) // 15)]:
        connection = opened(whole)
        connection.execute(f"DELETE FROM {table} WHERE rowid = ?", (number,))
        assert found(connection), number
        connection.close()


@pytest.mark.parametrize(
    "forged",
    [
        (
            "INSERT INTO call SELECT 999, 'forged', principal, team, session, owner, claim, rail, account, tool, payee, "
            "source, offer, names, version, 'forged', kind, terms, state, quoted, held, charged, 0, balance_after, NULL, "
            "evidence, attempts, created_at, sent_at, look_again_at, provable_until, ended_at, answered, delivered, mark "
            "FROM call LIMIT 1"
        ),
        "INSERT INTO meter(key, window, principal, since, fed, used) VALUES ('forged', 'day', 'local', 0, 0, 0)",
        "INSERT INTO slot(meter, start, amount) SELECT id, -1, 1 FROM meter LIMIT 1",
        "INSERT INTO answer SELECT id, x'00' FROM call WHERE answered = 0 LIMIT 1",
        "INSERT INTO event SELECT id + 1, call, body, digest FROM event ORDER BY id DESC LIMIT 1",
    ],
)
def test_a_row_nobody_wrote_is_found(whole: bytes, forged: str) -> None:
    connection = opened(whole)
    connection.execute(forged)
    assert connection.changes() == 1
    assert found(connection)
    connection.close()


def test_events_that_changed_places_are_found(whole: bytes) -> None:
    connection = opened(whole)
    connection.execute("UPDATE event SET id = -1 WHERE id = 5")
    connection.execute("UPDATE event SET id = 5 WHERE id = 6")
    connection.execute("UPDATE event SET id = 6 WHERE id = -1")
    assert found(connection)
    connection.close()


@pytest.mark.parametrize("table", ["request", "answer"])
def test_bodies_that_changed_places_are_found(whole: bytes, table: str) -> None:
    connection = opened(whole)
    one, other = connection.execute(f"SELECT min(call), max(call) FROM {table}").get
    connection.execute(f"UPDATE {table} SET call = -1 WHERE call = ?", (one,))
    connection.execute(f"UPDATE {table} SET call = ? WHERE call = ?", (one, other))
    connection.execute(f"UPDATE {table} SET call = ? WHERE call = -1", (other,))
    assert found(connection)
    connection.close()


def test_limits_emptied_with_care_are_found(whole: bytes) -> None:
    connection = opened(whole)
    connection.execute("UPDATE meter SET used = 0; UPDATE slot SET amount = 0")
    assert found(connection)
    connection.close()


@pytest.mark.anyio
async def test_limits_that_were_made_to_forget_are_counted_anew_before_anything_is_bought(ledger: SqliteLedger) -> None:
    cap = meter(limit=100)
    await ledger.reserve(reservation(ledger.session, 80, meters=[cap]))
    connection = sqlite3.connect(ledger.path)
    connection.executescript("UPDATE meter SET used = 0, fed = 0; DELETE FROM slot")
    connection.close()
    over = await ledger.reserve(reservation(ledger.session, 30, meters=[cap]))
    assert isinstance(over, OverLimit)
    assert over.used == 80


def test_a_call_made_cheaper_with_its_meters_and_its_event_is_found(whole: bytes) -> None:
    connection = opened(whole)
    number, call = connection.execute(
        "SELECT id, call FROM event WHERE CAST(body AS TEXT) ->> 2 IN ('settle', 'prove_charged') AND CAST(body AS TEXT) ->> 7 > 5 "
        "AND id < (SELECT max(id) FROM event) LIMIT 1"
    ).get
    connection.execute("UPDATE call SET charged = 1, refunded = 0 WHERE id = ?", (call,))
    rewrite(connection, number, number, lambda event: [*event[:7], 1, 0, *event[9:]] if event[3] == call else event)
    assert found(connection)
    connection.close()


def rewrite(connection: apsw.Connection, first: int, last: int, forge: Callable[[list[Any]], list[Any]]) -> None:
    """Write some events anew, and their digests, as a forger would."""
    events: list[Any] = connection.execute("SELECT id, body, digest FROM event ORDER BY id").fetchall()
    previous = chain.GENESIS if first == 1 else events[first - 2][2]
    for number, body, _ in events[first - 1 : last]:
        forged = json.dumps(forge(json.loads(body)), separators=(",", ":")).encode()
        previous = chain.digest(previous, forged)
        connection.execute("UPDATE event SET body = ?, digest = ? WHERE id = ?", (forged, previous, number))


def test_a_tail_cut_off_with_care_is_found_by_a_digest_kept_elsewhere(whole: bytes) -> None:
    connection = opened(whole)
    number = connection.execute("SELECT max(id) FROM event WHERE CAST(body AS TEXT) ->> 2 = 'deliver'").get
    connection.execute("DELETE FROM event WHERE id > ?", (number,))
    before = verify(connection, None).head
    connection.execute("DELETE FROM event WHERE id = ?", (number,))
    report = verify(connection, before)
    assert report.anchored is False
    assert report.head != before
    assert verify(connection, report.head).anchored is True
    assert verify(connection, None).anchored is None
    connection.close()


def test_a_chain_written_anew_is_found_only_by_a_digest_kept_elsewhere(whole: bytes) -> None:
    connection = opened(whole)
    head = verify(connection, None).head
    last = connection.execute("SELECT max(id) FROM event").get
    rewrite(
        connection, 1, last, lambda event: [*event[:9], "somebody", *event[10:]] if event[2] == "deliver" else event
    )
    report = verify(connection, head)
    assert report.findings == ()
    assert report.anchored is False
    connection.close()


@pytest.mark.anyio
async def test_a_digest_stays_in_the_chain_as_it_grows(ledger: SqliteLedger) -> None:
    empty = await ledger.audit()
    assert (empty.events, empty.calls, empty.head, empty.findings) == (0, 0, chain.GENESIS.hex(), ())
    await ledger.reserve(reservation(ledger.session, call_id="c", meters=[meter()]))
    first = await ledger.audit(empty.head)
    ledger.conclude(Conclusion("c", Verdict.CHARGED, MicroUSDC(5)))
    second = await ledger.audit(first.head)
    assert (first.anchored, second.anchored) == (True, True)
    assert second.events == first.events + 1


@pytest.mark.anyio
async def test_a_state_that_does_not_exist_is_damage_and_stops_paid_calls(ledger: SqliteLedger) -> None:
    await ledger.reserve(reservation(ledger.session, meters=[meter()]))
    connection = sqlite3.connect(ledger.path)
    connection.executescript("PRAGMA ignore_check_constraints = 1; UPDATE call SET state = 'gone'")
    connection.close()
    with pytest.raises(LedgerDamaged):
        await ledger.audit()
    with pytest.raises(LedgerDamaged):
        await ledger.reserve(reservation(ledger.session))


@pytest.mark.parametrize(
    "forge",
    [
        lambda body: body.replace(b'"deliver"', '"delivéred"'.encode()),
        lambda body: body + b"[]",
        lambda body: body[:-1],
        lambda body: b"{}",
        lambda body: b"[1,2,3]",
        lambda body: body.replace(b"{}]", b"[]]"),
    ],
)
def test_bytes_of_a_call_that_nobody_writes_are_found_though_their_digest_is_right(
    whole: bytes, forge: Callable[[bytes], bytes]
) -> None:
    connection = opened(whole)
    number, body = connection.execute(
        "SELECT id, body FROM event WHERE CAST(body AS TEXT) ->> 2 = 'deliver' ORDER BY id DESC LIMIT 1"
    ).get
    connection.execute("DELETE FROM event WHERE id > ?", (number,))
    before = connection.execute("SELECT digest FROM event WHERE id = ?", (number - 1,)).get
    forged = forge(body)
    assert forged != body
    # An event of the ledger's own after it, for its time is read.
    last = chain.write(number + 1, 1, chain.CLOCK, None, (None, None, 0, 0, 0), "s", None, {})
    digest = chain.digest(before, forged)
    connection.execute("UPDATE event SET body = ?, digest = ? WHERE id = ?", (forged, digest, number))
    connection.execute("INSERT INTO event VALUES (?, NULL, ?, ?)", (number + 1, last, chain.digest(digest, last)))
    assert f"event {number} is not kept where its bytes say" in verify(connection, None).findings
    connection.close()


def test_findings_have_an_end() -> None:
    walk = Audit()
    walk.events((number, None, b"no event", b"no digest") for number in range(1, 500))
    assert len(walk.report().findings) == MOST_FINDINGS


def test_every_call_that_is_missing_is_named(whole: bytes) -> None:
    for missing in ("id = 1", "id = (SELECT max(id) FROM call)", "id > (SELECT max(id) FROM call) - 3"):
        connection = opened(whole)
        numbers = connection.execute(f"DELETE FROM call WHERE {missing} RETURNING id").fetchall()
        told = verify(connection, None).findings
        connection.close()
        for (number,) in numbers:
            assert f"the call {number} is missing, and there are events of it" in told


@pytest.mark.anyio
async def test_names_that_are_none_are_damage(ledger: SqliteLedger, path: Path) -> None:
    await ledger.reserve(reservation(ledger.session))
    other = apsw.Connection(str(path))
    for names in ("[1]", "{}"):
        other.execute("UPDATE call SET names = ?", (names,))
        with pytest.raises(LedgerDamaged, match="a row cannot be read"):
            await ledger.rows()
    other.close()
