"""What the latest calls asked for: each is looked at once, and no copy is missed."""

from __future__ import annotations

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jecp_mcp.mandate.sql_conditions import COPIES_AMONG
from jecp_mcp.mandate.sqlite.ledger_queries import LedgerQueries
from jecp_mcp.mandate.sqlite.recent_calls import RecentCalls


class Calls:
    """A table of calls, and how many of its rows were read."""

    def __init__(self) -> None:
        self.connection = apsw.Connection(":memory:")
        self.connection.execute(
            "CREATE TABLE call(id INTEGER PRIMARY KEY, fingerprint TEXT, call_id TEXT AS ('c' || id))"
        )
        self.read = 0
        self.connection.row_trace = self._count
        self.asked: list[str] = []

    def _count(self, _cursor: object, row: tuple[object, ...]) -> tuple[object, ...]:
        self.read += 1
        return row

    def add(self, *asked: str) -> None:
        rows = [(one if one[0] != "-" else f"{one[1:]}.label",) for one in asked]
        self.connection.executemany("INSERT INTO call(fingerprint) VALUES (?)", rows)
        self.asked += [one.removeprefix("-") for one in asked]

    def has_earlier_copy(self, number: int) -> bool:
        return self.asked[number - 1] in self.asked[max(0, number - 1 - COPIES_AMONG) : number - 1]


@pytest.mark.slow
@given(st.lists(st.tuples(st.lists(st.sampled_from(["a", "b", "-a", "c"])), st.integers(0, 1_600), st.integers(0, 9))))
def test_a_call_that_is_said_to_have_no_copy_has_none_among_those_before_it(
    lives: list[tuple[list[str], int, int]],
) -> None:
    calls, recent = Calls(), RecentCalls()
    for asked, others, back in lives:
        calls.add(*asked, *(f"other {len(calls.asked) + at}" for at in range(others)))
        number = max(1, len(calls.asked) - back)
        if calls.asked and not recent.may_have_copies(calls.connection, number, calls.asked[number - 1]):
            assert not calls.has_earlier_copy(number)


def test_each_call_is_looked_at_once_for_the_copies_of_later_ones() -> None:
    calls, recent = Calls(), RecentCalls()
    calls.add(*(f"other {at}" for at in range(5_000)))
    assert not recent.may_have_copies(calls.connection, 5_000, "other 4999")
    assert calls.read <= COPIES_AMONG + 1
    before = calls.read
    for number in range(5_001, 5_401):
        calls.add(f"other {number - 1}")
        assert not recent.may_have_copies(calls.connection, number, f"other {number - 1}")
    assert calls.read - before == 400
    calls.add("other 5000")
    assert recent.may_have_copies(calls.connection, 5_401, "other 5000")


def test_what_became_of_other_calls_is_not_read_where_none_is_a_copy() -> None:
    calls = Calls()
    calls.add("one", "other")
    queries = LedgerQueries(calls.connection, RecentCalls())
    assert [queries.copy_number(name) for name in ("c1", "c2", "c3")] == [1, 1, 0], "the table knows no states"
