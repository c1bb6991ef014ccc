"""What of an action is pinned, and what kind of change leads from one pin to the next. Pure: no I/O.

Pinned is what a buyer relies on: the price, the input schema, the provider's words, the effects it admits to, the
version, and how long it is sold. Not pinned is what carries neither words nor money and what the source itself enforces
(trust tier, rate limit, timeout, streaming, payment methods), and what changes by itself (how often it was called).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from jecp_mcp import jsontext
from jecp_mcp.catalog.lookalikes import skeleton
from jecp_mcp.catalog.schema_change import SchemaChange, schema_change
from jecp_mcp.domain.offers import Offer
from jecp_mcp.errors import WireError
from jecp_mcp.money import MicroUSDC, format_usdc
from jecp_mcp.settings.models import ChangeKind

MOST_WORDS: Final = 2_000
"""Longer texts are pinned by their beginning and a digest of the whole."""

MOST_SCHEMA: Final = 64 * 1024
"""Longer schemas, in bytes, are pinned by a digest alone; they are never published."""

_MAX_DOCUMENT: Final = 4 * 1024 * 1024
_EXACT: Final = frozenset({"flat", "per_call"})
_SHORTEST_WORDS: Final = 24
_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

Document = Mapping[str, Any]
"""A pin's content as JSON: ``price``, ``words``, ``schema``, ``effects``, ``version``, ``end``."""


@dataclass(frozen=True, slots=True)
class Vetting:
    """What a comparison of a catalog with the pins came to.

    Attributes:
        held: actions that must not be sold, by key, with the reason in our own words.
        marks: namespaces that look like better known ones, with those.
    """

    held: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    marks: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


