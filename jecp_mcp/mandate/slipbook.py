"""Slips in SQLite: written inside a write transaction that `jecp_mcp.mandate.file` opens, read by any connection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import apsw

from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import LedgerError, TooManyQuestions
from jecp_mcp.mandate.ledger import NotGood
from jecp_mcp.mandate.slips import MOST_QUESTIONS, QUESTIONS, OpenQuestions, Slip, SlipKind, SlipRef, SlipState

_READ = """
SELECT kind, slip_id, principal, subject, state, body, created_at, expires_at, call_id, note FROM slip
"""

_GOOD = """
SELECT 1 FROM slip AS s WHERE s.kind = ? AND s.slip_id = ? AND s.subject = ? AND s.principal = ? AND s.expires_at > ?
  AND (s.state = 'granted' OR s.state = 'used' AND EXISTS (
    SELECT 1 FROM call AS c WHERE c.call_id = s.call_id AND c.state IN ('released', 'reconciled_free')
      AND c.answered = 0))
"""
"""A slip is good again when the call it was used for is proven to have cost nothing and brought nothing."""

_OPEN = "FROM slip WHERE state = 'asked' AND kind IN ('approval', 'limit') AND expires_at > ?"
_OTHERS = f"SELECT count(*) {_OPEN} AND principal = ? AND NOT (kind = ? AND subject = ?)"


class SlipBook:
    """The slips of one writing connection."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._execute = connection.cursor().execute

    def write(self, slip: Slip, at: UnixMs) -> tuple[Slip, list[Slip]]:
        """Write a new slip; returns it as it was written, and those that it supersedes.

        Raises:
            LedgerError: its id is taken.
            TooManyQuestions: as many of its principal wait for a person as may, besides the one it takes the place of.
        """
        if slip.kind in QUESTIONS and slip.state is SlipState.ASKED:
            asked = (at, slip.principal, slip.kind.value, slip.subject)
            if self._execute(_OTHERS, asked).get >= MOST_QUESTIONS:
                raise TooManyQuestions(f"{MOST_QUESTIONS} questions wait for a person already")
        if self._execute("SELECT 1 FROM slip WHERE kind = ? AND slip_id = ?", (slip.kind.value, slip.slip_id)).get:
            raise LedgerError(f"the slip {slip.slip_id} is taken")
        rows = self._execute(
            "UPDATE slip SET state = 'superseded' WHERE kind = ? AND subject = ? AND state IN ('asked', 'granted') "
            "RETURNING kind, slip_id, principal, subject, state, body, created_at, expires_at, call_id, note",
            (slip.kind.value, slip.subject),
        ).fetchall()
        written = replace(slip, created_at=at, expires_at=UnixMs(at + slip.expires_at - slip.created_at))
        self._execute(
            "INSERT INTO slip(kind, slip_id, principal, subject, state, body, created_at, expires_at, call_id, note) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
        return written, [_slip(row) for row in rows]

    def answer(self, ref: SlipRef, granted: bool, note: str | None, at: UnixMs) -> Slip | None:
        """Grant or deny a slip that is asked for and has not expired; None when there is no such one."""
        state = SlipState.GRANTED if granted else SlipState.DENIED
        self._execute(
            "UPDATE slip SET state = ?, note = ? WHERE kind = ? AND slip_id = ? AND state = 'asked' AND expires_at > ?",
            (state.value, note, ref.kind.value, ref.slip_id, at),
        )
        return read_slip(self._connection, ref) if self._connection.changes() else None

    def check(self, refs: Sequence[SlipRef], subject: str, principal: str, at: UnixMs) -> NotGood | None:
        """The first slip that is not good for this call, or None when all are."""
        for ref in refs:
            if not self._execute(_GOOD, (ref.kind.value, ref.slip_id, subject, principal, at)).get:
                return NotGood(ref, read_slip(self._connection, ref))
        return None

    def use(self, ref: SlipRef, call_id: str) -> None:
        """Use a slip that is good."""
        self._execute(
            "UPDATE slip SET state = 'used', call_id = ? WHERE kind = ? AND slip_id = ?",
            (call_id, ref.kind.value, ref.slip_id),
        )


def read_slip(connection: apsw.Connection, ref: SlipRef) -> Slip | None:
    """One slip, or None."""
    found = connection.execute(f"{_READ} WHERE kind = ? AND slip_id = ?", (ref.kind.value, ref.slip_id)).get
    return None if found is None else _slip(found)


def read_slips(
    connection: apsw.Connection, kind: SlipKind, subject: str | None, states: frozenset[SlipState], limit: int
) -> list[Slip]:
    """The latest slips in some states, newest first."""
    names = sorted(state.value for state in states)
    whose = "" if subject is None else "AND subject = ?"
    asked = (kind.value, *names, *(() if subject is None else (subject,)), limit)
    rows: list[Any] = connection.execute(
        f"{_READ} WHERE kind = ? AND state IN ({','.join('?' * len(names))}) {whose} ORDER BY id DESC LIMIT ?", asked
    ).fetchall()
    return [_slip(row) for row in rows]


def read_questions(connection: apsw.Connection, at: UnixMs, skip: int, limit: int) -> OpenQuestions:
    """What waits for a person, oldest first."""
    total: int = connection.execute(f"SELECT count(*) {_OPEN}", (at,)).get
    rows: list[Any] = connection.execute(
        f"{_READ} WHERE id IN (SELECT id {_OPEN}) ORDER BY id LIMIT ? OFFSET ?", (at, limit, skip)
    ).fetchall()
    return OpenQuestions([_slip(row) for row in rows], total)


def every_slip(connection: apsw.Connection) -> Iterator[Slip]:
    """All slips, oldest first."""
    rows: list[Any] = connection.execute(f"{_READ} ORDER BY id").fetchall()
    return map(_slip, rows)


def _slip(found: Sequence[Any]) -> Slip:
    kind, slip_id, principal, subject, state, *rest = found
    return Slip(SlipKind(kind), slip_id, principal, subject, SlipState(state), *rest)
