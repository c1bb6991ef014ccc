"""What a change of the ledger depends on, so that a store can load a whole batch's at once. Pure: values only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from jecp_mcp.mandate.grants import GrantKind, GrantRef
from jecp_mcp.mandate.records import Meter


@dataclass(frozen=True, slots=True)
class Orphans:
    """Open calls that nobody works on, oldest first.

    Of dead sessions every one; of this session those that no task works on and that are ``reserved``, ``sent`` without
    a time to look again, past what can be proven, or from the future.

    Attributes:
        dead: the sessions whose process has ended.
        running: the ids of the calls that tasks of this process work on.
        behind: only those with a number above this.
        most: at most so many.
    """

    dead: tuple[str, ...]
    running: tuple[str, ...]
    behind: int
    most: int


@dataclass(frozen=True, slots=True)
class Needs:
    """What a change depends on. Of every call that is loaded, the meters that may count it are loaded too.

    Attributes:
        fingerprints: load the open calls that carry them, and those whose answer waits to be delivered.
        ids: load these calls.
        reference: load the calls of the accounts of `ids` that have this payment.
        principal: load every meter of this principal; `meters` are among them.
        meters: load these meters, made where they are new, with what they have yet to count.
        grants: load these grants, and the calls they were used for.
        subject: load the grants that wait for the same.
        stored_grants: load, without bodies, the grants of some kinds of a principal, and those of all that expired long
            ago.
        lives: the process session must be seen to live.
        orphans: load these open calls.
        alone: it changes more than it says, so it has a transaction to itself.
        keeps: what loading changes is to stay, even where the change leaves no event.
    """

    fingerprints: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    reference: str | None = None
    principal: str | None = None
    meters: tuple[Meter, ...] = ()
    grants: tuple[GrantRef, ...] = ()
    subject: tuple[GrantKind, str] | None = None
    stored_grants: tuple[tuple[GrantKind, ...], str] | None = None
    lives: bool = False
    orphans: Orphans | None = None
    alone: bool = False
    keeps: bool = False


NOTHING = Needs()


def needs_of(commands: Iterable[Any]) -> list[Needs]:
    """What each command depends on; the writer's own steps depend on nothing."""
    return [getattr(command, "needs", NOTHING) for command in commands]
