"""The columns of either ledger's tables: what a row reads as, and what is written in one. Pure: no I/O.

Columns stand in the order of the fields; SQLite has no truth values and PostgreSQL has.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import Any, Final

from jecp_mcp.domain.outcomes import Mark
from jecp_mcp.mandate.grants import Grant, GrantKind, GrantState
from jecp_mcp.mandate.records import CallRow, Reservation, Totals
from jecp_mcp.mandate.states import CHARGED, FREE, HOLDING, State
from jecp_mcp.mandate.windows import Window
from jecp_mcp.mandate.working_set import Call, MeterState, StoredGrant
from jecp_mcp.money import MicroUSDC

_LONGEST_TEXT = 500
_KINDS: Final = {kind.value: kind for kind in GrantKind}
_STATES: Final = {state.value: state for state in GrantState}

_FIELDS = tuple(field.name for field in fields(CallRow))[:-2]
_OF_RESERVATION = ("team", "tool", "payee", "source", "offer", "version", "kind", "terms", "quoted")
_OF_CALL = tuple(name for name in _FIELDS if name not in {*_OF_RESERVATION, "names"})
_NAMES = _FIELDS.index("names")

CALL: Final = ("id", *_FIELDS[1:])
"""A call's columns, in the order of `CallRow`, without its bodies."""

CHANGING: Final = (
    "owner", "claim", "state", "charged", "refunded", "balance_after", "reference", "evidence", "attempts", "sent_at",
    "look_again_at", "ended_at", "answered", "delivered", "mark",
)  # fmt: skip
"""Those that can change once it is written."""

DECIDING: Final = ("id", *[field.name for field in fields(Call)][1:])
"""Those that a transaction decides on, in the order of `Call`."""

METER: Final = ("id", "key", "window", "principal", "pattern", "session", "since", "fed", "used")
"""A meter's columns, for `read_meter`."""

GRANT: Final = (
    "kind", "slip_id", "principal", "subject", "state", "body", "created_at", "expires_at", "call_id", "note",
)  # fmt: skip
"""A grant's columns, for `read_grant`."""

changing_values: Callable[[Call], tuple[Any, ...]] = attrgetter(*CHANGING)
"""What a call has in the columns of `CHANGING`."""

meter_values: Callable[[MeterState], tuple[Any, ...]] = attrgetter("number", *METER[1:])
"""What a meter has in the columns of `METER`."""

grant_values: Callable[[Grant], tuple[Any, ...]] = attrgetter(*(field.name for field in fields(Grant)))
"""What a grant has in the columns of `GRANT`."""

_row_values: Callable[[CallRow], tuple[Any, ...]] = attrgetter(*_FIELDS)
_call_values: Callable[[Call], tuple[Any, ...]] = attrgetter(*_OF_CALL)
_reservation_values: Callable[[Reservation], tuple[Any, ...]] = attrgetter(*_OF_RESERVATION)
_in_order = itemgetter(*map((*_OF_CALL, *_OF_RESERVATION, "names").index, _FIELDS))


def new_call_values(call: Call, wanted: Reservation) -> tuple[Any, ...]:
    """What a new call has in the columns of `CALL`."""
    found: tuple[Any, ...] = _in_order((*_call_values(call), *_reservation_values(wanted), write_names(call.names)))
    return found


def row_values(row: CallRow) -> list[Any]:
    """What a call as it is told has in the columns of `CALL`."""
    values = list(_row_values(row))
    values[_NAMES] = write_names(row.names)
    return values


def read_call(found: Sequence[Any]) -> Call:
    """A call as a transaction decides on it."""
    fields = list(found)
    fields[9], fields[10] = read_names(fields[9]), State(fields[10])
    fields[-3], fields[-2], fields[-1] = bool(fields[-3]), bool(fields[-2]), _read_mark(fields[-1])
    return Call(*fields)


def read_call_row(found: Sequence[Any]) -> CallRow:
    """A call as it is told."""
    return CallRow(*read_call_fields(found))


def read_call_fields(found: Iterable[Any]) -> list[Any]:
    """A call's fields in the order of `CallRow`, as many as there are columns: of a million calls, rows take too long.

    Raises:
        ValueError: the names, the state or the mark are nothing that the ledger writes.
    """
    fields = list(found)
    fields[13], fields[18] = read_names(fields[13]), State(fields[18])
    fields[32], fields[33], fields[34] = bool(fields[32]), bool(fields[33]), _read_mark(fields[34])
    return fields


def _read_mark(text: str | None) -> Mark | None:
    return None if text is None else Mark(text)


def read_meter(found: Sequence[Any]) -> MeterState:
    """A meter."""
    number, key, window, *rest = found
    return MeterState(number, key, Window(window), *rest)


def read_grant(found: Sequence[Any]) -> Grant:
    """A grant; a batch of PostgreSQL does without its body."""
    kind, grant_id, principal, subject, state, body, *rest = found
    return Grant(GrantKind(kind), grant_id, principal, subject, GrantState(state), bytes(body or b""), *rest)


def read_stored_grants(rows: Iterable[Sequence[Any]]) -> list[StoredGrant]:
    """Grants without their bodies: kind, id, state, size of the body, expiry.

    Raises:
        ValueError: a kind or a state is none that the ledger writes.
    """
    try:
        return [
            StoredGrant(_KINDS[kind], grant_id, _STATES[state], size, expires_at)
            for kind, grant_id, state, size, expires_at in rows
        ]
    except KeyError as exc:
        raise ValueError(f"a grant is of the unknown kind or state {exc}") from exc


def read_totals(sums: Iterable[Sequence[Any]]) -> Totals:
    """The sums over all calls, from those of each state: its name, calls, held, and charged less refunded."""
    charged = held = in_doubt = calls = free = 0
    for name, count, held_here, charged_here in sums:
        state = State(name)
        calls += count
        free += count if state in FREE else 0
        charged += charged_here if state in CHARGED else 0
        held += held_here if state in HOLDING else 0
        in_doubt += held_here if state is State.IN_DOUBT else 0
    return Totals(MicroUSDC(charged), MicroUSDC(held), MicroUSDC(in_doubt), calls, free)


@lru_cache(maxsize=4096)
def read_names(text: str) -> tuple[str, ...]:
    """The names of a call as the ledger keeps them, a JSON array.

    Raises:
        ValueError: they are no such array.
    """
    found = json.loads(text)
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise ValueError("names are an array of texts")
    return tuple(found)


@lru_cache(maxsize=4096)
def write_names(names: tuple[str, ...]) -> str:
    """The names of a call as the ledger keeps them."""
    return json.dumps(names, separators=(",", ":"))


def bound_text(text: str | None) -> str | None:
    """Foreign text as a column can hold it: no lone surrogates, no NUL, no end without end."""
    if text is None:
        return None
    return text[:_LONGEST_TEXT].encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
