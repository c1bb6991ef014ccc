"""How long a process session counts as alive. In milliseconds, by the server's clock, unless it says seconds.

A lease and not a lock on the session of the database: it holds behind a connection pooler too, and through a restart
of the server. A process whose lease ran out may still run: whoever takes its calls over raises their claim, and what
is said under an older one is believed only if it proves a charge.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jecp_mcp.mandate.needs import Needs

BEAT_SECONDS = 10.0
"""How often a process says that it lives; every batch that reserves says so too."""

RENEW_MS = 3_000
"""How old a lease may be before a batch renews it."""

DEAD_MS = 60_000
"""How long after its last word a session counts as dead."""

STUCK_SECONDS = 15.0
"""How long a server may take over a batch before the connection is broken off."""


@dataclass(slots=True, eq=False)
class RenewLease:
    """Say that the session lives.

    Attributes:
        waiting: whether it was asked for and has not been said yet.
    """

    waiting: bool = False
    needs: Needs = field(default=Needs(lives=True, keeps=True), init=False)

    def undo(self, _outcome: Any) -> None:
        """Nothing takes it back."""

    def __call__(self, _batch: object, _at: object) -> None:
        """Make it: fetching what it needs has."""
        self.waiting = False
