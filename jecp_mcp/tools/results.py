"""From a paid answer to what the model sees: one receipt line first, its files and notices, then the output.

Text and structured content say the same: the text has the receipt, a line for each file and notice, and the output as
JSON; the structured content has them as members. An output too long to be sent twice stands whole in the one that the
client reads and in a file, and is summarised in the other. Files are taken out of the output: each is kept by the
artifact store, stands in the output as its type, size and address, and follows as a block of its own where that does
not flood the prompt. A paid answer is always shown, also when the disk refuses to keep its files.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import islice
from typing import Any, Final, NamedTuple

import anyio

from jecp_mcp import jsontext
from jecp_mcp.calls.ports import CallEnd, Caller
from jecp_mcp.clock import iso
from jecp_mcp.domain.answers import Answer
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.purchases import Principal
from jecp_mcp.errors import ToolFault, WireError
from jecp_mcp.money import MicroUSDC
from jecp_mcp.settings import ArtifactSettings
from jecp_mcp.tools.artifact_store import ArtifactStore, StoredArtifact
from jecp_mcp.tools.codes import ARTIFACT_NOT_STORED
from jecp_mcp.tools.publishing import file_words
from jecp_mcp.tools.publishing.cleaning import clean, safe_text
from jecp_mcp.tools.publishing.links import LinkPolicy, showable, unshowable
from jecp_mcp.tools.publishing.result_profiles import ResultProfile, result_profile
from jecp_mcp.tools.receipts import NO_HISTORY, History, billing, receipt_line, receipt_object
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

TWICE: Final = 32 * 1024
"""The most bytes of an output that text and structured content both hold whole."""

FILE_TOOL: Final = "jecp_file"

_JSON = "application/json"
_READ_WITH = {"read_with": FILE_TOOL}
_PREVIEW = 2_000
_NOTICE = 300
_DATE = len("2027-01-31")
_MAX_NOTICES = 4
_MAX_FILES = 16
_IN_THREAD = 65_536
"""Bytes from which a file or an output is written from a worker thread rather than beside everybody's calls."""


_LEAVES: Final = (int, float, Decimal, list, tuple, type(None))
"""What stands in JSON and is no object and no text."""


class _TakenOut(NamedTuple):
    """A file of an output; `stored` is None where the disk refused it."""

    found: Artifact
    size: int
    stored: StoredArtifact | None


@dataclass(slots=True)
class _Draft:
    """A result being put together; `left` is how many characters the frame still takes."""

    answer: Answer
    call_id: str | None
    owner: Principal
    label: str
    left: int = FRAME
    blocks: list[Block] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    lost: bool = False

    @property
    def shows_image(self) -> bool:
        return any(isinstance(one, Image) for one in self.blocks)


