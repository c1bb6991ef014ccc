"""What a rail writes down of a call while it works on it: how far it has come, and what has arrived already."""

from __future__ import annotations

import pytest

from jecp_mcp.domain.outcomes import Mark, Verdict
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.mandate.records import AlreadyOpen, Conclusion, Note
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.mandate.states import State
from tests.unit.mandate.reservations import reservation

pytestmark = pytest.mark.anyio

CALL = "call_noted"
ACCEPTED, RESULT, INTENT = Note(Mark.ACCEPTED, "job 7"), Note(Mark.RESULT, answer=b"answer"), Note(Mark.INTENT, "60")


async def reserved(ledger: Ledger, *, send: bool = True) -> None:
    await ledger.reserve(reservation(ledger.session, 60, call_id=CALL, fingerprint="print", send=send))


async def test_what_is_noted_of_a_call_is_in_its_row_and_in_its_events(ledger: SqliteLedger) -> None:
    await reserved(ledger)
    assert await ledger.note(CALL, 0, [ACCEPTED])
    assert await ledger.note(CALL, 0, [RESULT, INTENT])
    found = await ledger.identical("print")
    assert isinstance(found, AlreadyOpen)
    assert (found.row.state, found.row.mark, found.row.answered, found.row.answer) == (
        State.SENT,
        Mark.INTENT,
        True,
        b"answer",
    )
    noted = [event for event in await ledger.events(CALL) if event.event == "note"]
    assert [(event.facts["mark"], event.facts.get("data")) for event in noted] == [
        ("accepted", "job 7"),
        ("result", None),
        ("intent", "60"),
    ]
    assert ["answer" in event.facts for event in noted] == [False, True, False]
    assert {(event.before, event.after) for event in noted} == {(State.SENT, State.SENT)}
    assert all(event.call == found.row.number for event in noted)


@pytest.mark.parametrize(
    ("notes", "mark"), [([RESULT, ACCEPTED], Mark.ACCEPTED), ([INTENT, RESULT], Mark.INTENT), ([], None)]
)
async def test_the_last_mark_stands_but_an_intent_stays(
    ledger: SqliteLedger, notes: list[Note], mark: Mark | None
) -> None:
    await reserved(ledger)
    assert await ledger.note(CALL, 0, notes)
    row = await ledger.row(CALL)
    assert row is not None
    assert (row.mark, row.answered) == (mark, RESULT in notes)


async def test_nothing_is_noted_before_a_call_is_sent_after_its_end_or_under_another_claim(
    ledger: SqliteLedger,
) -> None:
    await reserved(ledger, send=False)
    assert not await ledger.note(CALL, 0, [ACCEPTED])
    await ledger.conclude_now(Conclusion(CALL, Verdict.IN_DOUBT, claim=0))
    assert not await ledger.note(CALL, 1, [ACCEPTED])
    assert await ledger.note(CALL, 0, [ACCEPTED])
    await ledger.conclude_now(Conclusion(CALL, Verdict.NOT_CHARGED, claim=0))
    assert not await ledger.note(CALL, 0, [INTENT])
    row = await ledger.row(CALL)
    assert row is not None
    assert row.mark is Mark.ACCEPTED


async def test_a_note_has_a_bound(ledger: SqliteLedger) -> None:
    await reserved(ledger)
    assert await ledger.note(CALL, 0, [Note(Mark.ACCEPTED, "x" * 4_000)])
    with pytest.raises(LedgerError, match="more than 4000 characters"):
        await ledger.note(CALL, 0, [Note(Mark.ACCEPTED), Note(Mark.INTENT, "x" * 4_001)])
    with pytest.raises(LedgerError, match="call_other"):
        await ledger.note("call_other", 0, [ACCEPTED])
    row = await ledger.row(CALL)
    assert row is not None
    assert row.mark is Mark.ACCEPTED
