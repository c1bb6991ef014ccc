"""What can still be read of a damaged ledger, row by row where a table breaks off. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar

import apsw

from jecp_mcp.mandate.ledger import CallRow, EventRow
from jecp_mcp.mandate.records import COLUMNS, call_row, event_row
from jecp_mcp.mandate.unexplained import Unexplained

Row = TypeVar("Row")

_PAGE = 500
_SMALLEST_ROW = 40
_LARGEST = 2**53

_MAYBE_TEXT, _MAYBE_WHOLE = (str, NoneType), (int, NoneType)
_KINDS: tuple[type | tuple[type, ...], ...] = (
    *(int, str, str, str, str, str, str, str, _MAYBE_TEXT, str, int, int, int, int, _MAYBE_WHOLE, _MAYBE_TEXT),
    *(_MAYBE_TEXT, int, int, _MAYBE_WHOLE, int, int, str),
)
"""What each of a call's columns holds: in a damaged record a text may have become a number."""

_CALLS = f"{COLUMNS}, x'', NULL FROM call AS c NOT INDEXED WHERE c.id"
_EVENTS = """
SELECT id, CAST(call AS TEXT), at, event, before, after, held, charged, refunded, session, evidence, facts, digest
FROM event NOT INDEXED WHERE id
"""


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a table that can be read, by number; and whether it broke off where nothing more is known."""

    rows: Mapping[int, Any]
    whole: bool


def calls(connection: apsw.Connection) -> Table:
    """The calls, without their bodies."""
    return _table(connection, _CALLS, _call)


def events(connection: apsw.Connection) -> Table:
    """The events; each one's `call_id` is the number of its call, as text."""
    return _table(connection, _EVENTS, _event)


def meters(connection: apsw.Connection) -> Unexplained:
    """What the meters have counted; nothing where they cannot be read."""
    with suppress(apsw.Error, ValueError):
        found: list[Any] = connection.execute("SELECT id, slot_ms FROM meter NOT INDEXED").fetchall()
        slots: list[Any] = connection.execute("SELECT meter, start, amount FROM slot NOT INDEXED").fetchall()
        lengths = {number: length if _whole(length) and length else None for number, length in found}
        return Unexplained((slot for slot in slots if all(map(_whole, slot))), lengths)
    return Unexplained((), {})


def _call(found: Any) -> CallRow:
    if not all(isinstance(value, kind) for value, kind in zip(found, _KINDS, strict=False)):
        raise ValueError("a damaged record")
    row = call_row(found)
    _check(row.held, row.charged, row.refunded, row.created_at)
    return row


def _event(found: Any) -> EventRow:
    event = event_row(found)
    _check(event.at, event.held, event.charged, event.refunded, int(event.call_id or 0))
    return event


def _check(*numbers: object) -> None:
    """Refuse what was an amount or an instant and is none any more: a record that is damaged inside still reads."""
    if not all(map(_whole, numbers)):
        raise ValueError("a damaged record")


def _whole(value: object) -> bool:
    return isinstance(value, int) and 0 <= value <= _LARGEST


def _table(connection: apsw.Connection, select: str, read: Callable[[Any], Row]) -> Table:
    """All rows of a table that can be read: page by page, and one by one from where that breaks off."""
    rows: dict[int, Any] = {}
    last = 0
    try:
        while True:
            page: list[Any] = connection.execute(f"{select} > ? ORDER BY 1 LIMIT {_PAGE}", (last,)).fetchall()
            if not page:
                return Table(rows, whole=True)
            for found in page:
                rows[found[0]] = read(found)
                last = found[0]
    except (apsw.Error, ValueError):
        pass
    numbers = range(last + 1, _most(connection, select) + 1)
    for number in numbers:
        with suppress(apsw.Error, ValueError):
            found = connection.execute(f"{select} = ?", (number,)).get
            if found is not None:
                rows[number] = read(found)
    return Table(rows, whole=bool(rows) and max(rows) >= numbers.stop - 1)


def _most(connection: apsw.Connection, select: str) -> int:
    """The highest number there can be in a table."""
    table = "call" if select is _CALLS else "event"
    with suppress(apsw.Error, ValueError):
        return int(connection.execute(f"SELECT coalesce(max(id), 0) FROM {table}").get)  # noqa: S608 two constants
    return Path(connection.filename).stat().st_size // _SMALLEST_ROW