class Results:
    """Renders answers. One per process."""

    def __init__(self, store: ArtifactStore, settings: ArtifactSettings, links: LinkPolicy) -> None:
        self._store = store
        self._settings = settings
        self._links = links

    async def render(
        self,
        end: CallEnd,
        caller: Caller,
        *,
        ending: str | None = None,
        remaining: MicroUSDC | None = None,
        history: History = NO_HISTORY,
    ) -> ToolResult:
        """What the model sees of a call that was answered. Raises nothing but cancellation.

        Args:
            ending: that the action will not be sold for ever, from the catalog; the Hub may say it too.
            remaining: what the limits leave for further calls like it, where that is known.
            history: what is known of a call of before.
        """
        draft, profile = _draft(end, caller), result_profile(caller.client)
        output, files = await self._take_out_files(draft)
        for one in files:
            # What has been delivered is not sent again: its address is.
            _add_block(draft, one, profile, 0 if end.delivered else self._settings.inline_max_bytes)
        value, text, weight = await _written(output)
        fits = weight <= draft.left or not profile.bounded
        whole: dict[str, Any] = {"output": value}
        short = whole
        if profile.bounded and len(text.encode()) > TWICE:
            stored = await self._keep_output(draft, text)
            if stored is not None or not fits:
                short = {"output_summary": self._summary(text, stored)}
        self._add_notices(draft, ending)
        kept = _in_store(files)
        head: dict[str, Any] = {"receipt": receipt_object(end, remaining, history)}
        if kept:
            head["files"] = [self._store.description(one) | _READ_WITH for one in kept]
        if draft.notices:
            head["notices"] = draft.notices
        # A client that loses all blocks beside structured content is given none where there is an image to see.
        as_text = profile.drops_blocks and draft.shows_image
        structured_is_whole = fits and profile.structured and not as_text
        text_is_whole = fits and not structured_is_whole
        receipt, *notices = receipt_line(end, remaining), *(f"Notice: {one}" for one in draft.notices)
        lines = [receipt, *(self._file_line(one) for one in kept), *notices]
        if not _all_said(output, files):
            lines.append(text if text_is_whole or short is whole else jsontext.dumps(short).decode())
        return ToolResult(
            blocks=(Text("\n".join(lines)), *draft.blocks),
            structured=None if as_text else head | (whole if structured_is_whole else short),
            meta={META_BILLING: billing(end)},
            notes=(receipt, *notices),
        )

    async def files(self, end: CallEnd, caller: Caller) -> tuple[StoredArtifact, ...]:
        """The files of a kept answer and, where it was too long to be sent twice, its output; stored where need be.

        Raises:
            ToolFault: ``ARTIFACT_NOT_STORED`` when the disk refuses one.
        """
        draft = _draft(end, caller)
        output, files = await self._take_out_files(draft)
        kept = _in_store(files)
        _, text, _ = await _written(output)
        if len(text.encode()) > TWICE:
            stored = await self._keep_output(draft, text)
            kept += [] if stored is None else [stored]
        if draft.lost:
            raise ToolFault(
                ARTIFACT_NOT_STORED,
                "The server's disk cannot store the file, so it cannot be read in pieces. Nothing was charged for "
                "asking.",
            )
        return tuple(kept)

    async def _take_out_files(self, draft: _Draft) -> tuple[Any, list[_TakenOut]]:
        """The output with each file replaced by its type, size and address, and the files."""
        output, files = draft.answer.output, list[_TakenOut]()
        while len(files) < _MAX_FILES and (found := artifact_of(output)) is not None and found.data_base64 is not None:
            data = found.decode()
            name = clean(f"{draft.label} {found.field}".replace("artifact", "").strip(), 80, one_line=True)
            stored = await self._keep(draft, data, found.media_type, name)
            files.append(_TakenOut(found, len(data), stored))
            described: dict[str, Any] = {"content_type": found.media_type, "size_bytes": len(data)}
            if stored is not None:
                described["uri"] = stored.uri
            if found.note:
                described["note"] = self._links.safe_text(found.note, _NOTICE)
            # The description holds no base64, so the next look finds the next file.
            output = {**output, found.field: described}
        return output, files

    def _summary(self, text: str, stored: StoredArtifact | None) -> dict[str, Any]:
        """What an output too long for its place is shown as there: where it is whole, and how it begins."""
        made: dict[str, Any] = {"content_type": _JSON, "size_bytes": len(text.encode())}
        if stored is not None:
            made = self._store.description(stored) | _READ_WITH
        return made | {"preview": text[:_PREVIEW]}

    def _file_line(self, stored: StoredArtifact) -> str:
        """A file in words: what it is, how large, where, until when, and how to have it."""
        what = f"{file_words.kind(stored.mime_type)}, {file_words.size(stored.size)}"
        until = iso(self._store.kept_until(stored))[:_DATE]
        how = f'{{"uri":"{stored.uri}"}}'
        where = ""
        if self._store.shared_disk:
            # The path names the file; the receipt has the id that it is also read by.
            where = f", at {stored.path}"
            how = how if stored.call_id is None else "with this call_id"
        return f"File: {what}{where}, kept until {until}. Read it free: {FILE_TOOL} {how}"

    def _add_notices(self, draft: _Draft, ending: str | None) -> None:
        # That an endpoint of the Hub ends is for whoever maintains this client, not for the model.
        told = [item for item in draft.answer.notices if item.kind != "endpoint_deprecation"]
        if ending is not None:
            # With the successor's tool; the Hub's own words name it by its id, and may know another date.
            told = [one for one in told if one.kind != "deprecation" or (one.at or "")[:_DATE] not in ending]
            draft.notices.append(ending)
        draft.notices += [self._links.safe_text(item.text, _NOTICE) for item in told[:_MAX_NOTICES]]

    async def _keep_output(self, draft: _Draft, text: str) -> StoredArtifact | None:
        """An output that is too long to be sent twice, kept as a file."""
        return await self._keep(draft, text.encode(), _JSON, f"{draft.label} output")

    async def _keep(self, draft: _Draft, data: bytes, mime_type: str, name: str) -> StoredArtifact | None:
        arguments = (data, mime_type, name, draft.call_id, draft.owner)
        try:
            if len(data) < _IN_THREAD:
                return self._store.put(*arguments)
            return await anyio.to_thread.run_sync(self._store.put, *arguments)
        except ToolFault as exc:
            log.warning("a result of call %s was not stored: %s", draft.call_id, exc)
            if not draft.lost:
                draft.notices.append(f"{exc}. The ledger keeps the answer: {FILE_TOOL} with this call_id tries again.")
            draft.lost = True
            return None


