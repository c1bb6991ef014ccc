"""Grants: one for each agreement, answered once, and good for one call."""

from dataclasses import replace

import pytest

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import LedgerError, TooManyQuestions
from jecp_mcp.mandate.grants import MOST_QUESTIONS, Grant, GrantKind, GrantRef, GrantState
from jecp_mcp.mandate.records import Admitted, Conclusion, NotGood
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.money import MicroUSDC
from tests.unit.mandate.reservations import START, HandClock, reservation

pytestmark = pytest.mark.anyio

ASKED = Grant(GrantKind.APPROVAL, "AAAA-BBBB", "local", "print", GrantState.ASKED, b"{}", START, UnixMs(START + 60_000))
REF = GrantRef(GrantKind.APPROVAL, "AAAA-BBBB")


async def test_an_id_is_taken_once_and_a_newer_grant_takes_the_place_of_the_older(ledger: SqliteLedger) -> None:
    await ledger.write_grant(ASKED)
    with pytest.raises(LedgerError, match="taken"):
        await ledger.write_grant(ASKED)
    newer = await ledger.write_grant(replace(ASKED, grant_id="CCCC-DDDD"))
    assert await ledger.grants(GrantKind.APPROVAL) == [newer]
    old = await ledger.grant(REF)
    assert old is not None
    assert old.state is GrantState.SUPERSEDED
    assert await ledger.answer_grant(REF, granted=True, note="late") is None


async def test_a_grant_lasts_as_long_as_was_said_from_the_instant_that_it_is_written(
    ledger: SqliteLedger, clock: HandClock
) -> None:
    clock.forward(seconds=7)
    written = await ledger.write_grant(replace(ASKED, call_id="call_of_before"))
    assert (written.created_at, written.expires_at) == (START + 7_000, START + 67_000)
    assert await ledger.grant(REF) == written
    (event,) = await ledger.events()
    assert (event.event, event.facts["state"], event.facts["call_id"]) == ("slip", "asked", "call_of_before")
    assert event.facts["expires_at"] == written.expires_at


async def test_an_answer_counts_once_and_in_time(ledger: SqliteLedger, clock: HandClock) -> None:
    assert await ledger.answer_grant(REF, granted=True, note="nobody asked") is None
    await ledger.write_grant(ASKED)
    answered = await ledger.answer_grant(REF, granted=False, note="no")
    assert answered is not None
    assert (answered.state, answered.note) == (GrantState.DENIED, "no")
    assert await ledger.answer_grant(REF, granted=True, note="yes after all") is None
    await ledger.write_grant(replace(ASKED, grant_id="EEEE-FFFF"))
    clock.at = ASKED.expires_at
    assert await ledger.answer_grant(GrantRef(GrantKind.APPROVAL, "EEEE-FFFF"), granted=True, note="late") is None


async def test_a_grant_is_good_for_one_call_of_its_subject_and_principal(
    ledger: SqliteLedger, clock: HandClock
) -> None:
    await ledger.write_grant(replace(ASKED, state=GrantState.GRANTED))

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
    granted = replace(ASKED, state=GrantState.GRANTED)
    others = [
        replace(granted, grant_id="another call", subject="another"),
        replace(granted, grant_id="somebody else's", subject="other", principal="somebody"),
        replace(ASKED, grant_id="not answered", kind=GrantKind.LIMIT),
    ]
    for grant in (granted, *others):
        await ledger.write_grant(grant)
    assert isinstance(
        await ledger.reserve(reservation(ledger.session, fingerprint="print", call_id="call_1")), Admitted
    )
    refs = [GrantRef(grant.kind, grant.grant_id) for grant in (granted, *others)]
    ledger.use_grants([*refs, GrantRef(GrantKind.APPROVAL, "none")], "print", "local", "call_1")
    found = [await ledger.grant(ref) for ref in refs]
    assert [(grant.state, grant.call_id) for grant in found if grant is not None] == [
        (GrantState.USED, "call_1"), (GrantState.GRANTED, None), (GrantState.GRANTED, None), (GrantState.ASKED, None),
    ]  # fmt: skip
    await ledger.conclude_now(Conclusion("call_1", Verdict.NOT_CHARGED))
    again = reservation(ledger.session, call_id="call_2", fingerprint="print")
    assert isinstance(await ledger.reserve(replace(again, uses=(REF,))), Admitted)


