"""Slips: one for each agreement, answered once, and good for one call."""

from dataclasses import replace

import pytest

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import LedgerError, TooManyQuestions
from jecp_mcp.mandate.ledger import Admitted, Conclusion, NotGood
from jecp_mcp.mandate.slips import MOST_QUESTIONS, Slip, SlipKind, SlipRef, SlipState
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.money import MicroUSDC
from tests.unit.mandate.reservations import START, HandClock, reservation

pytestmark = pytest.mark.anyio

ASKED = Slip(SlipKind.APPROVAL, "AAAA-BBBB", "local", "print", SlipState.ASKED, b"{}", START, UnixMs(START + 60_000))
REF = SlipRef(SlipKind.APPROVAL, "AAAA-BBBB")


async def test_an_id_is_taken_once_and_a_newer_slip_takes_the_place_of_the_older(ledger: SqliteLedger) -> None:
    await ledger.write_slip(ASKED)
    with pytest.raises(LedgerError, match="taken"):
        await ledger.write_slip(ASKED)
    newer = await ledger.write_slip(replace(ASKED, slip_id="CCCC-DDDD"))
    assert await ledger.slips(SlipKind.APPROVAL) == [newer]
    old = await ledger.slip(REF)
    assert old is not None
    assert old.state is SlipState.SUPERSEDED
    assert await ledger.answer_slip(REF, granted=True, note="late") is None


async def test_an_answer_counts_once_and_in_time(ledger: SqliteLedger, clock: HandClock) -> None:
    assert await ledger.answer_slip(REF, granted=True, note="nobody asked") is None
    await ledger.write_slip(ASKED)
    answered = await ledger.answer_slip(REF, granted=False, note="no")
    assert answered is not None
    assert (answered.state, answered.note) == (SlipState.DENIED, "no")
    assert await ledger.answer_slip(REF, granted=True, note="yes after all") is None
    await ledger.write_slip(replace(ASKED, slip_id="EEEE-FFFF"))
    clock.forward(seconds=61)
    assert await ledger.answer_slip(SlipRef(SlipKind.APPROVAL, "EEEE-FFFF"), granted=True, note="late") is None


async def test_a_slip_is_good_for_one_call_of_its_subject_and_principal(ledger: SqliteLedger, clock: HandClock) -> None:
    await ledger.write_slip(replace(ASKED, state=SlipState.GRANTED))

    async def bought(call_id: str, subject: str = "print", principal: str = "local") -> object:
        wanted = reservation(ledger.session, call_id=call_id, fingerprint=subject)
        return await ledger.reserve(replace(wanted, uses=(REF,), principal=principal))

    assert isinstance(await bought("call_1", subject="another"), NotGood)
    assert isinstance(await bought("call_2", principal="somebody"), NotGood)
    assert isinstance(await bought("call_3"), Admitted)
    await ledger.conclude_now(Conclusion("call_3", Verdict.NOT_CHARGED))
    # It cost nothing, so the agreement still stands.
    assert isinstance(await bought("call_4"), Admitted)
    ledger.conclude(Conclusion("call_4", Verdict.NOT_CHARGED))
    # Written together with what comes next.
    assert isinstance(await bought("call_4b"), Admitted)
    await ledger.conclude_now(Conclusion("call_4b", Verdict.CHARGED, charged=MicroUSDC(5)))
    assert isinstance(await bought("call_5"), NotGood)
    clock.forward(hours=1)
    assert isinstance(await bought("call_6"), NotGood)


async def test_what_was_agreed_for_a_call_that_was_joined_is_used_by_it(ledger: SqliteLedger) -> None:
    """Only what would have been good for it, and not before it is known whether the call came to nothing."""
    granted = replace(ASKED, state=SlipState.GRANTED)
    others = [
        replace(granted, slip_id="another call", subject="another"),
        replace(granted, slip_id="somebody else's", subject="other", principal="somebody"),
        replace(ASKED, slip_id="not answered", kind=SlipKind.LIMIT),
    ]
    for slip in (granted, *others):
        await ledger.write_slip(slip)
    assert isinstance(
        await ledger.reserve(reservation(ledger.session, fingerprint="print", call_id="call_1")), Admitted
    )
    refs = [SlipRef(slip.kind, slip.slip_id) for slip in (granted, *others)]
    ledger.use_slips([*refs, SlipRef(SlipKind.APPROVAL, "none")], "print", "local", "call_1")
    found = [await ledger.slip(ref) for ref in refs]
    assert [(slip.state, slip.call_id) for slip in found if slip is not None] == [
        (SlipState.USED, "call_1"), (SlipState.GRANTED, None), (SlipState.GRANTED, None), (SlipState.ASKED, None),
    ]  # fmt: skip
    await ledger.conclude_now(Conclusion("call_1", Verdict.NOT_CHARGED))
    again = reservation(ledger.session, call_id="call_2", fingerprint="print")
    assert isinstance(await ledger.reserve(replace(again, uses=(REF,))), Admitted)


async def test_so_many_questions_of_a_principal_wait_for_a_person_and_no_more(
    ledger: SqliteLedger, clock: HandClock
) -> None:
    async def ask(number: int, **changed: object) -> Slip:
        kind = SlipKind.APPROVAL if number % 2 else SlipKind.LIMIT
        slip = replace(ASKED, kind=kind, slip_id=f"code {number}", subject=f"print {number}")
        return await ledger.write_slip(replace(slip, **changed))  # type: ignore[arg-type]  # some fields of a slip

    for number in range(MOST_QUESTIONS):
        await ask(number)
    before = (await ledger.audit()).head
    with pytest.raises(TooManyQuestions):
        await ask(MOST_QUESTIONS)
    assert (await ledger.audit()).head == before, "what is refused changes nothing"
    # What asks nobody, what asks in another's name, and what takes another's place is written all the same.
    await ask(100, state=SlipState.GRANTED)
    await ask(101, kind=SlipKind.PREPARED)
    await ask(102, principal="somebody")
    await ask(103, kind=SlipKind.LIMIT, subject="print 0")
    assert (await ledger.questions(START)).total == MOST_QUESTIONS + 1
    # Room comes with an answer, and with time.
    await ledger.answer_slip(SlipRef(SlipKind.APPROVAL, "code 1"), granted=False, note="no")
    await ask(MOST_QUESTIONS)
    with pytest.raises(TooManyQuestions):
        await ask(MOST_QUESTIONS + 1)
    clock.forward(seconds=61)
    await ask(MOST_QUESTIONS + 1)


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 30])
async def test_what_waits_is_read_page_by_page_and_oldest_first(ledger: SqliteLedger, count: int) -> None:
    asked = []
    for number in range(count):
        kind = SlipKind.LIMIT if number % 3 == 0 else SlipKind.APPROVAL
        slip = replace(ASKED, kind=kind, slip_id=f"code {number}", subject=f"{number}", principal=f"{number % 4}")
        asked.append(await ledger.write_slip(slip))
        await ledger.write_slip(
            replace(ASKED, slip_id=f"granted {number}", subject=f"g {number}", state=SlipState.GRANTED)
        )
    at = START if not asked else UnixMs(max(slip.created_at for slip in asked))
    pages = [await ledger.questions(at, skip=skip, limit=8) for skip in range(0, count + 1, 8)]
    assert [slip for page in pages for slip in page.slips] == asked
    assert {page.total for page in pages} == {count}
    assert (await ledger.questions(UnixMs(at + 60_000))).total == 0
