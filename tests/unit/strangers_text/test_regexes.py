"""No regular expression of the package takes more than linear time, whatever text it is given."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import pytest

from tests.unit.strangers_text.expressions import Expression, expressions
from tests.unit.strangers_text.steps import Counter, TooMany, samples

LENGTH = 32
MOST = LENGTH * 500
SLACK = 1.5
"""Twice the text may take thrice the steps: linear is two, the smallest worse one that is met is four."""


@pytest.fixture(autouse=True)
def deep_stack() -> Iterator[None]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    yield
    sys.setrecursionlimit(before)


def worst(expression: Expression) -> str | None:
    """A text that shows more than linear growth, or None."""
    for piece in samples(expression.pattern):
        # What nothing matches stands at the end, so that every way to match is tried.
        short, long = (piece * (length // len(piece) + 1) + "\x00" for length in (LENGTH, 2 * LENGTH))
        try:
            most = int(2 * SLACK * _steps(expression, short, MOST)) + 50
            _steps(expression, long, most)
        except TooMany:
            return f"{piece!r} * n"
    return None


def _steps(expression: Expression, text: str, most: int) -> int:
    counter = Counter(expression.pattern, text, most)
    return counter.search_all() if expression.searches else counter.match_whole()


@pytest.mark.slow
def test_every_expression_takes_linear_steps_for_any_text() -> None:
    found = expressions()
    assert len(found) > 40
    slow = {one.where: (one.pattern.pattern, text) for one in found if (text := worst(one)) is not None}
    assert slow == {}


@pytest.mark.parametrize(
    "pattern",
    [rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', r"\S+@", r"<.*>", r"\s+$", r"(?:a+)+b", r"(?:a|a)*b", r"(?:[^\S\n]+\n?)+x"],
)
def test_what_is_worse_than_linear_is_seen(pattern: str | bytes) -> None:
    assert worst(Expression("", re.compile(pattern), frozenset({"search"}))) is not None
