"""A stranger's schema written anew, keyword by keyword, in JSON Schema 2020-12. Pure: no I/O.

What is written accepts what the original accepts, or more where a constraint could not be carried over, and says which.
A part that accepts more makes the whole accept less where it is negated or counted, as under ``not``, ``oneOf``, ``if``
and ``contains``: there the whole is let go of as well. The original means what the draft it names says; ``format`` and
the content keywords annotate or assert, as its reader likes, so they too count as parts that may accept more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final, NamedTuple

from jecp_mcp.tools.publishing.cleaning import clean
from jecp_mcp.tools.schemas.applicators import WEIGHERS
from jecp_mcp.tools.schemas.applicators import WRITERS as APPLICATORS
from jecp_mcp.tools.schemas.assertions import MAX_SUBSCHEMAS, Refused
from jecp_mcp.tools.schemas.assertions import WRITERS as KEYWORDS
from jecp_mcp.tools.schemas.json_values import MAX_VALUES, Unreadable, Values
from jecp_mcp.tools.schemas.references import Node, places, resolve
from jecp_mcp.tools.schemas.regexes import MOST_STEPS, Portable, portable

MAX_DEPTH: Final = 16

_PATTERN_STEPS: Final = 4 * MOST_STEPS
"""The most steps that the patterns of one schema may come to together."""

_PLACE_LENGTH: Final = 60
_PLAIN_STEP: Final = re.compile(r"[A-Za-z0-9_.$<>@:*\[\]-]{1,40}")
_DEFS: Final = "$defs"
_DRAFT: Final = re.compile(r"https?://json-schema\.org/draft(?:-0([3-7])|/(2019-09|2020-12))/")
LATEST: Final = 9
_YEARS: Final = {"2019-09": 8, "2020-12": LATEST}
_ID_WAS_PLAIN: Final = 4
"""Up to this draft ``$id`` was ``id``."""
_REF_ALONE: Final = 7
"""Up to this draft a reference replaces the schema it stands in."""
_SINCE: Final = {
    **dict.fromkeys(("const", "contains", "propertyNames"), 6),
    **dict.fromkeys(("if", "then", "else", "contentEncoding", "contentMediaType"), 7),
    **dict.fromkeys(
        (
            "dependentRequired", "dependentSchemas", "unevaluatedItems", "unevaluatedProperties", "maxContains",
            "minContains", "$recursiveRef",
        ),
        8,
    ),
    **dict.fromkeys(("prefixItems", "$dynamicRef"), LATEST),
}  # fmt: skip
"""Keywords that drafts before these do not have. A schema that names such a draft says nothing with them."""

_BESIDE_REF: Final = frozenset({"$ref", "title", "description", "default", "examples", "definitions", "$defs"})

WRITERS: Final = KEYWORDS | APPLICATORS


class _Reference(NamedTuple):
    """A reference that was met.

    Attributes:
        node: the written subschema that holds it.
        target: the original subschema it leads to.
        place: where it is, in words, and the definition it is in.
        within: the identities of the original subschemas around it that apply it.
    """

    node: Node
    target: Mapping[Any, Any]
    place: tuple[str, str | None]
    within: tuple[int, ...]


class Rewriter:
    """One pass over a foreign schema, writing a clean one beside it.

    Attributes:
        lost: the constraints that could not be carried over, with their place, and the definition they are in.
        unsaid: likewise the formats, which are carried over as words.
        weaker: how many parts of what is being written accept more than they did.
        gone: how many of these are gone, or may lead to what is.
        weak: the identities of the original subschemas that were written weaker.
        depends: whether a keyword was met that turns a weaker part into a stricter whole.
        defined: the names of the definitions so far.
        refs: after `settle`, the written subschemas that hold a reference.
        room: how many times over the bounds on size are given.
        place: what leads to where the pass is, in the arguments.
        sees_items: whether some part asks which items another has looked at.
    """

    def __init__(
        self,
        root: Mapping[Any, Any],
        *,
        weak: AbstractSet[int] = frozenset(),
        without: frozenset[str] = frozenset(),
        cut: frozenset[int] = frozenset(),
        room: int = 1,
    ) -> None:
        """Begin a pass.

        Args:
            root: the whole schema.
            weak: the identities of subschemas that are known to be written weaker, wherever a reference leads to one.
            without: keywords to lose.
            cut: the identities of subschemas whose references to lose.
            room: how many times over the bounds on size are given; a published schema may hold a part twice.
        """
        declared = root.get("$schema")
        draft = _DRAFT.match(declared) if isinstance(declared, str) else None
        self._draft = LATEST if draft is None else int(draft[1] or _YEARS[draft[2]])
        # What names no draft may be meant in any.
        self._ids = ("$id", "id") if draft is None else ("id",) if self._draft <= _ID_WAS_PLAIN else ("$id",)
        self._base = next((base for base in self._bases(root)), "")
        self._root = root
        self._known_weak = weak
        self._without = without
        self._cut = cut
        self._embedded = 0
        self._schemas = 0
        self.room = room
        self._steps_left = _PATTERN_STEPS * room
        self._values = Values(MAX_VALUES * room)
        self.place: list[str] = []
        self.gone = 0
        self.sees_items = False
        self._arrays: list[Node] = []
        self._written: dict[int, Node] = {}
        self._references: list[_Reference] = []
        self._definition: str | None = None
        """The definition that is being written."""
        self._within: list[int] = []
        self.weak: set[int] = set()
        self.defined: set[str] = set()
        self.lost: dict[str, str | None] = {}
        self.unsaid: dict[str, str | None] = {}
        self.weaker = 0
        self.depends = False
        self.refs: list[Node] = []

    @property
    def targets(self) -> set[int]:
        """The identities of the original subschemas that references lead to."""
        return {id(one.target) for one in self._references}

    def settle(self, root: Node) -> None:
        """Write the references, once everything they lead to is; drop those whose target was not carried over.

        Args:
            root: the clean schema; changed in place.
        """
        found = places(root) if self._references else {}
        for node, target, (place, definition), within in self._references:
            written = self._written.get(id(target))
            if written is None or id(written) not in found:
                del node["$ref"]
                self.lost[f"$ref {place}"] = definition
                self.weak |= {id(target), *within}
            else:
                node["$ref"] = found[id(written)]
                self.refs.append(node)
        more = True
        while more:
            # Whatever applies a weaker part is weaker itself.
            around = {one for ref in self._references if id(ref.target) in self.weak for one in ref.within}
            more = not around <= self.weak
            self.weak |= around
        if not self.sees_items:
            # Some model APIs refuse a whole request over an array that does not say of what.
            for node in self._arrays:
                node["items"] = {}

    def schema(self, raw: object, depth: int, *place: str) -> Node:
        """Write one subschema clean.

        Args:
            depth: how deep it stands in the schema.
            place: what leads to it in the arguments, beyond where its parent is.
        """
        self._schemas += 1
        if self._schemas > MAX_SUBSCHEMAS * self.room:
            raise Refused(f"the input schema has more than {MAX_SUBSCHEMAS} subschemas")
        if depth > MAX_DEPTH * self.room:
            raise Refused(f"the input schema nests deeper than {MAX_DEPTH} levels")
        self.place += place
        out = self._mapping(raw, depth) if isinstance(raw, Mapping) else self._boolean(raw)
        if place:
            del self.place[-len(place) :]
        return out

    def _boolean(self, raw: object) -> Node:
        if not isinstance(raw, bool):
            self.lose("a subschema")
        return {"not": {}} if raw is False else {}

    def _mapping(self, raw: Mapping[Any, Any], depth: int) -> Node:
        if len(raw) > MAX_SUBSCHEMAS:
            raise Refused("a subschema has too many keywords")
        original = raw
        if self._draft <= _REF_ALONE and isinstance(raw.get("$ref"), str):
            raw = {keyword: value for keyword, value in raw.items() if keyword in _BESIDE_REF}
        # References in a subschema with an address of its own are meant from there.
        embedded = depth > 0 and any(base != self._base for base in self._bases(raw))
        self._embedded += embedded
        weaker, gone = self.weaker, self.gone
        self._within.append(id(original))
        out: Node = {}
        self._written.setdefault(id(original), out)
        late = False
        for keyword, value in raw.items():
            late = late or keyword in WEIGHERS
            write = WRITERS.get(keyword)
            if write is None or not self._knows(keyword):
                continue
            if keyword == "$ref" and id(original) in self._cut:
                self.lose(keyword)
            else:
                write(self, out, keyword, value, depth)
        for keyword, weigh in WEIGHERS.items() if late else ():
            if keyword in raw and self._knows(keyword):
                weigh(self, out, raw, depth, gone)
        if "array" in out.get("type", "") and not out.keys() & {"items", "prefixItems", "unevaluatedItems"}:
            self._arrays.append(out)
        if self.weaker > weaker:
            self.weak.add(id(original))
        self._within.pop()
        self._embedded -= embedded
        return out

    def definition(self, name: str, raw: object, depth: int) -> Node:
        """Write a definition, which says nothing where it stands."""
        around = self.place, self._within, self._definition, self.weaker, self.gone
        self.place, self._within, self._definition = [_DEFS, name], [], name
        out = self.schema(raw, depth)
        self.place, self._within, self._definition, self.weaker, self.gone = around
        return out

    def _bases(self, raw: Mapping[Any, Any]) -> Iterator[str]:
        """The addresses a schema gives itself, without those that are only the name of a place in it."""
        for keyword in self._ids:
            address = raw.get(keyword)
            if isinstance(address, str) and (base := address.partition("#")[0]):
                yield base

    def _knows(self, keyword: str) -> bool:
        """Whether a keyword means something in the schema's draft; notes those that are to be lost."""
        if _SINCE.get(keyword, 0) > self._draft:
            return False
        if keyword in self._without:
            self.lose(keyword)
            return False
        return True

    def lose(self, keyword: str) -> None:
        """Note a constraint that is not carried over."""
        self.weaker += 1
        self.gone += 1
        self.lost[f"{keyword} {self.where()}"] = self._definition

    def leave(self, keyword: str) -> None:
        """Note a constraint that is carried over as a word, of which a reader may make what it likes."""
        self.weaker += 1
        self.unsaid[f"{keyword} {self.where()}"] = self._definition

    def where(self) -> str:
        """Where the pass is, in words that a provider cannot speak through."""
        path = "".join(f"/{step if _PLAIN_STEP.fullmatch(step) else '…'}" for step in self.place)
        return f"at {clean(path, _PLACE_LENGTH)}" if path else "at the root"

    def read_values(self, values: object) -> list[Any]:
        """Those of a list of values that can be shown as they are."""
        return _read_each(self._values.read, values)

    def read_suggestions(self, values: object) -> list[Any]:
        """As `read_values`, of values that a reader may take up, which hold no link either."""
        return _read_each(self._values.read_suggestion, values)

    def portable(self, pattern: object) -> Portable | None:
        """A pattern as every engine reads it; None for another, and for one too many."""
        found = portable(pattern)
        if found is None or found.steps > self._steps_left:
            return None
        self._steps_left -= found.steps
        return found

    def refer(self, out: Node, value: object) -> None:
        """Note a reference into this document, which is written when everything is."""
        ref = (value.removeprefix(self._base) or "#") if isinstance(value, str) else ""
        local = not self._embedded and (ref == "#" or ref.startswith("#/"))
        target = resolve(self._root, ref) if local else None
        if isinstance(target, Mapping):
            out["$ref"] = ref
            self._references.append(_Reference(out, target, (self.where(), self._definition), tuple(self._within)))
            # What is weaker may have lost what another part asks about.
            weak = id(target) in self._known_weak
            self.weaker += weak
            self.gone += weak
        elif target is not True:
            self.lose("$ref")


def _read_each(read: Callable[[object], Any], values: object) -> list[Any]:
    kept = []
    for value in values if isinstance(values, list) else ():
        try:
            kept.append(read(value))
        except Unreadable:
            continue
    return kept
