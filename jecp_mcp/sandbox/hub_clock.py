"""The Hub's time: the clock it was given, ahead by what whoever started it asked for."""

from __future__ import annotations

from jecp_mcp.clock import Clock, UnixMs


class HubClock:
    """A clock that can be moved forward, so that a day's waiting takes no day. It never goes back."""

    def __init__(self, base: Clock, ahead_ms: int = 0) -> None:
        """Go by `base`, `ahead_ms` milliseconds ahead of it."""
        self._base, self.ahead_ms = base, ahead_ms

    def now(self) -> UnixMs:
        """The Hub's wall clock, in milliseconds since the Unix epoch."""
        return UnixMs(self._base.now() + self.ahead_ms)

    def monotonic(self) -> float:
        """The base's monotonic clock, in seconds."""
        return self._base.monotonic()

    def unmoved(self) -> UnixMs:
        """The wall clock of everybody else: what is told to strangers is dated by it."""
        return self._base.now()

    def advance(self, milliseconds: int) -> None:
        """Go further ahead."""
        self.ahead_ms += milliseconds