async def test_what_was_agreed_and_is_withdrawn_buys_nothing_any_more(ledger: SqliteLedger) -> None:
    granted = replace(ASKED, state=GrantState.GRANTED)
    states = {"asked": GrantState.ASKED, "granted": GrantState.GRANTED, "denied": GrantState.DENIED}
    for name, state in states.items():
        await ledger.write_grant(replace(ASKED, grant_id=name, subject=name, state=state))
    for name in ("paid", "free"):
        await ledger.write_grant(replace(granted, grant_id=name, subject=name))
        uses = (GrantRef(GrantKind.APPROVAL, name),)
        wanted = reservation(ledger.session, call_id=name, fingerprint=name)
        assert isinstance(await ledger.reserve(replace(wanted, uses=uses)), Admitted)
    await ledger.conclude_now(Conclusion("free", Verdict.NOT_CHARGED))
    refs = {name: GrantRef(GrantKind.APPROVAL, name) for name in (*states, "paid", "free")}
    ledger.withdraw_grants([*refs.values(), GrantRef(GrantKind.APPROVAL, "none")])
    await ledger.flush()
    found = {name: grant.state.value for name, ref in refs.items() if (grant := await ledger.grant(ref)) is not None}
    assert found == {
        "asked": "superseded", "granted": "superseded", "denied": "denied", "paid": "used", "free": "superseded",
    }  # fmt: skip
    assert (await ledger.audit()).findings == ()


async def test_so_many_questions_of_a_principal_wait_for_a_person_and_no_more(
    ledger: SqliteLedger, clock: HandClock
) -> None:
    async def ask(number: int, **changed: object) -> Grant:
        kind = GrantKind.APPROVAL if number % 2 else GrantKind.LIMIT
        grant = replace(ASKED, kind=kind, grant_id=f"code {number}", subject=f"print {number}")
        return await ledger.write_grant(replace(grant, **changed))  # type: ignore[arg-type]  # some fields of a grant

    for number in range(MOST_QUESTIONS):
        await ask(number)
    before = (await ledger.audit()).head
    with pytest.raises(TooManyQuestions):
        await ask(MOST_QUESTIONS)
    assert (await ledger.audit()).head == before, "what is refused changes nothing"
    # What asks nobody, what asks in another's name, and what takes another's place is written all the same.
    await ask(100, state=GrantState.GRANTED)
    await ask(101, kind=GrantKind.PREPARED)
    await ask(102, principal="somebody")
    await ask(103, kind=GrantKind.LIMIT, subject="print 0")
    assert (await ledger.questions(START)).total == MOST_QUESTIONS + 1
    # Room comes with an answer, and with time.
    await ledger.answer_grant(GrantRef(GrantKind.APPROVAL, "code 1"), granted=False, note="no")
    await ask(MOST_QUESTIONS)
    with pytest.raises(TooManyQuestions):
        await ask(MOST_QUESTIONS + 1)
    clock.forward(seconds=61)
    await ask(MOST_QUESTIONS + 1)


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 30])
async def test_what_waits_is_read_page_by_page_and_oldest_first(ledger: SqliteLedger, count: int) -> None:
    asked = []
    for number in range(count):
        kind = GrantKind.LIMIT if number % 3 == 0 else GrantKind.APPROVAL
        grant = replace(ASKED, kind=kind, grant_id=f"code {number}", subject=f"{number}", principal=f"{number % 4}")
        asked.append(await ledger.write_grant(grant))
        await ledger.write_grant(
            replace(ASKED, grant_id=f"granted {number}", subject=f"g {number}", state=GrantState.GRANTED)
        )
    at = START if not asked else UnixMs(max(grant.created_at for grant in asked))
    pages = [await ledger.questions(at, skip=skip, limit=8) for skip in range(0, count + 1, 8)]
    assert [grant for page in pages for grant in page.grants] == asked
    assert {page.total for page in pages} == {count}
    assert (await ledger.questions(UnixMs(at + 60_000))).total == 0
