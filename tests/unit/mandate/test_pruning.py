"""Old requests and answers go; the calls, their events and their proof stay."""

from pathlib import Path

import apsw
import pytest

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.mandate.records import Admitted, Conclusion, Undelivered
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.mandate.states import State
from jecp_mcp.money import MicroUSDC
from tests.unit.mandate.reservations import HandClock, meter, reservation


async def ended(
    ledger: SqliteLedger, call_id: str, *, delivered: bool = True, answer: bytes | None = b"answer"
) -> None:
    wanted = reservation(ledger.session, call_id=call_id, request=b"request", fingerprint=call_id, meters=[meter()])
    await ledger.reserve(wanted)
    ledger.conclude(Conclusion(call_id, Verdict.CHARGED, MicroUSDC(7), answer=answer))
    if delivered:
        ledger.note_delivery(call_id)
    await ledger.flush()


async def bodies(ledger: SqliteLedger, call_id: str) -> tuple[bytes, bytes | None]:
    row = await ledger.row(call_id)
    assert row is not None
    return row.request, row.answer


@pytest.mark.anyio
async def test_what_ended_before_loses_its_bodies_and_nothing_else(ledger: SqliteLedger, clock: HandClock) -> None:
    await ended(ledger, "old")
    clock.forward(hours=1)
    await ended(ledger, "new")
    before = await ledger.row("old")
    assert before is not None
    assert before.ended_at is not None
    assert await ledger.prune(before.ended_at) == 0
    assert await ledger.prune(UnixMs(before.ended_at + 1)) == 1
    after = await ledger.row("old")
    assert after is not None
    assert (after.request, after.answer) == (b"", None)
    for name in ("state", "charged", "delivered", "answered", "fingerprint", "ended_at", "reference"):
        assert getattr(after, name) == getattr(before, name)
    assert await bodies(ledger, "new") == (b"request", b"answer")
    assert [one.event for one in await ledger.events("old")] == ["reserve", "settle", "deliver"]
    assert [reading.used for reading in await ledger.readings([meter()])] == [14]


@pytest.mark.anyio
async def test_what_is_open_or_undelivered_keeps_its_bodies(ledger: SqliteLedger, clock: HandClock) -> None:
    await ended(ledger, "undelivered", delivered=False)
    await ended(ledger, "no answer", delivered=False, answer=None)
    for name in ("sent", "in doubt"):
        await ledger.reserve(reservation(ledger.session, call_id=name, request=b"request", meters=[meter()]))
    ledger.conclude(Conclusion("in doubt", Verdict.IN_DOUBT))
    await ledger.flush()
    clock.forward(hours=1)
    assert await ledger.prune(UnixMs(clock.at)) == 1
    assert await bodies(ledger, "undelivered") == (b"request", b"answer")
    assert await bodies(ledger, "no answer") == (b"", None)
    assert (await bodies(ledger, "sent"))[0] == (await bodies(ledger, "in doubt"))[0] == b"request"
    again = await ledger.reserve(reservation(ledger.session, fingerprint="undelivered"))
    assert isinstance(again, Undelivered)
    assert again.row.answer == b"answer"


@pytest.mark.anyio
async def test_more_than_one_transaction_takes_go_in_several(
    ledger: SqliteLedger, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SqliteLedger, "PRUNED_AT_ONCE", 3)
    for number in range(8):
        await ended(ledger, f"c{number}")
    clock.forward(hours=1)
    assert await ledger.prune(UnixMs(clock.at)) == 8
    prunes = [one for one in await ledger.events() if one.event == "prune"]
    assert [one.facts for one in prunes] == [{"before": clock.at, "calls": calls} for calls in (3, 3, 2)]
    assert await ledger.prune(UnixMs(clock.at)) == 0
    assert len([one for one in await ledger.events() if one.event == "prune"]) == 3


@pytest.mark.anyio
@pytest.mark.parametrize("way", [(Verdict.CHARGED,), (Verdict.NOT_CHARGED,), (Verdict.NOT_CHARGED, Verdict.CHARGED)])
async def test_a_ruling_on_a_call_whose_bodies_are_gone_is_no_finding(
    ledger: SqliteLedger, clock: HandClock, way: tuple[Verdict, ...]
) -> None:
    await ledger.reserve(reservation(ledger.session, call_id="c", meters=[meter()]))
    ledger.conclude(Conclusion("c", Verdict.IN_DOUBT))
    ledger.write_off("c", "too late")
    await ledger.flush()
    clock.forward(hours=1)
    assert await ledger.prune(UnixMs(clock.at)) == 1
    clock.forward(hours=1)
    for event in way:
        charged = MicroUSDC(5 if event is Verdict.CHARGED else 0)
        await ledger.conclude_now(Conclusion("c", event, charged, answer=b"found after all"))
    assert (await ledger.audit()).findings == ()
    row = await ledger.row("c")
    assert row is not None
    assert (row.request, row.answer) == (b"", b"found after all")


@pytest.mark.anyio
async def test_a_body_that_pruning_kept_cannot_go_unseen(path: Path, ledger: SqliteLedger, clock: HandClock) -> None:
    await ended(ledger, "undelivered", delivered=False)
    clock.forward(hours=1)
    await ledger.prune(UnixMs(clock.at))
    ledger.note_delivery("undelivered")
    await ledger.flush()
    assert (await ledger.audit()).findings == ()
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE kept SET bytes = bytes - (SELECT sum(length(body)) FROM answer); DELETE FROM answer")
    connection.close()
    assert (await ledger.audit()).findings == ("the answer of the call undelivered was changed",)
    await ledger.close()


@pytest.mark.anyio
async def test_a_repeat_of_a_pruned_call_is_a_new_purchase(ledger: SqliteLedger, clock: HandClock) -> None:
    await ended(ledger, "c")
    clock.forward(hours=1)
    await ledger.prune(UnixMs(clock.at))
    assert isinstance(await ledger.reserve(reservation(ledger.session, fingerprint="c")), Admitted)
    row = await ledger.row("c")
    assert row is not None
    assert row.state is State.SETTLED
