"""A published schema without what tells a model nothing, for whoever only reads it. Pure: no I/O.

Every schema in a list of tools is paid for in every context window. What is left out goes without saying, and is still
checked before anything is paid for: that no other arguments are taken, that a text or a list is not empty, a length
that a pattern implies, a pattern that the description shows, bounds that nothing a model writes comes near, and words
and defaults that say nothing, or were said before. What comes of it accepts whatever the schema accepts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

_NAMED: Final = frozenset({"properties", "patternProperties", "$defs"})
_LISTED: Final = frozenset({"anyOf", "allOf", "prefixItems"})
_ONE: Final = frozenset({"items", "additionalProperties"})
_TURNING: Final = frozenset(
    {"not", "if", "oneOf", "contains", "propertyNames", "dependentSchemas", "unevaluatedProperties", "unevaluatedItems"}
)
"""Keywords under which less of a schema may refuse more, or a reference may stand that does."""

_NOTHING: Final[tuple[tuple[str, Any], ...]] = (
    ("minLength", 0),
    ("minLength", 1),
    ("minItems", 0),
    ("minItems", 1),
    ("minProperties", 0),
    ("uniqueItems", False),
    ("pattern", r"\S"),
    ("required", []),
    ("deprecated", False),
    ("readOnly", False),
    ("writeOnly", False),
    ("default", None),
    ("default", False),
    ("default", ""),
    ("default", []),
    ("default", {}),
)
"""Keywords with a value that goes without saying."""

_FAR: Final = 10**7
_LONG: Final = 50_000
_MANY: Final = 1_000
"""A number so large, a text so long and a list of so many bound nothing that a model writes."""

FORMS: Final[Mapping[str, str]] = {
    r"^\d{4}-\d{2}-\d{2}$": "YYYY-MM-DD",
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}$": "YYYY-MM-DD",
    "^[A-Z]{3}$": "ISO 4217",
}
"""Patterns, and the words of a description that say the same."""

_PIECE: Final = re.compile(r"(?:\\d|\[[^\]\\^]+\]|[A-Za-z0-9_ :/-])(?:\{(\d{1,3})\})?")
_WORD: Final = re.compile(r"[^\W_]+")
_PHRASES: Final = re.compile(r"[,.;:()]")
_FILLERS: Final = frozenset({"a", "an", "the", "of", "this", "to", "how", "s"})


def concise(schema: Schema, about: str = "") -> Schema:
    """What a model needs to read of a published schema; the same object where that is all of it.

    Args:
        about: what the reader knows already: the tool's name.
    """
    if _turns(schema):
        return schema
    made = _Shorter(about).of(schema, "")
    return schema if made == schema else made


def without_full_stop(words: str) -> str:
    """Words without the full stop at their end; an ellipsis stays."""
    return words[:-1] if words.endswith(".") and not words.endswith("..") else words


def _turns(value: Any) -> bool:
    """Whether something in it may refuse more when less is said."""
    if isinstance(value, Mapping):
        return not _TURNING.isdisjoint(value) or any(map(_turns, value.values()))
    return isinstance(value, list) and any(map(_turns, value))


class _Shorter:
    """Shortens the parts of one schema, in the order in which they are read."""

    def __init__(self, about: str) -> None:
        self._about = _words(about)
        self._said: set[tuple[str, str]] = set()

    def of(self, schema: Any, name: str) -> Any:
        """A subschema without what says nothing under the name that it has; "" where it has none."""
        if not isinstance(schema, Mapping):
            return schema
        return {
            key: self._within(key, value, name)
            for key, value in schema.items()
            if not _says_nothing(schema, key, value) and not (name and self._is_known(schema, key, value, name))
        }

    def _within(self, key: str, value: Any, name: str) -> Any:
        if key in _NAMED and isinstance(value, Mapping):
            return {inner: self.of(one, inner) for inner, one in value.items()}
        if key in _LISTED and isinstance(value, list):
            return [self.of(one, "") for one in value]
        if key == "examples" and isinstance(value, list):
            return value[:1]
        if key == "description" and isinstance(value, str):
            return without_full_stop(value)
        return self.of(value, name if key == "items" else "") if key in _ONE else value

    def _is_known(self, schema: Schema, key: str, value: Any, name: str) -> bool:
        """Whether words of a part say what its name, its type or the tool's name does, or what was said of its like."""
        if key not in {"title", "description"} or not isinstance(value, str):
            return False
        again = (name, value) in self._said
        self._said.add((name, value))
        words, known = _words(value), _words(f"{name} {schema.get('type', '')}")
        # Of its own name at least: which of the things in the tool's name it is, is not said by that.
        return again or words <= known or (words <= known | self._about and not words.isdisjoint(known))


def _says_nothing(schema: Schema, key: str, value: Any) -> bool:
    if any(key == one and type(value) is type(empty) and value == empty for one, empty in _NOTHING):
        return True
    pattern = schema.get("pattern")
    match key:
        case "additionalProperties":
            # What takes no arguments at all says so; that it takes any others is said as it is.
            return value is False and bool(schema.get("properties")) and "patternProperties" not in schema
        case "minLength" | "maxLength" if isinstance(pattern, str) and value == _length(pattern):
            return True
        case "pattern":
            shown = FORMS.get(value) if isinstance(value, str) else None
            return shown is not None and _names_form(str(schema.get("description")), shown)
    return not isinstance(value, bool) and isinstance(value, int | float) and _is_far(key, value)


def _names_form(description: str, form: str) -> bool:
    """Whether one of the description's phrases is the name of a form and no more, such as "as YYYY-MM-DD"."""
    named = re.compile(rf"(?:(?:as|in|an?)\s+)?{re.escape(form)}(?:\s+(?:code|form|format))?", re.IGNORECASE)
    return any(named.fullmatch(phrase.strip()) for phrase in _PHRASES.split(description))


def _is_far(key: str, value: float) -> bool:
    """Whether a bound is one that nothing a model writes comes near."""
    match key:
        case "maximum" | "exclusiveMaximum":
            return value >= _FAR
        case "minimum" | "exclusiveMinimum":
            return value <= -_FAR
        case "maxLength":
            return value >= _LONG
        case "maxItems":
            return value >= _MANY
    return False


def _length(pattern: str) -> int | None:
    """How long every text is that fits a pattern as plain as that of a date; None for any other."""
    inner, length = pattern.removeprefix("^").removesuffix("$"), 0
    if f"^{inner}$" != pattern:
        return None
    while inner:
        found = _PIECE.match(inner)
        if found is None:
            return None
        length, inner = length + int(found[1] or 1), inner[found.end() :]
    return length


def _words(text: str) -> frozenset[str]:
    """The words that say something, in small letters and the singular; a name in camel case has several."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    return frozenset(word.removesuffix("s") for word in _WORD.findall(apart.casefold()) if word not in _FILLERS)
