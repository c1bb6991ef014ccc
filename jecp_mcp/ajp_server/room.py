"""Room for what is slow through others' doing: bodies that trickle in, results that are not read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import anyio


class Room:
    """So many exchanges at a time. Where it is full, the one that is in it longest makes way for the next.

    So whoever is quick finds room, however many are slow on purpose.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._inside: dict[anyio.CancelScope, None] = {}

    @contextmanager
    def place(self, seconds: float) -> Iterator[anyio.CancelScope]:
        """A place for so many seconds; whether it was lost, and what is in the block cut short, the scope tells."""
        if len(self._inside) >= self._most:
            longest = next(iter(self._inside))
            del self._inside[longest]
            longest.cancel()
        with anyio.move_on_after(seconds) as scope:
            self._inside[scope] = None
            try:
                yield scope
            finally:
                self._inside.pop(scope, None)
