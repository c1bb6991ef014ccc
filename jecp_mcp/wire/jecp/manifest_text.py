"""The text of a manifest, YAML or JSON, read to exact JSON values (JECP 04-manifest §4.2). Pure: no I/O.

A library takes the YAML apart; what its plain scalars mean is the core schema of YAML 1.2.2, in which ``no`` is a text
and a date is one too. Anchors, tags and several documents are refused: a manifest has no use for them, and an anchor in
an anchor could stand for a million values. Reading YAML needs ``jecp-mcp[sandbox]``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from jecp_mcp import extras, jsontext
from jecp_mcp.errors import WireError
from jecp_mcp.wire.jecp.manifest import MAX_MANIFEST_BYTES

_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL: Final = {word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")}
_INT: Final = re.compile(r"[-+]?[0-9]+")
_HEX: Final = re.compile(r"0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?")


class ManifestUnreadable(WireError):
    """A text that is neither JSON nor the YAML that a manifest may be written in."""


class ManifestTooLarge(WireError):
    """A manifest of more than ten kilobytes."""


def looks_like_json(text: bytes) -> bool:
    """Whether a manifest is meant as JSON: it begins with a bracket."""
    return text.lstrip()[:1] in (b"{", b"[")


def read_manifest_text(text: bytes) -> Any:
    """The manifest's value; numbers with a fraction are `decimal.Decimal`.

    Raises:
        ManifestTooLarge: it is larger than a manifest may be.
        ManifestUnreadable: it cannot be read; the message says where.
        ExtraMissing: it is YAML, and what reads that is not installed.
    """
    if len(text) > MAX_MANIFEST_BYTES:
        raise ManifestTooLarge(f"the manifest is larger than {MAX_MANIFEST_BYTES} bytes")
    if looks_like_json(text):
        try:
            return jsontext.loads(text, max_bytes=MAX_MANIFEST_BYTES)
        except WireError as exc:
            raise ManifestUnreadable(f"the manifest cannot be read as JSON: {exc}") from exc
    return _read_yaml(text)


def _read_yaml(text: bytes) -> Any:
    extras.SANDBOX.require()
    # Imported late: whoever publishes no YAML does not wait for it.
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        # Events, not objects: the library makes nothing of what a stranger wrote.
        events = YAML(typ="safe", pure=True).parse(text.decode("utf-8"))
        return _document(iter(events))
    except ManifestUnreadable:
        raise
    except (YAMLError, ValueError, OverflowError) as exc:
        # The library lets numbers through that are none of a character, or of a version.
        mark = getattr(exc, "problem_mark", None)
        where = "" if mark is None else f" in line {mark.line + 1}"
        why = getattr(exc, "problem", None) or "it is no YAML 1.2 in UTF-8"
        raise ManifestUnreadable(f"the manifest cannot be read as YAML{where}: {why}") from exc


def _document(events: Iterator[Any]) -> Any:
    """The one document of a YAML stream, from its events."""
    _, begins = next(events), next(events)
    if type(begins).__name__ != "DocumentStartEvent":
        raise ManifestUnreadable("the manifest is empty")
    value = _node(next(events), events, 0)
    next(events)
    if type(next(events)).__name__ != "StreamEndEvent":
        raise ManifestUnreadable("a manifest is one YAML document, and this is several")
    return value


def _node(event: Any, events: Iterator[Any], depth: int) -> Any:
    kind, where = type(event).__name__, f"line {event.start_mark.line + 1}"
    if kind == "AliasEvent" or getattr(event, "anchor", None) is not None:
        raise ManifestUnreadable(f"{where}: a manifest has no anchors and no aliases")
    if getattr(event, "tag", None) is not None:
        raise ManifestUnreadable(f"{where}: a manifest has no tags")
    if depth > jsontext.MAX_DEPTH:
        raise ManifestUnreadable(f"{where}: it nests deeper than {jsontext.MAX_DEPTH} levels")
    if kind == "ScalarEvent":
        # Only a plain scalar can mean something else than its text.
        return _scalar(event.value, where) if event.implicit[0] else event.value
    if kind == "SequenceStartEvent":
        items = []
        while type(entry := next(events)).__name__ != "SequenceEndEvent":
            items.append(_node(entry, events, depth + 1))
        return items
    return _mapping(events, depth)


def _mapping(events: Iterator[Any], depth: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    while type(event := next(events)).__name__ != "MappingEndEvent":
        where = f"line {event.start_mark.line + 1}"
        if type(event).__name__ != "ScalarEvent":
            raise ManifestUnreadable(f"{where}: a key is a text")
        if event.value in made:
            raise ManifestUnreadable(f"{where}: the key {event.value[:100]!r} stands twice")
        made[event.value] = _node(next(events), events, depth + 1)
    return made


def _scalar(text: str, where: str) -> Any:
    """What a plain scalar means in the core schema of YAML 1.2.2."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if len(text) > jsontext.MAX_DIGITS:
        raise ManifestUnreadable(f"{where}: a text without quotes is longer than {jsontext.MAX_DIGITS} characters")
    if _INT.fullmatch(text):
        return int(text)
    if _HEX.fullmatch(text):
        return int(text, 0)
    return Decimal(text) if _FLOAT.fullmatch(text) else text
