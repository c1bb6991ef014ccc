"""A source that is away is not an empty catalog: what is said of it, what is known all the same, and no way in circles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.catalog.sources import Outage
from jecp_mcp.clock import parse_iso
from jecp_mcp.domain.outcomes import Outcome
from jecp_mcp.rails.base import StoredRequest
from jecp_mcp.rails.jecp.outcome import Lost, conclude
from jecp_mcp.tools.types import ToolResult

from .shop import ACTIONS, catalog, opened
from .test_dispatch import ME, error, follow, told

pytestmark = pytest.mark.anyio

SINCE, KNOWN_AT = parse_iso("2026-11-21T09:58:00Z"), parse_iso("2026-11-20T08:00:00Z")
NEVER_SEEN = Outage("", "HUB_UNREACHABLE", "the connection was refused", None, again_in=300.0)
SEEN_BEFORE = replace(NEVER_SEEN, since=SINCE, offers=len(ACTIONS), known_at=KNOWN_AT)
NOTICE = {
    "source": "",
    "code": "HUB_UNREACHABLE",
    "since": "2026-11-21T09:58:00.000Z",
    "known_offers": len(ACTIONS),
    "known_at": "2026-11-20T08:00:00.000Z",
    "retry_after_seconds": 60,
}

BUYING = {"tool": "docs_invoice_render", "arguments": {"n": 1}}
ASKING: dict[str, dict[str, Any]] = {
    "jecp_search": {"query": "invoice"},
    "jecp_describe": {"tool": "docs_invoice_render"},
    "jecp_call": BUYING,
    "jecp_prepare": BUYING,
    "docs_invoice_render": {"n": 1},
}


@pytest.mark.parametrize("tool", ASKING)
async def test_with_nothing_known_whoever_asks_is_told_so_and_only_ever_to_ask_the_same_again(
    tmp_path: Path, tool: str
) -> None:
    async with opened(tmp_path, goods=(), outage=NEVER_SEEN) as shop:
        found = error(await shop.dispatcher.call(tool, ASKING[tool], ME))
        again = error(await follow(shop, found))
        assert shop.source.times == 1
    assert (found["error"]["code"], found["charged"]) == ("HUB_UNREACHABLE", "no")
    assert "since" not in found["error"]["message"]
    for part in (" was never reached from here: ", "the connection was refused", "nothing of its catalog is known"):
        assert part in found["error"]["message"]
    step = found["next_action"]
    assert (step["type"], step["tool"], step["arguments"]) == ("retry_after", tool, ASKING[tool])
    assert step["retry_after_seconds"] == 60
    assert "if it fails again, tell the user and stop" in step["hint"]
    assert again["next_action"] == step


async def test_the_wallet_opens_all_the_same_and_says_who_is_away(tmp_path: Path) -> None:
    async with opened(tmp_path, outage=SEEN_BEFORE) as shop:
        assert told(await shop.dispatcher.call("jecp_wallet", {}, ME))["unreachable"] == [NOTICE]
        for uri in ("jecp://wallet", "jecp://catalog"):
            read: Any = await shop.dispatcher.resources.read(uri, ME)
            assert '"unreachable":[{"source":""' in read.text


async def test_what_is_known_from_before_is_found_described_and_bought(tmp_path: Path) -> None:
    async with opened(tmp_path, outage=SEEN_BEFORE) as shop:
        found = told(await shop.dispatcher.call("jecp_search", ASKING["jecp_search"], ME))
        assert found["results"][0]["tool"] == "docs_invoice_render"
        assert found["unreachable"] == [NOTICE]
        described = told(await shop.dispatcher.call("jecp_describe", ASKING["jecp_describe"], ME))
        assert described["unreachable"] == [NOTICE]
        assert told(await shop.dispatcher.call("docs_invoice_render", {"n": 1}, ME)) == {"done": True}


async def test_a_name_that_is_not_known_may_be_on_sale_and_the_nearest_known_ones_are_named(tmp_path: Path) -> None:
    async with opened(tmp_path, outage=SEEN_BEFORE) as shop:
        for tool in ("docs_invoice_rendr", "jecp_call"):
            given = {"n": 1} if tool != "jecp_call" else BUYING | {"tool": "docs_invoice_rendr"}
            found = error(await shop.dispatcher.call(tool, given, ME))
            assert found["error"]["code"] == "HUB_UNREACHABLE"
            assert f"{len(ACTIONS)} of its offers are known, as of 2026-11-20" in found["error"]["message"]
            assert found["next_action"]["alternatives"][0]["tool"] == "docs_invoice_render"


async def test_a_purchase_that_could_not_be_sent_says_since_when_its_source_is_away(tmp_path: Path) -> None:
    def unsent(request: StoredRequest, replay: bool) -> Outcome:
        return conclude([Lost(sent=False, reason="connection refused")], replay=replay, budget=request.hold)

    async with opened(tmp_path, unsent, outage=SEEN_BEFORE) as shop:
        found = error(await shop.dispatcher.call("docs_invoice_render", {"n": 1}, ME))
    assert found["error"]["code"] == "HUB_UNREACHABLE"
    assert found["error"]["details"]["since"] == NOTICE["since"]
    assert found["next_action"]["tool"] == "docs_invoice_render"


@pytest.mark.parametrize("tool", ASKING)
async def test_whoever_asks_once_it_is_back_is_served_at_once(tmp_path: Path, tool: str) -> None:
    async with opened(tmp_path, goods=(), outage=NEVER_SEEN) as shop:

        def back() -> None:
            shop.source.current = shop.published = catalog(ACTIONS)
            shop.registry.publish(shop.published)

        shop.source.back = back
        found: ToolResult = await shop.dispatcher.call(tool, ASKING[tool], ME)
    assert "unreachable" not in told(found)


@pytest.mark.parametrize("wait", [0.2, 4_000.0])
async def test_a_source_that_asks_to_wait_is_left_alone_for_as_long(tmp_path: Path, wait: float) -> None:
    busy = replace(NEVER_SEEN, code="RATE_LIMITED", again_in=wait, asks_to_wait=True)
    async with opened(tmp_path, goods=(), outage=busy) as shop:
        found = error(await shop.dispatcher.call("jecp_search", {}, ME))
        assert shop.source.times == 0
    assert found["error"]["code"] == "RATE_LIMITED"
    assert found["next_action"]["retry_after_seconds"] == max(1, wait)


async def test_an_empty_catalog_is_told_as_such_and_nobody_is_sent_to_search_it(tmp_path: Path) -> None:
    async with opened(tmp_path, goods=()) as shop:
        found = told(await shop.dispatcher.call("jecp_search", {"query": "invoice"}, ME))
        assert found == {
            "results": [], "total": 0, "hint": "Nothing is on sale here. Searching again finds no more: tell the user.",
        }  # fmt: skip
        step = error(await shop.dispatcher.call("docs_invoice_render", {"n": 1}, ME))["next_action"]
    assert (step["actor"], "tool" in step) == ("operator", False)


async def test_what_is_set_aside_or_sold_at_another_version_is_no_matter_of_the_outage(tmp_path: Path) -> None:
    async with opened(tmp_path, outage=SEEN_BEFORE) as shop:
        for tool, code in (("data/bomb:count", "TOOL_QUARANTINED"), ("docs/invoice@9.0.0", "VERSION_NOT_AVAILABLE")):
            assert error(await shop.dispatcher.call("jecp_describe", {"tool": tool}, ME))["error"]["code"] == code
