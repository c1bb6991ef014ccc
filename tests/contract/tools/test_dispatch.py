"""The dispatcher's contract with the server: cards, calls, resources, and the one error shape."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.calls.ports import Caller
from jecp_mcp.domain.outcomes import Outcome
from jecp_mcp.domain.purchases import LOCAL, Principal
from jecp_mcp.errors import PayeeError, SettingsError, ToolFault
from jecp_mcp.rails.base import StoredRequest
from jecp_mcp.tools.own.definitions import OWN
from jecp_mcp.tools.resources import Content
from jecp_mcp.tools.types import Text, ToolResult

from .shop import (
    ACTIONS,
    INVOICE,
    SUMMARY,
    VIDEO,
    Account,
    Shop,
    action,
    catalog,
    charged,
    lost,
    opened,
    refusing,
    unreachable,
)

pytestmark = pytest.mark.anyio

ME = Caller(LOCAL)


def told(result: ToolResult) -> dict[str, Any]:
    """The output of a good result, which is the same in text and structured content."""
    assert isinstance(result.blocks[0], Text)
    assert not result.is_error, result.blocks[0].text
    shown = dict(result.structured or {})
    shown = shown["output"] if "receipt" in shown else shown
    assert json.loads(result.blocks[0].text.split("\n")[-1]) == shown
    return dict(shown)


def receipt(result: ToolResult) -> str:
    """The first line of a paid result."""
    assert isinstance(result.blocks[0], Text)
    return result.blocks[0].text.split("\n")[0]


def error(result: ToolResult) -> dict[str, Any]:
    """The error object, which is the same in text, structured content and meta."""
    assert result.is_error
    assert isinstance(result.blocks[0], Text)
    assert json.loads(result.blocks[0].text) == result.structured == result.meta["jecp-mcp/error"]
    return dict(result.structured or {})


async def follow(shop: Shop, found: dict[str, Any]) -> ToolResult:
    """Make the call that an error's next_action gives."""
    step = found["next_action"]
    assert step["actor"] == "agent"
    return await shop.dispatcher.call(step["tool"], step["arguments"], ME)


# --- what is published ---------------------------------------------------------------------------------------------


def test_no_argument_of_ours_can_change_policy_approve_or_name_an_idempotency_key() -> None:
    arguments = {name for card in OWN.values() for name in card.input_schema["properties"]}
    assert arguments == {
        "tool", "arguments", "name", "query", "namespace", "tags", "max_price_usdc", "limit", "call_id", "amount_usd",
        "prepared_id", "reason", "uri", "offset", "url", "method", "headers", "body", "json", "known_fields", "max_usdc",
        "replaces", "label", "withdrawn", "tier", "streaming",
    }  # fmt: skip
    assert all(card.input_schema["additionalProperties"] is False for card in OWN.values())


async def test_our_own_tools_come_first_and_both_groups_by_name(tmp_path: Path) -> None:
    async with opened(tmp_path) as shop:
        names = [card.name for card in shop.dispatcher.cards()]
    ours = [name for name in names if name.startswith("jecp_")]
    assert names == sorted(ours) + sorted(set(names) - set(ours))
    assert "jecp_register" not in ours


async def test_the_list_is_another_when_and_only_when_a_card_is(tmp_path: Path) -> None:
    async with opened(tmp_path, account=Account(registered=False)) as shop:
        before = shop.dispatcher.cards()
        assert "jecp_register" in {card.name for card in before}
        shop.registry.publish(catalog([replace(one, total_calls=9) for one in ACTIONS]))
        assert shop.dispatcher.cards() is before
        told(await shop.dispatcher.call("jecp_register", {}, ME))
        after = shop.dispatcher.cards()
        assert "jecp_register" not in {card.name for card in after}
        shop.registry.publish(catalog([INVOICE]))
        assert shop.dispatcher.cards() != after


async def test_every_published_tool_has_the_schema_its_card_shows(tmp_path: Path) -> None:
    async with opened(tmp_path) as shop:
        for card in shop.dispatcher.cards():
            assert shop.dispatcher.input_schema(card.name) == card.input_schema
        assert shop.dispatcher.input_schema("jecp_register") is None
        assert shop.dispatcher.input_schema("nothing") is None


