"""CSV (RFC 4180) as typed columns. Pure: no I/O."""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from jecp_mcp.sandbox.work import json_schema
from jecp_mcp.sandbox.work.capability import Input, WorkFailed

MOST_CHARACTERS = 1_500_000
MOST_COLUMNS = 200
MOST_ROWS = 50_000
MOST_CELLS = 300_000

MISSING = frozenset({"", "na", "n/a", "null", "nan", "none", "-", "?"})
"""What stands for no value, in lower case."""

_NUMBER = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d{1,300})?(?:\.\d{0,300})?(?:[eE][+-]?\d{1,3})?", re.ASCII)
_WHOLE = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d{1,15})", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:?\d{2})?", re.ASCII)
_BOOLEAN = re.compile("true|false|yes|no", re.IGNORECASE | re.ASCII)
_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
DELIMITER = json_schema.choice("What separates fields.", "auto", *_DELIMITERS, default="auto")


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


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV file read."""

    columns: tuple[Column, ...]
    rows: int
    delimiter: str

    def column(self, name: str) -> Column:
        """A column by its name.

        Raises:
            WorkFailed: ``COLUMN_UNKNOWN``.
        """
        for column in self.columns:
            if column.name == name:
                return column
        known = ", ".join(column.name for column in self.columns[:20])
        raise WorkFailed("COLUMN_UNKNOWN", f"there is no column {name[:80]!r}; there are {known[:400]}")


def table_of(given: Input) -> Table:
    """Read ``csv`` with the ``delimiter`` named or, by default, the one the head line shows.

    Raises:
        WorkFailed: ``CSV_INVALID``, ``TOO_LARGE``.
    """
    text: str = given["csv"].removeprefix("\ufeff")
    delimiter = _DELIMITERS.get(given.get("delimiter", "auto")) or _delimiter(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        head, body = _read(reader)
    except csv.Error as exc:
        raise WorkFailed("CSV_INVALID", f"line {reader.line_num}: {exc}") from exc
    names = _names(head)
    if not body:
        raise WorkFailed("CSV_INVALID", "there is a head line but no row")
    columns = zip(*body, strict=True)
    return Table(tuple(map(_typed, names, columns)), len(body), delimiter)


def _read(reader: Any) -> tuple[list[str], list[list[str]]]:
    head: list[str] = next((row for row in reader if any(cell.strip() for cell in row)), [])
    if not head:
        raise WorkFailed("CSV_INVALID", "the text holds no table")
    if len(head) > MOST_COLUMNS:
        raise WorkFailed("TOO_LARGE", f"there are {len(head)} columns, at most {MOST_COLUMNS} are allowed")
    width = len(head)
    body: list[list[str]] = []
    most = min(MOST_ROWS, MOST_CELLS // width)
    for row in reader:
        if not row:
            continue
        if len(row) != width:
            raise WorkFailed("CSV_INVALID", f"line {reader.line_num} has {len(row)} fields, the head line {width}")
        if len(body) == most:
            raise WorkFailed("TOO_LARGE", f"there are more than {most} rows of {width} columns")
        body.append(row)
    return head, body


def _delimiter(text: str) -> str:
    end = text.find("\n")
    head = text[: end if end >= 0 else None][:10_000]
    return max(_DELIMITERS.values(), key=head.count)


def _names(head: list[str]) -> list[str]:
    """Names of the columns: blank ones are numbered, repeated ones too."""
    seen: Counter[str] = Counter()
    names = []
    for place, cell in enumerate(head, 1):
        name = cell.strip()[:120] or f"column_{place}"
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return names


def _typed(name: str, cells: tuple[str, ...]) -> Column:
    trimmed = [cell.strip() for cell in cells]
    present = {cell for cell in trimmed if cell.lower() not in MISSING}
    for kind, pattern, read in _KINDS if present else ():
        if not all(map(pattern.fullmatch, present)):
            continue
        try:
            values = {cell: read(cell) for cell in present}
        except ValueError:
            continue
        return Column(name, kind, tuple(map(values.get, trimmed)))
    return Column(name, "text" if present else "empty", tuple(cell if cell in present else None for cell in trimmed))


def _number(cell: str) -> float:
    found = float(cell.replace(",", ""))
    if not math.isfinite(found):
        raise ValueError(cell)
    return found


# From strict to loose; what is read may still raise a ValueError: no such day, no finite number.
_KINDS: tuple[tuple[str, re.Pattern[str], Callable[[str], Any]], ...] = (
    ("integer", _WHOLE, _number),
    ("number", _NUMBER, _number),
    ("boolean", _BOOLEAN, lambda cell: cell.lower() in {"true", "yes"}),
    ("date", _DAY, lambda cell: date.fromisoformat(cell) and cell),
    ("datetime", _MOMENT, lambda cell: datetime.fromisoformat(cell) and cell),
)
