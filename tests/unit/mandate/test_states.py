"""The whole machine: every event in every state, and what each state counts as spent."""

import pytest

from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.mandate.states import (
    CHARGED,
    FREE,
    HOLDING,
    OPEN,
    Event,
    State,
    after,
    counted_amount,
    event_of,
)

WAYS = {
    State.RESERVED: {Event.SEND: State.SENT, Event.RELEASE: State.RELEASED},
    State.SENT: {
        Event.RESEND: State.SENT,
        Event.WAIT: State.SENT,
        Event.SETTLE: State.SETTLED,
        Event.RELEASE: State.RELEASED,
        Event.DOUBT: State.IN_DOUBT,
        Event.WRITE_OFF: State.WRITTEN_OFF,
    },
    State.IN_DOUBT: {
        Event.RESEND: State.IN_DOUBT,
        Event.WAIT: State.IN_DOUBT,
        Event.DOUBT: State.IN_DOUBT,
        Event.PROVE_CHARGED: State.RECONCILED_CHARGED,
        Event.PROVE_FREE: State.RECONCILED_FREE,
        Event.WRITE_OFF: State.WRITTEN_OFF,
    },
    State.WRITTEN_OFF: {Event.PROVE_CHARGED: State.RECONCILED_CHARGED, Event.PROVE_FREE: State.RECONCILED_FREE},
    State.RECONCILED_FREE: {Event.PROVE_CHARGED: State.RECONCILED_CHARGED},
    State.SETTLED: {
        Event.WAIT: State.SETTLED,
        Event.CONFIRM: State.SETTLED,
        Event.REFUND: State.SETTLED,
        Event.CORRECTED: State.SETTLED,
    },
    State.RECONCILED_CHARGED: {
        Event.WAIT: State.RECONCILED_CHARGED,
        Event.CONFIRM: State.RECONCILED_CHARGED,
        Event.REFUND: State.RECONCILED_CHARGED,
        Event.CORRECTED: State.RECONCILED_CHARGED,
    },
    State.RELEASED: {Event.PROVE_CHARGED: State.RECONCILED_CHARGED},
}


@pytest.mark.parametrize("state", State)
def test_nothing_happens_but_what_is_drawn(state: State) -> None:
    assert {event: then for event in Event if (then := after(state, event)) is not None} == WAYS[state]


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("verdict", Verdict)
def test_a_verdict_means_what_can_happen_where_the_call_stands(state: State, verdict: Verdict) -> None:
    event = event_of(state, verdict)
    proofs = {Verdict.CHARGED: CHARGED, Verdict.NOT_CHARGED: FREE}.get(verdict, OPEN)
    possible = [one for one in MEANT[verdict] if after(state, one) is not None]
    assert event is (possible[0] if possible else None)
    if event is not None and state not in CHARGED:
        assert after(state, event) in proofs
    # A charge stays one, whatever is said of it.
    assert state not in CHARGED or event is None or after(state, event) is state


MEANT = {
    Verdict.CHARGED: (Event.SETTLE, Event.PROVE_CHARGED, Event.CONFIRM),
    Verdict.NOT_CHARGED: (Event.RELEASE, Event.PROVE_FREE),
    Verdict.IN_DOUBT: (Event.DOUBT, Event.WAIT),
    Verdict.PENDING: (Event.WAIT,),
}


@pytest.mark.parametrize(
    ("state", "spent"),
    [
        (State.RESERVED, 70),
        (State.SENT, 70),
        (State.IN_DOUBT, 70),
        (State.WRITTEN_OFF, 70),
        (State.SETTLED, 25),
        (State.RECONCILED_CHARGED, 25),
        (State.RELEASED, 0),
        (State.RECONCILED_FREE, 0),
    ],
)
def test_a_hold_counts_whole_until_proof_and_a_charge_counts_less_its_refund(state: State, spent: int) -> None:
    assert counted_amount(state, held=70, charged=30, refunded=5) == spent


def test_a_charge_without_a_refund_counts_whole() -> None:
    assert counted_amount(State.SETTLED, 70, 30) == 30


def test_no_event_gives_money_back_without_proof() -> None:
    """Only a release, a proof of no charge and a refund make a call count less than what was held."""
    for state in HOLDING:
        cheaper = {event for event in Event if (then := after(state, event)) and then not in HOLDING | CHARGED}
        assert cheaper <= {Event.RELEASE, Event.PROVE_FREE}


def test_what_may_still_be_charged_is_open_or_written_off() -> None:
    assert OPEN | {State.WRITTEN_OFF} == HOLDING
