"""What is wrong with a value, in words, for every way in which a JSON Schema can refuse one. Pure: no I/O.

The words follow a JSON pointer, are for models and people alike, and never repeat the value, which may be large or
private: only how much of it there is. One table has all of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from jecp_mcp.tools.publishing.cleaning import clean

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError

_REASON_LENGTH: Final = 240
_POINTER_LENGTH: Final = 200
_PART_LENGTH: Final = 60
_MOST_OPTIONS: Final = 12
_OPTIONS_LENGTH: Final = 180
_MOST_NEAR: Final = 200
_ODD_SPACE: Final = re.compile(r"(?<=\s)\s|[^\S ]")
"""A space behind another, or of another kind than the usual."""

_JSON_TYPES: Final[tuple[tuple[type, str], ...]] = (
    (type(None), "null"), (bool, "boolean"), (int, "integer"), (str, "string"), (dict, "object"), (list, "array"),
)  # fmt: skip


class Template(NamedTuple):
    """How one kind of refusal is told.

    Attributes:
        reason: the words; braces stand for what `_fields` finds out.
        lacking: whether it takes more than was given, which whoever calls may not have and must not make up.
        schema: whether the place's schema says more of what is wanted than the reason does.
    """

    reason: str
    lacking: bool = False
    schema: bool = False


class Told(NamedTuple):
    """What is said of one error, and of what kind it is; as `Template` has it."""

    reason: str
    lacking: bool
    schema: bool


TEMPLATES: Final[Mapping[str, Template]] = MappingProxyType(
    {
        "AdditionalItems": Template("takes at most {limit} items, and has {given}"),
        "AdditionalProperties": Template("is no property that is known here{near}"),
        "AnyOf": Template("fits none of the {limit} alternatives"),
        "BacktrackLimitExceeded": Template("takes too long to be compared with its pattern"),
        "Constant": Template("must be {limit}"),
        "Contains": Template("has no item of a kind that it needs", lacking=True),
        "Contains.maxContains": Template("takes at most {limit} items of one kind"),
        "Contains.minContains": Template("needs at least {limit} items of one kind", lacking=True),
        "ContentEncoding": Template("is not encoded as {limit}"),
        "ContentMediaType": Template("is not of the media type {limit}"),
        "Custom": Template("is not what is wanted here", schema=True),
        "Enum": Template("must be one of {options}{near}"),
        "ExclusiveMaximum": Template("must be less than {limit}"),
        "ExclusiveMinimum": Template("must be more than {limit}"),
        "FalseSchema": Template("is not allowed here"),
        "FalseSchema.else": Template("fits no alternative, or too many", schema=True),
        "Format": Template("must be of the format {limit}"),
        "FromUtf8": Template("is no UTF-8 text once it is decoded"),
        "MaxItems": Template("takes at most {limit} items, and has {given}"),
        "MaxLength": Template("takes at most {limit} characters, and has {given}"),
        "MaxProperties": Template("takes at most {limit} properties, and has {given}"),
        "Maximum": Template("must be at most {limit}"),
        "MinItems": Template("needs at least {limit} items, and has {given}", lacking=True),
        "MinLength": Template("needs at least {limit} characters, and has {given}", lacking=True),
        "MinProperties": Template("needs at least {limit} properties, and has {given}", lacking=True),
        "Minimum": Template("must be at least {limit}"),
        "MultipleOf": Template("must be a multiple of {limit}"),
        "Not": Template("is just what must not be here", schema=True),
        "OneOfMultipleValid": Template("fits several alternatives, and must fit one"),
        "OneOfNotValid": Template("fits none of the {limit} alternatives"),
        "Pattern": Template("must match the pattern {limit}"),
        "PropertyNames": Template("has a property whose name {inner}"),
        "Referencing": Template("cannot be checked: its schema refers to what is not there"),
        "RegexEngineFailure": Template("cannot be compared with its pattern"),
        "Required": Template("is missing", lacking=True, schema=True),
        "Type": Template("must be {limit}, and is {given}", schema=True),
        "UnevaluatedItems": Template("has items that are not allowed"),
        "UnevaluatedProperties": Template("is no property that is known here{near}"),
        "UniqueItems": Template("has an item twice, and must not"),
    }
)
"""Every kind of error that the checker knows, by its name there; with a keyword where one kind stands for several."""


def pointer(path: Sequence[str | int]) -> str:
    """A place in the arguments as a JSON pointer (RFC 6901), short enough to be shown."""
    text = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)
    return clean(text, _POINTER_LENGTH, one_line=True)


def explain(error: ValidationError, schema: Mapping[str, Any], *, name: str | None = None) -> Told:
    """One error of the checker in words.

    Args:
        schema: what was checked against, whole.
        name: the property that is meant, where the error is about one within the value.
    """
    kind, keyword = type(error.kind).__name__, str(error.schema_path[-1]) if error.schema_path else ""
    template = TEMPLATES.get(f"{kind}.{keyword}") or TEMPLATES[kind]
    words = template.reason.format_map(_Fields(error, schema, name))
    return Told(clean(words, _REASON_LENGTH, one_line=True), template.lacking, template.schema)


class _Fields(dict[str, str]):
    """What a template may name, found out when it does."""

    def __init__(self, error: ValidationError, schema: Mapping[str, Any], name: str | None) -> None:
        super().__init__()
        self._error, self._schema, self._name = error, schema, name

    def __missing__(self, field: str) -> str:
        finders = {
            "limit": self._limit,
            "given": self._given,
            "options": self._options,
            "near": self._near,
            "inner": self._inner,
        }
        return finders[field]()

    def _limit(self) -> str:
        """The bound, or whatever else the keyword asks for."""
        kind: Any = self._error.kind
        match type(kind).__name__:
            case "AnyOf" | "OneOfNotValid":
                return str(len(kind.context))
            case "Contains":
                return _short(self._place().get(str(self._error.schema_path[-1])))
            case "Type":
                return " or ".join(kind.types)
            case "Format" | "ContentEncoding" | "ContentMediaType":
                return clean(str(kind.value), _PART_LENGTH, one_line=True)
            case _:
                return _short(kind.value)

    def _given(self) -> str:
        value = self._error.instance
        if type(self._error.kind).__name__ == "Type":
            return next((words for kind, words in _JSON_TYPES if isinstance(value, kind)), "number")
        assert isinstance(value, (dict, list, str)), "only what has a size is measured"
        return str(len(value))

    def _options(self) -> str:
        """What is allowed, as far as that is short."""
        kind: Any = self._error.kind
        shown: list[str] = []
        for option in kind.options[:_MOST_OPTIONS]:
            shown.append(_short(option))
            if sum(map(len, shown)) > _OPTIONS_LENGTH:
                shown.pop()
                break
        more = len(kind.options) - len(shown)
        return ", ".join(shown) + (f" and {more} more" if shown and more else f"{more} values" if more else "")

    def _near(self) -> str:
        """The nearest of what is allowed, where something is near."""
        kind: Any = self._error.kind
        if type(kind).__name__ == "Enum":
            said, known = self._error.instance, kind.options
        else:
            said, known = self._name, self._place().get("properties", ())
        names = [one for one in list(known)[:_MOST_NEAR] if isinstance(one, str) and len(one) <= _PART_LENGTH]
        if not isinstance(said, str) or len(said) > _PART_LENGTH:
            return ""
        from difflib import get_close_matches

        near = get_close_matches(said.casefold(), {one.casefold(): one for one in names}, n=1)
        found = next((one for one in names if one.casefold() in near), None)
        return "" if found is None else f" (the nearest is {_short(found)})"

    def _inner(self) -> str:
        """What is wrong with a name within the value."""
        kind: Any = self._error.kind
        return explain(kind.error, self._schema).reason

    def _place(self) -> Mapping[str, Any]:
        """The schema that has the keyword; empty where it cannot be followed."""
        at: Any = self._schema
        for step in self._error.schema_path[:-1]:
            try:
                at = at[step]
            except (KeyError, IndexError, TypeError):
                return {}
        return at if isinstance(at, Mapping) else {}


def _short(value: object) -> str:
    """A part of a schema as JSON, or the beginning of it.

    A space behind a space is escaped: in a pattern or a value they count, and what shows a refusal runs them together.
    """
    text = json.dumps(value, ensure_ascii=False, default=str)
    shown = _ODD_SPACE.sub(lambda space: f"\\u{ord(space[0]):04x}", text)
    return clean(shown, _PART_LENGTH, one_line=True)
