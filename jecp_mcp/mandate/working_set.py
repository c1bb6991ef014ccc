"""What one transaction has loaded of a ledger, and as it stands so far; and what it comes to. Pure: no I/O.

Whatever keeps a ledger fills a `WorkingSet`, has `jecp_mcp.mandate.rules` decide on it, and stores the `Changes`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from jecp_mcp.domain.outcomes import Mark
from jecp_mcp.mandate import chain
from jecp_mcp.mandate.grants import Grant, GrantKind, GrantRef, GrantState
from jecp_mcp.mandate.records import AlreadyOpen, Reservation, Undelivered
from jecp_mcp.mandate.states import State, counted_amount
from jecp_mcp.mandate.windows import Window


@dataclass(frozen=True, slots=True)
class Repeats:
    """The identical call is there already: its row is read when the transaction is written."""

    kind: type[AlreadyOpen | Undelivered]
    number: int


@dataclass(slots=True)
class Call:
    """A call as the transaction has it so far; the columns that can change, and those that decide."""

    number: int
    call_id: str
    fingerprint: str
    principal: str
    session: str
    owner: str
    claim: int
    rail: str
    account: str
    names: tuple[str, ...]
    state: State
    held: int
    charged: int
    refunded: int
    balance_after: int | None
    reference: str | None
    evidence: str | None
    attempts: int
    created_at: int
    sent_at: int
    look_again_at: int | None
    provable_until: int | None
    ended_at: int | None
    answered: bool
    delivered: bool
    mark: Mark | None

    @property
    def counts(self) -> int:
        """What it counts as spent, in micro-USDC."""
        return counted_amount(self.state, self.held, self.charged, self.refunded)


class Before(NamedTuple):
    """What a stored call counted for, and from when, before the transaction changed it."""

    state: State
    held: int
    charged: int
    refunded: int
    sent_at: int

    @property
    def counts(self) -> int:
        """What it counted as spent, in micro-USDC."""
        return counted_amount(self.state, self.held, self.charged, self.refunded)


@dataclass(slots=True)
class MeterState:
    """A meter as the transaction has it so far.

    A call is counted in it exactly if the call is the principal's (and the session's, where it has one), the pattern
    fits one of its names, and its number is above `since` and not above `fed`.

    Attributes:
        session: the process session whose calls it counts; None counts those of every one.
        used: the sum of its slots, micro-USDC.
        new: whether it is not in the store yet.
    """

    number: int
    key: str
    window: Window
    principal: str
    pattern: str | None
    session: str | None
    since: int
    fed: int
    used: int
    new: bool = False


@dataclass(frozen=True, slots=True)
class Feed:
    """What a meter is yet to count.

    Attributes:
        upto: the number of the last call among these.
        amounts: the names, the start of the slot and the sum of calls, micro-USDC.
    """

    upto: int
    amounts: Sequence[tuple[tuple[str, ...], int, int]]


class StoredGrant(NamedTuple):
    """A stored grant without its body, of which only the size in bytes matters. Each new one is held against many."""

    kind: GrantKind
    grant_id: str
    state: GrantState
    size: int
    expires_at: int

    @property
    def ref(self) -> GrantRef:
        """Which grant it is."""
        return GrantRef(self.kind, self.grant_id)


@dataclass(slots=True)
class WorkingSet:
    """What was loaded, by what it is looked up by.

    Attributes:
        number, digest: of the last event.
        stored: the number of the last call that is in the store.
        slots: the start and amount of every slot of a meter.
        orphans: the ids of the open calls whose process has ended, and of this session's on which no task works.
        stored_grants: every stored grant of the kind and principal that were asked for, oldest first.
        lapsed: stored grants of whatever kind that expired so long ago that they go now.
    """

    number: int
    digest: bytes
    stored: int
    slots: Callable[[int], Sequence[tuple[int, int]]]
    calls: dict[str, Call] = field(default_factory=dict)
    same: defaultdict[str, list[Call]] = field(default_factory=lambda: defaultdict(list))
    references: dict[tuple[str, str, str], str] = field(default_factory=dict)
    meters: dict[str, MeterState] = field(default_factory=dict)
    feeds: dict[str, Feed] = field(default_factory=dict)
    grants: dict[GrantRef, Grant] = field(default_factory=dict)
    orphans: list[str] = field(default_factory=list)
    stored_grants: list[StoredGrant] = field(default_factory=list)
    lapsed: list[GrantRef] = field(default_factory=list)
    before: dict[str, Before] = field(default_factory=dict)
    """Where each stored call stood when it was loaded."""

    def add(self, call: Call) -> Call:
        """Take in a stored call, unless it is known; what the transaction did to it stays."""
        known = self.calls.get(call.call_id)
        if known is not None:
            return known
        self.calls[call.call_id] = call
        self.same[call.fingerprint].append(call)
        self.before[call.call_id] = Before(call.state, call.held, call.charged, call.refunded, call.sent_at)
        if call.reference is not None:
            self.references[call.rail, call.account, call.reference] = call.call_id
        return call

    def waiting(self, kind: GrantKind, subject: str) -> list[Grant]:
        """The grants of a subject that are asked for or granted, where a grant is written and those are loaded."""
        return [grant for grant in self.grants.values() if grant.kind is kind and grant.subject == subject]


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event to append."""

    number: int
    call: int | None
    body: bytes
    digest: bytes


@dataclass(slots=True)
class Changes:
    """What a transaction comes to. A call that was made is written as it stands at the end.

    Attributes:
        moved: the stored calls that were changed, by id.
        slots: by how much to move each slot, by meter and start, micro-USDC.
        meters: the meters that are new or were moved, by number.
        dropped_grants: the stored grants that go, some of which may be among those that were changed.
        tally: by how much to move the calls, holds, charges and refunds of each state.
    """

    made: list[tuple[Call, Reservation]] = field(default_factory=list)
    moved: dict[str, Call] = field(default_factory=dict)
    requests: dict[int, bytes] = field(default_factory=dict)
    answers: dict[int, bytes] = field(default_factory=dict)
    slots: defaultdict[tuple[int, int], int] = field(default_factory=lambda: defaultdict(int))
    meters: dict[int, MeterState] = field(default_factory=dict)
    events: list[EventRecord] = field(default_factory=list)
    grants: dict[GrantRef, Grant] = field(default_factory=dict)
    new_grants: dict[GrantRef, Grant] = field(default_factory=dict)
    dropped_grants: list[GrantRef] = field(default_factory=list)
    tally: defaultdict[State, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0, 0, 0]))


class Events:
    """The chain as a transaction goes on with it."""

    def __init__(self, loaded: WorkingSet, changes: Changes, session: str, at: int) -> None:
        self._changes = changes
        self._session = session
        self.at = at
        self.number = loaded.number
        self.digest = loaded.digest

    def append(
        self,
        event: str,
        call: Call | None = None,
        before: State | None = None,
        *,
        evidence: str | None = None,
        facts: Mapping[str, object] | None = None,
    ) -> None:
        """Add what happened to a call, with the call as it stands now, or to the ledger."""
        self.number += 1
        body = chain.write(
            self.number,
            self.at,
            event,
            None if call is None else call.number,
            (None, None, 0, 0, 0) if call is None else (before, call.state, call.held, call.charged, call.refunded),
            self._session,
            evidence,
            facts or {},
        )
        self.digest = chain.digest(self.digest, body)
        self._changes.events.append(EventRecord(self.number, None if call is None else call.number, body, self.digest))