# --- buying --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("docs_invoice_render", {"n": 1}),
        ("jecp_call", {"tool": "docs_invoice_render", "arguments": {"n": 1}}),
        ("jecp_call", {"tool": "docs/invoice:render", "arguments": {"n": 1}}),
    ],
)
async def test_an_action_is_bought_by_its_own_name_and_by_jecp_call_alike(
    tmp_path: Path, tool: str, arguments: dict[str, Any]
) -> None:
    async with opened(tmp_path) as shop:
        result = await shop.dispatcher.call(tool, arguments, ME)
    assert told(result) == {"done": True}
    assert receipt(result) == "Paid 0.05 USDC to docs; balance 0.43, budget left 1.95 USDC. Call call_0001."


async def test_wrong_arguments_are_refused_before_anything_is_sent_and_the_step_leads_to_the_schema(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as shop:
        found = error(await shop.dispatcher.call("docs_invoice_render", {"n": "one"}, ME))
        assert shop.rail.sent == []
        described = told(await follow(shop, found))
    assert (found["error"]["code"], found["charged"]) == ("INVALID_ARGUMENTS", "no")
    assert found["error"]["details"]["issues"][0]["pointer"] == "/n"
    assert described["input_schema"]["required"] == ["n"]
    assert described["examples"] == [{"input": {"n": 1}}]


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("jecp_search", {"query": ["x"]}),
        ("jecp_search", {"query": "x", "raise_limit": True}),
        ("jecp_topup", {"amount_usd": 7}),
        ("jecp_call", {"tool": "docs_invoice_render"}),
        ("jecp_call", {"tool": "docs_invoice_render", "arguments": {"n": 1}, "call_id": "mine"}),
        ("jecp_wallet", {"daily_usdc": "100"}),
    ],
)
async def test_our_own_tools_refuse_arguments_they_do_not_have(
    tmp_path: Path, tool: str, arguments: dict[str, Any]
) -> None:
    async with opened(tmp_path) as shop:
        found = error(await shop.dispatcher.call(tool, arguments, ME))
        assert shop.rail.sent == []
        assert told(await follow(shop, found))["tool"] == tool
    assert found["error"]["code"] == "INVALID_ARGUMENTS"


async def test_an_unknown_tool_names_the_nearest_and_leads_to_a_search_that_finds_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as shop:
        for tool, arguments in (
            ("docs_invoice_make", {"n": 1}),
            ("jecp_call", {"tool": "docs_invoice_make", "arguments": {}}),
        ):
            found = error(await shop.dispatcher.call(tool, arguments, ME))
            assert found["error"]["code"] == "TOOL_NOT_FOUND"
            assert found["next_action"]["alternatives"][0] == {"tool": "docs_invoice_render", "price_usdc": "0.05"}
            results = told(await follow(shop, found))["results"]
            assert "docs_invoice_render" in {one["tool"] for one in results}


async def test_an_action_set_aside_says_why_and_is_not_called(tmp_path: Path) -> None:
    async with opened(tmp_path) as shop:
        found = error(await shop.dispatcher.call("data_bomb_count", {}, ME))
        assert shop.rail.sent == []
        assert "data_bomb_count" not in {card.name for card in shop.dispatcher.cards()}
    assert (found["error"]["code"], found["charged"]) == ("TOOL_QUARANTINED", "no")
    # A search finds nothing but itself.
    assert (found["next_action"]["type"], found["next_action"]["actor"]) == ("stop", "human")
    assert "only the operator can" in found["next_action"]["hint"]


async def test_without_credentials_the_step_registers_and_the_same_call_then_works(tmp_path: Path) -> None:
    async with opened(tmp_path, account=Account(registered=False)) as shop:
        found = error(await shop.dispatcher.call("docs_invoice_render", {"n": 1}, ME))
        made = told(await follow(shop, found))
        assert "ak_" not in json.dumps(made)
        assert told(await shop.dispatcher.call("docs_invoice_render", {"n": 1}, ME)) == {"done": True}
    assert found["error"]["code"] == "CREDENTIALS_MISSING"


