"""The arguments of a call against the published schema, before anything is spent. Pure: no I/O.

Foreign patterns run in a linear-time engine only, and nothing is ever fetched. What is found wrong is told by JSON
pointer (RFC 6901) without repeating the values, which may be large or private.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from jecp_mcp.tools.schemas.problem_words import explain, pointer
from jecp_mcp.tools.schemas.publishable_schema import depth_words, loosen
from jecp_mcp.tools.schemas.reading import PROVIDERS, Leniency, read
from jecp_mcp.tools.schemas.references import (
    Node,
    deepest,
    growth,
    names_at_root,
    recursive,
    silence_unions,
    visits,
)
from jecp_mcp.tools.schemas.regexes import COMPILED_BYTES
from jecp_mcp.tools.schemas.root_object import unfold

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError, Validator

log = logging.getLogger(__name__)

MOST_PROBLEMS: Final = 10
MAX_DEPTH: Final = 64
"""How deep arguments may nest."""

_MOST_FOUND: Final = 20_000
"""The most that may be found wrong where all of it is told at once: the checker collects all before it shows any."""

_PATTERNS: Final = frozenset({"pattern", "patternProperties"})
_BRANCH_NEAREST: Final = 3


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a call's arguments.

    Attributes:
        pointer: where, RFC 6901.
        reason: what, for models and people alike.
        lacking: whether it takes more than was given, which must not be made up.
        schema: whether the place's schema says more of what is wanted.
    """

    pointer: str
    reason: str
    lacking: bool = False
    schema: bool = False


class Checked(NamedTuple):
    """What a check of arguments found.

    Attributes:
        arguments: as they are meant, which is as they were sent wherever that fits.
        problems: what is wrong with them, most important first.
        left: what could not be checked and is left to the Hub, in our own words.
        notices: what was read otherwise than it was sent, in our own words.
    """

    arguments: Mapping[str, Any]
    problems: tuple[Problem, ...] = ()
    left: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


class _TooDeep(Exception):  # turned into a problem by `ArgumentCheck`, never seen outside this module
    """Arguments that nest deeper than `MAX_DEPTH`."""


