"""How a call ends, in the ledger's words and in the caller's. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping

from jecp_mcp.calls import refusals
from jecp_mcp.calls.ports import CallEnd, Charge
from jecp_mcp.mandate.ledger import CallRow, Conclusion
from jecp_mcp.mandate.states import CHARGED, OPEN, Event, State
from jecp_mcp.money import ZERO
from jecp_mcp.rails.base import Outcome, StoredRequest, Verdict
from jecp_mcp.wire.envelope import dump_answer, load_answer
from jecp_mcp.wire.forms import Action, Refusal

_EVENTS: Mapping[Verdict, Event] = {
    Verdict.CHARGED: Event.SETTLE,
    Verdict.NOT_CHARGED: Event.RELEASE,
    Verdict.IN_DOUBT: Event.DOUBT,
}

_CHARGES: Mapping[Verdict, Charge] = {
    Verdict.CHARGED: Charge.YES,
    Verdict.NOT_CHARGED: Charge.NO,
    Verdict.IN_DOUBT: Charge.UNKNOWN,
}


def refused(refusal: Refusal, action: Action | None) -> CallEnd:
    """A call that was never sent."""
    return CallEnd(Charge.NO, action=action, refusal=refusal)


def conclusion(call_id: str, outcome: Outcome) -> Conclusion:
    """What the ledger is told of an outcome."""
    return Conclusion(
        call_id=call_id,
        event=_EVENTS[outcome.verdict],
        charged=outcome.amount if outcome.verdict is Verdict.CHARGED else ZERO,
        balance_after=None if outcome.answer is None else outcome.answer.billing.balance_after,
        transaction_id=outcome.transaction_id,
        evidence=outcome.evidence,
        answer=None if outcome.answer is None else dump_answer(outcome.answer),
        attempts=outcome.attempts,
    )


def ended(call_id: str, action: Action | None, outcome: Outcome, request: StoredRequest) -> CallEnd:
    """What the caller is told of an outcome."""
    return CallEnd(
        charge=_CHARGES[outcome.verdict],
        call_id=call_id,
        action=action,
        answer=outcome.answer,
        refusal=outcome.refusal,
        amount=outcome.amount if outcome.verdict is Verdict.CHARGED else ZERO,
        held=request.budget if outcome.verdict is Verdict.IN_DOUBT else ZERO,
        transaction_id=outcome.transaction_id,
        balance_after=None if outcome.answer is None else outcome.answer.billing.balance_after,
    )


def standing(row: CallRow) -> CallEnd:
    """How a row of the ledger reads to whoever asks for it now."""
    answer = load_answer(row.answer) if row.answer is not None else None
    if row.state in CHARGED:
        charge, amount, held = Charge.YES, row.charged, ZERO
    elif row.state in {State.RELEASED, State.RECONCILED_FREE}:
        charge, amount, held = Charge.NO, ZERO, ZERO
    else:
        charge, amount, held = Charge.UNKNOWN, ZERO, row.held
    refusal = None
    if answer is None:
        refusal = (
            refusals.standing(row)
            if row.state not in OPEN
            else (refusals.in_doubt(row) if row.state is State.IN_DOUBT else refusals.in_progress(row))
        )
    return CallEnd(
        charge=charge,
        call_id=row.call_id,
        answer=answer,
        refusal=refusal,
        amount=amount,
        held=held,
        transaction_id=row.transaction_id,
        balance_after=row.balance_after,
        stored=True,
    )
