"""Slips in PostgreSQL. The rules are those of `jecp_mcp.mandate.slipbook`; changes run while the head is locked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import LedgerError, TooManyQuestions
from jecp_mcp.mandate.ledger import NotGood
from jecp_mcp.mandate.postgres.link import Link
from jecp_mcp.mandate.slips import MOST_QUESTIONS, QUESTIONS, OpenQuestions, Slip, SlipKind, SlipRef, SlipState
from jecp_mcp.mandate.states import State

_COLUMNS = "kind, slip_id, principal, subject, state, body, created_at, expires_at, call_id, note"
_READ = f"SELECT {_COLUMNS} FROM jecp_mcp.slip"  # noqa: S608 constants of this module
_WRITE = f"INSERT INTO jecp_mcp.slip({_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"  # noqa: S608 likewise
_SUPERSEDE = f"""
UPDATE jecp_mcp.slip SET state = 'superseded' WHERE kind = %s AND subject = %s AND state IN ('asked', 'granted')
RETURNING {_COLUMNS}
"""  # noqa: S608 likewise
_ANSWER = f"""
UPDATE jecp_mcp.slip SET state = %s, note = %s
WHERE kind = %s AND slip_id = %s AND state = 'asked' AND expires_at > %s RETURNING {_COLUMNS}
"""  # noqa: S608 likewise
_OPEN = "FROM jecp_mcp.slip WHERE state = 'asked' AND kind IN ('approval', 'limit') AND expires_at > %s"
_OTHERS = f"SELECT count(*) {_OPEN} AND principal = %s AND NOT (kind = %s AND subject = %s)"
_FREE = frozenset({State.RELEASED, State.RECONCILED_FREE})

Stands = Callable[[str], tuple[State, bool] | None]
"""The state of a call and whether it has an answer, as the batch has it so far; None for an unknown one."""


class SlipBook:
    """The slips of one batch."""

    def __init__(self, link: Link, stands: Stands) -> None:
        self._link = link
        self._stands = stands

    def write(self, slip: Slip, at: UnixMs) -> tuple[Slip, list[Slip]]:
        """Write a new slip; returns it as it was written, and those that it supersedes.

        Raises:
            LedgerError: its id is taken.
            TooManyQuestions: as many of its principal wait for a person as may, besides the one it takes the place of.
        """
        if slip.kind in QUESTIONS and slip.state is SlipState.ASKED:
            asked = (at, slip.principal, slip.kind.value, slip.subject)
            if self._link.query(_OTHERS, asked)[0][0] >= MOST_QUESTIONS:
                raise TooManyQuestions(f"{MOST_QUESTIONS} questions wait for a person already")
        if read_slip(self._link, SlipRef(slip.kind, slip.slip_id)) is not None:
            raise LedgerError(f"the slip {slip.slip_id} is taken")
        superseded = [_slip(row) for row in self._link.query(_SUPERSEDE, (slip.kind.value, slip.subject))]
        written = replace(slip, created_at=at, expires_at=UnixMs(at + slip.expires_at - slip.created_at))
        self._link.query(
            _WRITE,
            (
                written.kind.value,
                written.slip_id,
                written.principal,
                written.subject,
                written.state.value,
                written.body,
                written.created_at,
                written.expires_at,
                written.call_id,
                written.note,
            ),
        )
        return written, superseded

    def answer(self, ref: SlipRef, granted: bool, note: str | None, at: UnixMs) -> Slip | None:
        """Grant or deny a slip that is asked for and has not expired; None when there is no such one."""
        state = SlipState.GRANTED if granted else SlipState.DENIED
        found = self._link.query(_ANSWER, (state.value, note, ref.kind.value, ref.slip_id, at))
        return _slip(found[0]) if found else None

    def check(self, refs: Sequence[SlipRef], subject: str, principal: str, at: UnixMs) -> NotGood | None:
        """The first slip that is not good for this call, or None when all are."""
        for ref in refs:
            slip = read_slip(self._link, ref)
            if slip is None or not self._good(slip, subject, principal, at):
                return NotGood(ref, slip)
        return None

    def use(self, ref: SlipRef, call_id: str) -> None:
        """Use a slip that is good."""
        self._link.query(
            "UPDATE jecp_mcp.slip SET state = 'used', call_id = %s WHERE kind = %s AND slip_id = %s",
            (call_id, ref.kind.value, ref.slip_id),
        )

    def _good(self, slip: Slip, subject: str, principal: str, at: UnixMs) -> bool:
        if (slip.subject, slip.principal) != (subject, principal) or slip.expires_at <= at:
            return False
        if slip.state is not SlipState.USED or slip.call_id is None:
            return slip.state is SlipState.GRANTED
        stands = self._stands(slip.call_id)
        return stands is not None and stands[0] in _FREE and not stands[1]


def read_slip(link: Link, ref: SlipRef) -> Slip | None:
    """One slip, or None."""
    found = link.query(f"{_READ} WHERE kind = %s AND slip_id = %s", (ref.kind.value, ref.slip_id))
    return _slip(found[0]) if found else None


def read_slips(link: Link, kind: SlipKind, subject: str | None, states: frozenset[SlipState], limit: int) -> list[Slip]:
    """The latest slips in some states, newest first."""
    names = sorted(state.value for state in states)
    rows = link.query(
        f"{_READ} WHERE kind = %s AND state = ANY (%s) AND (%s::text IS NULL OR subject = %s) "
        "ORDER BY number DESC LIMIT %s",
        (kind.value, names, subject, subject, limit),
    )
    return [_slip(row) for row in rows]


def read_questions(link: Link, at: UnixMs, skip: int, limit: int) -> OpenQuestions:
    """What waits for a person, oldest first."""
    ((total,),) = link.query(f"SELECT count(*) {_OPEN}", (at,))
    rows = link.query(f"SELECT {_COLUMNS} {_OPEN} ORDER BY number LIMIT %s OFFSET %s", (at, limit, skip))
    return OpenQuestions([_slip(row) for row in rows], int(total))


def every_slip(link: Link) -> list[Slip]:
    """All slips, oldest first."""
    return [_slip(row) for row in link.query(f"{_READ} ORDER BY number")]


def _slip(found: Sequence[Any]) -> Slip:
    kind, slip_id, principal, subject, state, body, *rest = found
    return Slip(SlipKind(kind), slip_id, principal, subject, SlipState(state), bytes(body), *rest)
