"""JSON Schema's keywords that hold no other schema: words, types, values, bounds, patterns, names. Pure: no I/O."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from jecp_mcp.tools.publishing.cleaning import clean, hides_something, safe_text
from jecp_mcp.tools.publishing.prompt_injection import find_injection
from jecp_mcp.tools.schemas.json_values import number
from jecp_mcp.tools.schemas.references import Node

if TYPE_CHECKING:
    from jecp_mcp.tools.schemas.rewriting import Rewriter

MAX_SUBSCHEMAS: Final = 512

_TYPES: Final = ("object", "string", "number", "integer", "boolean", "array", "null")
_TEXT_LENGTHS: Final = {"title": 80, "description": 500}
_FLAGS: Final = ("uniqueItems", "deprecated", "readOnly", "writeOnly")
_BOUNDS: Final = ("maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum", "multipleOf")
_COUNTS: Final = (
    "maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minProperties", "maxContains", "minContains",
)  # fmt: skip
_BLANKS: Final = str.maketrans("_-", "  ")
_IDENTIFIER: Final = re.compile(r"[\w-]{1,40}")
_WORD: Final = re.compile(r"[a-zA-Z0-9._+/-]{1,64}")


class Refused(Exception):  # a way out of the recursion, turned into a value by `publishable_schema.fit`
    """The schema holds what makes it unfit as a whole."""


def lose_keyword(walk: Rewriter, _: Node, keyword: str, __: object, ___: int) -> None:
    """Keywords for which 2020-12, or a schema of one part, has no other words."""
    walk.lose(keyword)


def text(_: Rewriter, out: Node, keyword: str, value: object, __: int) -> None:
    """``title`` and ``description``."""
    words = safe_text(value, _TEXT_LENGTHS[keyword], one_line=True)
    if words:
        out[keyword] = words


def types(walk: Rewriter, out: Node, keyword: str, value: object, _: int) -> None:
    """``type``: one name or several."""
    given = value if isinstance(value, list) else [value]
    names = [name for name in _TYPES if name in given]
    if len(names) < len(given) or not names:
        walk.lose(keyword)
    else:
        out[keyword] = names if len(names) > 1 else names[0]


def default(walk: Rewriter, out: Node, keyword: str, value: object, _: int) -> None:
    """``default``, if it is readable."""
    kept = walk.read_suggestions([value])
    if kept:
        out[keyword] = kept[0]


def examples(walk: Rewriter, out: Node, keyword: str, value: object, _: int) -> None:
    """``examples``: those that are readable."""
    kept = walk.read_suggestions(value)
    if kept:
        out[keyword] = kept


def allowed_values(walk: Rewriter, out: Node, keyword: str, value: object, _: int) -> None:
    """``enum`` and ``const``; if not every value can be shown, those that can are examples."""
    given = [value] if keyword == "const" else value
    kept = walk.read_values(given)
    if isinstance(given, list) and 0 < len(kept) == len(given):
        out[keyword] = kept[0] if keyword == "const" else kept
        return
    walk.lose(keyword)
    if kept:
        out["examples"] = kept


def annotation(walk: Rewriter, out: Node, keyword: str, value: object, _: int) -> None:
    """``format`` and the content keywords, of which a reader may make what it likes."""
    walk.leave(keyword)
    if isinstance(value, str) and _WORD.fullmatch(value):
        out[keyword] = value


def flag(walk: Rewriter, out: Node, keyword: str, value: object, _: int) -> None:
    """Keywords that are true or false."""
    if isinstance(value, bool):
        out[keyword] = value
    elif keyword == "uniqueItems":
        walk.lose(keyword)


def bound(walk: Rewriter, out: Node, keyword: str, value: object, _: int) -> None:
    """Numeric bounds. In draft 4 the exclusive ones are flags, which are weighed when the others are known."""
    if isinstance(value, bool):
        return
    bound = number(value)
    if bound is None or (keyword == "multipleOf" and bound <= 0):
        walk.lose(keyword)
    else:
        out[keyword] = bound


def count(walk: Rewriter, out: Node, keyword: str, value: object, _: int) -> None:
    """Lengths and numbers of members."""
    count = number(value)
    # A float may be whole, and far beyond what 64 bits hold.
    whole = None if count is None or count != int(count) else number(int(count))
    if whole is None or whole < 0:
        walk.lose(keyword)
    else:
        out[keyword] = whole


def pattern(walk: Rewriter, out: Node, keyword: str, value: object, _: int) -> None:
    """A regular expression, as every engine reads it."""
    found = walk.portable(value)
    if found is None:
        walk.lose(keyword)
    else:
        out[keyword] = found.pattern


def required(walk: Rewriter, out: Node, keyword: str, value: object, _: int) -> None:
    """``required``: names of properties. In draft 3 it was a flag."""
    names = value if isinstance(value, list) else []
    if len(names) > MAX_SUBSCHEMAS * walk.room:
        raise Refused(f"the input schema requires more than {MAX_SUBSCHEMAS} properties")
    kept = list(dict.fromkeys(check_name(name) for name in names if isinstance(name, str)))
    if not isinstance(value, list) or any(not isinstance(name, str) for name in names):
        walk.lose(keyword)
    if kept:
        out[keyword] = kept


def reference(walk: Rewriter, out: Node, _: str, value: object, __: int) -> None:
    """``$ref``."""
    walk.refer(out, value)


def check_name(name: object) -> str:
    """A property's name, which is a key of the arguments too, so it cannot be mended, only refused."""
    if not isinstance(name, str) or len(name) > MAX_SUBSCHEMAS or hides_something(name):
        raise Refused(f"the property name {clean(name, 40, one_line=True)!r} does not show what it is")
    # A plain identifier names a field or a switch, such as ignore_rules; a sentence needs more room.
    spoken = None if _IDENTIFIER.fullmatch(name) else find_injection(name.translate(_BLANKS))
    if find_injection(name) is not None or spoken is not None:
        raise Refused("a property's name addresses the model")
    return name


Writer = Callable[["Rewriter", Node, str, Any, int], None]
"""Writes a keyword: of the pass, the subschema being written, the keyword, its value, and how deep that stands."""

WRITERS: Final[dict[str, Writer]] = {
    **dict.fromkeys(_TEXT_LENGTHS, text),
    **dict.fromkeys(("enum", "const"), allowed_values),
    **dict.fromkeys(("format", "contentEncoding", "contentMediaType"), annotation),
    **dict.fromkeys(_FLAGS, flag),
    **dict.fromkeys(_BOUNDS, bound),
    **dict.fromkeys(_COUNTS, count),
    **dict.fromkeys(("$dynamicRef", "$recursiveRef", "disallow", "extends", "divisibleBy"), lose_keyword),
    "default": default,
    "examples": examples,
    "type": types,
    "pattern": pattern,
    "required": required,
    "$ref": reference,
}
