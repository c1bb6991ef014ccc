"""How many steps a backtracking engine takes for a regular expression, counted by one written out over `re`'s parse.

Counting is exact where a clock is not: twice the text may take about twice the steps, whatever the machine does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from re import _constants as code  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

Then = Callable[[int], bool]
BOUND = 3
"""What a bounded repeat is bounded to here: it is a factor, not growth, and short texts show growth."""


class TooMany(Exception):
    """More steps than were allowed."""


class Counter:
    """One pattern on one text."""

    def __init__(self, pattern: re.Pattern[Any], text: str, most: int) -> None:
        source = pattern.pattern
        self._items = parser.parse(source.decode("latin-1") if isinstance(source, bytes) else source, _flags(pattern))
        self._text, self._most, self.steps = text, most, 0
        self._fold = bool(pattern.flags & re.IGNORECASE)

    def search_all(self) -> int:
        """As ``finditer`` and ``sub``: from every place where the last match ended or failed."""
        at = 0
        while at <= len(self._text):
            end = self._match_from(at)
            at = at + 1 if end is None or end == at else end
        return self.steps

    def match_whole(self) -> int:
        """As ``fullmatch``."""
        self._sequence(self._items, 0, 0, lambda end: end == len(self._text))
        return self.steps

    def _match_from(self, at: int) -> int | None:
        found: list[int] = []
        self._sequence(self._items, 0, at, lambda end: found.append(end) is None)
        return found[0] if found else None

    def _sequence(self, items: Any, index: int, at: int, then: Then) -> bool:
        self.steps += 1
        if self.steps > self._most:
            raise TooMany
        if index == len(items):
            return then(at)
        return self._one(items[index], at, lambda end: self._sequence(items, index + 1, end, then))

    def _one(self, item: Any, at: int, then: Then) -> bool:  # noqa: PLR0911 - one line an opcode
        op, argument = item
        if op in {code.LITERAL, code.NOT_LITERAL, code.ANY, code.IN}:
            return at < len(self._text) and self._fits(item, self._text[at]) and then(at + 1)
        if op is code.BRANCH:
            return any(self._sequence(way, 0, at, then) for way in argument[1])
        if op is code.SUBPATTERN:
            return self._sequence(argument[3], 0, at, then)
        if op is code.ATOMIC_GROUP:
            end = self._atomic(argument, at)
            return end is not None and then(end)
        if op in {code.ASSERT, code.ASSERT_NOT}:
            behind, inner = argument
            start = at if behind > 0 else at - inner.getwidth()[0]
            held = start >= 0 and self._atomic(inner, start) is not None
            return held is (op is code.ASSERT) and then(at)
        if op is code.AT:
            return self._stands(argument, at) and then(at)
        low, high, inner = argument
        low, high = min(low, BOUND), len(self._text) if high is code.MAXREPEAT else min(high, BOUND)
        if op is code.POSSESSIVE_REPEAT:
            for count in range(high):
                end = self._atomic(inner, at)
                if end is None or end == at:
                    if count < low and end is None:
                        return False
                    break
                at = end
            return then(at)
        return self._repeat(op, (low, high, inner), at, 0, then)

    def _repeat(self, op: Any, argument: tuple[int, int, Any], at: int, count: int, then: Then) -> bool:
        low, high, inner = argument

        def again() -> bool:
            further = lambda end: end != at and self._repeat(op, argument, end, count + 1, then)  # noqa: E731
            return count < high and self._sequence(inner, 0, at, further)

        if count < low:
            return self._sequence(inner, 0, at, lambda end: self._repeat(op, argument, end, count + 1, then))
        return (again() or then(at)) if op is code.MAX_REPEAT else (then(at) or again())

    def _atomic(self, items: Any, at: int) -> int | None:
        found: list[int] = []
        self._sequence(items, 0, at, lambda end: found.append(end) is None)
        return found[0] if found else None

    def _stands(self, where: Any, at: int) -> bool:
        text = self._text
        if where in {code.AT_BEGINNING, code.AT_BEGINNING_STRING}:
            return at == 0
        if where in {code.AT_END, code.AT_END_STRING}:
            return at == len(text)
        assert where is code.AT_BOUNDARY
        word = [_category(code.CATEGORY_WORD, text[place]) for place in (at - 1, at) if 0 <= place < len(text)]
        return (word[0] != word[1]) if len(word) == 2 else any(word)

    def _fits(self, item: Any, letter: str) -> bool:
        return _fits(item, letter) or (self._fold and _fits(item, letter.swapcase()))


def _flags(pattern: re.Pattern[Any]) -> int:
    return pattern.flags & ~re.UNICODE if isinstance(pattern.pattern, bytes) else pattern.flags


def _fits(item: Any, letter: str) -> bool:
    op, argument = item
    if op is code.ANY:
        return True
    if op is code.LITERAL:
        return ord(letter) == argument
    if op is code.NOT_LITERAL:
        return ord(letter) != argument
    if op is code.RANGE:
        return bool(argument[0] <= ord(letter) <= argument[1])
    if op is code.CATEGORY:
        return _category(argument, letter)
    negated = argument[0][0] is code.NEGATE
    return any(_fits(one, letter) for one in argument[negated:]) is not negated


def _category(which: Any, letter: str) -> bool:
    name = str(which).removeprefix("CATEGORY_")
    kind = {
        "DIGIT": letter.isdigit(), "SPACE": letter.isspace(), "WORD": letter.isalnum() or letter == "_",
    }[name.removeprefix("NOT_")]  # fmt: skip
    return kind is not name.startswith("NOT_")


def samples(pattern: re.Pattern[Any]) -> list[str]:
    """Short texts made of what the pattern looks for: its letters, its words, and every pair of its letters."""
    source = pattern.pattern
    items = parser.parse(source.decode("latin-1") if isinstance(source, bytes) else source, _flags(pattern))
    letters, words = dict.fromkeys("a"), dict[str, None]()
    for part in _parts(items):
        word = _sample(part)
        words[word[:24]] = None
    for word in words:
        letters.update(dict.fromkeys(word[:1] + word[-1:]))
    some = list(letters)[:5]
    return [text for text in dict.fromkeys([*list(words)[:20], *some, *(a + b for a in some for b in some)]) if text]


def _parts(items: Any) -> Iterator[Sequence[Any]]:
    yield items
    for op, argument in items:
        if op is code.BRANCH:
            for way in argument[1][:4]:
                yield from _parts(way)
        elif op is code.SUBPATTERN:
            yield from _parts(argument[3])
        elif op in {code.MAX_REPEAT, code.MIN_REPEAT, code.POSSESSIVE_REPEAT}:
            yield from _parts(argument[2])
        elif op is code.ATOMIC_GROUP:
            yield from _parts(argument)
        elif op not in {code.ASSERT, code.ASSERT_NOT, code.AT}:
            yield [(op, argument)]


def _sample(items: Any) -> str:
    """A short text that the items match, more or less."""
    made = ""
    for op, argument in items:
        if op is code.LITERAL:
            made += chr(argument)
        elif op in {code.IN, code.ANY, code.NOT_LITERAL}:
            tried = "a1 -./_:\n\t\"'[]{}()<>&|éж中\u202e\u0301" + "".join(map(chr, range(33, 127)))
            exact = (
                "".join(
                    chr(one[1] if one[0] is code.LITERAL else one[1][0])
                    for one in argument
                    if one[0] in {code.LITERAL, code.RANGE}
                )
                if op is code.IN
                else ""
            )
            made += next((letter for letter in tried + exact if _fits((op, argument), letter)), "a")
        elif op is code.BRANCH:
            made += _sample(argument[1][0])
        elif op is code.SUBPATTERN:
            made += _sample(argument[3])
        elif op is code.ATOMIC_GROUP:
            made += _sample(argument)
        elif op in {code.MAX_REPEAT, code.MIN_REPEAT, code.POSSESSIVE_REPEAT}:
            made += _sample(argument[2]) * max(1, min(argument[0], BOUND))
    return made
