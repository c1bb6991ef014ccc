"""What the latest calls asked for, so that a purchase need not look through all of them for copies of its own."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any, Final

import apsw

from jecp_mcp.mandate.sql_conditions import COPIES_AMONG

_SPARE: Final = 256
"""How many more calls are remembered than one needs, for those that are asked about a little late."""

_BETWEEN: Final = "SELECT id, fingerprint FROM call WHERE id > ? AND id <= ? ORDER BY id"


class RecentCalls:
    """What each of the latest calls asked for, read once: that never changes, and calls are only added.

    It holds hashes, of which two may be alike: then a call only seems to have a copy.
    """

    def __init__(self) -> None:
        self._calls: deque[tuple[int, int]] = deque()
        self._counts: Counter[int] = Counter()
        # Every call behind the first number, up to the last, is remembered.
        self._behind = self._last = 0

    def may_have_copies(self, connection: apsw.Connection, number: int, identity: str) -> bool:
        """Whether one of the `COPIES_AMONG` calls before a stored one may ask for the same as that."""
        first = max(1, number - COPIES_AMONG)
        if first > self._last + 1:
            self._calls.clear()
            self._counts.clear()
            self._behind = self._last = first - 1
        rows: list[Any] = connection.execute(_BETWEEN, (self._last, number)).fetchall()
        for found, fingerprint in rows:
            self._add(found, hash(fingerprint.partition(".")[0]))
        return first <= self._behind or self._counts[hash(identity)] > 1

    def _add(self, number: int, asked: int) -> None:
        self._last = number
        self._calls.append((number, asked))
        self._counts[asked] += 1
        if len(self._calls) > COPIES_AMONG + _SPARE:
            self._behind, gone = self._calls.popleft()
            self._counts[gone] -= 1
            if not self._counts[gone]:
                del self._counts[gone]
