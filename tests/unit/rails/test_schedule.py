"""Until when a call may leave, and when its Hub is asked again: within what the Hub remembers, whatever it advertises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jecp_mcp.clock import UnixMs
from jecp_mcp.rails.jecp.schedule import look_again_at, provable_until

NOW = UnixMs(1_800_000_000_000)
MINUTE = 60_000


@pytest.mark.parametrize(
    ("window_seconds", "minutes"),
    [(3_600, 55), (7_200, 115), (86_400, 24 * 60 - 5), (30 * 86_400, 24 * 60 - 5), (600, 5), (60, 0.5)],
)
def test_the_last_instant_is_five_minutes_before_the_hub_forgets_and_a_day_at_most(
    window_seconds: int, minutes: float
) -> None:
    assert provable_until(NOW, window_seconds) == NOW + minutes * MINUTE


@given(st.integers(1, 30 * 86_400))
def test_no_attempt_leaves_when_the_hub_may_have_forgotten_the_first(window_seconds: int) -> None:
    assert NOW < provable_until(NOW, window_seconds) < NOW + window_seconds * 1000


@pytest.mark.parametrize(
    ("attempts", "seconds"), [(1, 30), (4, 30), (5, 60), (8, 60), (9, 120), (13, 240), (17, 480), (21, 600), (400, 600)]
)
def test_rounds_that_reached_the_hub_are_twice_as_far_apart_each_time_up_to_ten_minutes(
    attempts: int, seconds: int
) -> None:
    assert look_again_at(NOW, UnixMs(NOW + 55 * MINUTE), attempts=attempts, left=True) == NOW + seconds * 1000


@given(st.integers(0, 10_000))
def test_while_nothing_leaves_a_minute_is_waited_however_often_it_was_tried(attempts: int) -> None:
    assert look_again_at(NOW, UnixMs(NOW + 55 * MINUTE), attempts=attempts, left=False) == NOW + MINUTE


@given(st.integers(-60, 3_600), st.integers(1, 50), st.booleans(), st.none() | st.integers(0, 86_400_000))
def test_there_is_a_look_two_minutes_before_the_end_and_none_after_it(
    seconds_left: int, attempts: int, left: bool, allowed: int | None
) -> None:
    until = UnixMs(NOW + seconds_left * 1000)
    allowed_at = None if allowed is None else UnixMs(NOW + allowed)
    at = look_again_at(NOW, until, attempts=attempts, left=left, allowed_at=allowed_at)
    assert at <= (until - 2 * MINUTE if seconds_left > 120 else until)
