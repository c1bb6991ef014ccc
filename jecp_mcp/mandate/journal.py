"""The events of one SQLite transaction, chained to those before it and written at its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import apsw

from jecp_mcp.clock import UnixMs, iso
from jecp_mcp.errors import ClockWentBack
from jecp_mcp.mandate import chain
from jecp_mcp.mandate.states import State, counted

CLOCK_SLACK_MS = 60_000
"""How far the clock may be behind the last change before nothing more is reserved; time stands still meanwhile."""

_EVENT = """
INSERT INTO event(id, call, at, event, before, after, held, charged, refunded, session, evidence, facts, digest)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """A call as far as a change needs it."""

    number: int
    call_id: str
    state: State
    held: int
    charged: int
    refunded: int
    created_at: int
    meters: str

    @property
    def counts(self) -> int:
        """What it counts as spent, in micro-USDC."""
        return counted(self.state, self.held, self.charged, self.refunded)

    def moved(self, state: State, charged: int = 0, refunded: int = 0) -> Standing:
        """The same call in another state."""
        return Standing(self.number, self.call_id, state, self.held, charged, refunded, self.created_at, self.meters)


class Journal:
    """What one connection adds to the chain.

    Attributes:
        at: the transaction's instant.
        behind: why nothing may be reserved at that instant, or None.
    """

    def __init__(self, connection: apsw.Connection, session: str) -> None:
        self.at = UnixMs(0)
        self.behind: ClockWentBack | None = None
        self._execute = connection.cursor().execute
        self._executemany = connection.cursor().executemany
        self._session = session
        self._number, self._head = 0, chain.GENESIS
        self._events: list[tuple[Any, ...]] = []

    def begin(self, now: UnixMs) -> None:
        """Take up the chain. Where the clock is behind the last event, that one's instant is this one's too."""
        self._number, last, self._head = self._execute(
            "SELECT id, at, digest FROM event ORDER BY id DESC LIMIT 1"
        ).get or (0, 0, chain.GENESIS)
        self._events.clear()
        self.at, self.behind = UnixMs(max(now, last)), None
        if now < last - CLOCK_SLACK_MS:
            self.behind = ClockWentBack(
                f"the clock shows {iso(now)}, and the ledger was last written at {iso(last)}; what has left the "
                "limits' windows is not known"
            )

    def end(self) -> bool:
        """Write what was added; returns whether there was anything."""
        changed = bool(self._events)
        self._executemany(_EVENT, self._events)
        self._events.clear()
        return changed

    def add(
        self,
        event: str,
        call: Standing | None = None,
        before: State | None = None,
        *,
        evidence: str | None = None,
        facts: str = "{}",
        identity: chain.Identity = chain.NOBODY,
    ) -> None:
        """Add an event: what happened to a call, with the call as it stands now, or to the ledger."""
        self._number += 1
        told: chain.Written = (
            self.at,
            event,
            None if before is None else before.value,
            *((None, 0, 0, 0) if call is None else (call.state.value, call.held, call.charged, call.refunded)),
            self._session,
            evidence,
            facts,
        )
        number, call_id = (None, None) if call is None else (call.number, call.call_id)
        self._head = chain.digest(self._head, (self._number, call_id, *told), identity)
        self._events.append((self._number, number, *told, self._head))
