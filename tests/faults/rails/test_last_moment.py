"""What happens right before the first byte: with the connection up, somebody may still say that it must not leave."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from jecp_mcp.clock import UnixMs, iso
from jecp_mcp.domain.outcomes import Outcome, Verdict
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import HeldBack
from jecp_mcp.http import ExchangeFailed, Http
from jecp_mcp.rails.base import NotNow
from jecp_mcp.rails.codes import TOO_LATE_TO_SEND
from jecp_mcp.rails.jecp.client import HubClient
from tests.faults.rails.raw_hub import (
    ACTION,
    IDENTITY,
    PAID,
    RawHub,
    Script,
    WillingRail,
    raw_hub,
    says,
    streams,
    vanishes,
)

pytestmark = pytest.mark.anyio

HOUR_MS = 3_600_000


async def exchanged(http: Http, url: str, hook: Callable[[], Awaitable[None]], **more: Any) -> None:
    await http.exchange("POST", f"{url}/v1/invoke", body=b"{}", before_sending=hook, **more)


async def streamed(http: Http, url: str, hook: Callable[[], Awaitable[None]], **more: Any) -> None:
    async with http.stream("POST", f"{url}/v1/invoke", body=b"{}", before_sending=hook, **more):
        pass


ROADS = pytest.mark.parametrize("send", [exchanged, streamed])


@ROADS
async def test_the_last_moment_comes_once_with_the_connection_up_and_nothing_sent(send: Any) -> None:
    seen: list[tuple[int, int]] = []

    async with raw_hub(says(PAID)) as hub, Http(hub.url) as http:

        async def look() -> None:
            with anyio.fail_after(60):
                while not hub.connections:
                    await anyio.sleep(0.001)
            seen.append((hub.connections, len(hub.heard)))

        await send(http, hub.url, look)
        await send(http, hub.url, look)
        assert len(hub.heard) == 2
    assert [heard for _, heard in seen] == [0, 1]


@ROADS
@pytest.mark.parametrize("used", [False, True], ids=["a new connection", "a kept one"])
async def test_what_is_held_back_there_never_left(send: Any, used: bool) -> None:
    async def refuse() -> None:
        raise HeldBack("not now")

    async def allow() -> None:
        return

    async with raw_hub(says(PAID)) as hub, Http(hub.url) as http:
        if used:
            await exchanged(http, hub.url, allow)
        with pytest.raises(ExchangeFailed, match="not now") as failed:
            await send(http, hub.url, refuse)
        assert (failed.value.sent, failed.value.phase) == (False, "send")
        assert len(hub.heard) == used
        await send(http, hub.url, allow)
        assert len(hub.heard) == used + 1


@ROADS
async def test_a_last_moment_that_takes_too_long_sends_nothing(send: Any) -> None:
    async with raw_hub(says(PAID)) as hub, Http(hub.url) as http:
        with pytest.raises(ExchangeFailed) as failed:
            await send(http, hub.url, anyio.sleep_forever, timeout=0.5)
        assert (failed.value.sent, hub.heard) == (False, [])


class SleepyClock:
    """A wall clock beside a monotonic one that a story may let fall asleep."""

    def __init__(self) -> None:
        self.at = 1_800_000_000_000

    def now(self) -> UnixMs:
        return UnixMs(self.at)

    def monotonic(self) -> float:
        return 0.0


class Story:
    """A journal that sleeps, or refuses, before the attempt of a number."""

    def __init__(self, clock: SleepyClock, *, sleep: int | None = None, refuse: int | None = None) -> None:
        self.clock, self.sleep, self.refuse, self.asked = clock, sleep, refuse, 0

    async def sending(self) -> None:
        self.asked += 1
        if self.asked == self.sleep:
            self.clock.at += 2 * HOUR_MS
        if self.asked == self.refuse:
            raise NotNow(Refusal("LIMIT_REACHED", "full", source="bridge"), UnixMs(self.clock.at + 60_000))


async def paid(
    *scripts: Script, replay: bool = False, streaming: bool = False, **journal: int
) -> tuple[Outcome, RawHub]:
    clock = SleepyClock()

    async def wait(_seconds: float) -> None:
        return

    async with raw_hub(*scripts) as hub, Http(hub.url) as http:
        client = HubClient(hub.url, http, lambda: IDENTITY, clock)
        rail = WillingRail(client, timeout_seconds=5, clock=clock, random=lambda: 0.5, sleep=wait)
        wanted = ACTION if not streaming else type(ACTION)("acme/tool", "run", "acme", ACTION.price, streaming=True)
        request = rail.request(wanted, {}, clock.now())
        found = await rail.send(request, Story(clock, **journal), replay=replay)
        for heard in hub.heard:
            assert heard.json["mandate"]["expires_at"] == iso(request.provable_until)
        return found, hub


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_machine_that_slept_before_the_first_byte_has_sent_and_paid_nothing(streaming: bool) -> None:
    found, hub = await paid(says(PAID), sleep=1, streaming=streaming)
    assert (found.verdict, found.attempts, hub.heard) == (Verdict.NOT_CHARGED, 0, [])
    assert found.refusal is not None
    assert (found.refusal.code, found.evidence) == (TOO_LATE_TO_SEND, f"never sent: {TOO_LATE_TO_SEND}")


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_machine_that_slept_after_a_lost_answer_does_not_send_again_and_stays_in_doubt(streaming: bool) -> None:
    # Two hours later a Hub that remembers for one would charge a second time.
    lost: Script = streams(("open", {})) if streaming else vanishes
    found, hub = await paid(lost, says(PAID), sleep=2, streaming=streaming)
    assert (found.verdict, found.attempts, len(hub.heard)) == (Verdict.IN_DOUBT, 1, 1)
    assert found.refusal is not None
    assert found.refusal.code == "HUB_LOST_ANSWER"


async def test_a_replay_after_the_last_instant_sends_nothing_and_proves_nothing() -> None:
    found, hub = await paid(says(PAID), sleep=1, replay=True)
    assert (found.verdict, found.attempts, hub.heard) == (Verdict.IN_DOUBT, 0, [])


async def test_a_full_limit_at_the_first_attempt_refuses_and_after_a_lost_answer_waits_for_room() -> None:
    found, hub = await paid(says(PAID), refuse=1)
    assert found.refusal is not None
    assert (found.verdict, found.refusal.code, found.attempts, hub.heard) == (
        Verdict.NOT_CHARGED, "LIMIT_REACHED", 0, [],
    )  # fmt: skip
    found, hub = await paid(vanishes, says(PAID), refuse=2)
    assert (found.verdict, found.attempts, len(hub.heard)) == (Verdict.IN_DOUBT, 1, 1)
    assert found.look_again_at == SleepyClock().at + 60_000


async def test_attempts_that_did_not_leave_are_not_counted_and_looked_after_in_a_minute() -> None:
    clock = SleepyClock()
    async with raw_hub(says(PAID)) as hub:
        url = hub.url
    async with Http(url) as http:
        client = HubClient(url, http, lambda: IDENTITY, clock)

        async def wait(_seconds: float) -> None:
            return

        rail = WillingRail(client, timeout_seconds=5, clock=clock, random=lambda: 0.5, sleep=wait)
        request = rail.request(ACTION, {}, clock.now())
        found = await rail.send(request, replay=True, attempts=7)
    assert (found.verdict, found.attempts, found.look_again_at) == (Verdict.IN_DOUBT, 0, clock.at + 60_000)