async def test_a_price_over_the_cap_leads_to_cheaper_ones_and_never_to_the_cap(tmp_path: Path) -> None:
    cheap = action("media/clip", "render", "0.10", title="Render a video clip")
    async with opened(tmp_path, goods=(*ACTIONS, cheap)) as shop:
        found = error(await shop.dispatcher.call("media_video_render", {"n": 1}, ME))
        step, described = found["next_action"], told(await follow(shop, found))
    assert (found["error"]["code"], step["type"]) == ("PER_CALL_LIMIT", "find_cheaper")
    assert step["alternatives"][0]["tool"] == described["tool"]
    assert all(Decimal(one["price_usdc"]) <= Decimal("0.25") for one in step["alternatives"])


async def test_where_nothing_like_it_costs_less_that_is_said_and_nobody_is_sent_searching(tmp_path: Path) -> None:
    async with opened(tmp_path, goods=(VIDEO, SUMMARY)) as shop:
        step = error(await shop.dispatcher.call("media_video_render", {"n": 1}, ME))["next_action"]
        mandate = {"daily_usdc": "0.20", "per_call_usdc": "5.00"}
    async with opened(tmp_path / "prepared", goods=(VIDEO, SUMMARY), mandate=mandate) as shop:
        asked = {"tool": "media_video_render", "arguments": {"n": 1}}
        prepared = told(await shop.dispatcher.call("jecp_prepare", asked, ME))["next_action"]
    assert (step["type"], step["actor"], "tool" in step) == ("stop", "human", False)
    assert "for at most 0.25 USDC" in step["hint"]
    assert (prepared["type"], "for at most 0.20 USDC" in prepared["hint"]) == ("stop", True)


async def test_an_empty_wallet_leads_to_a_link_that_a_person_opens(tmp_path: Path) -> None:
    said = {"type": "topup", "allowed_amounts_usd": [5, 20, 100]}
    async with opened(tmp_path, lambda *_: refusing("INSUFFICIENT_BALANCE", next_action=said)) as shop:
        found = error(await shop.dispatcher.call("docs_invoice_render", {"n": 1}, ME))
        link = told(await follow(shop, found))
    assert link["next_action"]["url"] == "https://checkout.stripe.com/c/pay/cs_1"
    assert (link["next_action"]["type"], link["next_action"]["actor"]) == ("open_url", "human")
    assert shop.account.topups == [5]


async def test_a_payment_link_to_a_foreign_place_is_not_shown(tmp_path: Path) -> None:
    async with opened(tmp_path, account=Account(checkout="https://evil.example/pay")) as shop:
        found = error(await shop.dispatcher.call("jecp_topup", {"amount_usd": 5}, ME))
    assert found["error"]["code"] == "HUB_MISBEHAVED"
    assert "evil" not in json.dumps(found)


async def test_a_rate_limit_leads_to_the_same_call_after_the_wait(tmp_path: Path) -> None:
    answers = iter([refusing("RATE_LIMITED", retry_after_seconds=7)])

    def script(request: StoredRequest, _replay: bool) -> Outcome:
        return next(answers, None) or charged(request)

    async with opened(tmp_path, script) as shop:
        call = {"tool": "docs_invoice_render", "arguments": {"n": 1}}
        found = error(await shop.dispatcher.call("jecp_call", call, ME))
        assert found["next_action"]["retry_after_seconds"] == 7
        assert told(await follow(shop, found)) == {"done": True}


async def test_a_withdrawn_action_leads_to_its_successor(tmp_path: Path) -> None:
    def script(_request: StoredRequest, _replay: bool) -> Outcome:
        return refusing("CAPABILITY_DEPRECATED", details={"successor": "docs/invoice"})

    async with opened(tmp_path, script) as shop:
        found = error(await shop.dispatcher.call("docs_bill_render", {"n": 1}, ME))
        assert told(await follow(shop, found))["tool"] == "docs_invoice_render"


