"""From a paid answer to what the model sees: the output, the files in it, notices, and one receipt line.

The output is the first block as JSON text and, equal to it, the structured content. Files are taken out of it: each is
kept by the artifact store, stands in the output as its type, size and address, and follows as a block of its own when
it is small enough for one frame. A paid answer is always shown, also when the disk refuses to keep its files.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import anyio

from jecp_mcp import jsontext
from jecp_mcp.calls.ports import CallEnd, Charge
from jecp_mcp.domain.answers import Answer
from jecp_mcp.domain.offers import Offer
from jecp_mcp.errors import ToolFault, WireError
from jecp_mcp.money import format_usdc
from jecp_mcp.settings import ArtifactSettings
from jecp_mcp.tools.artifact_store import ArtifactStore, StoredArtifact
from jecp_mcp.tools.next_actions.selection import amount_charged
from jecp_mcp.tools.publishing.cleaning import clean, provider_of, safe_text
from jecp_mcp.tools.publishing.links import LinkPolicy, hub_id, showable, unshowable
from jecp_mcp.tools.types import (
    Audio,
    Block,
    Embedded,
    Image,
    Link,
    Text,
    ToolResult,
)
from jecp_mcp.wire.jecp.artifacts import MEDIA, Artifact, artifact_of

log = logging.getLogger(__name__)

META_BILLING: Final = "jecp-mcp/billing"

FRAME: Final = 960 * 1024
"""The most characters of content in one result: clients and hosts stop at 1 MiB a message."""

_PREVIEW = 2_000
_NOTICE = 300
_DATE = len("2027-01-31")
_MAX_NOTICES = 4
_MAX_FILES = 16
_IN_THREAD = 65_536
"""Bytes from which a file or an output is written from a worker thread rather than beside everybody's calls."""


@dataclass(slots=True)
class _Draft:
    """A result being put together; `left` is how many characters the frame still takes."""

    end: CallEnd
    answer: Answer
    label: str
    left: int = FRAME
    blocks: list[Block] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


class Results:
    """Renders answers. One per process."""

    def __init__(self, store: ArtifactStore, settings: ArtifactSettings, links: LinkPolicy) -> None:
        self._store = store
        self._settings = settings
        self._links = links

    async def render(self, end: CallEnd, *, ending: str | None = None) -> ToolResult:
        """What the model sees of a call that was answered. Raises nothing but cancellation.

        Args:
            ending: that the action will not be sold for ever, from the catalog; the Hub may say it too.
        """
        answer = end.answer
        assert answer is not None
        draft = _Draft(end, answer, _label(end.offer, answer))
        output, kept = await self._take_out_files(draft, answer.output)
        if _longer_than(output, _IN_THREAD):
            structured, text, weight = await anyio.to_thread.run_sync(_serialise, output)
        else:
            structured, text, weight = _serialise(output)
        if weight > draft.left:
            structured, text = await self._store_whole(draft, text, kept)
        # That an endpoint of the Hub ends is for whoever maintains this client, not for the model.
        told = [item for item in answer.notices if item.kind != "endpoint_deprecation"]
        if ending is not None:
            # With the successor's tool; the Hub's own words name it by its id, and may know another date.
            told = [one for one in told if one.kind != "deprecation" or (one.at or "")[:_DATE] not in ending]
            draft.notices.append(f"Notice: {ending}")
        draft.notices += [f"Notice: {self._links.safe_text(item.text, _NOTICE)}" for item in told[:_MAX_NOTICES]]
        lines = [Text(line) for line in (*draft.notices, receipt(end))]
        return ToolResult(
            blocks=(Text(text), *draft.blocks, *lines), structured=structured, meta={META_BILLING: billing(end)}
        )

    async def _take_out_files(self, draft: _Draft, output: Any) -> tuple[Any, list[Mapping[str, Any]]]:
        """The output with each file replaced by its type, size and address, and those descriptions."""
        kept: list[Mapping[str, Any]] = []
        while len(kept) < _MAX_FILES and (found := artifact_of(output)) is not None and found.data_base64 is not None:
            described = await self._one_file(draft, found)
            if found.note:
                described["note"] = self._links.safe_text(found.note, _NOTICE)
            kept.append(described)
            # The description holds no base64, so the next look finds the next file.
            output = {**output, found.field: described}
        return output, kept

    async def _one_file(self, draft: _Draft, found: Artifact) -> dict[str, Any]:
        data, media_type = found.decode(), found.media_type
        described: dict[str, Any] = {"content_type": media_type, "size_bytes": len(data)}
        name = clean(f"{draft.label} {found.field}".replace("artifact", "").strip(), 80, one_line=True)
        stored = await self._keep(draft, data, media_type, name)
        if stored is not None:
            described["uri"] = stored.uri
        encoded = len(found.data_base64 or "")
        # Half the frame stays for the output, which comes twice.
        fits = encoded <= draft.left - FRAME // 4 and encoded > 0
        if fits and (stored is None or len(data) <= self._settings.inline_max_bytes):
            draft.left -= encoded
            draft.blocks.append(_block(found, stored))
        elif stored is not None:
            draft.blocks.append(_link(stored))
        return described

    async def _store_whole(self, draft: _Draft, text: str, kept: list[Mapping[str, Any]]) -> tuple[dict[str, Any], str]:
        """An output too long for one frame: kept as a file, shown by its beginning."""
        data = text.encode()
        stored = await self._keep(draft, data, "application/json", f"{draft.label} output")
        shown: dict[str, Any] = {
            "output_too_large": {"content_type": "application/json", "size_bytes": len(data)},
            "preview": text[:_PREVIEW],
        }
        if stored is not None:
            shown["output_too_large"]["uri"] = stored.uri
            draft.blocks.append(_link(stored))
        if kept:
            shown["files"] = kept
        return shown, jsontext.dumps(shown).decode()

    async def _keep(self, draft: _Draft, data: bytes, mime_type: str, name: str) -> StoredArtifact | None:
        call_id = draft.end.call_id
        try:
            if len(data) < _IN_THREAD:
                return self._store.put(data, mime_type, name, call_id)
            return await anyio.to_thread.run_sync(self._store.put, data, mime_type, name, call_id)
        except ToolFault as exc:
            log.warning("a result of call %s was not stored: %s", call_id, exc)
            draft.notices.append(f"Notice: {exc}. The call itself is complete; the ledger keeps its answer.")
            return None


