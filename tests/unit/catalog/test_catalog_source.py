"""The live catalog: complete or unchanged, bounded, and quick to say what changed."""

import json
import logging
import math
from pathlib import Path

import anyio
import pytest

from jecp_mcp.catalog.contents import CatalogDiff
from jecp_mcp.catalog.sources import AllOffers, Outage
from jecp_mcp.errors import PayeeError
from jecp_mcp.http import HttpAnswer
from jecp_mcp.rails.jecp import catalog_source as module
from jecp_mcp.rails.jecp.catalog_source import CatalogSource
from jecp_mcp.rails.jecp.reachability import Reachability
from jecp_mcp.settings import CatalogSettings
from tests.unit.catalog.hubs import FakeClock, FakeHub, capability, unreachable

pytestmark = pytest.mark.anyio

HUB = "https://hub.example"


def make(hub: FakeHub, clock: FakeClock, path: Path | None = None, **settings) -> CatalogSource:
    return CatalogSource(hub, HUB, path, CatalogSettings(**settings), clock)


async def test_before_the_first_fetch_the_catalog_is_empty_and_whole(hub, clock):
    source = make(hub, clock)
    assert dict(source.current.actions) == {}
    assert source.current.fetched_at is None
    assert hub.asked == []


async def test_every_page_is_fetched_and_the_difference_told(hub, clock):
    source = make(hub, clock)
    diff = await source.refresh()
    assert set(source.current.actions) == {"acme/pdf:make", "acme/pdf:merge", "acme/csv:analyse", "echo:say"}
    assert diff.added == ("acme/csv:analyse", "acme/pdf:make", "acme/pdf:merge", "echo:say")
    assert not diff.unchanged
    assert source.current.fetched_at == clock.now()
    assert len(hub.asked) == 2


async def test_both_dialects_are_told_the_page_size(hub, clock):
    await make(hub, clock).refresh()
    assert "page_size=200" in hub.asked[0][0]
    assert "limit=200" in hub.asked[0][0]


async def test_an_unchanged_catalog_costs_only_304s_and_keeps_its_revision(hub, clock):
    source = make(hub, clock)
    await source.refresh()
    revision, actions = source.current.revision, dict(source.current.actions)
    clock.at += 60_000
    diff = await source.refresh()
    assert diff.unchanged
    assert hub.statuses == [200, 200, 304, 304]
    assert source.current.revision == revision
    assert dict(source.current.actions) == actions
    assert source.current.fetched_at == clock.now()


async def test_a_hub_without_etags_is_read_again_and_unchanged(hub, clock):
    hub.etags = False
    source = make(hub, clock)
    await source.refresh()
    assert (await source.refresh()).unchanged


async def test_what_was_added_removed_and_changed_is_told_and_the_revision_moves(hub, clock):
    source = make(hub, clock)
    await source.refresh()
    revision = source.current.revision
    hub.capabilities = [capability("acme/pdf", "make", price="0.007"), capability("new/thing", "do")]
    diff = await source.refresh()
    assert diff == CatalogDiff(
        added=("new/thing:do",), removed=("acme/csv:analyse", "acme/pdf:merge", "echo:say"), changed=("acme/pdf:make",)
    )
    assert source.current.revision != revision


async def test_statistics_are_taken_over_and_are_no_change(hub, clock):
    hub.capabilities = [capability("acme/pdf", "make", total_calls=1)]
    source = make(hub, clock)
    await source.refresh()
    revision = source.current.revision
    hub.capabilities = [capability("acme/pdf", "make", total_calls=2)]
    assert (await source.refresh()).unchanged
    assert source.current.actions["acme/pdf:make"].total_calls == 2
    assert source.current.revision == revision


async def test_a_failure_between_two_pages_changes_nothing(hub, clock):
    source = make(hub, clock)
    await source.refresh()
    before = source.current
    hub.capabilities = [capability("new/thing", "do")] * 3
    hub.before = lambda url, _: HttpAnswer(502, {}, b"<html>") if "cursor" in url else None
    with pytest.raises(PayeeError) as failed:
        await source.refresh()
    assert failed.value.code == "HUB_MISBEHAVED"
    assert source.current is before


async def test_an_unreachable_hub_is_an_error_with_its_own_code(hub, clock):
    hub.before = unreachable
    with pytest.raises(PayeeError) as failed:
        await make(hub, clock).refresh()
    assert failed.value.code == "HUB_UNREACHABLE"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"capabilities": 3}', b"\xff", b"[" * 100_000])
