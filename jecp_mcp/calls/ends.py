"""How a call ends, in the ledger's words and in the caller's. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from jecp_mcp.calls import refusals
from jecp_mcp.calls.ports import CallEnd, Charge
from jecp_mcp.calls.stored import dump_answer, load_answer
from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.answers import Answer
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.outcomes import Outcome, Verdict
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import WireError
from jecp_mcp.mandate.records import CallRow, Conclusion
from jecp_mcp.mandate.states import CHARGED, FREE, OPEN, State
from jecp_mcp.money import ZERO, MicroUSDC

_CHARGES: Mapping[Verdict, Charge] = {
    Verdict.CHARGED: Charge.YES,
    Verdict.NOT_CHARGED: Charge.NO,
    Verdict.IN_DOUBT: Charge.UNKNOWN,
    Verdict.PENDING: Charge.UNKNOWN,
}

_OPEN: Final = frozenset({Verdict.IN_DOUBT, Verdict.PENDING})

_SOONEST_MS: Final = 1_000
_LATEST_MS: Final = 86_400_000
"""Between what a payee is asked for a call again, whatever its rail says."""


def refused(refusal: Refusal, offer: Offer | None) -> CallEnd:
    """A call that was never sent."""
    return CallEnd(Charge.NO, offer=offer, refusal=refusal)


def conclusion(call_id: str, outcome: Outcome, claim: int, now: UnixMs) -> Conclusion:
    """What the ledger is told of an outcome. An answer that cannot be written down still proves what it proves.

    Args:
        claim: the claim under which it was found out.
        now: the clock.
    """
    answer, evidence = None, outcome.evidence
    if outcome.answer is not None:
        try:
            answer = dump_answer(outcome.answer)
        except WireError as exc:
            evidence = f"{evidence}; the answer was not kept: {exc}"
    return Conclusion(
        call_id=call_id,
        verdict=outcome.verdict,
        charged=outcome.amount if outcome.verdict is Verdict.CHARGED else ZERO,
        claim=claim,
        proven=outcome.proven,
        refunded=outcome.refunded,
        balance_after=None if outcome.answer is None else outcome.answer.billing.balance_after,
        reference=outcome.reference,
        evidence=evidence,
        answer=answer,
        attempts=outcome.attempts,
        look_again_at=None if outcome.look_again_at is None else soon(outcome.look_again_at, now),
    )


def soon(at: int, now: UnixMs) -> UnixMs:
    """`at`, moved to where a payee may be asked again: a second from now at the earliest, a day at the latest."""
    return UnixMs(min(max(at, now + _SOONEST_MS), now + _LATEST_MS))


def ended(call_id: str, offer: Offer | None, outcome: Outcome, hold: MicroUSDC) -> CallEnd:
    """What the caller is told of an outcome."""
    refusal = outcome.refusal
    if refusal is None and outcome.answer is None:
        assert outcome.verdict is Verdict.PENDING, "an end without an answer has a reason"
        refusal = refusals.still_running()
    return CallEnd(
        charge=_CHARGES[outcome.verdict],
        call_id=call_id,
        offer=offer,
        answer=outcome.answer,
        refusal=refusal,
        amount=outcome.amount if outcome.verdict is Verdict.CHARGED else ZERO,
        held=hold if outcome.verdict in _OPEN else ZERO,
        reserved=hold,
        reference=outcome.reference,
        balance_after=None if outcome.answer is None else outcome.answer.billing.balance_after,
        estimated=outcome.estimated,
        refunded=MicroUSDC(min(outcome.refunded, outcome.amount)),
    )


def standing(row: CallRow) -> CallEnd:
    """How a row of the ledger reads to whoever asks for it now."""
    answer, charge = kept_answer(row), charge_of(row)
    refusal = None
    if answer is None:
        refusal = _open(row) if row.state in OPEN else refusals.standing(row)
    return CallEnd(
        charge=charge,
        call_id=row.call_id,
        answer=answer,
        refusal=refusal,
        amount=row.charged if charge is Charge.YES else ZERO,
        held=row.held if charge is Charge.UNKNOWN else ZERO,
        reserved=row.held,
        reference=row.reference,
        balance_after=row.balance_after,
        stored=True,
        delivered=row.delivered,
        estimated=refusals.estimated(row),
        refunded=row.refunded if charge is Charge.YES else ZERO,
    )


def charge_of(row: CallRow) -> Charge:
    """Whether a row's money moved, as far as it is proven."""
    if row.state in CHARGED:
        return Charge.YES
    return Charge.NO if row.state in FREE else Charge.UNKNOWN


def _open(row: CallRow) -> Refusal:
    return refusals.in_doubt(row) if row.state is State.IN_DOUBT else refusals.in_progress(row)


def kept_answer(row: CallRow) -> Answer | None:
    """The kept answer, if there is one and it can still be read."""
    try:
        return None if row.answer is None else load_answer(row.answer)
    except WireError:
        return None