def with_notices(result: ToolResult, notices: Sequence[str]) -> ToolResult:
    """A good result that says also these things, behind its receipt where it has one."""
    if not notices or result.is_error or not isinstance(first := result.blocks[0], Text):
        return result
    shown = result.structured
    if shown is not None:
        head = {key: shown[key] for key in ("receipt", "files") if key in shown}
        shown = {**head, "notices": [*notices, *shown.get("notices", ())], **_without(shown, "notices", *head)}
    if META_BILLING not in result.meta:
        text = jsontext.dumps(shown).decode()
        return replace(result, blocks=(Text(text), *result.blocks[1:]), structured=shown)
    lines = tuple(f"Notice: {one}" for one in notices)
    receipt, _, rest = first.text.partition("\n")
    text = "\n".join((receipt, *lines, rest))
    notes = (*result.notes[:1], *lines, *result.notes[1:])
    return replace(result, blocks=(Text(text), *result.blocks[1:]), structured=shown, notes=notes)


def _without(shown: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in shown.items() if key not in keys}


def _draft(end: CallEnd, caller: Caller) -> _Draft:
    assert end.answer is not None
    return _Draft(end.answer, end.call_id, caller.principal, _label(end.offer, end.answer))


def _all_said(output: Any, files: Sequence[_TakenOut]) -> bool:
    """Whether an output is nothing but files that are kept, each of which has a line of its own that says as much."""
    said = {one.found.field for one in files if one.stored is not None and not one.found.note}
    return bool(said) and isinstance(output, Mapping) and output.keys() == said


def _in_store(files: Iterable[_TakenOut]) -> list[StoredArtifact]:
    return [one.stored for one in files if one.stored is not None]


def _add_block(draft: _Draft, one: _TakenOut, profile: ResultProfile, inline_max_bytes: int) -> None:
    """Send a file beside the text where that does not flood the prompt: as an image, as a file, or as a link."""
    encoded = len(one.found.data_base64 or "")
    image = one.found.media_type in MEDIA and one.found.media_type.startswith("image/")
    # A quarter of the frame stays for the output.
    fits = 0 < encoded <= draft.left - FRAME // 4
    if fits and one.size <= inline_max_bytes and (image or profile.keeps_files):
        draft.left -= encoded
        draft.blocks.append(_block(one.found, one.stored))
    elif one.stored is not None and profile.follows_links:
        draft.blocks.append(_link(one.stored))


async def _written(output: Any) -> tuple[Any, str, int]:
    """As `_serialise`; a long output beside everybody's calls."""
    if _longer_than(output, _IN_THREAD):
        return await anyio.to_thread.run_sync(_serialise, output)
    return _serialise(output)


def _serialise(output: Any) -> tuple[Any, str, int]:
    """An output as plain JSON, the equal text, and how many characters both take of a frame."""
    value = jsontext.plain(output)
    try:
        text = jsontext.dumps(value).decode()
        # A control character stands escaped in the text, as \u00XX, \b or \f, and a lone surrogate has been replaced.
        if unshowable(text) or any(sign in text for sign in ("\\u00", "\\b", "\\f", "\ufffd")):
            value = showable(value)
            text = jsontext.dumps(value).decode()
    except WireError as exc:
        value = {"output_unreadable": str(exc)}
        text = jsontext.dumps(value).decode()
    return value, text, len(text.encode()) * 2 + text.count('"') + text.count("\\")


def _longer_than(value: Any, most: int) -> bool:
    """Whether a value takes more than about so many characters; looks at no more than these."""
    left, waiting = most, [iter((value,))]
    while waiting and left >= 0:
        for one in waiting[-1]:
            left -= 1
            if isinstance(one, str):
                left -= len(one)
            # Whether something else is a `Mapping` takes long to tell.
            elif isinstance(one, dict) or (not isinstance(one, _LEAVES) and isinstance(one, Mapping)):
                left -= sum(map(len, islice(one, max(left, 0))))
                waiting.append(iter(one.values()))
                break
            elif isinstance(one, list | tuple):
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
    return Link(stored.uri, stored.name, stored.mime_type, stored.size)


def _label(action: Offer | None, answer: Answer) -> str:
    if action is not None:
        return clean(action.key.replace("/", " ").replace(":", " "), 60, one_line=True)
    return safe_text(answer.provider or "result", 60, one_line=True)