async def test_what_is_no_catalog_is_refused(hub, clock, body):
    hub.before = lambda *_: HttpAnswer(200, {}, body)
    with pytest.raises(PayeeError) as failed:
        await make(hub, clock).refresh()
    assert failed.value.code == "HUB_MISBEHAVED"


async def test_a_304_for_something_never_seen_is_refused(hub, clock):
    hub.before = lambda *_: HttpAnswer(304, {}, b"")
    with pytest.raises(PayeeError):
        await make(hub, clock).refresh()


async def test_cursors_that_lead_in_a_circle_end_the_walk(hub, clock):
    pages = {"0": ("a", "1"), "1": ("b", "2"), "2": ("c", "1")}

    def circle(url, _headers):
        name, cursor = pages[url.rpartition("cursor=")[2] if "cursor=" in url else "0"]
        page = {"capabilities": [capability(f"acme/{name}", "do")], "next_cursor": cursor, "has_more": True}
        return HttpAnswer(200, {}, json.dumps(page).encode())

    hub.before = circle
    source = make(hub, clock)
    await source.refresh()
    assert set(source.current.actions) == {"acme/a:do", "acme/b:do", "acme/c:do"}
    assert len(hub.asked) == 3


async def test_a_catalog_without_end_is_given_up_and_the_old_one_kept(hub, clock, monkeypatch):
    monkeypatch.setattr(module, "MAX_PAGES", 20)
    source = make(hub, clock)
    await source.refresh()
    before = source.current

    def endless(_url, _headers):
        page = {"capabilities": [], "next_cursor": str(len(hub.asked)), "has_more": True}
        return HttpAnswer(200, {}, json.dumps(page).encode())

    hub.before = endless
    with pytest.raises(PayeeError, match="no end"):
        await source.refresh()
    assert source.current is before
    assert len(hub.asked) == 2 + 20


async def test_a_cursor_gone_stale_starts_the_walk_again_once(hub, clock):
    refused = []

    def once(url, _headers):
        if "cursor" in url and not refused:
            refused.append(url)
            return HttpAnswer(400, {}, b'{"error":{"code":"INVALID_CURSOR"}}')
        return None

    hub.before = once
    source = make(hub, clock)
    await source.refresh()
    assert len(source.current.actions) == 4
    hub.before = lambda url, _: HttpAnswer(400, {}, b"") if "cursor" in url else None
    with pytest.raises(PayeeError, match="cursors"):
        await source.refresh()


async def test_what_the_settings_leave_out_is_known_by_the_first_of_them_also_after_a_restart(clock, tmp_path):
    hub = FakeHub(
        [
            capability("acme/a", "do", tags=["pdf"]),
            capability("acme/b", "do"),
            capability("other/c", "do", tags=["pdf"]),
            capability("acme/d", "do", tags=["pdf"], price="0.5"),
            capability("acme/e", "do", tags=["pdf"]),
            capability("acme/e", "do", tags=["pdf"], price="0.5") | {"version": "0.9.0"},
            capability("other/f", "do", "undo"),
        ]
    )
    path = tmp_path / "catalog.json"
    chosen = {
        "namespaces": ("acme",),
        "tags": ("pdf",),
        "max_price_usdc": "0.1",
        "without": ("other/f:undo",),
    }
    source = make(hub, clock, path, **chosen)
    await source.refresh()
    for one in (source, make(hub, clock, path, **chosen)):
        assert set(one.current.actions) == {"acme/a:do", "acme/e:do"}
        assert one.current.left_out == {
            "catalog.namespaces": ("other/c:do", "other/f:do"),
            "catalog.tags": ("acme/b:do",),
            "catalog.max_price_usdc": ("acme/d:do",),
            "catalog.without": ("other/f:undo",),
        }


async def test_several_namespaces_are_any_of_them_and_built_ins_have_a_name(clock):
    hub = FakeHub([capability("acme/a", "do"), capability("echo", "say"), capability("other/c", "do")])
    source = make(hub, clock, namespaces=("acme", "built-in"))
    await source.refresh()
    assert set(source.current.actions) == {"acme/a:do", "echo:say"}


