"""A stranger's input schema made publishable, or the reason why it cannot be. Pure: no I/O.

What is published is JSON Schema 2020-12 without ``$schema``: the keywords of the standard and no others, so vendor
annotations such as ``x-mcp-header`` vanish at every level; nothing remote; only portable patterns; numbers every host
can read; older drafts' idioms rewritten. It accepts what the provider's schema accepts, or more where a constraint
could not be carried over: the Hub holds the original and enforces it. The one narrowing is deliberate: values that
hide invisible characters are not offered.

One schema a host cannot take costs it the whole list, so what remains doubtful is `Unfit`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from jecp_mcp.tools.cleaning import clean, hides_something, said
from jecp_mcp.tools.patterns import portable
from jecp_mcp.tools.references import PART_LISTS, PART_MAPS, PART_SINGLES, Node, TooLarge, check_expansion, settle
from jecp_mcp.tools.roots import fit_root
from jecp_mcp.tools.suspicion import orders
from jecp_mcp.tools.values import TooMany, Unreadable, Values, number

MAX_DEPTH: Final = 16
MAX_SUBSCHEMAS: Final = 512
MAX_BYTES: Final = 32 * 1024

_TYPES: Final = ("object", "string", "number", "integer", "boolean", "array", "null")
_TEXT_LENGTHS: Final = {"title": 80, "description": 500}
_FLAGS: Final = ("uniqueItems", "deprecated", "readOnly", "writeOnly")
_BOUNDS: Final = ("maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum", "multipleOf")
_COUNTS: Final = (
    "maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minProperties", "maxContains", "minContains",
)  # fmt: skip
_NAME: Final = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_BLANKS: Final = str.maketrans("_-", "  ")
_WORD: Final = re.compile(r"[a-zA-Z0-9._+/-]{1,64}")
_OLD_DRAFT: Final = re.compile(r"https?://json-schema\.org/draft-0[3-7]/")
_BESIDE_REF: Final = frozenset({"$ref", "title", "description", "default", "examples", "definitions", "$defs"})
"""What counts beside ``$ref`` in the drafts in which a reference replaces the schema it stands in."""


class Unfit(NamedTuple):
    """Why a schema cannot be published, for the operator."""

    reason: str


class _Refused(Exception):  # a way out of the recursion, never seen outside this module
    """The walk met something that makes the whole schema unfit."""


def fit(schema: object) -> Node | Unfit:
    """Make a foreign input schema publishable, or say why it cannot be. Never raises, whatever it is given."""
    if schema is True:
        schema = {}
    if not isinstance(schema, Mapping):
        return Unfit("the input schema is not an object")
    try:
        walk = _Walk(schema)
        root = walk.schema(schema, 0)
        refers = bool(walk.refs)
        lost = settle(root, walk.refs) + walk.weakened
        if lost and refers and walk.depends:
            # A reference may lead to what was weakened, where a negation or a count depends on its strength.
            walk = _Walk(schema, refs_weak=True)
            root = walk.schema(schema, 0)
            settle(root, walk.refs)
        fitted = fit_root(root, walk.refs, MAX_BYTES)
        if isinstance(fitted, str):
            return Unfit(fitted)
        if walk.refs:
            check_expansion(fitted)
    except (_Refused, TooLarge, TooMany) as exc:
        return Unfit(str(exc))
    if len(json.dumps(fitted, ensure_ascii=False, separators=(",", ":")).encode()) > MAX_BYTES:
        return Unfit(f"the input schema is longer than {MAX_BYTES} bytes")
    return fitted


class _Walk:
    """One pass over a foreign schema, writing a clean one beside it.

    Attributes:
        refs: the subschemas written that hold a reference.
        weakened: how many constraints could not be carried over so far.
        depends: whether a keyword was met that turns a weaker part into a stricter whole.
    """

    __slots__ = ("_base", "_embedded", "_old", "_refs_weak", "_schemas", "_values", "depends", "refs", "weakened")

    def __init__(self, root: Mapping[Any, Any], *, refs_weak: bool = False) -> None:
        declared, base = root.get("$schema"), root.get("$id", root.get("id"))
        self._old = isinstance(declared, str) and _OLD_DRAFT.match(declared) is not None
        self._base = base.partition("#")[0] if isinstance(base, str) else ""
        self._refs_weak = refs_weak
        self._embedded = 0
        self._schemas = 0
        self._values = Values()
        self.refs: list[Node] = []
        self.weakened = 0
        self.depends = False

    def schema(self, raw: object, depth: int) -> Node:
        """Write one subschema clean."""
        self._schemas += 1
        if self._schemas > MAX_SUBSCHEMAS:
            raise _Refused(f"the input schema has more than {MAX_SUBSCHEMAS} subschemas")
        if depth > MAX_DEPTH:
            raise _Refused(f"the input schema nests deeper than {MAX_DEPTH} levels")
        if not isinstance(raw, Mapping):
            self.weakened += raw is not True and raw is not False
            return {"not": {}} if raw is False else {}
        if len(raw) > MAX_SUBSCHEMAS:
            raise _Refused("a subschema has too many keywords")
        if self._old and isinstance(raw.get("$ref"), str):
            raw = {keyword: value for keyword, value in raw.items() if keyword in _BESIDE_REF}
        embedded = depth > 0 and isinstance(raw.get("$id"), str)
        self._embedded += embedded
        out = self._written(raw, depth)
        if "array" in out.get("type", "") and not out.keys() & {"items", "prefixItems", "unevaluatedItems"}:
            # Some model APIs refuse a whole request over an array that does not say of what.
            out["items"] = {}
        self._embedded -= embedded
        return out

    def _written(self, raw: Mapping[Any, Any], depth: int) -> Node:
        before = self.weakened
        out: Node = {}
        for keyword, value in raw.items():
            write = _WRITERS.get(keyword)
            if write is not None:
                write(self, out, keyword, value, depth)
        if not _LATE.keys().isdisjoint(raw):
            for keyword, weigh in _LATE.items():
                if keyword in raw:
                    weigh(self, out, raw, depth, before)
        return out

    def text(self, out: Node, keyword: str, value: object, _: int) -> None:
        """``title`` and ``description``."""
        words = said(value, _TEXT_LENGTHS[keyword], one_line=True)
        if words:
            out[keyword] = words

    def type(self, out: Node, keyword: str, value: object, _: int) -> None:
        """``type``: one name or several."""
        if isinstance(value, str) and value in _TYPES:
            out[keyword] = value
            return
        names = [name for name in _TYPES if name in value] if isinstance(value, list) else []
        if names:
            out[keyword] = names if len(names) > 1 else names[0]
        else:
            self.weakened += 1

    def value(self, out: Node, keyword: str, value: object, _: int) -> None:
        """``default`` and ``const``."""
        try:
            out[keyword] = (self._values.advised if keyword == "default" else self._values.readable)(value)
        except Unreadable:
            self.weakened += keyword == "const"

    def listed(self, out: Node, keyword: str, value: object, _: int) -> None:
        """``enum`` and ``examples``: those members that are readable."""
        kept = []
        read = self._values.advised if keyword == "examples" else self._values.readable
        for member in value if isinstance(value, list) else ():
            try:
                kept.append(read(member))
            except Unreadable:
                continue
        if kept:
            out[keyword] = kept
        else:
            self.weakened += keyword == "enum"

    def word(self, out: Node, keyword: str, value: object, _: int) -> None:
        """``format`` and the content keywords, which annotate."""
        if isinstance(value, str) and _WORD.fullmatch(value):
            out[keyword] = value

    def flag(self, out: Node, keyword: str, value: object, _: int) -> None:
        """Keywords that are true or false."""
        if isinstance(value, bool):
            out[keyword] = value

    def bound(self, out: Node, keyword: str, value: object, _: int) -> None:
        """Numeric bounds. In draft 4 the exclusive ones are flags, which are weighed when the others are known."""
        if isinstance(value, bool):
            return
        bound = number(value)
        if bound is None or (keyword == "multipleOf" and bound <= 0):
            self.weakened += 1
        else:
            out[keyword] = bound

    def count(self, out: Node, keyword: str, value: object, _: int) -> None:
        """Lengths and numbers of members."""
        count = number(value)
        if count is None or count < 0 or count != int(count):
            self.weakened += 1
        else:
            out[keyword] = int(count)

    def pattern(self, out: Node, keyword: str, value: object, _: int) -> None:
        """A regular expression, if every engine reads it alike."""
        if portable(value):
            out[keyword] = value
        else:
            self.weakened += 1

    def required(self, out: Node, keyword: str, value: object, _: int) -> None:
        """``required``: names of properties. In draft 3 it was a flag."""
        names = value if isinstance(value, list) else []
        if len(names) > MAX_SUBSCHEMAS:
            raise _Refused(f"the input schema requires more than {MAX_SUBSCHEMAS} properties")
        kept = list(dict.fromkeys(_checked_name(name) for name in names if isinstance(name, str)))
        self.weakened += not isinstance(value, list) or any(not isinstance(name, str) for name in names)
        if kept:
            out[keyword] = kept

    def needs(self, out: Node, keyword: str, value: object, depth: int) -> None:
        """``dependentRequired``, ``dependentSchemas``, and draft 7's ``dependencies``, which is both."""
        if not isinstance(value, Mapping):
            self.weakened += 1
            return
        for name, item in value.items():
            if isinstance(item, list) and keyword != "dependentSchemas":
                inner: Node = {}
                self.required(inner, "required", item, depth)
                out.setdefault("dependentRequired", {})[_checked_name(name)] = inner.get("required", [])
            elif keyword != "dependentRequired":
                out.setdefault("dependentSchemas", {})[_checked_name(name)] = self.schema(item, depth + 1)
            else:
                self.weakened += 1

    def members(self, out: Node, keyword: str, value: object, depth: int) -> None:
        """``properties``, ``patternProperties`` and ``$defs`` (once ``definitions``)."""
        if not isinstance(value, Mapping):
            self.weakened += 1
            return
        for name, item in value.items():
            if keyword == "patternProperties" and not portable(name):
                self.weakened += 1
                continue
            if keyword == "properties":
                _checked_name(name)
            elif not isinstance(name, str) or len(name) > MAX_SUBSCHEMAS or hides_something(name) or orders(name):
                raise _Refused("the name of a definition or a pattern is not readable")
            under = "$defs" if keyword == "definitions" else keyword
            out.setdefault(under, {})[name] = self.schema(item, depth + 1)

    def parts(self, out: Node, keyword: str, value: object, depth: int) -> None:
        """Keywords that list subschemas."""
        if isinstance(value, list) and value:
            out[keyword] = [self.schema(item, depth + 1) for item in value]
        else:
            self.weakened += 1

    def items(self, out: Node, keyword: str, value: object, depth: int) -> None:
        """``items``, which was a tuple in the older drafts."""
        if not isinstance(value, list):
            out[keyword] = self.schema(value, depth + 1)
        elif value:
            out["prefixItems"] = [self.schema(item, depth + 1) for item in value]

    def one(self, out: Node, keyword: str, value: object, depth: int) -> None:
        """Keywords with one subschema."""
        out[keyword] = self.schema(value, depth + 1)

    def reference(self, out: Node, keyword: str, value: object, _: int) -> None:
        """``$ref`` into this document; whether something is there is settled at the end."""
        target = value.removeprefix(self._base) if isinstance(value, str) else ""
        if self._embedded or len(target) > MAX_SUBSCHEMAS or not (target == "#" or target.startswith("#/")):
            self.weakened += 1
            return
        out[keyword] = target
        self.refs.append(out)
        self.weakened += self._refs_weak

    def rest_of_tuple(self, out: Node, raw: Mapping[Any, Any], depth: int, _: int) -> None:
        """``additionalItems``, which means something only beside a tuple."""
        if isinstance(raw.get("items"), list):
            out["items"] = self.schema(raw["additionalItems"], depth + 1)

    def exclusive(self, out: Node, raw: Mapping[Any, Any], _: int, __: int) -> None:
        """Draft 4's flags that make the plain bounds exclusive."""
        for flag, plain in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
            if raw.get(flag) is True and plain in out:
                out[flag] = out.pop(plain)

    def additional(self, out: Node, raw: Mapping[Any, Any], depth: int, _: int) -> None:
        """``additionalProperties``, unless a pattern that named exceptions to it is gone."""
        patterns = raw.get("patternProperties")
        if not isinstance(patterns, Mapping) or len(patterns) == len(out.get("patternProperties", ())):
            value = raw["additionalProperties"]
            out["additionalProperties"] = value if isinstance(value, bool) else self.schema(value, depth + 1)
        else:
            self.weakened += 1

    def contains(self, out: Node, raw: Mapping[Any, Any], depth: int, _: int) -> None:
        """``contains``, with no upper count of what became easier to be."""
        before = self.weakened
        self.depends = True
        out["contains"] = self.schema(raw["contains"], depth + 1)
        if self.weakened > before:
            out.pop("maxContains", None)

    def negation(self, out: Node, raw: Mapping[Any, Any], depth: int, _: int) -> None:
        """``not``, unless it would refuse more than it did."""
        before = self.weakened
        self.depends = True
        inner = self.schema(raw["not"], depth + 1)
        if self.weakened == before:
            out["not"] = inner

    def one_of(self, out: Node, raw: Mapping[Any, Any], depth: int, _: int) -> None:
        """``oneOf``; of weakened members more than one may be met."""
        before = self.weakened
        self.depends = True
        inner: Node = {}
        self.parts(inner, "oneOf", raw["oneOf"], depth)
        if self.weakened == before:
            out.update(inner)
        elif "oneOf" in inner and "anyOf" not in out:
            out["anyOf"] = inner["oneOf"]

    def conditional(self, out: Node, raw: Mapping[Any, Any], depth: int, _: int) -> None:
        """``if``, ``then`` and ``else``; a weakened condition would turn to the wrong one of the two."""
        before = self.weakened
        self.depends = True
        condition = self.schema(raw["if"], depth + 1)
        if self.weakened > before:
            return
        out["if"] = condition
        for keyword in ("then", "else"):
            if keyword in raw:
                out[keyword] = self.schema(raw[keyword], depth + 1)

    def unevaluated(self, out: Node, raw: Mapping[Any, Any], depth: int, before: int) -> None:
        """``unevaluatedItems`` and ``unevaluatedProperties``, unless something that evaluates is gone."""
        self.depends = True
        whole = self.weakened == before
        for keyword in ("unevaluatedItems", "unevaluatedProperties"):
            if keyword in raw and whole:
                value = raw[keyword]
                out[keyword] = value if isinstance(value, bool) else self.schema(value, depth + 1)


