"""A charge whose amount cannot be read counts as the hold at least, and is told as that: to the model and the operator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.calls.ports import Caller
from jecp_mcp.cli.call_rows import call_json
from jecp_mcp.domain.outcomes import Outcome, Refunded
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.base import StoredRequest
from jecp_mcp.rails.jecp.outcome import Replied, conclude
from jecp_mcp.tools.types import Text, ToolResult
from jecp_mcp.wire.jecp.envelope import parse_answer
from tests.contract.tools.shop import Script, Shop, opened

pytestmark = pytest.mark.anyio

ME = Caller(LOCAL)
TOOL = "docs_invoice_render"
HOLD = 50_000


def saying(amount: str, status: str = "success") -> Script:
    """A Hub that charges, and says so and how much in these words."""
    ending = '"result":{"done":true}' if status == "success" else '"error":{"code":"PROVIDER_ERROR","message":"No."}'
    billing = f'{{"charged":true,"amount_usdc":{amount},"transaction_id":"tx_1"}}'
    body = f'{{"jecp":"1.0","status":"{status}",{ending},"billing":{billing}}}'.encode()

    def script(request: StoredRequest, replay: bool) -> Outcome:
        return conclude([Replied(parse_answer(body, {}, 200))], replay=replay, budget=request.hold)

    return script


async def buy(shop: Shop) -> ToolResult:
    return await shop.dispatcher.call(TOOL, {"n": 1}, ME)


async def status(shop: Shop) -> dict[str, Any]:
    (one,) = ((await shop.dispatcher.call("jecp_status", {}, ME)).structured or {})["calls"]
    return dict(one)


def words(result: ToolResult) -> str:
    return "\n".join(part.text for part in result.blocks if isinstance(part, Text))


@pytest.mark.parametrize(("amount", "counts"), [('"a lot"', "0.05"), ("2e9", "1000000.00"), ("null", "0.05")])
async def test_the_receipt_the_status_and_the_ledger_tell_no_figure_of_the_hubs(
    tmp_path: Path, amount: str, counts: str
) -> None:
    async with opened(tmp_path, saying(amount), mandate={"daily_usdc": "1000"}) as shop:
        bought = await buy(shop)
        line = words(bought).splitlines()[0]
        assert f"how much cannot be read from its answer, so {counts} USDC counts as spent" in line
        assert "Paid 0" not in line
        receipt = bought.meta["jecp-mcp/billing"]
        assert "amount_usdc" not in receipt
        assert (receipt["amount_unreadable"], receipt["counts_as_usdc"], receipt["charged"]) == (True, counts, "yes")
        listed = await status(shop)
        assert "charged_usdc" not in listed
        assert (listed["amount_unreadable"], listed["counts_as_usdc"]) == (True, counts)
        (row,) = await shop.calls.reader(LOCAL).latest(limit=10)
        told = call_json(row)
        assert (told["charged_usdc"], told["amount_unreadable"]) == (counts, True)
        # Said again, from the ledger alone.
        again = await shop.dispatcher.call("jecp_status", {"call_id": row.call_id}, ME)
        assert "Bought earlier, not bought again: paid docs (tx tx_1); how much cannot be read" in words(again)
        (day,) = await shop.calls.reader(LOCAL).windows()
        assert day.used == row.charged


@pytest.mark.parametrize("amount", ["5.0000001", '"$5.0000001"', "5.0000010"])
async def test_an_amount_finer_than_a_micro_is_told_rounded_up(tmp_path: Path, amount: str) -> None:
    async with opened(tmp_path, saying(amount), mandate={"daily_usdc": "1000"}) as shop:
        bought = await buy(shop)
        assert bought.meta["jecp-mcp/billing"]["amount_usdc"] == "5.000001"
        assert "docs says that it took 5.000001 USDC where at most 0.05 USDC was allowed" in words(bought)
        assert (await status(shop))["charged_usdc"] == "5.000001"


async def test_no_limit_is_passed_by_an_amount_of_seven_decimals(tmp_path: Path) -> None:
    async with opened(tmp_path, saying("5.0000001"), mandate={"daily_usdc": "10"}) as shop:
        ends = [await shop.dispatcher.call(TOOL, {"n": number}, ME) for number in range(4)]
    assert [end.is_error for end in ends] == [False, False, True, True]
    assert json.loads(words(ends[2]))["error"]["code"] == "LIMIT_REACHED"


async def test_a_charged_refusal_tells_no_figure_either(tmp_path: Path) -> None:
    async with opened(tmp_path, saying('"a lot"', "failed"), mandate={"daily_usdc": "1000"}) as shop:
        refused = (await buy(shop)).structured or {}
        assert refused["charged"] == "yes"
        assert "how much cannot be read, so 0.05 USDC count as spent" in refused["error"]["message"]
        asked = (await shop.dispatcher.call("jecp_status", {"call_id": refused["call_id"]}, ME)).structured or {}
        assert "how much cannot be read, so 0.05 USDC count as spent" in asked["message"]
        assert "charged_usdc" not in asked


async def test_it_is_still_told_when_some_of_it_came_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, saying('"a lot"'), mandate={"daily_usdc": "1000"}) as shop:
        await buy(shop)
        (row,) = await shop.calls.reader(LOCAL).latest(limit=10)
        back = Refunded("tx_1", MicroUSDC(10_000), "the Hub's refund r_1")

        async def paid_refunds() -> list[Refunded]:
            return [back]

        monkeypatch.setattr(shop.rail, "paid_refunds", paid_refunds)
        assert await shop.calls.note_refunds() == 1
        (row,) = await shop.calls.reader(LOCAL).latest(limit=10)
        assert (row.charged, row.refunded) == (HOLD, 10_000)
        assert (await status(shop))["amount_unreadable"]


async def test_a_refusal_beside_a_bill_is_looked_up_and_never_bought_again(tmp_path: Path) -> None:
    body = json.dumps(
        {
            "jecp": "1.0",
            "status": "failed",
            "error": {"code": "INSUFFICIENT_TRUST", "message": "No."},
            "billing": {"amount_usdc": 0.05, "transaction_id": "tx_1"},
        }
    ).encode()

    def script(request: StoredRequest, replay: bool) -> Outcome:
        return conclude([Replied(parse_answer(body, {}, 403))], replay=replay, budget=request.hold)

    async with opened(tmp_path, script) as shop:
        found = (await buy(shop)).structured or {}
        assert (found["charged"], found["next_action"]["tool"]) == ("unknown", "jecp_status")
        (row,) = await shop.calls.reader(LOCAL).latest(limit=10)
        assert (row.state.value, row.held) == ("in_doubt", HOLD)
        again = (await buy(shop)).structured or {}
        assert again["charged"] == "unknown"
        assert len({call_id for call_id, _ in shop.rail.sent}) == 1