async def test_a_lost_answer_is_fetched_by_its_status_and_paid_once(tmp_path: Path) -> None:
    def script(request: StoredRequest, replay: bool) -> Outcome:
        return charged(request) if replay else lost()

    async with opened(tmp_path, script) as shop:
        found = error(await shop.dispatcher.call("docs_invoice_render", {"n": 1}, ME))
        assert (found["charged"], found["call_id"]) == ("unknown", "call_0001")
        result = await follow(shop, found)
        wallet = told(await shop.dispatcher.call("jecp_wallet", {}, ME))
    assert told(result) == {"done": True}
    assert receipt(result) == (
        "Bought earlier, not bought again: paid 0.05 USDC to docs (tx tx_1); budget left 1.95 USDC. Call call_0001."
    )
    assert shop.rail.sent == [("call_0001", False), ("call_0001", True)]
    assert (wallet["charged_usdc"], "held_usdc" in wallet) == ("0.05", False)


class Gone:
    """A client that has closed its connection without a word."""

    async def listening(self) -> bool:
        return False


async def test_an_answer_that_reached_nobody_is_given_again_and_not_bought_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as shop:
        for caller in (Caller(LOCAL, connection=Gone()), Caller(LOCAL, connection=Gone()), ME):
            await shop.dispatcher.call("docs_invoice_render", {"n": 1}, caller)
        assert len(shop.rail.sent) == 1
        await shop.dispatcher.call("docs_invoice_render", {"n": 1}, ME)
        assert len(shop.rail.sent) == 2


async def test_a_status_that_reached_nobody_does_not_make_the_repeat_a_purchase(tmp_path: Path) -> None:
    async with opened(tmp_path) as shop:
        gone = Caller(LOCAL, connection=Gone())
        await shop.dispatcher.call("docs_invoice_render", {"n": 1}, gone)
        await shop.dispatcher.call("jecp_status", {"call_id": "call_0001"}, gone)
        await shop.dispatcher.call("docs_invoice_render", {"n": 1}, ME)
        assert len(shop.rail.sent) == 1


async def test_a_call_still_in_doubt_says_so_and_tells_the_agent_to_ask_again(tmp_path: Path) -> None:
    async with opened(tmp_path, lambda *_: lost()) as shop:
        found = error(await shop.dispatcher.call("docs_invoice_render", {"n": 1}, ME))
        status = told(await follow(shop, found))
    assert (status["state"], status["charged"], status["held_usdc"]) == ("in_doubt", "unknown", "0.05")
    assert status["next_action"]["tool"] == "jecp_status"


# --- our own tools ---------------------------------------------------------------------------------------------------


async def test_search_filters_by_provider_price_and_number(tmp_path: Path) -> None:
    async with opened(tmp_path) as shop:

        async def names(**arguments: Any) -> list[str]:
            result = await shop.dispatcher.call("jecp_search", {"query": "render summary", **arguments}, ME)
            return [one["tool"] for one in told(result)["results"]]

        assert await names() == ["text_summary_extract"]
        assert len(await names(query="render")) == 3
        assert await names(namespace="text") == ["text_summary_extract"]
        assert await names(max_price_usdc="0.015") == ["text_summary_extract"]
        assert len(await names(query="render", limit=1)) == 1
        assert len(await names(query="")) == 5
        assert await names(tags=["nothing"]) == []
        result = told(await shop.dispatcher.call("jecp_search", {"query": "bill"}, ME))["results"]
        assert [one["tool"] for one in result if one.get("withdrawn")] == ["docs_bill_render"]
        assert told(await shop.dispatcher.call("jecp_search", {"query": "zzzz"}, ME))["results"] == []
        found = error(await shop.dispatcher.call("jecp_search", {"query": "x", "max_price_usdc": "cheap"}, ME))
    assert found["error"]["code"] == "INVALID_ARGUMENTS"


