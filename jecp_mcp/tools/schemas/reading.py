"""Arguments as clients are known to write them, read as the schema wants them. Pure: no I/O.

Only what the schema refuses is read at all, and a reading counts only where the whole then fits: what fits as it is
stays as it is, and what fits in no reading is refused as it was sent. Read are, each at the very place that is refused:

- null as left out, where the property is optional; for some tools an empty text likewise;
- the JSON text of a number or an object, where the schema wants that type;
- an amount with a dollar sign, where the tool says that an argument is money;
- a member that hosts are known to add, as left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from jecp_mcp import jsontext
from jecp_mcp.errors import WireError
from jecp_mcp.tools.schemas.json_values import number
from jecp_mcp.tools.schemas.problem_words import pointer

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError

HOST_KEYS: Final = frozenset({"toolCallId", "sessionId", "action", "chatInput", "task_progress"})
"""What hosts add to a call's arguments by themselves: n8n the first four, Cline the last."""

_ROUNDS: Final = 6
"""How often a reading may bring up something else to be read: a text that holds an object that holds a null, say."""
_MOST_CHECKS: Final = 32
_MOST_BRANCHES: Final = 8
_MOST_NOTICES: Final = 4
_MOST_TEXT: Final = 4 * 1024 * 1024
_MOST_DIGITS: Final = 100
_DOLLAR: Final = "$"
_CLOSED: Final = frozenset({"additionalProperties", "unevaluatedProperties"})
_UNIONS: Final = frozenset({"anyOf", "oneOf"})
_NUMBERS: Final = frozenset({"number", "integer"})

_Place = tuple[str | int, ...]
_LEFT_OUT: Final = object()
_UNREAD: Final = object()


@dataclass(frozen=True, slots=True)
class Leniency:
    """What is read of a tool's arguments beyond what is read of everybody's.

    Attributes:
        empty: whether an empty text counts as left out, as null does.
        money: the arguments that are amounts, which may begin with a dollar sign.
    """

    empty: bool = False
    money: frozenset[str] = frozenset()


PROVIDERS: Final = Leniency()
"""For the arguments of what is bought, of which only the provider knows what they mean."""


class Reading(NamedTuple):
    """Arguments after reading.

    Attributes:
        arguments: as they fit the schema or, where no reading does, with as much read as could be.
        notices: what was read how, in our own words; nothing of what counts as left out because it holds nothing.
        errors: what the schema still finds wrong with them.
    """

    arguments: Mapping[str, Any]
    notices: tuple[str, ...]
    errors: Sequence[ValidationError]


class _Change(NamedTuple):
    place: _Place
    value: Any
    notice: str | None = None


@dataclass(slots=True)
class _Trail:
    """What was left out so far, with its value, and where leaving out was of no use."""

    left_out: dict[_Place, Any] = field(default_factory=dict)
    needed: set[_Place] = field(default_factory=set)

    def __copy__(self) -> _Trail:
        return _Trail(dict(self.left_out), set(self.needed))


class _Exhausted(Exception):  # a way out of the recursion, never seen outside this module
    """Finding a reading takes more checks than one call is worth."""


def read(
    arguments: Mapping[str, Any],
    errors: Callable[[Mapping[str, Any]], Sequence[ValidationError]],
    named: frozenset[str],
    leniency: Leniency = PROVIDERS,
) -> Reading:
    """Read arguments that do not fit.

    Args:
        arguments: as they were sent; not changed.
        errors: what a schema finds wrong with arguments.
        named: the names that the schema has for them, none of which is taken for a host's.
        leniency: what else is read.

    Raises:
        ValueError: what was read is not JSON, as `errors` says.
    """
    return _Reader(errors, named, leniency).read(arguments)


