"""Actions kept as the bytes they are stored as, and read one by one when somebody asks. Pure: no I/O.

Ten thousand parsed actions are sixty megabytes of objects and half a second of a start, and hardly any of them is ever
looked at. What must be known of all of them at once (what changed, what is still sold, who is called how often) stands
in a short `Row` beside the bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, Self

from jecp_mcp.catalog.stored_offers import dump_offer, load_offer
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.versions import version_order
from jecp_mcp.errors import WireError
from jecp_mcp.source_names import split_source

_MOST_RECENT: Final = 256


class Row(NamedTuple):
    """Where an action's bytes are, and what is known of it without reading them.

    Attributes:
        seen: a fingerprint of everything a buyer can see of it, 16 hexadecimal digits.
        sold: whether it is not past its sunset.
        calls: how often it was bought, by the source's count.
    """

    data: bytes
    start: int
    length: int
    seen: str
    sold: bool
    version: str | None
    calls: int
    source: str = ""

    @property
    def preference(self) -> tuple[bool, tuple[tuple[int, ...], str]]:
        """Of several versions of one action the greatest is kept: sold before withdrawn, then the highest version."""
        return (self.sold, version_order(self.version))


class Rows(Mapping[str, Offer]):
    """Actions by key. Equal to any mapping of equal actions; unlike one, it holds hardly an action as an object."""

    __slots__ = ("_recent", "rows")

    def __init__(self, rows: Mapping[str, Row]) -> None:
        self.rows: Final = rows
        self._recent: dict[str, Offer] = {}

    @classmethod
    def of(cls, actions: Iterable[Offer]) -> Self:
        """These offers as rows.

        Raises:
            WireError: one of them holds what JSON has no word for.
        """
        return cls({action.key: row_of(action) for action in actions})

    def __getitem__(self, key: str) -> Offer:
        found = self._recent.get(key)
        if found is None:
            row = self.rows[key]
            found = load_offer(row.data[row.start : row.start + row.length], row.source)
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


def row_of(action: Offer) -> Row:
    """One action, on its own."""
    data, seen = dump_offer(action)
    calls, sold = action.total_calls or 0, not is_withdrawn(action)
    return Row(data, 0, len(data), fingerprint(seen), sold, action.version, calls, action.source)


def packed(actions: Iterable[Offer]) -> tuple[bytes, dict[str, Row], list[tuple[str, str]]]:
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


def unwritten(entries: list[list[Any]], data: bytes, source: str) -> dict[str, Row]:
    """What `written` wrote of a source's offers, over the same bytes.

    Raises:
        ValueError, TypeError: it is not that, or does not fit the bytes.
    """
    rows: dict[str, Row] = {}
    at = 0
    for key, length, seen, sold, version, calls in entries:
        rows[key] = Row(data, at, length, seen, sold, version, calls, source)
        at += length
    if at != len(data):
        raise ValueError("the rows do not fit their bytes")
    return rows


def on_sale(actions: Mapping[str, Offer]) -> list[str]:
    """The keys of the actions that are not past their sunset."""
    if isinstance(actions, Rows):
        return [key for key, row in actions.rows.items() if row.sold]
    return [key for key, action in actions.items() if not is_withdrawn(action)]


def calls_of(actions: Mapping[str, Offer]) -> Iterator[tuple[str, int]]:
    """Each action's payee with how often the action was called."""
    if isinstance(actions, Rows):
        return ((payee_of(key), row.calls) for key, row in actions.rows.items())
    return ((action.payee, action.total_calls or 0) for action in actions.values())


def sources_of(actions: Mapping[str, Offer]) -> dict[str, str]:
    """Where each action is on offer, by its key."""
    if isinstance(actions, Rows):
        return {key: row.source for key, row in actions.rows.items()}
    return {key: action.source for key, action in actions.items()}


def payee_of(key: str) -> str:
    """The payee in an offer's key; ``""`` for the source itself."""
    namespace, joint, _ = split_source(key)[1].partition("/")
    return namespace if joint else ""


def is_withdrawn(action: Offer) -> bool:
    """Whether an action is past its sunset."""
    return action.deprecation is not None and action.deprecation.status == "sunset"


def is_ending(action: Offer) -> bool:
    """Whether an action is past its sunset, or has been told to end."""
    return action.deprecation is not None and action.deprecation.status != "active"


def fingerprint(seen: bytes) -> str:
    """Sixteen hexadecimal digits that differ where the bytes do."""
    return hashlib.blake2b(seen, digest_size=8).hexdigest()
