"""What a row of either ledger's tables reads as. Pure: no I/O.

Columns stand in the order of the fields; SQLite has no truth values and PostgreSQL has.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from jecp_mcp.domain.outcomes import Mark
from jecp_mcp.mandate.records import CallRow
from jecp_mcp.mandate.states import State
from jecp_mcp.mandate.windows import Window
from jecp_mcp.mandate.working_set import Call, MeterState

_LONGEST_TEXT = 500


def read_call(found: Sequence[Any]) -> Call:
    """A call as a transaction decides on it."""
    fields = list(found)
    fields[9], fields[10] = read_names(fields[9]), State(fields[10])
    fields[-3], fields[-2], fields[-1] = bool(fields[-3]), bool(fields[-2]), _read_mark(fields[-1])
    return Call(*fields)


def read_call_row(found: Sequence[Any]) -> CallRow:
    """A call as it is told."""
    return CallRow(*read_call_fields(found))


def read_call_fields(found: Iterable[Any]) -> list[Any]:
    """A call's fields in the order of `CallRow`, as many as there are columns: of a million calls, rows take too long.

    Raises:
        ValueError: the names, the state or the mark are nothing that the ledger writes.
    """
    fields = list(found)
    fields[13], fields[18] = read_names(fields[13]), State(fields[18])
    fields[32], fields[33], fields[34] = bool(fields[32]), bool(fields[33]), _read_mark(fields[34])
    return fields


def _read_mark(text: str | None) -> Mark | None:
    return None if text is None else Mark(text)


def read_meter(found: Sequence[Any]) -> MeterState:
    """A meter."""
    number, key, window, *rest = found
    return MeterState(number, key, Window(window), *rest)


@lru_cache(maxsize=4096)
def read_names(text: str) -> tuple[str, ...]:
    """The names of a call as the ledger keeps them, a JSON array.

    Raises:
        ValueError: they are no such array.
    """
    found = json.loads(text)
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise ValueError("names are an array of texts")
    return tuple(found)


@lru_cache(maxsize=4096)
def write_names(names: tuple[str, ...]) -> str:
    """The names of a call as the ledger keeps them."""
    return json.dumps(names, separators=(",", ":"))


def bound_text(text: str | None) -> str | None:
    """Foreign text as a column can hold it: no lone surrogates, no NUL, no end without end."""
    if text is None:
        return None
    return text[:_LONGEST_TEXT].encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
