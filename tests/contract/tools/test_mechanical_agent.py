"""An agent that knows nothing but the error shape: what it recovers from alone, and where it rightly stops.

It makes the call that next_action gives, mends arguments from the example it is shown, takes the first tool a search
finds, and waits as long as it is told. It has no other idea.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.calls.ports import Caller
from jecp_mcp.clock import UnixMs
from jecp_mcp.rails.base import Outcome, StoredRequest

from .shop import Account, Script, Shop, charged, good, lost, opened, refusing

pytestmark = pytest.mark.anyio

MOST_STEPS = 6


async def run(shop: Shop, tool: str, arguments: Mapping[str, Any]) -> tuple[str, list[str]]:
    """How it ended (``bought`` or the actor it waits for), and the types of next_action on the way."""
    seen: list[str] = []
    for _ in range(MOST_STEPS):
        result = await shop.desk.call(tool, arguments, Caller())
        if not result.is_error:
            return "bought", seen
        step = result.structured["next_action"]
        seen.append(step["type"])
        if step["actor"] != "agent":
            return step["actor"], seen
        shop.clock.at = UnixMs(shop.clock.at + step.get("retry_after_seconds", 0) * 1000)
        if (step["tool"], step["arguments"]) == (tool, arguments):
            continue
        done = await shop.desk.call(step["tool"], step["arguments"], Caller())
        assert not done.is_error, done.structured
        said = done.structured
        match step["tool"]:
            case "jecp_status" if "done" in said:
                return "bought", seen
            case "jecp_topup":
                return said["next_action"]["actor"], seen
            case "jecp_search":
                tool = next(one["tool"] for one in said["results"] if one["tool"] != tool)
                arguments = {"n": 1}
            case "jecp_describe":
                tool, arguments = said["tool"], said["examples"][0]["input"]
    return "gave up", seen


def first(outcome: Outcome) -> Script:
    """Refuse the first attempt so, then deliver."""
    answers: Iterator[Outcome] = iter([outcome])

    def script(request: StoredRequest, _replay: bool) -> Outcome:
        return next(answers, None) or charged(request)

    return script


def always(outcome: Outcome) -> Script:
    return lambda _request, _replay: outcome


HUB = {"type": "see_manifest"}
# The first alternative found here costs more than the cap, which is one step more.
RECOVERS = {
    "a rate limit": (first(refusing("RATE_LIMITED", retry_after_seconds=3)), {}, ["retry_after"]),
    "a Hub that is briefly away": (first(refusing("HUB_UNREACHABLE", source="bridge")), {}, ["retry_after"]),
    "a Hub's own fault": (first(refusing("SERVICE_ERROR")), {}, ["retry_after"]),
    "an input the Hub refuses": (first(refusing("INPUT_SCHEMA_VIOLATION", next_action=HUB)), {}, ["see_manifest"]),
    "an action the Hub no longer has": (
        first(refusing("ACTION_NOT_FOUND", next_action=HUB)),
        {},
        ["see_manifest", "find_cheaper"],
    ),
    "a provider that fails": (first(refusing("PROVIDER_ERROR")), {}, ["try_alternative_provider", "find_cheaper"]),
    "a withdrawn action": (
        first(refusing("CAPABILITY_DEPRECATED", details={"successor": "text/summary:extract"})),
        {},
        ["use_successor"],
    ),
    "a lost answer": (first(lost()), {}, ["check_status"]),
    "wrong arguments": (good, {"arguments": {"n": "one"}}, ["fix_input"]),
    "a tool that does not exist": (good, {"tool": "docs_invoice_print"}, ["discover"]),
    "a price over the cap": (good, {"tool": "media_video_render"}, ["find_cheaper"]),
}


@pytest.mark.parametrize("trouble", RECOVERS)
async def test_it_recovers_alone_from(tmp_path: Path, trouble: str) -> None:
    script, changes, types = RECOVERS[trouble]
    async with opened(tmp_path, script) as shop:
        ended = await run(shop, **({"tool": "docs_invoice_render", "arguments": {"n": 1}} | changes))
    assert ended == ("bought", types)


async def test_it_registers_itself_where_there_is_no_account(tmp_path: Path) -> None:
    async with opened(tmp_path, account=Account(registered=False)) as shop:
        assert await run(shop, "docs_invoice_render", {"n": 1}) == ("bought", ["register"])


async def test_it_waits_out_a_window_that_refills(tmp_path: Path) -> None:
    async with opened(tmp_path, mandate={"hourly_usdc": "0.06"}) as shop:
        assert await run(shop, "docs_invoice_render", {"n": 1}) == ("bought", [])
        assert await run(shop, "docs_invoice_render", {"n": 2}) == ("bought", ["retry_after"])


STOPS = {
    "an empty wallet": (refusing("INSUFFICIENT_BALANCE"), {}, ("human", ["topup"])),
    "a tier not yet earned": (refusing("INSUFFICIENT_TRUST"), {}, ("human", ["earn_trust"])),
    "a key the Hub refuses": (refusing("INVALID_API_KEY"), {}, ("operator", ["register"])),
    "a price above the listed one": (refusing("INSUFFICIENT_BUDGET"), {}, ("operator", ["increase_mandate"])),
    "a mandate the Hub calls expired": (refusing("MANDATE_EXPIRED"), {}, ("operator", ["refresh_mandate"])),
    "an action the operator denies": (refusing("X"), {"deny": ("docs/*",)}, ("operator", ["ask_operator"])),
    "a mandate that has ended": (refusing("X"), {"expires_at": "2026-01-01T00:00:00Z"}, ("operator", ["refresh_mandate"])),
    "a price that needs a person": (refusing("X"), {"approve_above_usdc": "0.01"}, ("human", ["ask_human"])),
    "a protocol too old": (refusing("UNSUPPORTED_VERSION"), {}, ("operator", ["upgrade_client"])),
    "a code nobody knows": (refusing("MOON_IN_EIGHTH_HOUSE"), {}, ("operator", ["ask_operator"])),
}  # fmt: skip


@pytest.mark.parametrize("trouble", STOPS)
async def test_it_stops_and_names_who_must_act_at(tmp_path: Path, trouble: str) -> None:
    outcome, mandate, expected = STOPS[trouble]
    async with opened(tmp_path, always(outcome), mandate=mandate) as shop:
        assert await run(shop, "docs_invoice_render", {"n": 1}) == expected


async def test_it_stops_at_a_cap_that_never_refills(tmp_path: Path) -> None:
    async with opened(tmp_path, mandate={"total_usdc": "0.06"}) as shop:
        assert await run(shop, "docs_invoice_render", {"n": 1}) == ("bought", [])
        assert await run(shop, "docs_invoice_render", {"n": 2}) == ("operator", ["ask_operator"])
