"""JSON Schema's keywords that hold other schemas. Pure: no I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

from jecp_mcp.tools.publishing.prompt_injection import find_injection
from jecp_mcp.tools.schemas.assertions import Writer, check_name, required
from jecp_mcp.tools.schemas.disjoint import apart
from jecp_mcp.tools.schemas.references import PART_LISTS, Node
from jecp_mcp.tools.schemas.regexes import portable

if TYPE_CHECKING:
    from jecp_mcp.tools.schemas.rewriting import Rewriter

_WORDS: Final = frozenset({"title", "description", "default", "examples"})
_BLANKS: Final = str.maketrans("_-", "  ")
_PLAIN: Final = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_NOT_PLAIN: Final = re.compile(r"[^a-zA-Z0-9.-]+")
_STEM: Final = 40


def needs(walk: Rewriter, out: Node, keyword: str, value: object, depth: int) -> None:
    """``dependentRequired``, ``dependentSchemas``, and draft 7's ``dependencies``, which is both."""
    if not isinstance(value, Mapping):
        walk.lose(keyword)
        return
    for name, item in value.items():
        if isinstance(item, (list, str)) and keyword != "dependentSchemas":
            inner: Node = {}
            required(walk, inner, "required", [item] if isinstance(item, str) else item, depth)
            needed = out.setdefault("dependentRequired", {}).setdefault(check_name(name), [])
            needed += (one for one in inner.get("required", ()) if one not in needed)
        elif keyword == "dependentRequired":
            walk.lose(keyword)
        elif name in out.get("dependentSchemas", {}):
            both = [out["dependentSchemas"][name], walk.schema(item, depth + 1)]
            out["dependentSchemas"][name] = {"allOf": both}
        else:
            out.setdefault("dependentSchemas", {})[check_name(name)] = walk.schema(item, depth + 1)


def properties(walk: Rewriter, out: Node, keyword: str, value: object, depth: int) -> None:
    """``properties``."""
    if not isinstance(value, Mapping):
        walk.lose(keyword)
        return
    out[keyword] = {name: walk.schema(item, depth + 1, check_name(name)) for name, item in value.items()}


def pattern_properties(walk: Rewriter, out: Node, keyword: str, value: object, depth: int) -> None:
    """``patternProperties``, as far as every engine reads the patterns; two may come to the same one."""
    if not isinstance(value, Mapping):
        walk.lose(keyword)
        return
    for name, item in value.items():
        found = walk.portable(name)
        if found is None:
            walk.lose(keyword)
            continue
        made = walk.schema(item, depth + 1, "*")
        known = out.setdefault(keyword, {}).get(found.pattern)
        out[keyword][found.pattern] = made if known is None else {"allOf": [known, made]}


def definitions(walk: Rewriter, out: Node, _: str, value: object, depth: int) -> None:
    """``$defs``, once ``definitions``, under names that every reader of references takes."""
    for name, item in value.items() if isinstance(value, Mapping) else ():
        plain = _definition_name(name, walk.defined)
        walk.defined.add(plain)
        out.setdefault("$defs", {})[plain] = walk.definition(plain, item, depth + 1)


def property_names(walk: Rewriter, out: Node, keyword: str, value: object, depth: int) -> None:
    """``propertyNames``, unless it says no more than that names are text."""
    made = walk.schema(value, depth + 1, "*")
    kinds = made.get("type", "string")
    if made.keys() - _WORDS - {"type"} or "string" not in kinds:
        out[keyword] = made


def parts(walk: Rewriter, out: Node, keyword: str, value: object, depth: int) -> None:
    """Keywords that list subschemas."""
    step = ("*",) if keyword == "prefixItems" else ()
    if isinstance(value, list) and value:
        out[keyword] = [walk.schema(item, depth + 1, *step) for item in value]
    else:
        walk.lose(keyword)


def items(walk: Rewriter, out: Node, keyword: str, value: object, depth: int) -> None:
    """``items``, which was a tuple in the older drafts."""
    if not isinstance(value, list):
        out[keyword] = walk.schema(value, depth + 1, "*")
    elif value:
        out["prefixItems"] = [walk.schema(item, depth + 1, "*") for item in value]


def rest_of_tuple(walk: Rewriter, out: Node, raw: Mapping[Any, Any], depth: int, _: int) -> None:
    """``additionalItems``, which means something only beside a tuple."""
    if isinstance(raw.get("items"), list):
        out["items"] = walk.schema(raw["additionalItems"], depth + 1, "*")


def exclusive(_: Rewriter, out: Node, raw: Mapping[Any, Any], __: int, ___: int) -> None:
    """Draft 4's flags that make the plain bounds exclusive."""
    for flag, plain in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if raw.get(flag) is True and plain in out:
            out[flag] = out.pop(plain)


