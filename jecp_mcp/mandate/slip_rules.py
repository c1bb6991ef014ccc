"""What may be done with what was agreed before a call. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final

from jecp_mcp.clock import UnixMs, iso
from jecp_mcp.errors import LedgerError, TooManyQuestions, TooManyWait
from jecp_mcp.mandate import chain
from jecp_mcp.mandate.ledger import NotGood
from jecp_mcp.mandate.page import Changes, Events, Kept, Page
from jecp_mcp.mandate.slips import MOST_QUESTIONS, WAITING, Slip, SlipKind, SlipRef, SlipState
from jecp_mcp.mandate.states import FREE

MOST_SLIPS: Final = 200
"""How many slips of a kind are kept for one principal."""

MOST_SLIP_BYTES: Final = 16 * 1024 * 1024
"""How many bytes of what was agreed are kept for one principal and kind."""

LAPSED_MS: Final = 86_400_000
"""How long a slip that expired is kept, to say so, and to find the answer of the call that it was used for."""

LAPSED_AT_ONCE: Final = 100
"""How many of those go in one transaction at most."""


class SlipRules:
    """The slips of one transaction."""

    def __init__(self, page: Page, changes: Changes, events: Events) -> None:
        self._page = page
        self._changes = changes
        self._events = events

    def write(self, slip: Slip, at: UnixMs) -> Slip:
        """Write a new slip; older ones that still wait for the same are superseded.

        Those that expired long ago are dropped, and to make room those of the principal that nothing can come of.

        Raises:
            LedgerError: its id is taken.
            TooManyWait: there is no room for it beside those that wait.
            TooManyQuestions: it asks a person, and as many of its principal wait for one as may, besides the one it
                takes the place of.
        """
        ref = SlipRef(slip.kind, slip.slip_id)
        if ref in self._page.slips:
            raise LedgerError(f"the slip {slip.slip_id} is taken")
        dropped = self._in_its_way(slip, at)
        for old in self._page.waiting(slip.kind, slip.subject):
            self._put(replace(old, state=SlipState.SUPERSEDED))
        self._drop(dropped)
        written = replace(slip, created_at=at, expires_at=UnixMs(at + slip.expires_at - slip.created_at))
        self._page.slips[ref] = self._changes.new_slips[ref] = written
        self._told(
            written,
            principal=written.principal,
            subject=written.subject,
            body=chain.body_digest(written.body),
            expires_at=written.expires_at,
            call_id=written.call_id,
        )
        return written

    def answer(self, ref: SlipRef, granted: bool, note: str | None, at: UnixMs) -> Slip | None:
        """Grant or deny a slip that is asked for and has not expired; None when there is no such one."""
        slip = self._page.slips.get(ref)
        if slip is None or slip.state is not SlipState.ASKED or slip.expires_at <= at:
            return None
        return self._put(replace(slip, state=SlipState.GRANTED if granted else SlipState.DENIED, note=note))

    def check(self, refs: Sequence[SlipRef], subject: str, principal: str, at: UnixMs) -> NotGood | None:
        """The first slip that is not good for this call, or None when all are."""
        for ref in refs:
            slip = self._page.slips.get(ref)
            if slip is None or not self._good(slip, subject, principal, at):
                return NotGood(ref, slip)
        return None

    def use(self, ref: SlipRef, call_id: str) -> None:
        """Use a slip that is good."""
        slip = self._page.slips[ref]
        self._put(replace(slip, state=SlipState.USED, call_id=call_id), call_id=call_id)

    def _in_its_way(self, slip: Slip, at: UnixMs) -> set[SlipRef]:
        """The slips that go for a new one: those that expired long ago, and as many dead ones as its room takes.

        Raises:
            TooManyWait: that is not room enough.
        """
        going = set(self._page.lapsed)
        shelf = [kept for kept in self._page.shelf if kept.ref not in going]
        count, size = len(shelf) + 1, sum(kept.size for kept in shelf) + len(slip.body)
        superseded = {old.slip_id for old in self._page.waiting(slip.kind, slip.subject)}
        waiting: list[Kept] = []
        for kept in shelf:
            if kept.state in WAITING and kept.expires_at > at and kept.ref.slip_id not in superseded:
                waiting.append(kept)
            elif count > MOST_SLIPS or size > MOST_SLIP_BYTES:
                going.add(kept.ref)
                count, size = count - 1, size - kept.size
        asked = sum(kept.state is SlipState.ASKED for kept in waiting)
        if slip.state is SlipState.ASKED and asked >= MOST_QUESTIONS:
            raise TooManyQuestions(f"{MOST_QUESTIONS} questions wait for a person already")
        if count <= MOST_SLIPS and size <= MOST_SLIP_BYTES:
            return going
        what = "prepared calls" if slip.kind is SlipKind.PREPARED else "questions to a person"
        room = "".join(f"; the first expires at {iso(kept.expires_at)}" for kept in waiting[:1])
        raise TooManyWait(
            f"{len(waiting)} {what} of {sum(kept.size for kept in waiting)} bytes wait already, and with "
            f"{len(slip.body)} bytes more there would be over {MOST_SLIPS} or {MOST_SLIP_BYTES} bytes; execute or "
            f"answer some, or wait until they expire{room}"
        )

    def _drop(self, refs: Collection[SlipRef]) -> None:
        ordered = sorted(refs, key=lambda ref: (ref.kind.value, ref.slip_id))
        for kind, some in groupby(ordered, key=lambda ref: ref.kind):
            gone = list(some)
            self._changes.dropped_slips += gone
            facts = {"kind": kind.value, "slips": [ref.slip_id for ref in gone]}
            self._events.append(chain.SLIPS_DROPPED, facts=facts)

    def _good(self, slip: Slip, subject: str, principal: str, at: UnixMs) -> bool:
        if (slip.subject, slip.principal) != (subject, principal) or slip.expires_at <= at:
            return False
        if slip.state is not SlipState.USED or slip.call_id is None:
            return slip.state is SlipState.GRANTED
        # It is good again when the call it was used for is proven to have cost nothing and brought nothing.
        call = self._page.calls.get(slip.call_id)
        return call is not None and call.state in FREE and not call.answered

    def _put(self, slip: Slip, **named: object) -> Slip:
        ref = SlipRef(slip.kind, slip.slip_id)
        self._page.slips[ref] = slip
        into = self._changes.new_slips if ref in self._changes.new_slips else self._changes.slips
        into[ref] = slip
        self._told(slip, **named)
        return slip

    def _told(self, slip: Slip, **named: object) -> None:
        # A note stands as the event's evidence; what was asked before is superseded without a word.
        note = slip.note if slip.state in {SlipState.GRANTED, SlipState.DENIED, SlipState.ASKED} else None
        facts = chain.facts(kind=slip.kind.value, slip=slip.slip_id, state=slip.state.value, **named)
        self._events.append(chain.SLIP, evidence=note, facts=facts)
