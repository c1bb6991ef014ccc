"""What speaks for and against a machine's clock, without any ledger or payee."""

from __future__ import annotations

import sys
import time

import pytest

from jecp_mcp import clock as clocks
from jecp_mcp.calls.clock_check import MOST_SKEW_SECONDS, ClockCheck
from jecp_mcp.calls.codes import CLOCK_WRONG
from jecp_mcp.clock import SystemClock
from jecp_mcp.errors import PayeeError
from jecp_mcp.rails.registry import Rails, Way
from tests.rails import PlainRail
from tests.unit.calls.test_pipeline import StillClock

pytestmark = pytest.mark.anyio

DAY_MS = 86_400_000
FAR_MS = int(MOST_SKEW_SECONDS * 1000) + 1


class Teller:
    """Whoever tells the time: was `heard` while the process began, or never; `answers` now, or is away."""

    def __init__(self, clock: StillClock, *, heard: bool, answers: bool, dated: bool = True) -> None:
        self.clock, self.begun, self.was_heard, self.answers, self.dated = clock, clock.leapt, heard, answers, dated
        self.asked = 0

    def heard(self) -> float | None:
        return (self.clock.leapt - self.begun) / 1000 if self.was_heard else None

    async def skew(self, *, fresh: bool = False) -> float | None:
        if not fresh and self.was_heard:
            return self.heard()
        self.asked += 1
        if not self.answers:
            raise PayeeError("HUB_UNREACHABLE", "It is away.")
        self.was_heard = self.was_heard or self.dated
        return self.heard()

    def agree(self) -> None:
        """The clock is right as it is now."""
        self.begun = self.clock.leapt


def check(clock: StillClock, *tellers: Teller) -> ClockCheck:
    return ClockCheck(Rails([Way(rail=PlainRail(), sources=(), witness=one) for one in tellers]), clock)


def silent(kind: str, clock: StillClock) -> list[Teller]:
    heard, new = Teller(clock, heard=True, answers=False), Teller(clock, heard=False, answers=False)
    timeless = Teller(clock, heard=False, answers=True, dated=False)
    return {"none": [], "heard": [heard], "new": [new], "timeless": [timeless], "several": [new, timeless, heard]}[kind]


async def wrong(checked: ClockCheck) -> bool:
    """Whether a rail whose payees tell no time is refused for the clock."""
    faults = [await checked.fault(None, fresh=fresh) for fresh in (False, True)]
    assert (faults[0] is None) == (faults[1] is None)
    assert {fault.code for fault in faults if fault is not None} <= {CLOCK_WRONG}
    return faults[0] is not None


SILENT = pytest.mark.parametrize("kind", ["none", "heard", "new", "timeless", "several"])


@SILENT
@pytest.mark.parametrize("leap", [FAR_MS, 25 * DAY_MS, -FAR_MS, -25 * DAY_MS])
async def test_a_leap_is_a_fault_until_it_is_undone_where_nobody_confirms_it(kind: str, leap: int) -> None:
    clock = StillClock()
    checked = check(clock, *silent(kind, clock))
    seen = [await wrong(checked)]
    clock.leap(leap)
    seen += [await wrong(checked), await wrong(checked), (await checked.house_fault()) is not None]
    clock.leap(-leap)
    seen.append(await wrong(checked))
    assert seen == [False, True, True, True, False]


@SILENT
async def test_time_that_passes_asleep_or_awake_is_no_leap(kind: str) -> None:
    clock = StillClock()
    tellers = silent(kind, clock)
    checked = check(clock, *tellers)
    clock.at += 30 * DAY_MS
    clock.leap(FAR_MS - 1)
    assert (await wrong(checked), [one.asked for one in tellers]) == (False, [0] * len(tellers))


@SILENT
@pytest.mark.parametrize("leap", [DAY_MS, -DAY_MS])
async def test_who_confirms_a_leap_ends_it_for_good_and_who_denies_it_ends_nothing(kind: str, leap: int) -> None:
    clock = StillClock()
    there = Teller(clock, heard=False, answers=True)
    checked = check(clock, *silent(kind, clock), there)
    clock.leap(leap)
    assert await wrong(checked)
    there.agree()
    assert not await wrong(checked)
    there.answers = False
    if kind not in {"heard", "several"}:
        assert not await wrong(checked)


@pytest.mark.parametrize("leap", [DAY_MS, -DAY_MS])
async def test_a_payee_that_does_not_tell_the_time_is_not_bought_from_after_a_leap(leap: int) -> None:
    clock = StillClock()
    own = Teller(clock, heard=False, answers=True, dated=False)
    checked = check(clock, own)
    assert await checked.fault(own) is None
    clock.leap(leap)
    fault = await checked.fault(own)
    assert fault is not None
    assert (fault.code, fault.details) == (CLOCK_WRONG, {"leap_seconds": leap // 1000})
    own.dated = True
    own.agree()
    assert await checked.fault(own) is None


@SILENT
async def test_a_clock_that_the_ledger_took_for_right_vouches_for_itself_while_it_runs_evenly(kind: str) -> None:
    clock = StillClock()
    checked = check(clock, *silent(kind, clock))
    said = [await checked.is_right(None)]
    checked.believed()
    said.append(await checked.is_right(None))
    clock.leap(DAY_MS)
    said.append(await checked.is_right(None))
    clock.leap(-DAY_MS)
    clock.at += DAY_MS
    said.append(await checked.is_right(None))
    assert said == [None, True, None, True]


async def test_who_tells_the_time_now_outweighs_what_the_ledger_took_for_right() -> None:
    clock = StillClock()
    there = Teller(clock, heard=True, answers=True)
    checked = check(clock, there)
    checked.believed()
    there.begun -= DAY_MS
    assert await checked.is_right(None) is False
    there.agree()
    assert await checked.is_right(there) is True


def test_the_machines_clock_goes_on_while_it_sleeps() -> None:
    if sys.platform != "linux":
        pytest.skip("another system's clock")
    asleep = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert 0 <= SystemClock().monotonic() - asleep < 60


@pytest.mark.parametrize(
    ("names", "platform", "broken", "found"),
    [
        ({"CLOCK_BOOTTIME": 7, "CLOCK_MONOTONIC_RAW": 4}, "linux", False, 7),
        ({"CLOCK_BOOTTIME": 7}, "linux", True, None),
        ({"CLOCK_MONOTONIC_RAW": 4}, "linux", False, None),
        ({"CLOCK_MONOTONIC_RAW": 4}, "darwin", False, 4),
        ({}, "win32", False, None),
    ],
)
def test_each_system_has_its_clock_that_counts_sleep(
    monkeypatch: pytest.MonkeyPatch, names: dict[str, int], platform: str, broken: bool, found: int | None
) -> None:
    def read(_which: int) -> float:
        if broken:
            raise OSError("Invalid argument")
        return 1.0

    for name in ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC_RAW"):
        monkeypatch.delattr(time, name, raising=False)
    for name, number in names.items():
        monkeypatch.setattr(time, name, number, raising=False)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(time, "clock_gettime", read, raising=False)
    assert clocks._unsleeping() == found
