"""The calls that were made: what was asked, what it cost, where its files are, and a total. Reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

import anyio

from jecp_mcp.calls.ends import kept_answer
from jecp_mcp.calls.ports import Caller
from jecp_mcp.calls.reader import Reader
from jecp_mcp.clock import iso_seconds
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.records import CallRow
from jecp_mcp.mandate.states import CHARGED, FREE, HOLDING, State
from jecp_mcp.money import format_usdc
from jecp_mcp.tools.artifact_store import ArtifactStore
from jecp_mcp.tools.own.wallet import call_summary, is_lookup
from jecp_mcp.tools.publishing.argument_words import argument_words
from jecp_mcp.tools.publishing.cleaning import clean

_COUNTED: Final = 100
"""How many of the latest calls are added up."""

_MOST_READ: Final = 10_000
"""How many rows are looked through for calls, at least."""

_MOST_FILES: Final = 4
_MOST_ASKED: Final = 3
_ASKED_LENGTH: Final = 48
"""The most characters of all that is shown of what one call was given."""
_GOT_LENGTH: Final = 48
"""The most characters of how its result begins."""
_LARGE: Final = 65_536


async def latest_calls(
    reader: Reader, store: ArtifactStore, caller: Caller, *, limit: int, offset: int = 0
) -> dict[str, Any]:
    """The caller's calls, newest first, in short, and what the latest of them cost in all; amounts are text in USDC.

    What was looked up for nothing is no call.

    Args:
        limit: how many to show.
        offset: how many of the latest to pass over.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    end = offset + limit
    rows = await _calls(reader, max(_COUNTED, end) + 1)
    files = await _files(store, caller)
    made: dict[str, Any] = {"calls": [await _in_short(reader, row, files) for row in rows[offset:end]]}
    if len(rows) > end:
        made["next_offset"] = end
    return made | {"total": _total(rows)}


async def _calls(reader: Reader, wanted: int) -> Sequence[CallRow]:
    """The latest calls without those that only looked something up."""
    limit = wanted
    while True:
        rows = await reader.latest(limit=limit)
        calls = [row for row in rows if not is_lookup(row)]
        if len(calls) >= wanted or len(rows) < limit or limit >= _MOST_READ:
            return calls[:wanted]
        limit *= 4


async def _in_short(reader: Reader, row: CallRow, files: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """One call in a list: as `call_summary`, without what goes without saying or is had by its id.

    A call that was paid for at its listed price has no state, no ``charged`` and no ``listed_usdc``.

    Args:
        reader: reads the caller's own calls.
        row: the call, with or without its bodies.
        files: addresses by call.
    """
    made = call_summary(row)
    made["created_at"] = iso_seconds(row.created_at)
    made.pop("transaction_id", None)
    if row.state is State.SETTLED and "charged_usdc" in made:
        del made["state"], made["charged"]
    if made.get("listed_usdc") == made.get("charged_usdc"):
        made.pop("listed_usdc", None)
    whole = await _whole(reader, row)
    if (given := _given(reader, whole)) is not None:
        shown = dict(islice(given.items(), _MOST_ASKED))
        each = _ASKED_LENGTH // len(shown) if shown else 0
        made["asked"] = {name: clean(text, each, one_line=True) for name, text in shown.items()}
        if len(given) > _MOST_ASKED:
            made["asked"]["…"] = f"{len(given) - _MOST_ASKED} more"
    if found := files.get(row.call_id):
        made["files"] = list(found[:_MOST_FILES])
    elif (got := _got(whole)) is not None:
        made["got"] = got
    return made


async def arguments_in_short(reader: Reader, row: CallRow) -> dict[str, str] | None:
    """What a call was given, in short; None where that is not kept any more."""
    return _given(reader, await _whole(reader, row))


async def _whole(reader: Reader, row: CallRow) -> CallRow | None:
    """The call with its bodies."""
    try:
        return row if row.request else await reader.call(row.call_id)
    except LedgerError:
        # Bodies that cannot be read take nothing from what the list says of the money.
        return None


def _given(reader: Reader, whole: CallRow | None) -> dict[str, str] | None:
    given = None if whole is None else reader.arguments_of(whole)
    return None if given is None else argument_words(given)


def _got(whole: CallRow | None) -> str | None:
    """How the result of a call begins; None where it has none, or too large a one to be looked into for that."""
    if whole is None or whole.answer is None or len(whole.answer) > _LARGE:
        return None
    if (answer := kept_answer(whole)) is None:
        return None
    return clean(argument_words({"output": answer.output})["output"], _GOT_LENGTH, one_line=True)


async def _files(store: ArtifactStore, caller: Caller) -> Mapping[str, Sequence[str]]:
    found: dict[str, list[str]] = {}
    for one in await anyio.to_thread.run_sync(store.list, None, caller.principal):
        if one.call_id is not None:
            found.setdefault(one.call_id, []).append(one.uri)
    return found


def _total(rows: Sequence[CallRow]) -> dict[str, Any]:
    counted = rows[:_COUNTED]
    charged = sum(row.charged - row.refunded for row in counted if row.state in CHARGED)
    held = sum(row.held for row in counted if row.state in HOLDING)
    made: dict[str, Any] = {"calls": len(counted), "charged_usdc": format_usdc(charged)}
    if held:
        made["held_usdc"] = format_usdc(held)
    if free := sum(row.state in FREE for row in counted):
        made["not_charged"] = free
    return made | ({"older_calls_left_off": True} if len(rows) > _COUNTED else {})