class _Reader:
    """One call's arguments being read."""

    def __init__(
        self,
        errors: Callable[[Mapping[str, Any]], Sequence[ValidationError]],
        named: frozenset[str],
        leniency: Leniency,
    ) -> None:
        self._find_errors = errors
        self._foreign = HOST_KEYS - named
        self._leniency = leniency
        self._checks = 0

    def read(self, arguments: Mapping[str, Any]) -> Reading:
        value, trail = arguments, _Trail()
        notices: dict[_Place, str] = {}
        first = errors = self._errors(value)
        try:
            for _ in range(_ROUNDS):
                changes = self._changes(value, errors, trail)
                if not changes:
                    break
                value = _apply(value, changes, trail)
                notices |= {one.place: one.notice for one in changes if one.notice is not None}
                errors = self._errors(value)
        except _Exhausted:
            return Reading(arguments, (), first)
        return Reading(value, _bounded(list(notices.values())), errors)

    def _errors(self, value: Mapping[str, Any]) -> Sequence[ValidationError]:
        self._checks += 1
        if self._checks > _MOST_CHECKS:
            raise _Exhausted
        return self._find_errors(value)

    def _changes(self, value: Any, errors: Iterable[ValidationError], trail: _Trail) -> list[_Change]:
        """How what the errors are about can be read, each place once."""
        found: dict[_Place, _Change] = {}
        for error in errors:
            for change in self._for_error(value, error, trail):
                found.setdefault(change.place, change)
        # What is within something that is read otherwise is looked at again after that.
        return [one for one in found.values() if not any(one.place[:at] in found for at in range(1, len(one.place)))]

    def _for_error(self, value: Any, error: ValidationError, trail: _Trail) -> Iterator[_Change]:
        kind: Any = error.kind
        place = tuple(error.instance_path)
        if kind.name == "required":
            missing = (*place, kind.property)
            if missing in trail.left_out:
                # It is not optional: it stays, and is what is wrong.
                trail.needed.add(missing)
                yield _Change(missing, trail.left_out[missing])
            return
        if kind.name in _CLOSED and (unexpected := getattr(kind, "unexpected", None)):
            for name in unexpected:
                yield from self._leave_out(value, (*place, name), trail, empty=False)
            return
        if kind.name == "propertyNames":
            yield from self._leave_out(value, (*place, kind.error.instance), trail, empty=False)
            return
        given = _at(value, place)
        changes = list(self._leave_out(value, place, trail, empty=self._leniency.empty))
        if not changes and kind.name in _UNIONS:
            changes = self._for_union(value, error, trail)
        elif not changes and isinstance(given, str):
            changes = [change for change in (self._for_text(given, place, kind),) if change is not None]
        yield from changes

    def _leave_out(self, value: Any, place: _Place, trail: _Trail, *, empty: bool) -> Iterator[_Change]:
        """Leave a member out where it holds nothing or is a host's."""
        if not place or not isinstance(place[-1], str) or place in trail.needed:
            return
        given = _at(value, place)
        if given is None or (empty and given == ""):
            yield _Change(place, _LEFT_OUT)
        elif len(place) == 1 and place[0] in self._foreign:
            yield _Change(place, _LEFT_OUT, f"{place[0]} is no argument of this tool and was left out.")

    def _for_text(self, given: str, place: _Place, kind: Any) -> _Change | None:
        money = len(place) == 1 and place[0] in self._leniency.money and given.startswith(_DOLLAR)
        where = pointer(place)
        if kind.name == "pattern" and money:
            return _Change(place, given[1:].strip(), f"{where} was read without its dollar sign.")
        if kind.name != "type":
            return None
        read = _value_of(given[1:] if money else given, frozenset(kind.types))
        if read is _UNREAD:
            return None
        what = "an object" if isinstance(read, dict) else "a number"
        return _Change(place, read, f"{where} was sent as text and read as {what}.")

    def _for_union(self, value: Any, error: ValidationError, trail: _Trail) -> list[_Change]:
        """How to read what fits none of several alternatives: for the one that takes the least."""
        branches = getattr(error.kind, "context", None) or ()
        found = [
            changes
            for number in range(min(len(branches), _MOST_BRANCHES))
            if (changes := self._for_branch(value, error, number, copy(trail))) is not None
        ]
        return min(found, key=len, default=[])

    def _for_branch(self, value: Any, error: ValidationError, branch: int, trail: _Trail) -> list[_Change] | None:
        """How to read it for one alternative; None where it then still fits none."""
        met: ValidationError | None = error
        made: dict[_Place, _Change] = {}
        for _ in range(_ROUNDS):
            context = getattr(met.kind, "context", None) if met is not None else None
            changes = self._changes(value, context[branch], trail) if context else []
            if not changes:
                return None
            made |= {change.place: change for change in changes}
            value = _apply(value, changes, trail)
            met = self._same(error, value)
            if met is None:
                return list(made.values())
        return None

    def _same(self, error: ValidationError, value: Any) -> ValidationError | None:
        """The same refusal of a value that has changed; None where it is none any more."""
        known = (error.instance_path, error.schema_path)
        waiting = list(self._errors(value))
        while waiting:
            one = waiting.pop()
            if (one.instance_path, one.schema_path) == known:
                return one
            for branch in getattr(one.kind, "context", None) or ():
                waiting += branch
        return None


def _value_of(text: str, wanted: frozenset[str]) -> Any:
    """The number or object that a JSON text stands for, where one of that type is wanted."""
    try:
        if "object" in wanted and text.lstrip()[:1] == "{":
            jsontext.loads(text, max_bytes=_MOST_TEXT)
            return json.loads(text)
        if wanted & _NUMBERS and len(text) <= _MOST_DIGITS:
            read = number(json.loads(text))
            return read if read is not None and ("number" in wanted or read == int(read)) else _UNREAD
    except (WireError, ValueError, RecursionError):
        pass
    return _UNREAD


def _at(value: Any, place: _Place) -> Any:
    for step in place:
        value = value[step]
    return value


def _apply(value: Any, changes: Sequence[_Change], trail: _Trail) -> Any:
    """A copy with the changes; what they do not touch is shared with the original."""
    for change in changes:
        if change.value is _LEFT_OUT:
            trail.left_out[change.place] = _at(value, change.place)
        value = _changed(value, change.place, change.value)
    return value


def _changed(value: Any, place: _Place, new: Any) -> Any:
    if not place:
        return new
    made = copy(value) if isinstance(value, list) else dict(value)
    step: Any = place[0]
    if len(place) == 1 and new is _LEFT_OUT:
        del made[step]
    else:
        made[step] = _changed(made[step], place[1:], new) if len(place) > 1 else new
    return made


def _bounded(notices: list[str]) -> tuple[str, ...]:
    if len(notices) <= _MOST_NOTICES:
        return tuple(notices)
    return (*notices[: _MOST_NOTICES - 1], f"{len(notices) - _MOST_NOTICES + 1} more arguments were read so.")
