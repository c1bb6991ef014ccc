"""What may be done with what was agreed before a call. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final

from jecp_mcp.clock import UnixMs, iso
from jecp_mcp.errors import LedgerError, TooManyQuestions, TooManyWait
from jecp_mcp.mandate import chain
from jecp_mcp.mandate.columns import bound_text
from jecp_mcp.mandate.grants import MOST_QUESTIONS, WAITING, Grant, GrantKind, GrantRef, GrantState
from jecp_mcp.mandate.records import NotGood
from jecp_mcp.mandate.states import FREE
from jecp_mcp.mandate.working_set import Changes, Events, StoredGrant, WorkingSet

MOST_GRANTS: Final = 200
"""How many grants of a kind are kept for one principal."""

MOST_GRANT_BYTES: Final = 16 * 1024 * 1024
"""How many bytes of what was agreed are kept for one principal and kind."""

LAPSED_MS: Final = 86_400_000
"""How long a grant that expired is kept, to say so, and to find the answer of the call that it was used for."""

LAPSED_AT_ONCE: Final = 100
"""How many of those go in one transaction at most."""


class GrantRules:
    """The grants of one transaction."""

    def __init__(self, loaded: WorkingSet, changes: Changes, events: Events) -> None:
        self._loaded = loaded
        self._changes = changes
        self._events = events

    def write(self, grant: Grant, at: UnixMs) -> Grant:
        """Write a new grant; older ones that still wait for the same are superseded.

        Those that expired long ago are dropped, and to make room those of the principal that nothing can come of.

        Raises:
            LedgerError: its id is taken.
            TooManyWait: there is no room for it beside those that wait.
            TooManyQuestions: it asks a person, and as many of its principal wait for one as may, besides the one it
                takes the place of.
        """
        ref = GrantRef(grant.kind, grant.grant_id)
        if ref in self._loaded.grants:
            raise LedgerError(f"the grant {grant.grant_id} is taken")
        dropped = self._in_its_way(grant, at)
        for old in self._loaded.waiting(grant.kind, grant.subject):
            self._put(replace(old, state=GrantState.SUPERSEDED))
        self._drop(dropped)
        written = replace(grant, created_at=at, expires_at=UnixMs(at + grant.expires_at - grant.created_at))
        self._loaded.grants[ref] = self._changes.new_grants[ref] = written
        self._append_event(
            written,
            principal=written.principal,
            subject=written.subject,
            body=chain.body_digest(written.body),
            expires_at=written.expires_at,
            call_id=written.call_id,
        )
        return written

    def answer(self, ref: GrantRef, granted: bool, note: str, at: UnixMs) -> Grant | None:
        """Answer a grant that is asked for and has not expired; None when there is no such one."""
        grant = self._loaded.grants.get(ref)
        if grant is None or grant.state is not GrantState.ASKED or grant.expires_at <= at:
            return None
        return self._put(
            replace(grant, state=GrantState.GRANTED if granted else GrantState.DENIED, note=bound_text(note))
        )

    def check(self, refs: Sequence[GrantRef], subject: str, principal: str, at: UnixMs) -> NotGood | None:
        """The first grant that is not good for this call, or None when all are."""
        for ref in refs:
            grant = self._loaded.grants.get(ref)
            if grant is None or not self._good(grant, subject, principal, at):
                return NotGood(ref, grant)
        return None

    def use_good(self, refs: Sequence[GrantRef], subject: str, principal: str, call_id: str, at: UnixMs) -> None:
        """Use those grants that are good for a call which is in the ledger."""
        for ref in refs:
            if self.check((ref,), subject, principal, at) is None:
                self.use(ref, call_id)

    def withdraw(self, refs: Sequence[GrantRef], at: UnixMs) -> None:
        """Let those grants that something may still come of buy nothing any more."""
        for ref in refs:
            grant = self._loaded.grants.get(ref)
            if grant is not None and (grant.state in WAITING or self._good(grant, grant.subject, grant.principal, at)):
                self._put(replace(grant, state=GrantState.SUPERSEDED))

    def use(self, ref: GrantRef, call_id: str) -> None:
        """Use a grant that is good."""
        grant = self._loaded.grants[ref]
        self._put(replace(grant, state=GrantState.USED, call_id=call_id), call_id=call_id)

    def _in_its_way(self, grant: Grant, at: UnixMs) -> set[GrantRef]:
        """The grants that go for a new one: those that expired long ago, and as many dead ones as its room takes.

        Raises:
            TooManyWait: that is not room enough.
        """
        going = set(self._loaded.lapsed)
        stored = self._loaded.stored_grants
        if going:
            stored = [kept for kept in stored if kept.ref not in going]
        count, size = len(stored) + 1, sum(kept.size for kept in stored) + len(grant.body)
        superseded = {old.grant_id for old in self._loaded.waiting(grant.kind, grant.subject)}
        waiting: list[StoredGrant] = []
        for kept in stored:
            if kept.state in WAITING and kept.expires_at > at and kept.grant_id not in superseded:
                waiting.append(kept)
            elif count > MOST_GRANTS or size > MOST_GRANT_BYTES:
                going.add(kept.ref)
                count, size = count - 1, size - kept.size
        asked = sum(kept.state is GrantState.ASKED for kept in waiting)
        if grant.state is GrantState.ASKED and asked >= MOST_QUESTIONS:
            raise TooManyQuestions(f"{MOST_QUESTIONS} questions wait for a person already")
        if count <= MOST_GRANTS and size <= MOST_GRANT_BYTES:
            return going
        what = "prepared calls" if grant.kind is GrantKind.PREPARED else "questions to a person"
        room = f"; the first expires at {iso(waiting[0].expires_at)}" if waiting else ""
        raise TooManyWait(
            f"{len(waiting)} {what} of {sum(kept.size for kept in waiting)} bytes wait already, and with "
            f"{len(grant.body)} bytes more there would be over {MOST_GRANTS} or {MOST_GRANT_BYTES} bytes; execute or "
            f"answer some, or wait until they expire{room}"
        )

    def _drop(self, refs: Collection[GrantRef]) -> None:
        ordered = sorted(refs, key=lambda ref: (ref.kind.value, ref.grant_id))
        for kind, some in groupby(ordered, key=lambda ref: ref.kind):
            gone = list(some)
            self._changes.dropped_grants += gone
            facts = {"kind": kind.value, "slips": [ref.grant_id for ref in gone]}
            self._events.append(chain.GRANTS_DROPPED, facts=facts)

    def _good(self, grant: Grant, subject: str, principal: str, at: UnixMs) -> bool:
        if (grant.subject, grant.principal) != (subject, principal) or grant.expires_at <= at:
            return False
        if grant.state is not GrantState.USED or grant.call_id is None:
            return grant.state is GrantState.GRANTED
        # It is good again when the call it was used for is proven to have cost nothing and brought nothing.
        call = self._loaded.calls.get(grant.call_id)
        return call is not None and call.state in FREE and not call.answered

    def _put(self, grant: Grant, **named: object) -> Grant:
        ref = GrantRef(grant.kind, grant.grant_id)
        self._loaded.grants[ref] = grant
        into = self._changes.new_grants if ref in self._changes.new_grants else self._changes.grants
        into[ref] = grant
        self._append_event(grant, **named)
        return grant

    def _append_event(self, grant: Grant, **named: object) -> None:
        # A note stands as the event's evidence; what was asked before is superseded without a word.
        note = grant.note if grant.state in {GrantState.GRANTED, GrantState.DENIED, GrantState.ASKED} else None
        facts = {"kind": grant.kind.value, "slip": grant.grant_id, "state": grant.state.value, **chain.facts(**named)}
        self._events.append(chain.GRANT, evidence=note, facts=facts)
