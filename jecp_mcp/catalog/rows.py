"""Actions kept as the bytes they are stored as, and read one by one when somebody asks. Pure: no I/O.

Ten thousand parsed actions are sixty megabytes of objects and half a second of a start, and hardly any of them is ever
looked at. What must be known of all of them at once (what changed, what is still sold, who is called how often) stands
in a short `Row` beside the bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, Self

from jecp_mcp.domain.offers import Action
from jecp_mcp.errors import WireError
from jecp_mcp.wire.jecp.catalog import dump_action, load_action
from jecp_mcp.wire.jecp.ids import version_order

_MOST_RECENT: Final = 256


class Row(NamedTuple):
    """Where an action's bytes are, and what is known of it without reading them.

    Attributes:
        seen: a fingerprint of everything a buyer can see of it, 16 hexadecimal digits.
        sold: whether it is not past its sunset.
        calls: how often it was called, by the Hub's count.
    """

    data: bytes
    start: int
    length: int
    seen: str
    sold: bool
    version: str | None
    calls: int

    @property
    def preference(self) -> tuple[bool, tuple[tuple[int, ...], str]]:
        """Of several versions of one action the greatest is kept: sold before withdrawn, then the highest version."""
        return (self.sold, version_order(self.version))


class Rows(Mapping[str, Action]):
    """Actions by key. Equal to any mapping of equal actions; unlike one, it holds hardly an action as an object."""

    __slots__ = ("_recent", "rows")

    def __init__(self, rows: Mapping[str, Row]) -> None:
        self.rows: Final = rows
        self._recent: dict[str, Action] = {}

    @classmethod
    def of(cls, actions: Iterable[Action]) -> Self:
        """These actions as rows.

        Raises:
            WireError: one of them holds what JSON has no word for.
        """
        return cls({action.key: row_of(action) for action in actions})

    def __getitem__(self, key: str) -> Action:
        found = self._recent.get(key)
        if found is None:
            row = self.rows[key]
            found = load_action(row.data[row.start : row.start + row.length])
            if len(self._recent) >= _MOST_RECENT:
                self._recent.clear()
            self._recent[key] = found
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, key: object) -> bool:
        return key in self.rows


def row_of(action: Action) -> Row:
    """One action, on its own."""
    data, seen = dump_action(action)
    return Row(data, 0, len(data), fingerprint(seen), not is_withdrawn(action), action.version, action.total_calls or 0)


def packed(actions: Iterable[Action]) -> tuple[bytes, dict[str, Row], list[tuple[str, str]]]:
    """Actions one behind the other in one piece of memory, and those that cannot be written, with the reason."""
    parts: list[bytes] = []
    made: list[tuple[str, Row]] = []
    bad: list[tuple[str, str]] = []
    for action in actions:
        try:
            row = row_of(action)
        except WireError as exc:
            bad.append((action.key[:200], str(exc)))
            continue
        parts.append(row.data)
        made.append((action.key, row))
    data = b"".join(parts)
    rows: dict[str, Row] = {}
    at = 0
    for key, row in made:
        rows[key] = row._replace(data=data, start=at)
        at += row.length
    return data, rows, bad


def written(rows: Mapping[str, Row]) -> list[list[Any]]:
    """Rows of one piece of memory, in its order, as JSON for `unwritten`."""
    return [[key, row.length, row.seen, row.sold, row.version, row.calls] for key, row in rows.items()]


def unwritten(entries: list[list[Any]], data: bytes) -> dict[str, Row]:
    """What `written` wrote, over the same bytes.

    Raises:
        ValueError, TypeError: it is not that, or does not fit the bytes.
    """
    rows: dict[str, Row] = {}
    at = 0
    for key, length, seen, sold, version, calls in entries:
        rows[key] = Row(data, at, length, seen, sold, version, calls)
        at += length
    if at != len(data):
        raise ValueError("the rows do not fit their bytes")
    return rows


def on_sale(actions: Mapping[str, Action]) -> list[str]:
    """The keys of the actions that are not past their sunset."""
    if isinstance(actions, Rows):
        return [key for key, row in actions.rows.items() if row.sold]
    return [key for key, action in actions.items() if not is_withdrawn(action)]


def calls_of(actions: Mapping[str, Action]) -> Iterator[tuple[str, int]]:
    """Each action's namespace with how often the action was called."""
    if isinstance(actions, Rows):
        return ((namespace_of(key), row.calls) for key, row in actions.rows.items())
    return ((action.namespace, action.total_calls or 0) for action in actions.values())


def namespace_of(key: str) -> str:
    """The provider in an action's key; ``""`` for the Hub itself."""
    namespace, joint, _ = key.partition("/")
    return namespace if joint else ""


def is_withdrawn(action: Action) -> bool:
    """Whether an action is past its sunset."""
    return action.deprecation is not None and action.deprecation.status == "sunset"


def fingerprint(seen: bytes) -> str:
    """Sixteen hexadecimal digits that differ where the bytes do."""
    return hashlib.blake2b(seen, digest_size=8).hexdigest()
