"""Slips: one for each agreement, answered once, and good for one call."""

from dataclasses import replace

import pytest

from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.ledger import Admitted, Conclusion, NotGood
from jecp_mcp.mandate.slips import Slip, SlipKind, SlipRef, SlipState
from jecp_mcp.mandate.sqlite import SqliteLedger
from jecp_mcp.mandate.states import Event
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
    await ledger.conclude_now(Conclusion("call_3", Event.RELEASE))
    # It cost nothing, so the agreement still stands.
    assert isinstance(await bought("call_4"), Admitted)
    ledger.conclude(Conclusion("call_4", Event.RELEASE))
    # Written together with what comes next.
    assert isinstance(await bought("call_4b"), Admitted)
    await ledger.conclude_now(Conclusion("call_4b", Event.SETTLE, charged=MicroUSDC(5)))
    assert isinstance(await bought("call_5"), NotGood)
    clock.forward(hours=1)
    assert isinstance(await bought("call_6"), NotGood)
