"""What is kept of bodies and of what was agreed has bounds, and what is dropped gives its room back."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import LedgerUnavailable, TooManyWait
from jecp_mcp.mandate import grant_rules
from jecp_mcp.mandate.grants import Grant, GrantKind, GrantRef, GrantState
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import Conclusion
from jecp_mcp.mandate.sqlite import database as file_module
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.money import ZERO
from tests.unit.mandate.reservations import START, HandClock, meter, reservation

pytestmark = pytest.mark.anyio

BODY = b"x" * 100_000


async def answered(ledger: SqliteLedger, name: str, *, delivered: bool = True, size: int = 100_000) -> None:
    await ledger.reserve(reservation(ledger.session, 0, call_id=name, meters=[meter(limit=0)], request=b"{}"))
    ledger.conclude(Conclusion(name, Verdict.CHARGED, ZERO, answer=b"x" * size))
    if delivered:
        ledger.note_delivery(name)
    await ledger.flush()


async def kept(ledger: SqliteLedger) -> list[str]:
    """The calls whose answers are kept, oldest first, as a list tells it and as the rows have it."""
    told = [row.call_id for row in reversed(await ledger.rows()) if row.answer is not None]
    rows = [await ledger.row(name) for name in told]
    assert all(row is not None and row.answer for row in rows)
    return told


async def test_free_answers_never_fill_the_disk(tmp_path: Path) -> None:
    """Answers of 2 MB in all under a bound of 500 kB; the limit of money is nothing."""
    ledger = open_ledger(tmp_path / "ledger.db", most_kept=500_000)
    for number in range(20):
        await answered(ledger, f"call {number}")
    await ledger.flush()
    assert ledger._file.kept_bytes <= 500_000
    assert await kept(ledger) == ["call 16", "call 17", "call 18", "call 19"]
    assert all(row.answered for row in await ledger.rows())
    assert (await ledger.audit()).findings == ()
    await ledger.close()
    assert ledger.path.stat().st_size < 1_000_000


async def test_the_oldest_delivered_goes_first_and_what_nobody_received_last(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "ledger.db", most_kept=350_000)
    await answered(ledger, "undelivered", delivered=False)
    for name in ("a", "b"):
        await answered(ledger, name)
    assert await kept(ledger) == ["undelivered", "a", "b"]
    await answered(ledger, "c")
    assert await kept(ledger) == ["undelivered", "b", "c"]
    await answered(ledger, "d", delivered=False, size=300_000)
    assert await kept(ledger) == ["d"]
    await ledger.reserve(reservation(ledger.session, 0, call_id="open", request=BODY * 3))
    await ledger.trim()
    row = await ledger.row("open")
    assert row is not None
    assert row.request == BODY * 3
    assert (await ledger.audit()).findings == ()
    await ledger.close()


async def test_what_a_running_call_keeps_costs_nobody_an_answer(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "ledger.db", most_kept=350_000)
    await ledger.reserve(reservation(ledger.session, 0, call_id="running", request=BODY * 10))
    await ledger.reserve(reservation(ledger.session, 0, call_id="doubtful", request=BODY))
    ledger.conclude(Conclusion("doubtful", Verdict.IN_DOUBT, answer=BODY * 10))
    await answered(ledger, "paid", delivered=False)
    await answered(ledger, "delivered")
    await ledger.trim()
    assert await kept(ledger) == ["doubtful", "paid", "delivered"]
    for call in ("running", "doubtful"):
        ledger.conclude(Conclusion(call, Verdict.NOT_CHARGED))
    await ledger.flush()
    await ledger.trim()
    assert (await kept(ledger), ledger._file.kept_bytes <= 350_000) == (["paid"], True)
    assert (await ledger.audit()).findings == ()
    await ledger.close()


async def test_what_is_dropped_is_given_back_to_the_system(tmp_path: Path) -> None:
    path, clock = tmp_path / "ledger.db", HandClock()
    ledger = open_ledger(path, clock=clock)
    await answered(ledger, "large", size=10_000_000)
    await answered(ledger, "later")
    await ledger.close()
    assert path.stat().st_size > 10_000_000
    clock.forward(hours=1)
    ledger = open_ledger(path, clock=clock)
    assert await ledger.prune(UnixMs(clock.at)) == 2
    await ledger.close()
    assert path.stat().st_size < 500_000


def prepared(number: int, size: int = 10, *, principal: str = "local", kind: GrantKind = GrantKind.PREPARED) -> Grant:
    state = GrantState.GRANTED if kind is GrantKind.PREPARED else GrantState.ASKED
    expires = UnixMs(START + 900_000)
    return Grant(kind, f"grant {number}", principal, f"call {number}", state, b"x" * size, START, expires)


@pytest.mark.parametrize("kind", list(GrantKind))
async def test_a_principal_can_have_so_many_grants_waiting_and_no_more(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch, kind: GrantKind
) -> None:
    monkeypatch.setattr(grant_rules, "MOST_GRANTS", 3)
    for number in range(3):
        await ledger.write_grant(prepared(number, kind=kind))
    with pytest.raises(TooManyWait, match=r"3 .* wait already.*or wait until they expire; the first expires at 20"):
        await ledger.write_grant(prepared(3, kind=kind))
    assert await ledger.grant(GrantRef(kind, "grant 3")) is None
    # Another principal has room of its own, and one for the same call takes the place of the one before.
    await ledger.write_grant(prepared(4, kind=kind, principal="somebody"))
    await ledger.write_grant(Grant(kind, "again", "local", "call 1", GrantState.GRANTED, b"", START, UnixMs(START + 9)))
    assert await ledger.grant(GrantRef(kind, "grant 1")) is None


async def test_a_principal_can_have_so_many_bytes_prepared_and_no_more(
    ledger: SqliteLedger, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grant_rules, "MOST_GRANT_BYTES", 3_000_000)
    refused = 0
    for number in range(30):
        try:
            await ledger.write_grant(prepared(number, 1_000_000))
        except TooManyWait:
            refused += 1
    assert refused == 27
    # What can no longer be executed makes room.
    clock.forward(seconds=901)
    await ledger.write_grant(prepared(40, 2_500_000))
    assert await ledger.grant(GrantRef(GrantKind.PREPARED, "grant 2")) is None
    assert [grant.grant_id for grant in await ledger.grants(GrantKind.PREPARED)] == ["grant 40"]


async def test_what_expired_a_day_ago_is_gone(ledger: SqliteLedger, clock: HandClock) -> None:
    await ledger.write_grant(prepared(1, 1_000_000))
    await ledger.write_grant(prepared(2, kind=GrantKind.APPROVAL, principal="somebody"))
    clock.forward(hours=25)
    assert await ledger.grant(GrantRef(GrantKind.PREPARED, "grant 1")) is not None
    await ledger.write_grant(prepared(3))
    for ref in (GrantRef(GrantKind.PREPARED, "grant 1"), GrantRef(GrantKind.APPROVAL, "grant 2")):
        assert await ledger.grant(ref) is None
    told = [one.facts for one in await ledger.events() if one.event == "slips_dropped"]
    assert told == [{"kind": "approval", "slips": ["grant 2"]}, {"kind": "prepared", "slips": ["grant 1"]}]


async def test_a_look_through_the_file_is_given_up_when_it_is_closed_and_never_done_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = open_ledger(tmp_path / "ledger.db")
    await ledger.reserve(reservation(ledger.session, meters=[meter()]))
    looked: list[apsw.Connection] = []

    def endless(connection: apsw.Connection) -> None:
        looked.append(connection)
        ledger._file.check()
        connection.execute(
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
        ).fetchall()

    monkeypatch.setattr(file_module.schema, "check_structure", endless)
    looking = asyncio.create_task(ledger.check())
    while not looked:
        await asyncio.sleep(0.001)
    # Others buy while it is looked through.
    await ledger.reserve(reservation(ledger.session, meters=[meter()]))
    await ledger.close()
    with pytest.raises(LedgerUnavailable, match="is closed"):
        await looking
    assert len(looked) == 1


async def test_more_than_goes_in_one_transaction_goes_in_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = open_ledger(tmp_path / "ledger.db")
    for number in range(6):
        await answered(ledger, f"call {number}", size=1_000)
    await ledger.close()
    monkeypatch.setattr(SqliteLedger, "TRIMMED_AT_ONCE", 2)
    ledger = open_ledger(tmp_path / "ledger.db", most_kept=1_500)
    assert await ledger.trim() == 5
    assert await kept(ledger) == ["call 5"]
    trims = [one.facts for one in await ledger.events() if one.event == "trim"]
    assert [one["calls"] for one in trims] == [2, 2, 1]
    assert all(one["bytes"] >= 1_000 * one["calls"] for one in trims)
    await ledger.close()


async def test_pages_are_not_given_back_while_another_program_writes_nor_when_the_file_is_closed(
    ledger: SqliteLedger, path: Path
) -> None:
    await answered(ledger, "call")
    with closing(apsw.Connection(str(path))) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnavailable, match="another program has locked it"):
            ledger._file.give_back()
    assert not ledger._file.give_back()
    await ledger.close()
    assert not ledger._file.give_back()


async def test_what_is_read_apart_of_a_closed_ledger_is_refused(ledger: SqliteLedger) -> None:
    await answered(ledger, "call")
    await ledger.close()
    with pytest.raises(LedgerUnavailable, match="is closed"):
        await ledger.audit()
