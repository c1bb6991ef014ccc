"""The life of a paid call, as a pure state machine: no I/O, no clock.

::

    reserved ──send──▶ sent ──settle──▶ settled
       │                │ ├──release──▶ released      only on proof that nothing was charged
       └──release──▶ released └──doubt──▶ in_doubt ──┬─ prove_charged ─▶ reconciled_charged
                        │                            ├─ prove_free ────▶ reconciled_free
                        │                            └─ write_off ─────▶ written_off ─┬─▶ reconciled_charged
                        └──write_off──▶ written_off                                   └─▶ reconciled_free

Whoever concludes a call says what is proven (`Verdict`); which event that is follows from where the call stands then
(`event_of`), not from where the speaker believes it stands. A call that is still running at its payee (wait), or is
sent again under its own id (resend), stays what it is. `in_doubt` and `written_off` count as spent. `sent` never
releases by itself. Proof of a charge also overrules ``reconciled_free`` and ``released``, for who ruled may have been
wrong. A charged call stays what it is when it is refunded or an operator corrects its amount; what it counts for moves.
A charge that may yet turn, being provisional or assumed, is looked at again (wait) until it stands (confirm); only then
has the call ended.
"""

from __future__ import annotations

from enum import StrEnum

from jecp_mcp.domain.outcomes import Mark, Verdict


class State(StrEnum):
    """Where a call stands."""

    RESERVED = "reserved"
    SENT = "sent"
    SETTLED = "settled"
    RELEASED = "released"
    IN_DOUBT = "in_doubt"
    RECONCILED_CHARGED = "reconciled_charged"
    RECONCILED_FREE = "reconciled_free"
    WRITTEN_OFF = "written_off"


class Event(StrEnum):
    """What can happen to a call."""

    SEND = "send"
    RESEND = "resend"
    WAIT = "wait"
    CONFIRM = "confirm"
    SETTLE = "settle"
    RELEASE = "release"
    DOUBT = "doubt"
    PROVE_CHARGED = "prove_charged"
    PROVE_FREE = "prove_free"
    WRITE_OFF = "write_off"
    REFUND = "refund"
    CORRECTED = "corrected"


OPEN = frozenset({State.RESERVED, State.SENT, State.IN_DOUBT})
"""States in which the same call must not be bought a second time."""

HOLDING = frozenset({State.RESERVED, State.SENT, State.IN_DOUBT, State.WRITTEN_OFF})
"""States whose whole hold counts as spent."""

CHARGED = frozenset({State.SETTLED, State.RECONCILED_CHARGED})
"""States whose charged amount counts as spent."""

FREE = frozenset({State.RELEASED, State.RECONCILED_FREE})
"""States in which a call is proven to have cost nothing."""

_NEXT: dict[tuple[State, Event], State] = {
    (State.RESERVED, Event.SEND): State.SENT,
    (State.RESERVED, Event.RELEASE): State.RELEASED,
    (State.SENT, Event.RESEND): State.SENT,
    (State.SENT, Event.WAIT): State.SENT,
    (State.SENT, Event.SETTLE): State.SETTLED,
    (State.SENT, Event.RELEASE): State.RELEASED,
    (State.SENT, Event.DOUBT): State.IN_DOUBT,
    (State.SENT, Event.WRITE_OFF): State.WRITTEN_OFF,
    (State.IN_DOUBT, Event.RESEND): State.IN_DOUBT,
    (State.IN_DOUBT, Event.WAIT): State.IN_DOUBT,
    (State.IN_DOUBT, Event.DOUBT): State.IN_DOUBT,
    (State.IN_DOUBT, Event.PROVE_CHARGED): State.RECONCILED_CHARGED,
    (State.IN_DOUBT, Event.PROVE_FREE): State.RECONCILED_FREE,
    (State.IN_DOUBT, Event.WRITE_OFF): State.WRITTEN_OFF,
    (State.WRITTEN_OFF, Event.PROVE_CHARGED): State.RECONCILED_CHARGED,
    (State.WRITTEN_OFF, Event.PROVE_FREE): State.RECONCILED_FREE,
    (State.RELEASED, Event.PROVE_CHARGED): State.RECONCILED_CHARGED,
    (State.RECONCILED_FREE, Event.PROVE_CHARGED): State.RECONCILED_CHARGED,
    (State.SETTLED, Event.WAIT): State.SETTLED,
    (State.SETTLED, Event.CONFIRM): State.SETTLED,
    (State.SETTLED, Event.REFUND): State.SETTLED,
    (State.SETTLED, Event.CORRECTED): State.SETTLED,
    (State.RECONCILED_CHARGED, Event.WAIT): State.RECONCILED_CHARGED,
    (State.RECONCILED_CHARGED, Event.CONFIRM): State.RECONCILED_CHARGED,
    (State.RECONCILED_CHARGED, Event.REFUND): State.RECONCILED_CHARGED,
    (State.RECONCILED_CHARGED, Event.CORRECTED): State.RECONCILED_CHARGED,
}

_EVENTS: dict[Verdict, tuple[Event, ...]] = {
    Verdict.CHARGED: (Event.SETTLE, Event.PROVE_CHARGED, Event.CONFIRM),
    Verdict.NOT_CHARGED: (Event.RELEASE, Event.PROVE_FREE),
    Verdict.IN_DOUBT: (Event.DOUBT, Event.WAIT),
    Verdict.PENDING: (Event.WAIT,),
}


def after(state: State, event: Event) -> State | None:
    """The state after `event`, or None when `event` cannot happen in `state`."""
    return _NEXT.get((state, event))


def event_of(state: State, verdict: Verdict) -> Event | None:
    """What `verdict` does to a call that stands at `state`; None when it can say nothing new of it."""
    return next((event for event in _EVENTS[verdict] if (state, event) in _NEXT), None)


def furthest(before: Mark | None, now: Mark) -> Mark:
    """How far a call has come: an intent stays, whatever is written down after it."""
    return before if before is Mark.INTENT else now


def counted_amount(state: State, held: int, charged: int, refunded: int = 0) -> int:
    """What a call in `state` counts as spent, in micro-USDC."""
    if state in HOLDING:
        return held
    if state in CHARGED:
        return charged - refunded
    return 0
