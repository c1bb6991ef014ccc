"""Time as a passed-in capability, so that decisions stay reproducible.

Wall-clock instants are integer milliseconds since the Unix epoch, UTC. Durations are seconds.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import NewType, Protocol

UnixMs = NewType("UnixMs", int)
"""Milliseconds since 1970-01-01T00:00:00Z."""


class Clock(Protocol):
    """What the bridge needs of time."""

    def now(self) -> UnixMs:
        """The wall clock, in milliseconds since the Unix epoch."""
        ...

    def monotonic(self) -> float:
        """A clock that never goes back, in seconds from an arbitrary start."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> UnixMs:
        """The wall clock, in milliseconds since the Unix epoch."""
        return UnixMs(time.time_ns() // 1_000_000)

    def monotonic(self) -> float:
        """The monotonic clock, in seconds."""
        return time.monotonic()


def iso(at: UnixMs | int) -> str:
    """Write an instant as RFC 3339 with milliseconds: ``2026-11-21T09:30:00.125Z``."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_seconds(at: UnixMs | int) -> str:
    """Write an instant as RFC 3339 to the second in which it lies: ``2026-11-21T09:30:00Z``."""
    return f"{iso(at).partition('.')[0]}Z"


def parse_iso(text: str) -> UnixMs:
    """Read an RFC 3339 instant; one without an offset is UTC.

    Raises:
        ValueError: the text is no such instant.
    """
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return UnixMs(int(at.timestamp() * 1000))
