"""The operator's globs over actions, and which of them can match nothing. Pure: no I/O.

A glob is `fnmatch.fnmatchcase`'s: ``*`` crosses ``/`` and ``:`` too, and case counts. Where several sources are called
by names, ``name::`` before it says at which of them; without, it means all of them (but in an allow: `means_source`).
It is matched against ids whose grammar is known (JECP 01-protocol §3.3, and ``paid-http/host:method``): all in lower
case, never with a version. A deny that can match none of them would let everything through in silence, so it is
refused instead.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

from jecp_mcp.settings.merchants import PAID_HTTP
from jecp_mcp.source_names import FIRST, NAMED, NAMED_TOOL, split_source

_LETTERS: Final = frozenset(string.ascii_lowercase)
_INNER: Final = _LETTERS | frozenset(string.digits) | {"-"}
_ALPHABET: Final = sorted(_INNER | set("/:_."))
_PAID_HTTP: Final = f"{PAID_HTTP}/"
EVERYTHING_NAMED: Final = f"*{NAMED}*"
"""The glob that matches whatever is on offer at a source with a name."""

_Step = Callable[[int, str], int | None]
"""A state of a grammar and a character of it give the next state, or None."""


def _id_step(state: int, char: str) -> int | None:
    """``name`` or ``namespace/name`` (accepted in 1 and 3), then ``:action`` (in 5)."""
    if state in {0, 2, 4}:
        return state + 1 if char in _LETTERS else None
    if char in _INNER:
        return state
    if char == "/" and state == 1:
        return 2
    return 4 if char == ":" and state != 5 else None  # noqa: PLR2004  # within an action


def _tool_step(state: int, char: str) -> int | None:
    """A tool's name (accepted in 1)."""
    if state == 0:
        return 1 if char in _LETTERS else None
    return 1 if char in _INNER or char == "_" else None


def _source_step(state: int, char: str) -> int | None:
    """The name of a source (accepted in 1)."""
    if state == 0:
        return 1 if char in _LETTERS else None
    return 1 if char in _INNER and char != "-" else None


def _paid_http_step(state: int, char: str) -> int | None:
    """``paid-http/`` and a host's name (accepted in the state after that), then ``:method`` (in the one but two)."""
    host = len(_PAID_HTTP)
    if state < host:
        return state + 1 if char == _PAID_HTTP[state] else None
    if state <= host + 1:
        if char == ":":
            return host + 2 if state == host + 1 else None
        return host + 1 if char in _INNER or char == "." else None
    return host + 3 if char in _LETTERS else None


class Over(Enum):
    """What a setting's globs are matched against, as grammars with their accepting states."""

    EVERY_NAME = (
        (_id_step, frozenset({1, 3, 5})),
        (_tool_step, frozenset({1})),
        (_paid_http_step, frozenset({len(_PAID_HTTP) + 1, len(_PAID_HTTP) + 3})),
    )
    """An action's key, its capability, its tool's name, or a merchant of paid HTTP."""
    IDS = ((_id_step, frozenset({1, 3, 5})),)
    """An action's key or its capability."""
    TOOLS = ((_tool_step, frozenset({1})),)
    """A tool's name."""
    KEYS_AND_TOOLS = ((_id_step, frozenset({5})), (_tool_step, frozenset({1})))
    """An action's key, or its tool's name."""
    SOURCES = ((_source_step, frozenset({1})),)
    """What the operator calls a source."""


@lru_cache(maxsize=4096)
def matches(pattern: str, names: tuple[str, ...]) -> bool:
    """Whether a glob fits one of `names`, those of one thing. One that names a source fits what is on offer there."""
    where, mark, rest = pattern.partition(NAMED)
    if mark and where == FIRST:
        return not any(NAMED in name for name in names) and matches(rest, names)
    return any(fnmatchcase(name, pattern) for name in names if (NAMED in name) is bool(mark))


def means_source(pattern: str, source_name: str) -> bool:
    """Whether an allow may mean a source: without a name for it, it means the first source only.

    Args:
        source_name: as `Offer.source_name`.
    """
    return not source_name or NAMED in pattern or pattern.startswith(f"{source_name}{NAMED_TOOL}")


def ids_of(key: str) -> tuple[str, ...]:
    """What a glob over ids is matched against: a key and its capability, also without the name of their source."""
    name, rest = split_source(key)
    whole = (key, key.rpartition(":")[0])
    return (*whole, rest, rest.rpartition(":")[0]) if name else whole


def can_match(pattern: str, over: Over) -> bool:
    """Whether there is any name at all that a glob fits."""
    where, mark, rest = pattern.partition(NAMED)
    if not mark:
        return _can_match(pattern, over.value)
    # A tool's name has that of its source in it.
    ids = [(step, accepted) for step, accepted in over.value if step is _id_step]
    return _can_match(where, Over.SOURCES.value) and _can_match(rest, ids)


def check_pattern(pattern: str, over: Over) -> str:
    """The same pattern.

    Raises:
        ValueError: it can match nothing.
    """
    if can_match(pattern, over):
        return pattern
    nearest = re.sub("@[^:]*", "", pattern.strip().lower())
    hint = f'; did you mean "{nearest}"?' if nearest and can_match(nearest, over) else ""
    raise ValueError(
        'matches no action there can be: ids are like "docs/pdf:merge", in lower case and without a version' + hint
    )


def within(pattern: str, wider: str) -> bool:
    """Whether all that a glob fits is surely fitted by a `wider` one; False also where that is not easily told."""
    if pattern == wider:
        return True
    if any((mark in pattern) is not (mark in wider) for mark in (NAMED, NAMED_TOOL)):
        # One of them means a source of its own.
        return False
    # Then only the wildcard of the wider one can take a wildcard of the other.
    return not set("?[") & set(wider) and not set("[]") & set(pattern) and fnmatchcase(pattern, wider)


def _can_match(pattern: str, grammars: Iterable[tuple[_Step, frozenset[int]]]) -> bool:
    tokens = tuple(_tokens(pattern))
    return any(_meets(tokens, step, accepted) for step, accepted in grammars)


def _tokens(pattern: str) -> Iterator[str]:
    """A glob in parts: a character, a wildcard, or a ``[class]``, where fnmatch sees one."""
    at = 0
    while at < len(pattern):
        end = at + 1
        if pattern[at] == "[":
            begin = at + 2 if pattern[at + 1 : at + 2] == "!" else at + 1
            close = pattern.find("]", begin + 1)
            end = close + 1 if close >= 0 else end
        yield pattern[at:end]
        at = end


def _meets(tokens: tuple[str, ...], step: _Step, accepted: frozenset[int]) -> bool:
    """Whether a glob and a grammar have a word in common: both are followed side by side."""
    states = {0}
    for token in tokens:
        if token == "*":  # noqa: S105  # a wildcard
            fresh = states
            while fresh:
                fresh = {after for state in fresh for c in _ALPHABET if (after := step(state, c)) is not None} - states
                states |= fresh
            continue
        # A "[" that is no class stands for itself, which is in no grammar.
        fitting = [c for c in _ALPHABET if fnmatchcase(c, token)]
        states = {after for state in states for c in fitting if (after := step(state, c)) is not None}
    return not accepted.isdisjoint(states)
