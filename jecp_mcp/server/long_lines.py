"""Lines that are too long to be read: enough of them is kept to tell whose they were. Pure: no I/O.

Most hosts write a request's id before its parameters, some after them; between the two nothing is looked for.
"""

from __future__ import annotations

import json
import re
from typing import Final

MOST_LINE_BYTES: Final = 4 * 1024 * 1024
"""The longest line, as much as the HTTP transports take in one request. A longer one is thrown away as it comes in."""

_KEPT: Final = 4_096
"""The bytes that are kept of a longer line, of its beginning and of its end each."""
_TEXT: Final = rb'"(?:[^"\\]++|\\.)*+"'
_MEMBER: Final = re.compile(
    rb"\s*+(" + _TEXT + rb")\s*+:\s*+(?:(" + _TEXT + rb"|-?[0-9][0-9.eE+-]*+|true|false|null)\s*+[,}])?", re.DOTALL
)
# A quote within a text has a backslash before it, so this is a member of the object that ends with the line.
_LAST_ID: Final = re.compile(
    rb",\s*+\"id\"\s*+:\s*+("
    + _TEXT
    + rb"|-?[0-9]++)\s*+(?:,\s*+"
    + _TEXT
    + rb"\s*+:\s*+"
    + _TEXT
    + rb"\s*+)*+\}\s*\Z",
    re.DOTALL,
)
_ANSWERS: Final = frozenset({"result", "error"})


class LongLine:
    """How a line begins and ends that is longer than `MOST_LINE_BYTES`."""

    def __init__(self, begun: bytes | bytearray) -> None:
        """Keep what is needed of a line that has `begun` like this."""
        self._head, self._tail = bytes(begun[:_KEPT]), b""
        self.extend(begun[_KEPT:])

    def extend(self, part: bytes | bytearray) -> None:
        """Go on with the line."""
        self._tail = (self._tail + part[-_KEPT:])[-_KEPT:]

    def __len__(self) -> int:
        return len(self._head) + len(self._tail)

    @property
    def is_answer(self) -> bool:
        """Whether it answers a request of ours: then nobody waits for an answer to it."""
        return bool(_ANSWERS & self._first().keys())

    @property
    def request_id(self) -> str | int | None:
        """The id of the request that it was, where that can be seen."""
        last = _LAST_ID.search((self._head + self._tail)[-_KEPT:])
        found = self._first().get("id") if last is None else last[1]
        try:
            asked = None if found is None else json.loads(found)
        except ValueError:
            return None
        return asked if isinstance(asked, str | int) and not isinstance(asked, bool) else None

    def _first(self) -> dict[str, bytes | None]:
        """The members that it begins with, up to the first that is an object or has no end; that has no value here."""
        found: dict[str, bytes | None] = {}
        at = len(self._head) - len(self._head.lstrip())
        if self._head[at : at + 1] != b"{":
            return found
        while (member := _MEMBER.match(self._head, at + 1)) is not None:
            found[member[1][1:-1].decode("utf-8", "replace")] = member[2]
            if member[2] is None:
                break
            at = member.end() - 1
        return found
