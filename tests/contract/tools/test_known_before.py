"""What a model knows before it buys: what stands in the way, all of it at once, what it costs at most, what is free."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.calls.ports import Caller
from jecp_mcp.domain.answers import Answer, Billing
from jecp_mcp.domain.offers import Price
from jecp_mcp.domain.outcomes import Outcome, Verdict
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.money import ZERO, MicroUSDC
from jecp_mcp.rails.base import StoredRequest
from jecp_mcp.settings import ToolSettings

from .shop import ACTIONS, INVOICE, Account, action, charged, opened, refusing
from .test_dispatch import ME, error, receipt, told

pytestmark = pytest.mark.anyio

METERED = replace(
    action("text/model", "complete", "0.01", title="Complete a text"),
    price=Price(MicroUSDC(10_000), "per_token", metered=True, rates={"input_per_token_usdc": Decimal("0.000001")}),
)
OWN = action("stats", "count", "0.005", title="Count words")
GOLD = replace(OWN, action="rank", title="Rank words", tier="gold", tier_rank=2)
GOODS = (*ACTIONS, METERED, OWN, GOLD)
MODES = pytest.mark.parametrize("mode", ["direct", "search"])


@MODES
async def test_what_is_denied_is_not_listed_and_is_found_as_blocked_first(tmp_path: Path, mode: Any) -> None:
    tools = ToolSettings(mode=mode, pinned=("docs/*", "text/*"))
    async with opened(tmp_path, mandate={"deny": ["docs/*"]}, tools=tools) as shop:
        listed = {card.name for card in shop.dispatcher.cards()}
        rows = told(await shop.dispatcher.call("jecp_search", {"query": "render"}, ME))["results"]
        described = told(await shop.dispatcher.call("jecp_describe", {"tool": "docs_invoice_render"}, ME))
        bad = {"tool": "docs_invoice_render", "arguments": {"n": "no"}}
        refused = [error(await shop.dispatcher.call(one, bad, ME)) for one in ("jecp_call", "jecp_prepare")]
    assert "docs_invoice_render" not in listed
    assert "text_summary_extract" in listed
    row = next(one for one in rows if one["tool"] == "docs_invoice_render")
    for shown in (row, described):
        assert shown["blocked_by"] == ["DENIED_BY_POLICY"]
    assert list(row)[:2] == ["tool", "blocked_by"]
    assert all("affordable" not in one for one in rows)
    assert [one["error"]["code"] for one in refused] == ["DENIED_BY_POLICY"] * 2, "policy comes before the arguments"


@pytest.mark.parametrize(("mode", "listed"), [("direct", True), ("search", False)])
async def test_what_stands_in_the_list_is_not_told_again(tmp_path: Path, mode: Any, listed: bool) -> None:
    host = replace(ME, holds_list=True)
    async with opened(tmp_path, mandate={"deny": ["media/*"]}, goods=GOODS, tools=ToolSettings(mode=mode)) as shop:
        every = told(await shop.dispatcher.call("jecp_search", {"limit": 20}, host))
        some = told(await shop.dispatcher.call("jecp_search", {"query": "complete"}, host))
        rendering = told(await shop.dispatcher.call("jecp_search", {"query": "video"}, host))["results"]
        whole = told(await shop.dispatcher.call("jecp_search", {"limit": 20}, ME))
    rows = {one["tool"]: one for one in every["results"]}
    assert (rows["stats_count"] == {"tool": "stats_count", "price_usdc": "0.005"}) == listed
    # What is denied is not in the list.
    assert {"summary", "blocked_by"} <= rows["media_video_render"].keys()
    assert [("summary" in one, "needs" in one) for one in rendering] == [(True, True)]
    assert ("tool list" in every.get("note", "")) == listed
    assert ("All of these" in some.get("note", "")) == listed
    assert (some["results"][0].get("title"), "summary" in some["results"][0]) == (
        ("Complete a text", False) if listed else (None, True)
    )
    assert all("summary" in one for one in whole["results"]), "a program has no list before it"


async def test_a_model_is_described_an_action_without_what_goes_without_saying(tmp_path: Path) -> None:
    said = {"type": "string", "minLength": 1, "description": "The text."}
    plain = replace(OWN, input_schema={"type": "object", "properties": {"of": said}, "additionalProperties": False})
    nested = replace(plain, action="sort", input_schema={"type": "object", "properties": {"of": {"type": "array"}}})
    async with opened(tmp_path, goods=(plain, nested)) as shop:
        brief, more = [
            told(await shop.dispatcher.call("jecp_describe", {"tool": tool}, replace(ME, holds_list=True)))
            for tool in ("stats_count", "stats_sort")
        ]
        asked = told(await shop.dispatcher.call("jecp_describe", {"tool": "stats:count"}, replace(ME, holds_list=True)))
        whole = told(await shop.dispatcher.call("jecp_describe", {"tool": "stats_count"}, ME))
        wrong = error(await shop.dispatcher.call("stats_count", {"of": ""}, ME))
        other = error(await shop.dispatcher.call("stats_count", {"of": "a", "to": "b"}, ME))
    assert (brief["arguments"], "input_schema" in brief) == ("of?: string // The text", False)
    assert (whole["input_schema"], "arguments" in whole) == (plain.input_schema, False)
    assert {"tool", "action", "blocked_by", "versions_on_sale"} & brief.keys() == set(), "these go without saying"
    assert (asked["tool"], asked["arguments"]) == ("stats_count", brief["arguments"])
    assert whole["blocked_by"] == []
    assert ("examples" in brief, "examples" in more, "examples" in whole) == (False, True, True)
    assert [one["error"]["code"] for one in (wrong, other)] == ["INVALID_ARGUMENTS"] * 2, "it is checked all the same"


async def test_a_tier_that_nobody_knows_to_be_missing_is_said_to_be_unknown(tmp_path: Path) -> None:
    async with opened(tmp_path, goods=GOODS) as shop:
        described = told(await shop.dispatcher.call("jecp_describe", {"tool": "stats_rank"}, ME))
        prepared = told(await shop.dispatcher.call("jecp_prepare", {"tool": "stats_rank", "arguments": {"n": 1}}, ME))
    assert (described["blocked_by"], described["tier_unknown"]) == ([], "needs gold, earned by 500 calls")
    (issue,) = prepared["issues"]
    assert (issue["code"], issue["blocking"], "blocked_by" in prepared) == ("INSUFFICIENT_TRUST", False, False)
    assert "has not told the agent's yet" in issue["message"]


async def test_everything_in_the_way_is_said_at_once(tmp_path: Path) -> None:
    mandate = {"deny": ["media/*"], "approve_above_usdc": "0.02", "daily_usdc": "0.04"}
    async with opened(tmp_path, mandate=mandate) as shop:
        described, brief = [
            told(
                await shop.dispatcher.call("jecp_describe", {"tool": "media_video_render"}, replace(ME, holds_list=one))
            )
            for one in (False, True)
        ]
        buying = {"tool": "media_video_render", "arguments": {"n": 1}}
        refused = error(await shop.dispatcher.call("jecp_prepare", buying, ME))
        buying = {"tool": "docs_invoice_render", "arguments": {"n": 1}}
        prepared = told(await shop.dispatcher.call("jecp_prepare", buying, ME))
    everything = ["DENIED_BY_POLICY", "PER_CALL_LIMIT", "LIMIT_REACHED", "APPROVAL_REQUIRED"]
    assert described["blocked_by"] == refused["error"]["details"]["blocked_by"] == everything
    assert prepared["blocked_by"] == ["LIMIT_REACHED", "APPROVAL_REQUIRED"]
    # Its 1.50 are above the whole of that limit, and so are the 0.05: no time makes room.
    who = dict.fromkeys(everything, "operator") | {"APPROVAL_REQUIRED": "user"}
    assert described["lifted_by"] == refused["error"]["details"]["lifted_by"] == who
    assert prepared["lifted_by"] == {"LIMIT_REACHED": "operator", "APPROVAL_REQUIRED": "user"}
    assert (brief["blocked_by"], brief["lifted_by"]) == (
        everything,
        {"APPROVAL_REQUIRED": "user", "others": "operator"},
    )


async def test_a_search_says_once_who_can_lift_what_and_of_a_row_what_is_otherwise_there(tmp_path: Path) -> None:
    mandate = {"daily_usdc": "0.06", "per_call_usdc": "2.00"}
    account = Account(free_calls=0)
    async with opened(tmp_path, goods=GOODS, mandate=mandate, account=account) as shop:
        bought = await shop.dispatcher.call("docs_invoice_render", {"n": 1}, ME)
        found = told(await shop.dispatcher.call("jecp_search", {"limit": 20}, ME))
        alone = told(await shop.dispatcher.call("jecp_search", {"query": "render video", "limit": 1}, ME))
        free = told(await shop.dispatcher.call("jecp_describe", {"tool": "stats_count"}, ME))
    assert not bought.is_error
    rows = {row["tool"]: row for row in found["results"]}
    assert found["lifted_by"]["LIMIT_REACHED"] == "time, or operator"
    assert rows["docs_invoice_render"]["blocked_by"] == ["LIMIT_REACHED"]
    assert "lifted_by" not in rows["docs_invoice_render"]
    assert rows["media_video_render"]["lifted_by"] == {"LIMIT_REACHED": "operator"}
    assert alone["results"][0]["tool"] == "media_video_render"
    assert alone["lifted_by"]["LIMIT_REACHED"] == "operator", "what holds for all is said once, and nothing else"
    assert "lifted_by" not in alone["results"][0]
    assert "lifted_by" not in free


async def test_the_first_words_of_a_description_say_what_stands_in_the_way(tmp_path: Path) -> None:
    async with opened(tmp_path, mandate={"approve_above_usdc": "0.02"}, goods=GOODS) as shop:
        words = {
            card.name: card.description.split("\n")[0].split(". ")[0].removesuffix(".")
            for card in shop.dispatcher.cards()
        }
        first = {card.name: card.description.split("\n")[0] for card in shop.dispatcher.cards()}
    assert words["media_video_render"] == "Blocked: above the limit for one call"
    assert words["docs_invoice_render"] == "Needs the user's approval"
    assert first["text_model_complete"].startswith(
        "Needs the user's approval, unless bought by jecp_call with max_usdc 0.02. Metered: "
    )
    assert words["stats_rank"] == "Needs trust tier gold"
    assert words["text_summary_extract"] == "Costs 0.01 USDC"
    assert "0.000001 USDC per input token; listed at 0.01, at most 0.25 USDC per call" in first["text_model_complete"]


async def test_a_metered_price_has_its_rate_its_unit_and_its_most_wherever_it_is_shown(tmp_path: Path) -> None:
    def used(request: StoredRequest, _replay: bool) -> Outcome:
        return charged(replace(request, hold=MicroUSDC(20_000)))

    buying = {"tool": "text_model_complete", "arguments": {"n": 1}, "max_usdc": "0.03"}
    async with opened(tmp_path, used, goods=GOODS, mandate={"approve_above_usdc": "0.05"}) as shop:
        (row,) = told(await shop.dispatcher.call("jecp_search", {"query": "complete"}, ME))["results"][:1]
        described = told(await shop.dispatcher.call("jecp_describe", {"tool": "text_model_complete"}, ME))
        prepared = told(await shop.dispatcher.call("jecp_prepare", buying, ME))
        dear = {name: one for name, one in buying.items() if name != "max_usdc"}
        blocked = told(await shop.dispatcher.call("jecp_prepare", dear, ME))
        refused = error(await shop.dispatcher.call("jecp_call", dear, ME))
        bought = await shop.dispatcher.call("jecp_call", {**buying, "label": "2"}, ME)
        further = [
            await shop.dispatcher.call("jecp_call", {**buying, **label}, ME) for label in ({}, {}, {"label": "3"})
        ]
        other = await shop.dispatcher.call("jecp_call", {**buying, "arguments": {"n": 2}}, ME)
    rate = "0.000001 USDC per input token"
    assert all(rate in shown["price"] for shown in (row, described, prepared))
    assert "at most 0.25 USDC" in row["price"]
    assert [one["no_approval_with"] for one in (row, described, blocked)] == [{"max_usdc": "0.05"}] * 3
    assert "no_approval_with" not in prepared
    assert refused["error"]["details"]["no_approval_with"] == {"max_usdc": "0.05"}
    assert refused["next_action"]["actor"] == "human"
    assert refused["next_action"]["hint"].endswith(
        "Where 0.05 USDC will do, jecp_call with max_usdc 0.05 needs no approval."
    )
    assert (row["blocked_by"], "blocked_by" in prepared) == (["APPROVAL_REQUIRED"], False)
    assert (prepared["at_most_usdc"], "at most 0.03 USDC" in prepared["price"]) == ("0.03", True)
    assert f"Paid 0.02 USDC to text (metered, {rate}; up to 0.03 USDC was held)" in receipt(bought)
    assert "copy 1 of the same call" in receipt(bought)
    assert (bought.structured or {})["receipt"]["copy"] == 1
    assert [(one.structured or {})["receipt"]["copy"] for one in further] == [2, 3, 4]
    assert "copy 3 of the same call" in receipt(further[1])
    assert "copy" not in (other.structured or {})["receipt"]


@pytest.mark.parametrize(
    ("tool", "new_payees"),
    [("text_model_complete", True), ("docs_invoice_render", False)],
    ids=["a provider may be new", "an exact price"],
)
async def test_no_lower_maximum_is_named_that_would_need_a_person_all_the_same(
    tmp_path: Path, tool: str, new_payees: bool
) -> None:
    mandate = {"approve_above_usdc": "0.02", "approve_new_payees": new_payees}
    async with opened(tmp_path, goods=GOODS, mandate=mandate) as shop:
        described = told(await shop.dispatcher.call("jecp_describe", {"tool": tool}, ME))
        refused = error(await shop.dispatcher.call("jecp_call", {"tool": tool, "arguments": {"n": 1}}, ME))
    assert refused["error"]["code"] == "APPROVAL_REQUIRED"
    assert "no_approval_with" not in refused["error"]["details"] | described
    assert "max_usdc" not in refused["next_action"]["hint"]


@MODES
async def test_a_free_call_is_announced_with_how_many_are_left_and_for_what(tmp_path: Path, mode: Any) -> None:
    tools = ToolSettings(mode=mode)
    words = "This call is free: 7 free calls are left, for the Hub's own actions only."
    async with opened(tmp_path, goods=GOODS, account=Account(free_calls=7), tools=tools) as shop:
        rows = told(await shop.dispatcher.call("jecp_search", {"query": ""}, ME))["results"]
        described = told(await shop.dispatcher.call("jecp_describe", {"tool": "stats_count"}, ME))
        buying = {"tool": "stats_count", "arguments": {"n": 1}}
        prepared = told(await shop.dispatcher.call("jecp_prepare", buying, ME))
    found = {one["tool"]: one.get("free_call") for one in rows}
    assert (found["stats_count"], found[f"{INVOICE.payee}_invoice_render"]) == (words, None)
    assert described["free_call"] == prepared["free_call"] == words


async def test_a_stranger_to_the_chat_is_not_asked_for_what_a_lowered_most_leaves(tmp_path: Path) -> None:
    mandate = {"approve_above_usdc": "0.05"}
    async with opened(tmp_path, goods=GOODS, mandate=mandate) as shop:
        buying = {"tool": "text_model_complete", "arguments": {"n": 1}}
        whole = error(await shop.dispatcher.call("jecp_call", buying, Caller(LOCAL)))
        lowered = await shop.dispatcher.call("jecp_call", {**buying, "max_usdc": "0.05"}, Caller(LOCAL))
    assert whole["error"]["code"] == "APPROVAL_REQUIRED"
    assert not lowered.is_error


async def test_what_a_free_call_paid_for_says_how_many_are_left_and_is_free_in_the_books(tmp_path: Path) -> None:
    def given(request: StoredRequest, _replay: bool) -> Outcome:
        billing = Billing(charged=False, raw={"charged": False, "free_calls_remaining": 6})
        answer = Answer(request.call_id, {"words": 3}, billing)
        return Outcome(Verdict.NOT_CHARGED, ZERO, answer, None, "a free call")

    async with opened(tmp_path, given, goods=GOODS) as shop:
        bought = await shop.dispatcher.call("stats_count", {"n": 1}, ME)
        books = told(await shop.dispatcher.call("jecp_status", {}, ME))["calls"]
        rows = told(await shop.dispatcher.call("jecp_search", {"query": "count words"}, ME))["results"]
    said = "Free: the Hub charged nothing. It was a free call; 6 left, for the Hub's own actions only"
    assert receipt(bought).startswith(said)
    assert (bought.structured or {})["receipt"]["free_calls_left"] == 6
    assert [one["state"] for one in books] == ["free"]
    assert "6 free calls are left" in next(one for one in rows if one["tool"] == "stats_count")["free_call"]


async def test_what_needs_a_higher_tier_and_what_streams_is_found_by_asking_for_it(tmp_path: Path) -> None:
    goods = [*GOODS, replace(INVOICE, action="stream", streaming=True)]
    async with opened(tmp_path, goods=goods) as shop:
        found = {
            name: told(await shop.dispatcher.call("jecp_search", dict(asked), ME))
            for name, *asked in [
                ("silver", ("tier", "silver")),
                ("platinum", ("tier", "platinum")),
                ("streams", ("streaming", True)),
                ("neither", ("streaming", True), ("tier", "gold")),
            ]
        }
        refused = error(await shop.dispatcher.call("jecp_search", {"tier": "brass"}, ME))
    names = {name: [row["tool"] for row in one["results"]] for name, one in found.items()}
    assert names == {"silver": ["stats_rank"], "platinum": [], "streams": ["docs_invoice_stream"], "neither": []}
    assert found["neither"]["hint"].endswith("Search without them to see whether there is any.")
    assert refused["error"]["code"] == "INVALID_ARGUMENTS"


async def test_what_failed_lately_is_found_last_and_marked_until_it_answers(tmp_path: Path) -> None:
    ends = iter([refusing("PROVIDER_UNREACHABLE"), None, None])

    def script(request: StoredRequest, _replay: bool) -> Outcome:
        return next(ends) or charged(request)

    twin = replace(OWN, action="tally", price=Price(MicroUSDC(5_001)))
    async with opened(tmp_path, script, goods=(OWN, twin)) as shop:
        found = []
        for _ in range(3):
            found.append(told(await shop.dispatcher.call("jecp_search", {"query": "count words"}, ME))["results"])
            described = told(await shop.dispatcher.call("jecp_describe", {"tool": "stats_tally"}, ME))
            assert described.get("failed_lately") == found[-1][-1].get("failed_lately")
            await shop.dispatcher.call("stats_tally", {"n": len(found)}, ME)
    assert [[one["tool"] for one in rows] for rows in found] == [
        ["stats_tally", "stats_count"], ["stats_count", "stats_tally"], ["stats_tally", "stats_count"],
    ]  # fmt: skip
    assert [[one.get("failed_lately") for one in rows] for rows in found] == [[None, None], [None, True], [None, None]]