def _serialise(output: Any) -> tuple[dict[str, Any], str, int]:
    """The structured content, the equal text, and how many characters both take of a frame."""
    value = jsontext.plain(output)
    structured = value if isinstance(value, dict) else {"output": value}
    try:
        text = jsontext.dumps(structured).decode()
        # A control character stands escaped in the text, as \u00XX, \b or \f, and a lone surrogate has been replaced.
        if unshowable(text) or any(sign in text for sign in ("\\u00", "\\b", "\\f", "\ufffd")):
            structured = showable(structured)
            text = jsontext.dumps(structured).decode()
    except WireError as exc:
        structured = {"output_unreadable": str(exc)}
        text = jsontext.dumps(structured).decode()
    return structured, text, len(text.encode()) * 2 + text.count('"') + text.count("\\")


def _longer_than(value: Any, most: int) -> bool:
    """Whether a value takes more than about so many characters; looks at no more than these."""
    left, waiting = most, [iter((value,))]
    while waiting and left >= 0:
        for one in waiting[-1]:
            left -= 1 + (len(one) if isinstance(one, str) else 0)
            if isinstance(one, Mapping):
                left -= sum(map(len, islice(one, max(left, 0))))
                waiting.append(iter(one.values()))
                break
            if isinstance(one, list | tuple):
                waiting.append(iter(one))
                break
            if left < 0:
                break
        else:
            waiting.pop()
    return left < 0


def _block(found: Artifact, stored: StoredArtifact | None) -> Block:
    data, media_type = found.data_base64 or "", found.media_type
    if media_type in MEDIA:
        return Image(data, media_type) if media_type.startswith("image/") else Audio(data, media_type)
    return Embedded(stored.uri if stored is not None else "jecp://artifact/unstored", data, media_type)


def _link(stored: StoredArtifact) -> Link:
    return Link(stored.uri, stored.name, stored.mime_type, stored.size, "Read this resource to have the whole file.")


def _label(action: Offer | None, answer: Answer) -> str:
    if action is not None:
        return clean(action.key.replace("/", " ").replace(":", " "), 60, one_line=True)
    return safe_text(answer.provider or "result", 60, one_line=True)


def _payee(end: CallEnd) -> str:
    if end.offer is not None:
        return provider_of(end.offer)
    return safe_text(end.answer.provider if end.answer is not None else None, 40, one_line=True) or "the Hub"


def receipt(end: CallEnd) -> str:
    """One line about the money."""
    payee, amount = _payee(end), format_usdc(end.amount)
    known_as = hub_id(end.reference)
    transaction = f" (tx {known_as[:64]})" if known_as is not None else ""
    if end.charge is Charge.UNKNOWN:
        said = f"Whether {payee} was paid is not known; ${format_usdc(end.held)} stays held"
    elif end.charge is Charge.NO:
        said = f"Free: {payee} charged nothing"
    elif end.estimated:
        paid = f"Already paid {payee}{transaction}, not charged again" if end.stored else f"Paid {payee}{transaction}"
        said = f"{paid}; how much cannot be read from its answer, so ${amount} counts as spent"
    elif end.stored and not end.excessive:
        said = f"Already paid ${amount} to {payee}{transaction}; not charged again"
    elif end.excessive:
        said = f"Paid. {payee} says that it took {_excess(end)}{transaction}"
    else:
        most = f" (up to ${format_usdc(end.reserved)} was held)" if end.amount < end.reserved else ""
        said = f"Paid ${amount} to {payee}{most}{transaction}"
    balance = f"; balance ${format_usdc(end.balance_after)}" if end.balance_after is not None else ""
    call = f". Call {end.call_id}" if end.call_id else ""
    return f"{said}{balance}{call}."


def _excess(end: CallEnd) -> str:
    """What was taken of a call that was not allowed to cost that much: a claim, for a person to look at."""
    return (
        f"${format_usdc(end.amount)} where at most ${format_usdc(end.reserved)} was allowed, which the operator must "
        "check"
    )


def billing(end: CallEnd) -> dict[str, Any]:
    """The receipt for programs; amounts are decimal text in USDC."""
    amount = amount_charged("amount_usdc", end.amount, estimated=end.estimated)
    made: dict[str, Any] = {"charged": end.charge.value, **amount, "payee": _payee(end)}
    if end.call_id is not None:
        made["call_id"] = end.call_id
    if end.held:
        made["held_usdc"] = format_usdc(end.held)
    if end.charge is Charge.YES and end.amount < end.reserved and not end.estimated:
        made["reserved_usdc"] = format_usdc(end.reserved)
    if end.excessive:
        made["allowed_usdc"] = format_usdc(end.reserved)
        made["warning"] = "The amount is the payee's word and more than was allowed. The operator must check it."
    known_as = hub_id(end.reference)
    if known_as is not None:
        made["transaction_id"] = known_as
    if end.balance_after is not None:
        made["balance_usdc"] = format_usdc(end.balance_after)
    if end.stored:
        made["stored"] = True
    return made
