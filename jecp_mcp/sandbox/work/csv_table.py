"""CSV (RFC 4180) as typed columns. Pure: no I/O."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from jecp_mcp.sandbox.work.capability import WorkFailed

MOST_COLUMNS = 200
MOST_ROWS = 50_000
MOST_CELLS = 300_000
_DELIMITERS = ",;\t|"
_MISSING = frozenset({"", "na", "n/a", "null", "nan", "none", "-", "?"})
# Sums of squares and their products must stay within what a float holds.
_LARGEST = 1e70


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its kind (``integer number boolean date datetime text empty``) and a value or None for each row.

    Numbers are floats, booleans bools; dates stay text.
    """

    name: str
    kind: str
    values: tuple[Any, ...]

    @property
    def numeric(self) -> bool:
        """Whether it can be calculated with."""
        return self.kind in {"integer", "number"}


def read_columns(text: str) -> list[Column]:
    """The columns of a table whose head line shows what separates its fields: comma, semicolon, tab or bar.

    Raises:
        WorkFailed: ``CSV_INVALID``, ``TOO_LARGE``.
    """
    text = text.removeprefix("\ufeff")
    delimiter = max(_DELIMITERS, key=text[:10_000].partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        head = next(filter(any, reader), [])
        if len(head) > MOST_COLUMNS:
            raise WorkFailed("TOO_LARGE", f"there are {len(head)} columns, at most {MOST_COLUMNS} are allowed")
        most = min(MOST_ROWS, MOST_CELLS // (len(head) or 1))
        body = list(islice(filter(None, reader), most + 1))
    except csv.Error as exc:
        raise WorkFailed("CSV_INVALID", f"line {reader.line_num}: {exc}") from exc
    if not body:
        raise WorkFailed("CSV_INVALID", "there is no head line with rows below it")
    if len(body) > most:
        raise WorkFailed("TOO_LARGE", f"there are more than {most} rows of {len(head)} columns")
    for number, row in enumerate(body, 1):
        if len(row) != len(head):
            raise WorkFailed("CSV_INVALID", f"row {number} has {len(row)} fields, the head line {len(head)}")
    return list(map(_read_column, _names(head), zip(*body, strict=True)))


def _names(head: list[str]) -> list[str]:
    """Names of the columns: blank ones are numbered, repeated ones too."""
    seen: Counter[str] = Counter()
    names = []
    for place, cell in enumerate(head, 1):
        name = cell.strip()[:120] or f"column_{place}"
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return names


def _read_column(name: str, cells: tuple[str, ...]) -> Column:
    trimmed = [cell.strip() for cell in cells]
    present = {cell for cell in trimmed if cell.lower() not in _MISSING}
    for kind, pattern, read in _KINDS if present else ():
        if all(map(pattern.fullmatch, present)):
            try:
                values = {cell: read(cell) for cell in present}
            except ValueError:
                continue
            return Column(name, kind, tuple(map(values.get, trimmed)))
    return Column(name, "text" if present else "empty", tuple(cell if cell in present else None for cell in trimmed))


def instant(cell: str) -> datetime:
    """A date or a date with a time; without a zone it is UTC.

    Raises:
        ValueError: there is no such day or time.
    """
    found = datetime.fromisoformat(cell)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _number(cell: str) -> float:
    found = float(cell.replace(",", ""))
    if abs(found) > _LARGEST:
        raise ValueError(cell)
    return found


_DAY = r"\d{4}-\d{2}-\d{2}"
_DIGITS = r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d{1,15})"
_DECIMAL = r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d{1,300})?(?:\.\d{0,300})?(?:[eE][+-]?\d{1,3})?"
_MOMENT = rf"{_DAY}[T ]\d{{2}}:\d{{2}}[\d:.]*(?:Z|[+-]\d{{2}}:?\d{{2}})?"
# From strict to loose; what is read may still raise a ValueError: no such day, no number of that size.
_KINDS: tuple[tuple[str, re.Pattern[str], Callable[[str], Any]], ...] = (
    ("integer", re.compile(_DIGITS, re.ASCII), _number),
    ("number", re.compile(_DECIMAL, re.ASCII), _number),
    ("boolean", re.compile("true|false|yes|no", re.IGNORECASE), lambda cell: cell.lower() in {"true", "yes"}),
    ("date", re.compile(_DAY, re.ASCII), lambda cell: instant(cell) and cell),
    ("datetime", re.compile(_MOMENT, re.ASCII), lambda cell: instant(cell) and cell),
)
