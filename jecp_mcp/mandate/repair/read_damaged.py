"""What can still be read of a damaged ledger, row by row where a table breaks off. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar

import apsw

from jecp_mcp.mandate import chain
from jecp_mcp.mandate.columns import read_call_row, read_meter
from jecp_mcp.mandate.records import CallRow, EventRow
from jecp_mcp.mandate.repair.unaccounted import Unexplained
from jecp_mcp.mandate.sqlite.ledger_queries import COLUMNS
from jecp_mcp.mandate.sqlite.meter_backfill import METER
from jecp_mcp.mandate.working_set import MeterState

Row = TypeVar("Row")

_PAGE = 500
_SMALLEST_ROW = 40
_LARGEST = 2**53

_MAYBE_TEXT, _MAYBE_WHOLE = (str, NoneType), (int, NoneType)
_KINDS: tuple[type | tuple[type, ...], ...] = (
    *(int, str, str, _MAYBE_TEXT, str, str, int, str, str, str, str, str, str, str, _MAYBE_TEXT, str, str, str, str),
    *(int, int, int, int, _MAYBE_WHOLE, _MAYBE_TEXT, _MAYBE_TEXT, int, int, int, _MAYBE_WHOLE, _MAYBE_WHOLE),
    *(_MAYBE_WHOLE, int, int),
)
"""What each of a call's columns holds: in a damaged record a text may have become a number."""

_CALLS = f"{COLUMNS}, x'', NULL FROM call AS c NOT INDEXED WHERE c.id"
_EVENTS = "SELECT id, call, body, digest FROM event NOT INDEXED WHERE id"


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a table that can be read, by number; and whether it broke off where nothing more is known."""

    rows: Mapping[int, Any]
    whole: bool


def calls(connection: apsw.Connection) -> Table:
    """The calls, without their bodies."""
    return _table(connection, _CALLS, _call)


def events(connection: apsw.Connection) -> Table:
    """The events."""
    return _table(connection, _EVENTS, _event)


def meters(connection: apsw.Connection) -> Unexplained:
    """What the meters have counted; nothing where they cannot be read."""
    with suppress(apsw.Error, ValueError):
        found: list[Any] = connection.execute(METER.replace(" FROM meter", " FROM meter NOT INDEXED")).fetchall()
        slots: list[Any] = connection.execute("SELECT meter, start, amount FROM slot NOT INDEXED").fetchall()
        states = [state for state in map(read_meter, found) if _sound(state)]
        return Unexplained((slot for slot in slots if all(map(_whole, slot))), states)
    return Unexplained((), ())


def _sound(state: MeterState) -> bool:
    texts = isinstance(state.principal, str) and all(
        text is None or isinstance(text, str) for text in (state.pattern, state.session)
    )
    return texts and all(map(_whole, (state.since, state.fed)))


def _call(found: Any) -> CallRow:
    if not all(isinstance(value, kind) for value, kind in zip(found, _KINDS, strict=False)):
        raise ValueError("a damaged record")
    row = read_call_row(found)
    _check(row.claim, row.held, row.charged, row.refunded, row.created_at, row.sent_at)
    return row


def _event(found: Any) -> EventRow:
    number, call, body, digest = found
    if not isinstance(body, bytes) or not isinstance(digest, bytes):
        raise ValueError("a damaged record")  # noqa: TRY004 as every other damage
    event = chain.read(body, digest)
    _check(event.at, event.held, event.charged, event.refunded, event.call or 0)
    if (event.number, event.call) != (number, call):
        raise ValueError("a damaged record")
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