@pytest.mark.parametrize(
    ("tool", "mandate", "expected"),
    [
        ("docs_invoice_render", {}, {"blocked_by": []}),
        ("media_video_render", {}, {"blocked_by": ["PER_CALL_LIMIT"]}),
        ("data_odd_count", {}, {"blocked_by": ["PRICE_UNKNOWN"]}),
        ("docs_invoice_render", {"deny": ("docs/*",)}, {"blocked_by": ["DENIED_BY_POLICY"]}),
        (
            "docs_invoice_render",
            {"daily_usdc": "0.04"},
            {"blocked_by": ["LIMIT_REACHED"], "limit": "daily_usdc"},
        ),
    ],
)
async def test_describe_says_whether_the_limits_allow_an_action_now(
    tmp_path: Path, tool: str, mandate: dict[str, Any], expected: dict[str, Any]
) -> None:
    async with opened(tmp_path, mandate=mandate) as shop:
        described = told(await shop.dispatcher.call("jecp_describe", {"tool": tool}, ME))
    assert {key: described[key] for key in expected} == expected
    assert "input_schema" in described


async def test_describe_leaves_out_examples_that_are_no_json_or_too_long(tmp_path: Path) -> None:
    async with opened(tmp_path) as shop:
        described = told(await shop.dispatcher.call("jecp_describe", {"tool": "text_summary_extract"}, ME))
    assert described["examples"] == [{"input": {"n": 1}}]


async def test_a_ledger_that_cannot_be_read_stops_the_wallet_and_every_purchase_but_not_the_catalog(
    tmp_path: Path,
) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"this is no database, " * 400)
    async with opened(tmp_path) as shop:
        for tool, arguments in (("jecp_wallet", {}), ("jecp_status", {}), ("docs_invoice_render", {"n": 1})):
            found = error(await shop.dispatcher.call(tool, arguments, ME))
            assert (found["error"]["code"], found["charged"]) == ("LEDGER_DAMAGED", "no")
            assert found["next_action"]["actor"] == "operator"
        described = told(await shop.dispatcher.call("jecp_describe", {"tool": "docs_invoice_render"}, ME))
    assert described["blocked_by"] == ["LEDGER_DAMAGED"]


async def test_the_wallet_shows_the_limits_of_patterns_and_an_action_is_measured_by_its_own(tmp_path: Path) -> None:
    limits = [
        {"match": "docs/*", "hourly_usdc": "0.06", "per_call_usdc": "0.20"},
        {"match": "else/*", "daily_usdc": "0.01"},
    ]
    async with opened(tmp_path, mandate={"limits": limits}) as shop:
        before = told(await shop.dispatcher.call("jecp_describe", {"tool": "docs_invoice_render"}, ME))
        await shop.dispatcher.call("docs_invoice_render", {"n": 1}, ME)
        after = told(await shop.dispatcher.call("jecp_describe", {"tool": "docs_invoice_render"}, ME))
        wallet = told(await shop.dispatcher.call("jecp_wallet", {}, ME))
    assert before["blocked_by"] == []
    assert (after["blocked_by"], after["limit"]) == (["LIMIT_REACHED"], "limits[docs/*].hourly_usdc")
    shown = {one["limit"]: one.get("remaining_usdc") for one in wallet["limits"]}
    assert shown["limits[docs/*].hourly_usdc"] == "0.01"
    assert shown["limits[else/*].daily_usdc"] == "0.01"
    assert "limits[docs/*].per_call_usdc" in shown


async def test_the_wallet_shows_balance_limits_and_what_is_held(tmp_path: Path) -> None:
    async with opened(tmp_path, mandate={"hourly_usdc": "0.50"}) as shop:
        empty = told(await shop.dispatcher.call("jecp_wallet", {}, ME))
        await shop.dispatcher.call("docs_invoice_render", {"n": 1}, ME)
        after = told(await shop.dispatcher.call("jecp_wallet", {}, ME))
    assert empty["balance_usdc"] is None
    assert (after["balance_usdc"], after["per_call_usdc"], after["charged_usdc"]) == ("0.43", "0.25", "0.05")
    hourly = next(one for one in after["limits"] if one["limit"] == "hourly_usdc")
    assert (hourly["used_usdc"], hourly["remaining_usdc"], hourly["returns_usdc"]) == ("0.05", "0.45", "0.05")
    assert "2026-11-21T11:00:00" <= hourly["resets_at"] <= "2026-11-21T11:01:00.000Z"


