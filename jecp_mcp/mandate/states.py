"""The life of a paid call, as a pure state machine: no I/O, no clock.

::

    reserved ──send──▶ sent ──settle──▶ settled
       │                │ ├──release──▶ released      only on proof that nothing was charged
       └──release──▶ released └──doubt──▶ in_doubt ──┬─ prove_charged ─▶ reconciled_charged
                                                     ├─ prove_free ────▶ reconciled_free
                                                     └─ write_off ─────▶ written_off ─┬─▶ reconciled_charged
                                                                                      └─▶ reconciled_free

A call in doubt that was sent again and is still not proven (doubt) stays in doubt. `in_doubt` and `written_off` count
as spent. `sent` never releases by itself. Proof of a charge also overrules ``reconciled_free``, for an operator who
ruled may have been wrong. A charged call stays what it is when it is refunded; what it counts for shrinks.
"""

from __future__ import annotations

from enum import StrEnum


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
    SETTLE = "settle"
    RELEASE = "release"
    DOUBT = "doubt"
    PROVE_CHARGED = "prove_charged"
    PROVE_FREE = "prove_free"
    WRITE_OFF = "write_off"
    REFUND = "refund"


OPEN = frozenset({State.RESERVED, State.SENT, State.IN_DOUBT})
"""States in which the same call must not be bought a second time."""

HOLDING = frozenset({State.RESERVED, State.SENT, State.IN_DOUBT, State.WRITTEN_OFF})
"""States whose whole hold counts as spent."""

CHARGED = frozenset({State.SETTLED, State.RECONCILED_CHARGED})
"""States whose charged amount counts as spent."""

_NEXT: dict[tuple[State, Event], State] = {
    (State.RESERVED, Event.SEND): State.SENT,
    (State.RESERVED, Event.RELEASE): State.RELEASED,
    (State.SENT, Event.SETTLE): State.SETTLED,
    (State.SENT, Event.RELEASE): State.RELEASED,
    (State.SENT, Event.DOUBT): State.IN_DOUBT,
    (State.IN_DOUBT, Event.DOUBT): State.IN_DOUBT,
    (State.IN_DOUBT, Event.PROVE_CHARGED): State.RECONCILED_CHARGED,
    (State.IN_DOUBT, Event.PROVE_FREE): State.RECONCILED_FREE,
    (State.IN_DOUBT, Event.WRITE_OFF): State.WRITTEN_OFF,
    (State.WRITTEN_OFF, Event.PROVE_CHARGED): State.RECONCILED_CHARGED,
    (State.WRITTEN_OFF, Event.PROVE_FREE): State.RECONCILED_FREE,
    (State.RECONCILED_FREE, Event.PROVE_CHARGED): State.RECONCILED_CHARGED,
    (State.SETTLED, Event.REFUND): State.SETTLED,
    (State.RECONCILED_CHARGED, Event.REFUND): State.RECONCILED_CHARGED,
}


def after(state: State, event: Event) -> State | None:
    """The state after `event`, or None when `event` cannot happen in `state`."""
    return _NEXT.get((state, event))


def counted(state: State, held: int, charged: int, refunded: int = 0) -> int:
    """What a call in `state` counts as spent, in micro-USDC."""
    if state in HOLDING:
        return held
    if state in CHARGED:
        return charged - refunded
    return 0
