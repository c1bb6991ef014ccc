"""What answers say of the Hub's clock, also when a cache between gives them again."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jecp_mcp.clock import UnixMs
from jecp_mcp.rails.jecp.account import HubAccount
from jecp_mcp.rails.jecp.hub_time import HubTime
from tests.faults.rails.raw_hub import bench, raw_hub, says

NOW = 1_800_000_000


class StillClock:
    def now(self) -> UnixMs:
        return UnixMs(NOW * 1000)

    def monotonic(self) -> float:
        return 0.0


def dated(at: int, **more: str) -> dict[str, str]:
    return {"date": formatdate(at, usegmt=True), **more}


@given(ahead=st.integers(-100_000, 100_000), age=st.integers(0, 10_000_000))
def test_the_age_of_a_cached_answer_is_added_to_its_date(ahead: int, age: int) -> None:
    time = HubTime(StillClock())
    time.note(dated(NOW - ahead - age, age=f" {age} "))
    assert time.skew() == ahead


@pytest.mark.parametrize("age", ["", "-1", "1.5", "soon", "5, 5", "9" * 11, "\u0665"])
def test_an_answer_of_unknown_age_tells_nothing(age: str) -> None:
    time = HubTime(StillClock())
    time.note(dated(NOW - 4_000, age=age))
    assert time.skew() is None
    time.note(dated(NOW))
    time.note(dated(NOW - 4_000, age=age))
    assert time.skew() == 0


@pytest.mark.anyio
async def test_a_guide_from_a_cache_does_not_put_the_clock_in_doubt() -> None:
    stale = says({}, "200 OK", "Date: Sat, 21 Nov 2020 10:00:00 GMT", "Age: 99999999999")
    async with raw_hub(stale) as hub, bench(hub.url) as parts:
        assert await HubAccount(parts.client).skew(fresh=True) is None
        assert hub.heard[0].headers["cache-control"] == "no-cache"