class ArgumentCheck:
    """A check of arguments against one published schema, compiled when first used."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema = schema

    def __call__(self, arguments: Mapping[str, Any], leniency: Leniency = PROVIDERS) -> Checked:
        """The arguments as they are meant, what is wrong with them, and what was not checked.

        At most `MOST_PROBLEMS` things are said to be wrong: of what is left after reading, as far as something could
        be read; the arguments are then as they were sent.
        """
        try:
            look = self._look(arguments)
            if look.check.validator.is_valid(arguments):
                return Checked(arguments, left=look.left)

            def errors(value: Mapping[str, Any]) -> list[ValidationError]:
                nonlocal look
                look = look if value is arguments else self._look(value)
                return list(look.check.errors(value, look.depth, look.parts))

            found = read(arguments, errors, self._named, leniency)
            if not found.errors:
                return Checked(found.arguments, left=look.left, notices=found.notices)
            problems = islice(look.check.problems(found.errors), MOST_PROBLEMS)
            return Checked(arguments, tuple(problems), look.left)
        except _TooDeep:
            return Checked(arguments, (Problem("", f"the arguments nest deeper than {MAX_DEPTH} levels"),))
        except ValueError as exc:
            # Text that is not Unicode, or a value JSON has no word for.
            return Checked(arguments, (Problem("", f"the arguments are not JSON: {type(exc).__name__}"),))

    def _look(self, arguments: Mapping[str, Any]) -> _Look:
        """How these arguments are checked.

        A recursive schema could draw out the check of deep arguments beyond measure. These are checked against what
        the schema says without repeating itself.
        """
        depth, parts = _extent(arguments)
        if depth > MAX_DEPTH:
            raise _TooDeep
        check, left = self._whole
        if self._deepest is not None and depth > self._deepest:
            check, left = self._without_recursion, (*left, depth_words(self._deepest))
        return _Look(check, left, depth, parts)

    @cached_property
    def _named(self) -> frozenset[str]:
        return names_at_root(self._schema)

    @property
    def left(self) -> tuple[str, ...]:
        """What of the schema cannot be checked in any arguments."""
        return self._whole[1]

    @cached_property
    def _schema(self) -> Node:
        return unfold(dict(self.schema))

    @cached_property
    def _deepest(self) -> int | None:
        return deepest(dict(self.schema))

    @cached_property
    def _whole(self) -> tuple[_Check, tuple[str, ...]]:
        """The check of the whole schema; if it cannot be made, of all but its patterns, which is said."""
        try:
            return _Check(self._schema), ()
        except ValueError as exc:
            log.warning("a published schema does not compile, so its patterns are left to the Hub: %s", type(exc))
            return _Check(loosen(self._schema, without=_PATTERNS)), ("patterns",)

    @cached_property
    def _without_recursion(self) -> _Check:
        cut = frozenset(id(node) for node in recursive(dict(self.schema)))
        return _Check(loosen(self._schema, without=_PATTERNS if self.left else frozenset(), cut=cut))


class _Look(NamedTuple):
    """How arguments of some depth and number of parts are checked, and what that leaves to the Hub."""

    check: _Check
    left: tuple[str, ...]
    depth: int
    parts: int


class _Check:
    """A schema compiled: once to see whether arguments fit, and again to say what is wrong with many of them."""

    def __init__(self, schema: Node) -> None:
        self._schema = schema
        self.validator = _compile(schema)

    def errors(self, arguments: Mapping[str, Any], depth: int, parts: int) -> Iterator[ValidationError]:
        """What the checker finds wrong with arguments: all of it, or the first thing where there may be too much.

        Args:
            depth: how deep the arguments nest.
            parts: how many there are.
        """
        if parts * self._visits * self._growth**depth <= _MOST_FOUND:
            yield from self.validator.iter_errors(arguments)
            return
        import jsonschema_rs

        try:
            self._silent_validator.validate(arguments)
        except jsonschema_rs.ValidationError as error:
            yield error

    def problems(self, errors: Iterable[ValidationError]) -> Iterator[Problem]:
        """What was found in words, each once."""
        seen = set()
        for error in errors:
            for problem in _problems(error, self._schema):
                if problem not in seen:
                    seen.add(problem)
                    yield problem

    @cached_property
    def _visits(self) -> int:
        return visits(self._schema)

    @cached_property
    def _growth(self) -> int:
        return growth(self._schema)

    @cached_property
    def _silent_validator(self) -> Validator:
        return _compile(silence_unions(self._schema))


def _compile(schema: Node) -> Validator:
    import jsonschema_rs

    return jsonschema_rs.validator_for(
        schema,
        pattern_options=jsonschema_rs.RegexOptions(size_limit=COMPILED_BYTES),
        offline=True,
        mask="the value",
    )


class ArgumentChecks:
    """Checks by tool, the most recently used kept compiled."""

    def __init__(self, capacity: int = 256) -> None:
        self._capacity = capacity
        self._checks: OrderedDict[str, ArgumentCheck] = OrderedDict()

    def __call__(
        self,
        name: str,
        schema: Mapping[str, Any],
        arguments: Mapping[str, Any],
        leniency: Leniency = PROVIDERS,
    ) -> Checked:
        """What `arguments` are for the tool `name`, whose schema now is `schema`, and what is wrong with them."""
        return self._check(name, schema)(arguments, leniency)

    def left(self, name: str, schema: Mapping[str, Any]) -> Sequence[str]:
        """What of the schema cannot be checked in any arguments."""
        return self._check(name, schema).left

    def _check(self, name: str, schema: Mapping[str, Any]) -> ArgumentCheck:
        check = self._checks.get(name)
        if check is None or (check.schema is not schema and check.schema != schema):
            check = self._checks[name] = ArgumentCheck(schema)
        self._checks.move_to_end(name)
        if len(self._checks) > self._capacity:
            self._checks.popitem(last=False)
        return check


def _problems(error: ValidationError, schema: Node) -> Iterator[Problem]:
    """One error of the checker, taken apart into what the model can mend."""
    here = error.instance_path
    kind = error.kind
    unexpected = getattr(kind, "unexpected", None)
    branches = getattr(kind, "context", None)
    if kind.name in {"additionalProperties", "unevaluatedProperties"} and unexpected:
        for name in unexpected[:MOST_PROBLEMS]:
            yield Problem(pointer([*here, name]), *explain(error, schema, name=name))
    elif kind.name == "required":
        yield Problem(pointer([*here, getattr(kind, "property", "")]), *explain(error, schema))
    elif branches and kind.name in {"anyOf", "oneOf"} and all(branches):
        reason, *more = explain(error, schema)
        yield Problem(pointer(here), f"{reason}; the nearest follows", *more)
        for inner in min(branches, key=lambda branch: _distance(branch, here))[:_BRANCH_NEAREST]:
            yield from _problems(inner, schema)
    else:
        yield Problem(pointer(here), *explain(error, schema))


def _distance(branch: list[ValidationError], here: list[str | int]) -> tuple[int, int]:
    """How far the value is from an alternative: one of another kind is farther than one with something amiss."""
    of_another_kind = sum(error.kind.name in {"type", "const", "enum"} for error in branch)
    at_the_top = sum(error.kind.name == "type" and error.instance_path == here for error in branch)
    return at_the_top * 2 + of_another_kind, len(branch)


def _extent(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """How deep arguments nest, up to one beyond `MAX_DEPTH`, and how many parts they have, as far as that matters."""
    level: list[Any] = [arguments]
    depth = parts = 0
    while level and depth <= MAX_DEPTH:
        depth += 1
        inside = [item for holder in level for item in (holder.values() if isinstance(holder, Mapping) else holder)]
        parts += len(inside)
        level = [item for item in inside if isinstance(item, (Mapping, list, tuple))]
    return depth, parts