async def test_an_action_listed_in_two_versions_is_the_one_still_sold_then_the_newest(clock):
    gone = {"status": "sunset"}
    hub = FakeHub(
        [
            capability("acme/a", "do", version="1.0.0") | {"version": "1.9.0"},
            capability("acme/b", "do"),
            capability("acme/a", "do") | {"version": "1.10.0"},
            capability("acme/a", "do", deprecation=gone) | {"version": "3.0.0"},
        ]
    )
    source = make(hub, clock)
    await source.refresh()
    assert source.current.actions["acme/a:do"].version == "1.10.0"


async def test_subscribers_hear_of_changes_only_and_see_the_new_catalog(hub, clock):
    source = make(hub, clock)
    heard = []
    unsubscribe = source.subscribe(lambda diff: heard.append((diff.added, len(source.current.actions))))
    await source.refresh()
    await source.refresh()
    assert len(heard) == 1
    assert heard[0][1] == 4
    unsubscribe()
    unsubscribe()
    hub.capabilities = []
    await source.refresh()
    assert len(heard) == 1


async def test_callers_at_the_same_time_share_one_fetch(hub, clock):
    source = make(hub, clock)
    diffs = []

    async def one() -> None:
        diffs.append(await source.refresh())

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(one)
    assert len(hub.asked) == 2
    assert len({diff.added for diff in diffs}) == 1


async def test_a_restart_has_the_catalog_at_once_and_asks_conditionally(hub, clock, tmp_path):
    path = tmp_path / "state" / "catalog.json"
    await make(hub, clock, path).refresh()
    again = make(hub, clock, path)
    assert len(again.current.actions) == 4
    assert again.current.fetched_at == clock.now()
    first = again.current
    assert (await again.refresh()).unchanged
    assert hub.statuses == [200, 200, 304, 304]
    assert again.current.revision == first.revision


async def test_a_snapshot_of_another_hub_or_filter_is_not_used(hub, clock, tmp_path):
    path = tmp_path / "catalog.json"
    await make(hub, clock, path).refresh()
    other = CatalogSource(hub, "https://other.example", path, CatalogSettings(), clock)
    assert dict(other.current.actions) == {}
    assert dict(make(hub, clock, path, namespaces=("acme",)).current.actions) == {}


async def test_a_hub_that_never_answered_is_away_until_it_does(hub, clock):
    source = make(hub, clock)
    assert source.outage == Outage(HUB, "HUB_UNREACHABLE", "it has not answered yet", None)
    hub.before = unreachable
    with pytest.raises(PayeeError):
        await source.refresh()
    assert source.outage.since is None
    assert source.outage.reason.startswith("the Hub's catalog could not be fetched: the Hub cannot be reached")
    hub.before = None
    await source.refresh()
    assert source.outage is None


async def test_an_outage_begins_with_the_first_failure_and_tells_what_is_remembered(hub, clock, tmp_path):
    await make(hub, clock, tmp_path / "catalog").refresh()
    known_at = clock.now()
    source = make(hub, clock, tmp_path / "catalog")
    assert source.outage is None
    hub.before = unreachable
    since = clock.at = clock.at + 60_000
    for _ in range(2):
        with pytest.raises(PayeeError):
            await source.refresh()
        assert (source.outage.since, source.outage.offers, source.outage.known_at) == (since, 4, known_at)
        clock.at += 60_000


async def test_an_outage_tells_when_the_hub_is_asked_again(hub, clock):
    hub.before = unreachable
    source, pauses = await loop_for(hub, clock, 1)
    clock.ticks -= pauses[0]
    assert source.outage.again_in == pauses[0]
    assert not source.outage.asks_to_wait
    hub.before = lambda *_: HttpAnswer(429, {"retry-after": "500"}, b"")
    with pytest.raises(PayeeError):
        await source.refresh()
    assert (source.outage.code, source.outage.again_in, source.outage.asks_to_wait) == ("RATE_LIMITED", 500, True)


async def loop_for(hub: FakeHub, clock: FakeClock, rounds: int, **more) -> tuple[CatalogSource, list[float]]:
    """Run `keep_fresh` for some rounds, its pauses recorded instead of waited."""
    pauses: list[float] = []
    with anyio.fail_after(60), anyio.CancelScope() as scope:

        async def pause(seconds: float) -> None:
            pauses.append(seconds)
            clock.ticks += seconds
            if len(pauses) == rounds:
                scope.cancel()
            await anyio.lowlevel.checkpoint()

        source = CatalogSource(hub, HUB, None, CatalogSettings(**more), clock, sleep=pause)
        await source.keep_fresh()
    return source, pauses