def additional(walk: Rewriter, out: Node, raw: Mapping[Any, Any], depth: int, _: int) -> None:
    """``additionalProperties``, unless a pattern that named exceptions to it is gone."""
    patterns = raw.get("patternProperties")
    if not isinstance(patterns, Mapping) or all(
        (found := portable(name)) and found.pattern in out.get("patternProperties", ()) for name in patterns
    ):
        value = raw["additionalProperties"]
        out["additionalProperties"] = value if isinstance(value, bool) else walk.schema(value, depth + 1, "*")
    else:
        walk.lose("additionalProperties")


def contains(walk: Rewriter, out: Node, raw: Mapping[Any, Any], depth: int, _: int) -> None:
    """``contains``, with no upper count of what became easier to be."""
    before = walk.weaker
    walk.depends = True
    out["contains"] = walk.schema(raw["contains"], depth + 1, "*")
    if walk.weaker > before and "maxContains" in out:
        del out["maxContains"]
        walk.lose("maxContains")


def negation(walk: Rewriter, out: Node, raw: Mapping[Any, Any], depth: int, _: int) -> None:
    """``not``, unless it would refuse more than it did."""
    before = walk.weaker
    walk.depends = True
    inner = walk.schema(raw["not"], depth + 1)
    if walk.weaker == before:
        out["not"] = inner
    else:
        walk.lose("not")


def one_of(walk: Rewriter, out: Node, raw: Mapping[Any, Any], depth: int, _: int) -> None:
    """``oneOf``; of weaker members more than one may be met, unless they are plainly apart."""
    before = walk.weaker
    walk.depends = True
    inner: Node = {}
    parts(walk, inner, "oneOf", raw["oneOf"], depth)
    given = out.get("type")
    given = given if isinstance(given, str) else None
    if walk.weaker == before or all(apart(*pair, given) for pair in combinations(inner.get("oneOf", ()), 2)):
        out.update(inner)
        return
    walk.lose("oneOf")
    if "oneOf" in inner and "anyOf" not in out:
        out["anyOf"] = inner["oneOf"]


def conditional(walk: Rewriter, out: Node, raw: Mapping[Any, Any], depth: int, _: int) -> None:
    """``if``, ``then`` and ``else``; a weaker condition would turn to the wrong one of the two."""
    before = walk.weaker
    walk.depends = True
    condition = walk.schema(raw["if"], depth + 1)
    if walk.weaker > before:
        walk.lose("if")
        return
    out["if"] = condition
    for keyword in ("then", "else"):
        if keyword in raw:
            out[keyword] = walk.schema(raw[keyword], depth + 1)


def unevaluated(walk: Rewriter, out: Node, raw: Mapping[Any, Any], depth: int, gone: int) -> None:
    """``unevaluatedItems`` and ``unevaluatedProperties``, unless something that evaluates is gone."""
    walk.depends = True
    whole = walk.gone == gone
    for keyword in ("unevaluatedItems", "unevaluatedProperties"):
        if keyword not in raw or keyword in out:
            continue
        walk.sees_items = walk.sees_items or keyword == "unevaluatedItems"
        if whole:
            value = raw[keyword]
            out[keyword] = value if isinstance(value, bool) else walk.schema(value, depth + 1, "*")
        else:
            walk.lose(keyword)


def _definition_name(name: object, taken: AbstractSet[str]) -> str:
    """A name for a definition, which nobody but references needs to know."""
    text = name if isinstance(name, str) else ""
    if not _PLAIN.fullmatch(text):
        text = _NOT_PLAIN.sub("_", text[:_STEM])
    if not text or find_injection(text.translate(_BLANKS)) is not None:
        text = "definition"
    plain, more = text, 1
    while plain in taken:
        more += 1
        plain = f"{text}_{more}"
    return plain


_Weigher = Callable[["Rewriter", Node, Mapping[Any, Any], int, int], None]

WEIGHERS: Final[dict[str, _Weigher]] = {
    "additionalItems": rest_of_tuple,
    "exclusiveMinimum": exclusive,
    "exclusiveMaximum": exclusive,
    "additionalProperties": additional,
    "contains": contains,
    "not": negation,
    "oneOf": one_of,
    "if": conditional,
    "unevaluatedItems": unevaluated,
    "unevaluatedProperties": unevaluated,
}
"""Keywords whose meaning depends on what stands beside them or became of it, in the order they are weighed.

Each is given the pass, the subschema being written, the original, how deep that stands, and what was gone before it.
"""

WRITERS: Final[dict[str, Writer]] = {
    **dict.fromkeys(("$defs", "definitions"), definitions),
    **dict.fromkeys(PART_LISTS - {"oneOf"}, parts),
    **dict.fromkeys(("dependentRequired", "dependentSchemas", "dependencies"), needs),
    "patternProperties": pattern_properties,
    "properties": properties,
    "propertyNames": property_names,
    "items": items,
}
