"""What a host can read beside calling tools: the wallet, the latest calls, the catalog, and files that calls produced.

Everything is read off the event loop where it lies on disk, and nothing is larger than one message may be.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import anyio

from jecp_mcp import jsontext
from jecp_mcp.calls.ports import Caller
from jecp_mcp.domain.offers import Offer
from jecp_mcp.errors import ToolFault
from jecp_mcp.tools.artifact_store import LISTED, URI, StoredArtifact
from jecp_mcp.tools.codes import INVALID_CURSOR, RESOURCE_NOT_FOUND
from jecp_mcp.tools.next_actions.alternatives import brief
from jecp_mcp.tools.own.handlers import OwnTools, ToolDeps
from jecp_mcp.tools.own.left_out import left_out_words
from jecp_mcp.tools.own.outages import outage_notices
from jecp_mcp.tools.publishing.links import unshowable
from jecp_mcp.tools.results import FRAME

WALLET: Final = "jecp://wallet"
RECENT: Final = "jecp://ledger/recent"
CATALOG: Final = "jecp://catalog"
ACTION_TEMPLATE: Final = "jecp://catalog/{id}"
ARTIFACT_TEMPLATE: Final = "jecp://artifact/{id}"

MOST_COMPLETIONS: Final = 100
"""How many values a completion may have (MCP, completion/complete)."""

_JSON: Final = "application/json"
_SHOWN: Final = 200
"""How many actions the catalog resource lists: a host may put all of it before the model."""
_ACTION: Final = f"{CATALOG}/"
_LONGEST_CURSOR: Final = 64


@dataclass(frozen=True, slots=True)
class Entry:
    """One readable thing; `size` is in bytes."""

    uri: str
    name: str
    description: str
    mime_type: str
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some entries, and the cursor of the next page, if there is one."""

    entries: tuple[Entry, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Content:
    """What was read; exactly one of `text` and `data` is set."""

    uri: str
    mime_type: str
    text: str | None = None
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class TooLarge:
    """A file that does not fit into one message; `size` in bytes.

    Attributes:
        path: where its bytes are, for a host that can open it there; else None.
    """

    mime_type: str
    size: int
    path: Path | None


_FIXED: Final = (
    Entry(WALLET, "wallet", "Balance, every spending limit with what is left, and money held.", _JSON),
    Entry(RECENT, "latest calls", "The latest calls, with what each cost and how it ended.", _JSON),
    Entry(CATALOG, "catalog", "What can be bought, with prices; the most used first.", _JSON),
)

TEMPLATES: Final = (
    Entry(ACTION_TEMPLATE, "action", "One action: input schema, examples, price, and whether limits allow it.", _JSON),
    Entry(ARTIFACT_TEMPLATE, "artifact", "A file that a paid call produced.", ""),
)
"""How actions and artifacts are addressed; `Entry.uri` is the template."""


class Resources:
    """Everything readable. One per process."""

    def __init__(self, deps: ToolDeps, own: OwnTools) -> None:
        self._deps = deps
        self._own = own
        self._store = deps.store

    async def page(self, cursor: str | None, caller: Caller) -> Page:
        """The fixed resources, then the caller's stored files, newest first.

        Raises:
            ToolFault: the cursor is not one that a page gave out.
        """
        after = None if cursor is None else _parse_cursor(cursor)
        kept = await self._stored_files(after, caller)
        entries = tuple(
            Entry(one.uri, one.name, "A file that a paid call produced.", one.mime_type, one.size) for one in kept
        )
        last = kept[-1] if len(kept) == LISTED else None
        return Page(
            entries if cursor is not None else (*_FIXED, *entries),
            None if last is None else f"{last.created_at}-{last.id}",
        )

    async def read(self, uri: str, caller: Caller) -> Content | TooLarge:
        """One resource, whole.

        Raises:
            ToolFault: there is none at this address.
            LedgerError: the books cannot be read.
        """
        if uri.startswith(URI):
            return await self._artifact(uri, caller)
        if uri == WALLET:
            return _json_content(uri, await self._own.wallet(caller.principal))
        if uri == RECENT:
            return _json_content(uri, await self._own.latest(caller))
        if uri == CATALOG:
            await self._deps.offers.look_again()
            return _json_content(uri, self._catalog())
        if uri.startswith(_ACTION):
            return _json_content(uri, await self._own.describe(unquote(uri.removeprefix(_ACTION)), caller))
        raise ToolFault(RESOURCE_NOT_FOUND, "there is no such resource")

    async def complete(self, template: str, value: str, caller: Caller) -> Sequence[str]:
        """What the `id` of a template may be, given how it begins; the likeliest first.

        One more than `MOST_COMPLETIONS` where there are more.
        """
        if template == ARTIFACT_TEMPLATE:
            ids = [one.id for one in await self._stored_files(None, caller)]
            return [one for one in ids if one.startswith(value)][: MOST_COMPLETIONS + 1]
        if template == ACTION_TEMPLATE:
            return self._names(value)
        return []

    def _names(self, value: str) -> list[str]:
        """Tool names that begin so, then those of what is found by that; else of what is called nearly so."""
        most, finder, registry = MOST_COMPLETIONS + 1, self._deps.finder, self._deps.registry
        names = dict.fromkeys(registry.names_from(value, most) if value else ())

        def add(found: Sequence[Offer]) -> None:
            called = (registry.name_of(action) for action in found)
            names.update(dict.fromkeys(name for name in called if name is not None))

        if len(names) < most:
            add(finder.search(value, limit=most).actions)
        if not names:
            add(finder.nearest(value, limit=most))
        return list(names)[:most]

    async def call_ids(self, value: str, caller: Caller) -> Sequence[str]:
        """The ids of the caller's latest calls that begin so.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        rows = await self._deps.calls.reader(caller.principal).latest(limit=MOST_COMPLETIONS)
        return [row.call_id for row in rows if row.call_id.startswith(value)]

    async def _stored_files(self, after: tuple[int, str] | None, caller: Caller) -> tuple[StoredArtifact, ...]:
        return await anyio.to_thread.run_sync(self._store.list, after, caller.principal)

    async def _artifact(self, uri: str, caller: Caller) -> Content | TooLarge:
        kept = await anyio.to_thread.run_sync(self._store.owned, uri, caller.principal)
        # In base64 three bytes are four characters.
        if kept.size * 4 > FRAME * 3:
            return TooLarge(kept.mime_type, kept.size, kept.path if self._store.shared_disk else None)
        data = await anyio.to_thread.run_sync(self._store.read, kept)
        text = _as_text(kept.mime_type, data)
        return Content(uri, kept.mime_type, text, None if text is not None else data)

    def _catalog(self) -> dict[str, Any]:
        found = self._deps.finder.search("", limit=_SHOWN + 1).actions
        away = self._deps.offers.outages
        names = [(action, self._deps.registry.name_of(action)) for action in found[:_SHOWN]]
        made: dict[str, Any] = {"actions": [brief(action, name) for action, name in names if name is not None]}
        if len(found) > _SHOWN:
            made["more"] = "jecp_search finds the others"
        if away:
            made["unreachable"] = outage_notices(away)
        left_out = left_out_words(self._deps.offers.current)
        if left_out is not None:
            made["left_out"] = left_out
        return made


def _json_content(uri: str, value: Mapping[str, Any]) -> Content:
    return Content(uri, _JSON, jsontext.dumps(value).decode())


def _as_text(mime_type: str, data: bytes) -> str | None:
    """A file as text where it is text that shows everything it says and still fits; else None."""
    if mime_type != _JSON and not mime_type.startswith("text/"):
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return text if not unshowable(text) and len(json.dumps(text)) <= FRAME else None


def _parse_cursor(cursor: str) -> tuple[int, str]:
    created_at, _, artifact_id = cursor[:_LONGEST_CURSOR].partition("-")
    if not (created_at.isascii() and created_at.isdigit() and artifact_id):
        raise ToolFault(INVALID_CURSOR, "this cursor is not one that resources/list gave out")
    return int(created_at), artifact_id
