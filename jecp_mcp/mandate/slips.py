"""Slips: what was agreed before a call, and may be used for one. Prepared calls and approvals are slips.

A slip is used by the reservation of a call, in the same durable step, so that a crash leaves both or neither. One slip
pays for one call: it can be used again only if the call it was used for is proven to have cost nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from jecp_mcp.clock import UnixMs


class SlipKind(StrEnum):
    """What a slip is for: a prepared call, a person's approval of a call, or letting it past a full limit."""

    PREPARED = "prepared"
    APPROVAL = "approval"
    LIMIT = "limit"


class SlipState(StrEnum):
    """Where a slip stands.

    ::

        asked ──▶ granted ──▶ used        an approval: a person answers, a call uses it
          └─────▶ denied
        granted ──▶ used                  a prepared call is granted from the start
        asked, granted ──▶ superseded     a newer slip for the same call took its place
    """

    ASKED = "asked"
    GRANTED = "granted"
    USED = "used"
    DENIED = "denied"
    SUPERSEDED = "superseded"


WAITING = frozenset({SlipState.ASKED, SlipState.GRANTED})
"""States in which something can still come of a slip, until it expires."""

QUESTIONS: Final = (SlipKind.APPROVAL, SlipKind.LIMIT)
"""The kinds that a person is asked for."""

MOST_QUESTIONS: Final = 20
"""The most questions of one principal that wait for a person at once, so that a flood of them hides no other."""


@dataclass(frozen=True, slots=True)
class Slip:
    """One agreement.

    Attributes:
        slip_id: random, for a prepared call; a short code that a person can type, for an approval.
        subject: the fingerprint of the call it is about; it is good for no other.
        body: what was agreed, as JSON; opaque here.
        expires_at: it cannot be used or answered from then on.
        call_id: the call that it was used for, or None.
        note: who answered, by which road, and why.
    """

    kind: SlipKind
    slip_id: str
    principal: str
    subject: str
    state: SlipState
    body: bytes
    created_at: UnixMs
    expires_at: UnixMs
    call_id: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class SlipRef:
    """Which slip a reservation uses."""

    kind: SlipKind
    slip_id: str


@dataclass(frozen=True, slots=True)
class OpenQuestions:
    """Some of what waits for a person, oldest first, and how many wait in all."""

    slips: Sequence[Slip]
    total: int


class Slips(Protocol):
    """The slips of a ledger. Every method raises what `jecp_mcp.mandate.ledger.Ledger` does."""

    async def write_slip(self, slip: Slip) -> Slip:
        """Write a new slip, durably; older ones that still wait for the same subject and kind are superseded.

        Its instants are moved so that `created_at` is the ledger's own time. Returns it as it was written.

        Raises:
            LedgerError: its id is taken.
            TooManyQuestions: it asks a person, and `MOST_QUESTIONS` others of its principal wait for one already.
        """
        ...

    async def answer_slip(self, ref: SlipRef, granted: bool, note: str) -> Slip | None:
        """Grant or deny a slip that is asked for and has not expired, durably; None when there is no such one."""
        ...

    def use_slips(self, refs: Sequence[SlipRef], subject: str, principal: str, call_id: str) -> None:
        """Queue that those which are good are used by a call that was joined instead of bought again.

        Written before whatever this process asks for later.
        """
        ...

    async def questions(self, at: UnixMs, *, skip: int = 0, limit: int = 100) -> OpenQuestions:
        """What waits for a person at an instant, oldest first, without the first `skip`."""
        ...

    async def slip(self, ref: SlipRef) -> Slip | None:
        """One slip, or None."""
        ...

    async def slips(
        self, kind: SlipKind, *, subject: str | None = None, states: frozenset[SlipState] = WAITING, limit: int = 100
    ) -> Sequence[Slip]:
        """The latest slips in some states, newest first, expired ones included; all, or those of one subject."""
        ...
