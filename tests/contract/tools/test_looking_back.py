"""What a model sees of what was bought, of what is left to spend, and of what is about to go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.calls.ports import Caller
from jecp_mcp.domain.answers import Answer, Billing
from jecp_mcp.domain.offers import Deprecation, Offer
from jecp_mcp.domain.outcomes import Outcome, Verdict
from jecp_mcp.domain.purchases import Principal
from jecp_mcp.domain.quotes import Free, Quote
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.mandate.states import State
from jecp_mcp.money import ZERO
from jecp_mcp.rails.base import StoredRequest
from jecp_mcp.tools.own import history
from jecp_mcp.tools.own.wallet import call_summary

from .shop import ACTIONS, INVOICE, SUMMARY, Shop, charged, lost, opened
from .test_dispatch import ME, told

pytestmark = pytest.mark.anyio

ANY = {"type": "object"}
KEYED = replace(SUMMARY, input_schema=ANY)
GIVEN = {"api_key": "sk-1234", "login": {"password": "hunter2", "user": "ann"}, "text": "a b\u200bc" + "x" * 500}


FREE: dict[str, Any] = {"verdict": Verdict.NOT_CHARGED, "amount": ZERO, "reference": None}


async def ask(shop: Shop, name: str, **arguments: Any) -> dict[str, Any]:
    return told(await shop.dispatcher.call(name, arguments, ME))


async def test_the_history_says_what_was_asked_at_which_price_and_what_it_came_to(tmp_path: Path) -> None:
    async with opened(tmp_path, goods=(INVOICE, KEYED)) as shop:
        await shop.dispatcher.call("docs_invoice_render", {"n": 7}, ME)
        await shop.dispatcher.call("text_summary_extract", GIVEN, ME)
        await shop.dispatcher.call("docs_invoice_render", {"n": 8}, Caller(Principal("somebody else")))
        found = await ask(shop, "jecp_status")
    summary, invoice = found["calls"]
    assert (invoice["asked"], invoice["charged_usdc"]) == ({"n": "7"}, "0.05")
    assert not {"state", "charged", "listed_usdc", "transaction_id"} & invoice.keys(), "it goes without saying"
    assert summary["asked"]["api_key"] == "[masked]"
    assert summary["asked"]["login"] == '{"password":"[m…'
    assert summary["asked"]["text"] == "a bc" + "x" * 11 + "…"
    assert "hunter2" not in str(found)
    assert found["total"] == {"calls": 2, "charged_usdc": "0.06"}


async def test_the_history_says_how_each_result_begins_and_masks_what_is_secret_in_it(tmp_path: Path) -> None:
    outputs: list[Any] = [
        {"words": 3, "api_key": "sk-1"}, "one\u200b line\nand " + "x" * 99, None, "y" * 70_000, {"n": 5}
    ]  # fmt: skip
    given = iter(outputs)

    def answering(request: StoredRequest, _replay: bool) -> Outcome:
        made = charged(request)
        assert made.answer is not None
        return replace(made, answer=replace(made.answer, output=next(given)))

    async with opened(tmp_path, answering) as shop:
        for number in range(len(outputs)):
            await shop.dispatcher.call("docs_invoice_render", {"n": number}, ME)
        shop.rail.script = lambda *_: lost()
        await shop.dispatcher.call("docs_invoice_render", {"n": 9}, ME)
        rows = (await ask(shop, "jecp_status"))["calls"]
    line = "one line and " + "x" * 34 + "…"
    assert [row.get("got") for row in reversed(rows)] == [
        '{"words":3,"api_key":"[masked]"}', line, "null", None, '{"n":5}', None
    ]  # fmt: skip


async def test_what_was_looked_up_for_nothing_is_no_call_and_has_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "_COUNTED", 3)

    async def quote(offer: Offer, arguments: Mapping[str, Any]) -> Quote | Free | Refusal:
        if arguments["n"] % 200:
            return Free(Answer(None, {"free": True}, Billing()), offer.payee, shop.rail.account)
        return Quote(offer.listed.amount, offer.listed.kind, offer.payee, shop.rail.account)

    async with opened(tmp_path) as shop:
        shop.rail.quote = quote  # type: ignore[method-assign]
        for number in (200, 1, 400, 600, *range(601, 608)):
            looked = await shop.dispatcher.call("docs_invoice_render", {"n": number}, ME)
            assert told(looked) == ({"done": True} if number % 200 == 0 else {"free": True})
        latest = await ask(shop, "jecp_status", limit=2)
        first = await ask(shop, "jecp_status", limit=2, offset=latest["next_offset"])
        wallet = await ask(shop, "jecp_wallet")
        (row, *_) = await shop.ledger.rows(limit=1, states=frozenset({State.RELEASED}))
    assert [one["asked"] for one in (*latest["calls"], *first["calls"])] == [{"n": "600"}, {"n": "400"}, {"n": "200"}]
    assert "next_offset" not in first
    assert latest["total"] == {"calls": 3, "charged_usdc": "0.15"}
    assert (wallet["calls"], wallet["charged_usdc"]) == (3, "0.15")
    assert (call_summary(row)["tool"], call_summary(row)["state"]) == ("paid_http_prepare", "free")


async def test_what_was_given_or_refused_for_nothing_when_bought_keeps_its_place(tmp_path: Path) -> None:
    async with opened(tmp_path, lambda request, _: replace(charged(request), **FREE)) as shop:
        await shop.dispatcher.call("docs_invoice_render", {"n": 1}, ME)
        (given,) = (await ask(shop, "jecp_status"))["calls"]
        assert (given["tool"], given["state"]) == ("docs_invoice_render", "free")
        assert (await ask(shop, "jecp_wallet"))["calls"] == 0


async def test_pages_of_the_history_go_on_where_the_last_one_ended(tmp_path: Path) -> None:
    async with opened(tmp_path) as shop:
        for number in range(3):
            await shop.dispatcher.call("docs_invoice_render", {"n": number}, ME)
        first = await ask(shop, "jecp_status", limit=2)
        last = await ask(shop, "jecp_status", limit=2, offset=first["next_offset"])
    assert [one["call_id"] for one in first["calls"]] == ["call_0003", "call_0002"]
    assert ([one["call_id"] for one in last["calls"]], "next_offset" in last) == (["call_0001"], False)
    assert first["total"] == last["total"] == {"calls": 3, "charged_usdc": "0.15"}


async def test_a_call_in_doubt_and_a_delivered_one_say_what_was_asked(tmp_path: Path) -> None:
    async with opened(tmp_path) as shop:
        await shop.dispatcher.call("docs_invoice_render", {"n": 7}, ME)
        again = (await shop.dispatcher.call("jecp_status", {"call_id": "call_0001"}, ME)).structured
        shop.rail.script = lambda *_: lost()
        await shop.dispatcher.call("docs_invoice_render", {"n": 8}, ME)
        doubtful = await ask(shop, "jecp_status", call_id="call_0002")
        total = (await ask(shop, "jecp_status"))["total"]
    assert again is not None
    assert again["receipt"]["asked"] == {"n": "7"}
    assert again["receipt"]["note"] == "Bought earlier, not bought again."
    assert (doubtful["state"], doubtful["asked"]) == ("in_doubt", {"n": "8"})
    assert total == {"calls": 2, "charged_usdc": "0.05", "held_usdc": "0.05"}


async def test_the_wallet_says_what_can_be_spent_now_and_why_it_does_not_know_the_rest(tmp_path: Path) -> None:
    async with opened(tmp_path, mandate={"daily_usdc": "0.60", "hourly_usdc": "1.00"}) as shop:
        before = await ask(shop, "jecp_wallet")
        await shop.dispatcher.call("docs_invoice_render", {"n": 7}, ME)
        after = await ask(shop, "jecp_wallet")
        shop.clock.at += 120_000
        await shop.dispatcher.call("docs_invoice_render", {"n": 8}, ME)
        later = await ask(shop, "jecp_wallet")
    rest = [("the rest later" in one["limits_note"]) for one in (before, after, later)]
    assert rest == [False, False, True], "there is none where all of it comes back at once"
    assert (before["balance_usdc"], before["trust_tier"], before["free_calls_remaining"]) == (None, None, None)
    assert "nothing was bought from here yet" in before["not_known"]
    # What the limits leave may be more than the wallet holds.
    assert before["can_spend_now_usdc"] is None
    # The balance is the least now.
    assert (after["balance_usdc"], after["can_spend_now_usdc"]) == ("0.43", "0.43")
    windows = {one["limit"]: one["window"] for one in after["limits"]}
    assert (windows["daily_usdc"], windows["hourly_usdc"]) == ("rolling 24 hours", "rolling hour")
    assert "Only the operator changes limits" in after["limits_note"]
    assert ("returns_usdc" in before["limits_note"], "returns_usdc" in after["limits_note"]) == (False, True)
    assert {one.get("returns_usdc") for one in before["limits"]} == {None}
    assert {one["returns_usdc"] for one in after["limits"]} == {"0.05"}


async def test_nothing_can_be_spent_when_the_mandate_is_over(tmp_path: Path) -> None:
    async with opened(tmp_path, mandate={"expires_at": "2026-11-20T00:00:00Z"}) as shop:
        assert (await ask(shop, "jecp_wallet"))["can_spend_now_usdc"] == "0.00"


async def test_a_payment_link_says_that_it_raises_no_limit_and_how_long_it_lives(tmp_path: Path) -> None:
    async with opened(tmp_path) as shop:
        made = await ask(shop, "jecp_topup", amount_usd=5)
    assert "raises no limit" in made["note"]
    assert "for a day" in made["note"]
    assert "if one did" in made["next_action"]["hint"]


async def test_what_ends_says_when_and_what_replaces_it_and_is_found_by_itself(tmp_path: Path) -> None:
    soon = replace(
        SUMMARY, deprecation=Deprecation("deprecated", "2027-01-01T00:00:00Z"), output_schema={"properties": {"gist": {"type": "string"}}},
    )  # fmt: skip
    goods = [*(one for one in ACTIONS if one.key != SUMMARY.key), soon]
    async with opened(tmp_path, goods=goods) as shop:
        found = await ask(shop, "jecp_search", withdrawn=True)
        described = await ask(shop, "jecp_describe", tool="text_summary_extract")
        gone = await ask(shop, "jecp_describe", tool="docs_bill_render")
        none = await ask(shop, "jecp_search", query="video", withdrawn=True)
    rows = {one["tool"]: one for one in found["results"]}
    assert set(rows) == {"docs_bill_render", "text_summary_extract"}
    bill, summary = rows["docs_bill_render"], rows["text_summary_extract"]
    assert (bill["withdrawn"], bill["replaced_by"]) == (True, "docs_invoice_render")
    assert (summary["withdrawn_at"], summary["replaced_by"]) == ("2027-01-01T00:00:00Z", "none named")
    assert "withdrawn" not in summary
    assert described["returns"] == "gist"
    assert (described["versions_on_sale"], gone["versions_on_sale"]) == (["1.0.0"], [])
    assert none["hint"] == "Nothing that matches is withdrawn or about to be."


async def test_pages_of_a_search_say_how_many_there_are_and_where_the_next_begins(tmp_path: Path) -> None:
    async with opened(tmp_path) as shop:
        first = await ask(shop, "jecp_search", limit=4)
        last = await ask(shop, "jecp_search", limit=4, offset=first["next_offset"])
        past = await ask(shop, "jecp_search", offset=100)
        nothing = await ask(shop, "jecp_search", query="book a hotel in Rome")
    assert (first["total"], first["left_off"], first["next_offset"]) == (6, 2, 4)
    assert (last["total"], "left_off" in last, "next_offset" in last) == (6, False, False)
    assert (past["results"], past["hint"]) == ([], "There are no more matches.")
    assert (nothing["total"], nothing["hint"].startswith("No close match.")) == (0, True)