async def test_status_lists_the_latest_calls_of_this_principal_only(tmp_path: Path) -> None:
    async with opened(tmp_path) as shop:
        await shop.dispatcher.call("docs_invoice_render", {"n": 1}, ME)
        await shop.dispatcher.call("docs_invoice_render", {"n": 1}, Caller(Principal("other")))
        mine = told(await shop.dispatcher.call("jecp_status", {}, ME))["calls"]
        assert [(one["call_id"], "state" in one, one["charged_usdc"]) for one in mine] == [("call_0001", False, "0.05")]
        theirs = error(await shop.dispatcher.call("jecp_status", {"call_id": "call_0002"}, ME))
        assert len(told(await follow(shop, theirs))["calls"]) == 1
    assert theirs["error"]["code"] == "CALL_NOT_FOUND"


async def test_a_second_account_is_not_made(tmp_path: Path) -> None:
    async with opened(tmp_path) as shop:
        found = error(await shop.dispatcher.call("jecp_register", {}, ME))
    assert (found["error"]["code"], "next_action" in found) == ("ALREADY_REGISTERED", False)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (unreachable, "HUB_UNREACHABLE"),
        (OSError(28, "No space left"), "CREDENTIALS_NOT_STORED"),
        (SettingsError("credentials.json", "", "it is damaged"), "CREDENTIALS_NOT_STORED"),
    ],
)
async def test_a_registration_that_fails_is_an_error_and_leaves_no_account(
    tmp_path: Path, fault: Exception, code: str
) -> None:
    async with opened(tmp_path, account=Account(registered=False, fault=fault)) as shop:
        found = error(await shop.dispatcher.call("jecp_register", {}, ME))
        assert not shop.account.present()
    assert (found["error"]["code"], found["charged"]) == (code, "no")


async def test_a_hub_that_is_away_leads_to_the_same_call_later(tmp_path: Path) -> None:
    async with opened(tmp_path, account=Account(fault=unreachable)) as shop:
        found = error(await shop.dispatcher.call("jecp_topup", {"amount_usd": 5}, ME))
    step = found["next_action"]
    assert (step["type"], step["tool"], step["arguments"]) == ("retry_after", "jecp_topup", {"amount_usd": 5})


async def test_a_hubs_own_code_on_an_account_request_passes_through(tmp_path: Path) -> None:
    async with opened(tmp_path, account=Account(fault=PayeeError("NAMESPACE_FULL", "Full"))) as shop:
        found = error(await shop.dispatcher.call("jecp_topup", {"amount_usd": 5}, ME))
    assert found["error"] == {"code": "NAMESPACE_FULL", "message": "Full. Nothing was charged."}


async def test_a_fault_of_ours_is_an_answer_without_the_exceptions_text(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path, account=Account(fault=RuntimeError("secret jdb_ak_x"))) as shop:
        found = error(await shop.dispatcher.call("jecp_topup", {"amount_usd": 5}, ME))
    assert (found["error"]["code"], found["charged"]) == ("BRIDGE_FAULT", "no")
    assert "jdb_ak" not in json.dumps(found)
    assert any("jecp_topup" in record.getMessage() for record in caplog.records)


# --- resources -------------------------------------------------------------------------------------------------------


async def test_a_file_of_a_paid_call_is_listed_and_read_by_its_address(tmp_path: Path) -> None:
    pdf = b"%PDF-1.7\n" + bytes(200)
    output = {"artifact": {"content_type": "application/pdf", "data_base64": base64.b64encode(pdf).decode()}}
    async with opened(tmp_path, lambda request, _: charged(request, output)) as shop:
        bought = await shop.dispatcher.call("docs_invoice_render", {"n": 1}, ME)
        assert bought.structured is not None
        shown = bought.structured["output"]
        *_, listed = (await shop.dispatcher.resources.page(None, ME)).entries
        read = await shop.dispatcher.resources.read(shown["artifact"]["uri"], ME)
        with pytest.raises(ToolFault):
            await shop.dispatcher.resources.read("jecp://artifact/../ledger.sqlite", ME)
    assert isinstance(read, Content)
    assert (listed.uri, read.data, read.mime_type) == (shown["artifact"]["uri"], pdf, "application/pdf")


