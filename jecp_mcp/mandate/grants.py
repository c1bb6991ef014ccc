"""Grants: what was agreed before a call, and may be used for one. Prepared calls and approvals are grants.

A grant is used by the reservation of a call, in the same durable step, so that a crash leaves both or neither. It pays
for one call: it can be used again only if the call it was used for is proven to have cost nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from jecp_mcp.clock import UnixMs


class GrantKind(StrEnum):
    """What a grant is for: a prepared call, a person's approval of a call, or letting it past a full limit."""

    PREPARED = "prepared"
    APPROVAL = "approval"
    LIMIT = "limit"


class GrantState(StrEnum):
    """Where a grant stands.

    ::

        asked ──▶ granted ──▶ used        an approval: a person answers, a call uses it
          └─────▶ denied
        granted ──▶ used                  a prepared call is granted from the start
        asked, granted ──▶ superseded     a newer one for the same call took its place, or its price lapsed
    """

    ASKED = "asked"
    GRANTED = "granted"
    USED = "used"
    DENIED = "denied"
    SUPERSEDED = "superseded"


WAITING = frozenset({GrantState.ASKED, GrantState.GRANTED})
"""States in which something can still come of a grant, until it expires."""

QUESTIONS: Final = (GrantKind.APPROVAL, GrantKind.LIMIT)
"""The kinds that a person is asked for."""

MOST_QUESTIONS: Final = 20
"""The most questions of one principal that wait for a person at once, so that a flood of them hides no other."""


@dataclass(frozen=True, slots=True)
class Grant:
    """One agreement.

    Attributes:
        grant_id: random, for a prepared call; a short code that a person can type, for an approval.
        subject: the fingerprint of the call it is about; it is good for no other.
        body: what was agreed, as JSON; opaque here.
        expires_at: it cannot be used or answered from then on.
        call_id: the call that it was used for, or None.
        note: who answered, by which road, and why.
    """

    kind: GrantKind
    grant_id: str
    principal: str
    subject: str
    state: GrantState
    body: bytes
    created_at: UnixMs
    expires_at: UnixMs
    call_id: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class GrantRef:
    """Which grant a reservation uses."""

    kind: GrantKind
    grant_id: str


@dataclass(frozen=True, slots=True)
class OpenQuestions:
    """Some of what waits for a person, oldest first, and how many wait in all."""

    grants: Sequence[Grant]
    total: int


class Grants(Protocol):
    """The grants of a ledger. Every method raises what `jecp_mcp.mandate.ledger.Ledger` does."""

    async def write_grant(self, grant: Grant) -> Grant:
        """Write a new grant, durably; older ones that still wait for the same subject and kind are superseded.

        Its instants are moved so that `created_at` is the ledger's own time. Returns it as it was written.

        Raises:
            LedgerError: its id is taken.
            TooManyWait: there is no room for it beside those that wait.
            TooManyQuestions: it asks a person, and `MOST_QUESTIONS` others of its principal wait for one already.
        """
        ...

    async def answer_grant(self, ref: GrantRef, granted: bool, note: str) -> Grant | None:
        """Answer a grant that is asked for and has not expired, durably; None when there is no such one."""
        ...

    def use_grants(self, refs: Sequence[GrantRef], subject: str, principal: str, call_id: str) -> None:
        """Queue that those which are good are used by a call that was joined instead of bought again.

        Written before whatever this process asks for later.
        """
        ...

    def withdraw_grants(self, refs: Sequence[GrantRef]) -> None:
        """Queue that those which something may still come of buy nothing any more.

        Written before whatever this process asks for later.
        """
        ...

    async def questions(self, at: UnixMs, *, skip: int = 0, limit: int = 100) -> OpenQuestions:
        """What waits for a person at an instant, oldest first, without the first `skip`."""
        ...

    async def grant(self, ref: GrantRef) -> Grant | None:
        """One grant, or None."""
        ...

    async def grants(
        self, kind: GrantKind, *, subject: str | None = None, states: frozenset[GrantState] = WAITING, limit: int = 100
    ) -> Sequence[Grant]:
        """The latest grants in some states, newest first, expired ones included; all, or those of one subject."""
        ...