async def test_the_loop_refreshes_at_the_operators_pace_with_jitter(hub, clock):
    source, pauses = await loop_for(hub, clock, 6, refresh_seconds=100)
    assert len(source.current.actions) == 4
    assert len(hub.asked) == 12
    assert all(75 <= pause <= 125 for pause in pauses)
    assert len(set(pauses)) > 1


async def test_the_loop_outlives_any_fault_backs_off_and_recovers(hub, clock, caplog):
    faults = [unreachable, lambda *_: HttpAnswer(500, {}, b""), lambda *_: HttpAnswer(200, {}, b"junk")]

    def failing(url, headers):
        return faults[len(hub.asked) - 1](url, headers) if len(hub.asked) <= len(faults) else None

    hub.before = failing
    with caplog.at_level(logging.WARNING):
        source, pauses = await loop_for(hub, clock, 4, refresh_seconds=3600)
    assert len(source.current.actions) == 4
    assert pauses[0] < pauses[1] < pauses[2] < 30
    assert pauses[3] >= 2700
    assert sum("not refreshed" in record.message for record in caplog.records) == 3


async def test_the_loop_outlives_a_faulty_subscriber(hub, clock, caplog):
    pauses: list[float] = []
    with anyio.fail_after(60), anyio.CancelScope() as scope:

        async def pause(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 2:
                scope.cancel()
            await anyio.lowlevel.checkpoint()

        source = CatalogSource(hub, HUB, None, CatalogSettings(), clock, sleep=pause)
        source.subscribe(lambda _: math.sqrt(-1))
        await source.keep_fresh()
    assert len(pauses) == 2
    assert len(source.current.actions) == 4


async def test_the_loop_waits_as_long_as_the_hub_asks(hub, clock):
    hub.before = lambda *_: HttpAnswer(429, {"retry-after": "500"}, b"")
    _, pauses = await loop_for(hub, clock, 1, refresh_seconds=60)
    assert 499 <= pauses[0] <= 501


class Swallowing(FakeHub):
    """A Hub that answers so many requests and then no more."""

    answers = 0

    async def exchange(self, method, url, **more) -> HttpAnswer:
        if len(self.asked) >= self.answers:
            await anyio.sleep_forever()
        return await super().exchange(method, url, **more)


@pytest.mark.parametrize(("answers", "away"), [(0, "it has not answered yet"), (1, None)])
async def test_the_first_look_at_what_is_only_remembered_ends_with_knowing_whether_the_hub_answers(
    hub, clock, tmp_path, monkeypatch, answers, away
):
    await make(hub, clock, tmp_path / "catalog").refresh()
    known_at = clock.now()
    clock.at += 60_000
    gone = make(FakeHub(before=unreachable), clock, tmp_path / "catalog")
    offers = AllOffers([gone])
    assert offers.outages == ()
    await offers.look_again()
    assert [(one.code, one.offers, one.known_at) for one in offers.outages] == [("HUB_UNREACHABLE", 4, known_at)]
    # A large catalog on its way is no outage; a Hub that never says a word is one.
    monkeypatch.setattr("jecp_mcp.catalog.sources.LOOK_SECONDS", 0.01)
    slow = Swallowing(hub.capabilities, etags=False)
    slow.answers = answers
    offers = AllOffers([make(slow, clock, tmp_path / "catalog")])
    with anyio.fail_after(60):
        await offers.look_again()
    assert [one.reason for one in offers.outages] == ([away] if away else [])


async def test_what_a_call_shows_of_the_hub_is_known_of_its_catalog(hub, clock, tmp_path):
    await make(hub, clock, tmp_path / "catalog").refresh()
    shared = Reachability(clock)
    source = CatalogSource(hub, HUB, tmp_path / "catalog", CatalogSettings(), clock, reachability=shared)
    await source.refresh()
    shared.note_failure(PayeeError("HUB_UNREACHABLE", "a call could not be sent to it"))
    assert source.outage.reason == "a call could not be sent to it"
    shared.note_answer()
    # What the catalog is now, somebody has to ask.
    assert (source.outage, source.was_asked) == (None, False)
    shared.note_failure(PayeeError("HUB_MISBEHAVED", "no catalog"))
    shared.note_answer()
    assert source.outage.code == "HUB_MISBEHAVED"
    # An answered call brings no catalog to a process that never had one.
    unknown = Reachability(clock)
    unknown.note_answer()
    assert unknown.fault is not None