async def test_the_free_calls_of_a_registration_are_shown_until_the_first_purchase(tmp_path: Path) -> None:
    async with opened(tmp_path) as shop:
        shop.account.free_calls = 100
        before = told(await shop.dispatcher.call("jecp_wallet", {}, ME))
        await shop.dispatcher.call("docs_invoice_render", {"n": 1}, ME)
        after = told(await shop.dispatcher.call("jecp_wallet", {}, ME))
    assert (before["free_calls_remaining"], after["free_calls_remaining"]) == (100, None)


async def test_what_the_hub_does_not_tell_of_the_agent_is_not_shown(tmp_path: Path) -> None:
    def odd(request: StoredRequest, _replay: bool) -> Outcome:
        outcome = charged(request)
        assert outcome.answer is not None
        billing = replace(outcome.answer.billing, raw={"free_calls_remaining": -1})
        return replace(outcome, answer=replace(outcome.answer, billing=billing, standing="emperor"))

    async with opened(tmp_path, odd) as shop:
        await shop.dispatcher.call("docs_invoice_render", {"n": 1}, ME)
        wallet = told(await shop.dispatcher.call("jecp_wallet", {}, ME))
    assert (wallet["trust_tier"], wallet["free_calls_remaining"], "next_tier" in wallet) == (None, None, False)
    assert wallet["not_known"] == "Null: the Hub did not tell it with the latest purchases."


async def test_the_open_holds_are_listed_newest_first_and_no_more_than_ten(tmp_path: Path) -> None:
    async with opened(tmp_path, lambda _request, _replay: lost(), mandate={"daily_usdc": "2.00"}) as shop:
        for number in range(11):
            await shop.dispatcher.call("docs_invoice_render", {"n": number}, ME)
        wallet = told(await shop.dispatcher.call("jecp_wallet", {}, ME))
        status = told(await shop.dispatcher.call("jecp_status", {}, ME))
    assert [one["call_id"] for one in wallet["open_holds"]][:8] == [one["call_id"] for one in status["calls"]]
    assert (len(wallet["open_holds"]), wallet["more_holds"], wallet["held_usdc"]) == (10, True, "0.55")
    newest = wallet["open_holds"][0]
    assert (newest["call_id"], newest["state"], newest["held_usdc"]) == ("call_0011", "in_doubt", "0.05")
    assert newest["settled_by"] > newest["created_at"]


async def test_no_open_hold_is_not_told_and_another_principals_is_not_listed(tmp_path: Path) -> None:
    async with opened(tmp_path, lambda _request, _replay: lost()) as shop:
        assert "open_holds" not in told(await shop.dispatcher.call("jecp_wallet", {}, ME))
        await shop.dispatcher.call("docs_invoice_render", {"n": 1}, Caller(Principal("somebody else")))
        assert "open_holds" not in told(await shop.dispatcher.call("jecp_wallet", {}, ME))


@pytest.mark.parametrize("tool", ["paid_http_prepare", "paid_http_execute", "paid_http_result"])
async def test_a_request_is_not_paid_for_where_nobody_is_listed_and_that_is_said(tmp_path: Path, tool: str) -> None:
    async with opened(tmp_path) as shop:
        said = [await shop.dispatcher.call(tool, {}, ME)]
        said.append(await shop.dispatcher.call("jecp_call", {"tool": tool, "arguments": {}}, ME))
    for one in said:
        assert one.structured is not None
        assert one.structured["error"]["code"] == "TOOL_NOT_FOUND"
        assert "a merchant whom the operator lists" in one.structured["error"]["message"]
        assert one.structured["next_action"]["actor"] == "human"