class Change(NamedTuple):
    """One way in which an action is not what was pinned; `words` are ours and quote nobody."""

    kind: ChangeKind
    words: str


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What the operator accepts without being asked.

    Attributes:
        kinds: changes accepted whatever their extent.
        max_price_rise_percent: by how much a price may pass the pinned one.
    """

    kinds: frozenset[ChangeKind]
    max_price_rise_percent: int = 0

    def accepts(self, change: Change, before: Document, after: Document) -> bool:
        """Whether this change may pass."""
        if change.kind in self.kinds:
            return True
        return change.kind == "price_up" and self._slight(before["price"], after["price"])

    def _slight(self, before: Sequence[Any], after: Sequence[Any]) -> bool:
        comparable = before[1:] == after[1:] and isinstance(before[0], int) and isinstance(after[0], int)
        return comparable and after[0] * 100 <= before[0] * (100 + self.max_price_rise_percent)


def written(action: Offer) -> bytes:
    """The pinned part of an action; the same for the same content, whatever the order of its keys.

    Raises:
        WireError: it holds what JSON has no word for.
    """
    price, end = action.price, action.deprecation
    return _dump(
        {
            "price": [price.amount, price.model, dict(price.rates)],
            "words": _words(action),
            "schema": _schema(action.input_schema),
            "effects": dict(action.side_effects),
            "version": action.version,
            "end": None if end is None else [end.status, end.sunset_at, end.successor],
        }
    )


def digest_of(document: bytes) -> bytes:
    """The fingerprint of what `written` returned."""
    return hashlib.blake2b(document, digest_size=16).digest()


def read(document: bytes) -> Document:
    """What `written` wrote.

    Raises:
        WireError: it is damaged.
    """
    found = jsontext.loads(document, max_bytes=_MAX_DOCUMENT, max_depth=jsontext.MAX_DEPTH + 3, max_marks=None)
    if not isinstance(found, dict) or found.keys() != {"price", "words", "schema", "effects", "version", "end"}:
        raise WireError("the pin is damaged")
    return found


def substance(action: Offer) -> bytes | None:
    """A fingerprint of what stays the same when an action only gets another name: its schema and its description.

    Returns:
        None where the description is too short to be anybody's own.

    Raises:
        WireError: as `written`.
    """
    words = " ".join(skeleton(action.description[:MOST_WORDS]).split())
    if len(words) < _SHORTEST_WORDS:
        return None
    return digest_of(_dump([words, _schema(action.input_schema)]))


def changes(before: Document, after: Document) -> tuple[Change, ...]:
    """How an action differs from its pin, dearest first; empty when only the order of something changed."""
    found = [*_price_changes(before["price"], after["price"]), *_schema_changes(before["schema"], after["schema"])]
    differing = sorted(
        name
        for name in before["words"].keys() | after["words"].keys()
        if before["words"].get(name) != after["words"].get(name)
    )
    if differing:
        found.append(Change("text", f"the provider's {' and '.join(differing)} changed"))
    if before["effects"] != after["effects"]:
        found.append(Change("effects", "the effects it admits to changed"))
    if before["version"] != after["version"]:
        found.append(Change("version", "the version changed"))
    if before["end"] != after["end"]:
        found.append(Change("sunset", "when it stops being sold changed"))
    return tuple(found)


def _price_changes(before: Sequence[Any], after: Sequence[Any]) -> list[Change]:
    (was, was_model, was_rates), (now, now_model, now_rates) = before, after
    if was is None or now is None:
        return [] if was is now else [Change("price_up", f"the price was {_usdc(was)} and is {_usdc(now)}")]
    if now_model not in _EXACT:
        if was_model != now_model:
            return [Change("price_up", f"it is charged in another way, from {_usdc(now)} USDC upwards")]
        if was_rates != now_rates:
            return [Change("price_up", "the unit rates changed")]
    told = f"from {_usdc(was)} to {_usdc(now)} USDC"
    if now > was:
        return [Change("price_up", f"the price rose {told}")]
    if now < was:
        return [Change("price_down", f"the price fell {told}")]
    return [] if now_model not in _EXACT or was_model in _EXACT else [Change("price_down", "it is metered no longer")]


def _usdc(amount: int | None) -> str:
    return "unknown" if amount is None else format_usdc(MicroUSDC(amount))


def _schema_changes(before: object, after: object) -> list[Change]:
    how = schema_change(before, after)
    found = []
    if SchemaChange.NARROWER in how:
        found.append(Change("schema_narrower", "the input schema may refuse what it took"))
    if SchemaChange.WIDER in how:
        found.append(Change("schema_wider", "the input schema takes more"))
    if SchemaChange.WORDS in how:
        found.append(Change("text", "the input schema's words or fields changed"))
    return found


def _words(action: Offer) -> dict[str, str]:
    said = {
        "title": action.title,
        "description": action.description,
        "capability's name": action.capability_name,
        "capability's description": action.capability_description,
        "examples": _dump(list(action.examples)).decode() if action.examples else "",
    }
    return {name: _bounded(text) for name, text in said.items() if text}


def _bounded(text: str) -> str:
    if len(text) <= MOST_WORDS:
        return text
    return f"{text[:MOST_WORDS]}… ({len(text)} characters, {digest_of(text.encode('utf-8', 'replace')).hex()})"


def _schema(schema: Mapping[str, Any]) -> object:
    if not schema:
        return {}
    text = _dump(schema)
    # A list is no schema, so that nothing compares with it but itself.
    return dict(schema) if len(text) <= MOST_SCHEMA else [digest_of(text).hex()]


def _dump(value: object) -> bytes:
    try:
        return _ENCODER.encode(value).encode("utf-8", "replace")
    except TypeError:
        # Decimals and read-only mappings are rare, and need the exact writer.
        return jsontext.dumps(_sorted(value, 0))
    except (ValueError, RecursionError) as exc:
        raise WireError(f"the value cannot be written as JSON: {type(exc).__name__}") from exc


def _sorted(value: object, depth: int) -> object:
    if depth > jsontext.MAX_DEPTH + 3:
        raise WireError("the value nests too deep")
    if isinstance(value, Mapping):
        return {str(key): _sorted(value[key], depth + 1) for key in sorted(value, key=str)}
    if isinstance(value, (list, tuple)):
        return [_sorted(part, depth + 1) for part in value]
    return value