_Writer = Callable[[_Walk, Node, str, Any, int], None]
_Weigher = Callable[[_Walk, Node, Mapping[Any, Any], int, int], None]

_LATE: Final[dict[str, _Weigher]] = {
    "additionalItems": _Walk.rest_of_tuple,
    "exclusiveMinimum": _Walk.exclusive,
    "exclusiveMaximum": _Walk.exclusive,
    "additionalProperties": _Walk.additional,
    "contains": _Walk.contains,
    "not": _Walk.negation,
    "oneOf": _Walk.one_of,
    "if": _Walk.conditional,
    "unevaluatedItems": _Walk.unevaluated,
    "unevaluatedProperties": _Walk.unevaluated,
}
"""Keywords whose meaning depends on what stands beside them or became of it, in the order they are weighed."""

_WRITERS: Final[dict[str, _Writer]] = {
    **dict.fromkeys(_TEXT_LENGTHS, _Walk.text),
    **dict.fromkeys(("default", "const"), _Walk.value),
    **dict.fromkeys(("enum", "examples"), _Walk.listed),
    **dict.fromkeys(("format", "contentEncoding", "contentMediaType"), _Walk.word),
    **dict.fromkeys(_FLAGS, _Walk.flag),
    **dict.fromkeys(_BOUNDS, _Walk.bound),
    **dict.fromkeys(_COUNTS, _Walk.count),
    **dict.fromkeys(PART_MAPS | {"definitions"}, _Walk.members),
    **dict.fromkeys(PART_LISTS - {"oneOf"}, _Walk.parts),
    **dict.fromkeys(PART_SINGLES - _LATE.keys() - {"then", "else"}, _Walk.one),
    **dict.fromkeys(("dependentRequired", "dependentSchemas", "dependencies"), _Walk.needs),
    "type": _Walk.type,
    "pattern": _Walk.pattern,
    "required": _Walk.required,
    "items": _Walk.items,
    "$ref": _Walk.reference,
}


def _checked_name(name: object) -> str:
    """A property's name, which is a key of the arguments too, so it cannot be mended, only refused.

    The grammar is that of the strictest model API, which refuses a whole request over one other name.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _Refused(f"the property name {clean(name, 40, one_line=True)!r} is not one every model API takes")
    if orders(name) is not None or orders(name.translate(_BLANKS)) is not None:
        raise _Refused("a property's name addresses the model")
    return name
