"""What a batch has fetched, and as it stands so far. Pure: no I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from jecp_mcp.mandate.ledger import AlreadyOpen, Undelivered
from jecp_mcp.mandate.states import State, counted


@dataclass(frozen=True, slots=True)
class Repeats:
    """The identical call is there already: its row is read when the batch is written."""

    kind: type[AlreadyOpen | Undelivered]
    number: int


@dataclass(slots=True)
class Call:
    """A call as the batch has it so far."""

    number: int
    call_id: str
    fingerprint: str
    session: str
    state: State
    held: int
    charged: int
    refunded: int
    created_at: int
    ended_at: int | None
    answered: bool
    delivered: bool
    meters: Sequence[int]

    @property
    def counts(self) -> int:
        """What it counts as spent, in micro-USDC."""
        return counted(self.state, self.held, self.charged, self.refunded)


@dataclass(slots=True)
class Told:
    """What a batch adds to a row beside what `Call` holds; None adds nothing."""

    balance_after: int | None = None
    transaction_id: str | None = None
    evidence: str | None = None
    attempts: int = 0


@dataclass(slots=True)
class Page:
    """What was fetched, by what it is looked up by."""

    by_id: dict[str, Call] = field(default_factory=dict)
    by_fingerprint: defaultdict[str, list[Call]] = field(default_factory=lambda: defaultdict(list))

    def add(self, call: Call) -> None:
        """Take in a call."""
        self.by_id[call.call_id] = call
        self.by_fingerprint[call.fingerprint].append(call)
