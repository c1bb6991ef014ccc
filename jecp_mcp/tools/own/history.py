"""The calls that were made: what was asked, what it cost, where its files are, and a total. Reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import anyio

from jecp_mcp.calls.ports import Caller
from jecp_mcp.calls.reader import Reader
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.records import CallRow
from jecp_mcp.mandate.states import CHARGED, FREE, HOLDING
from jecp_mcp.money import format_usdc
from jecp_mcp.tools.artifact_store import ArtifactStore
from jecp_mcp.tools.own.wallet import call_summary
from jecp_mcp.tools.publishing.argument_words import argument_words

_LATEST: Final = 10
_COUNTED: Final = 100
"""How many of the latest calls are added up."""

_MOST_FILES: Final = 4


async def latest_calls(reader: Reader, store: ArtifactStore, caller: Caller) -> dict[str, Any]:
    """The caller's latest calls, newest first, and what the latest of them cost in all; amounts are text in USDC.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    rows = await reader.latest(limit=_COUNTED + 1)
    files = await _files(store, caller)
    listed = [await call_history(reader, row, files) for row in rows[:_LATEST]]
    return {"calls": listed, "total": _total(rows)}


async def call_history(reader: Reader, row: CallRow, files: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """One call: as `call_summary`, with what it was given and the addresses of its files.

    Args:
        reader: reads the caller's own calls.
        row: the call, with or without its bodies.
        files: addresses by call.
    """
    made = call_summary(row)
    if (given := await arguments_in_short(reader, row)) is not None:
        made["asked"] = given
    if found := files.get(row.call_id):
        made["files"] = list(found[:_MOST_FILES])
    return made


async def arguments_in_short(reader: Reader, row: CallRow) -> dict[str, str] | None:
    """What a call was given, in short; None where that is not kept any more."""
    try:
        whole = row if row.request else await reader.call(row.call_id)
    except LedgerError:
        # A request that cannot be read takes nothing from what the list says of the money.
        return None
    given = None if whole is None else reader.arguments_of(whole)
    return None if given is None else argument_words(given)


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
