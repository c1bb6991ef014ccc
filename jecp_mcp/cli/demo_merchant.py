"""The demo's chapter on a merchant who sells by x402, under the same limits and in the same books."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from jecp_mcp.cli.demo_host import Host, billing
from jecp_mcp.cli.demo_log import DemoLog
from jecp_mcp.cli.sandbox_client import MerchantClient
from jecp_mcp.mandate.codes import PER_CALL_LIMIT
from jecp_mcp.money import MicroUSDC, format_usdc

PREPARE: Final = "paid_http_prepare"
EXECUTE: Final = "paid_http_execute"


class MerchantChapter:
    """Three steps: a request that lacks something, a price over the limit, a lost answer."""

    def __init__(self, host: Host, merchant: MerchantClient, log: DemoLog, text: str, per_call: str) -> None:
        """Buy from `merchant` as `host`.

        Args:
            text: what is summarised.
            per_call: the limit of a call, USDC.
        """
        self._host = host
        self._merchant = merchant
        self._log = log
        self._abstract = f"{merchant.url}/abstract"
        self._text = text
        self._per_call = MicroUSDC(int(Decimal(per_call) * 1_000_000))

    async def run(self) -> None:
        """Tell it.

        Raises:
            CheckFailed: something was not so.
            PayeeError: the sandbox failed.
        """
        await self._missing_field()
        await self._over_the_limit()
        await self._lost_answer()

    async def _missing_field(self) -> None:
        self._log.step("A merchant who sells by x402: a request that lacks a field, revised, bought")
        lacking = await self._prepare({"url": self._abstract, "json": {"sentences": 1}})
        for issue in lacking["validation_issues"]:
            self._log.receipt(f"{issue['location']}, {issue['field']}: {issue['code']}")
        self._log.check(
            lacking["next_action"]["type"] == "revise_request", "the merchant's own words say what it needs"
        )
        wanted = {"url": self._abstract, "json": {"sentences": 1, "text": self._text}}
        mended = await self._prepare({**wanted, "replaces": lacking["prepared_id"]})
        self._log.check("validation_issues" not in mended, "now it lacks nothing")
        self._log.check(not await self._merchant.transfers(), "asking for the price moved no money")
        bought = await self._host.buy(EXECUTE, mended["next_action"]["arguments"])
        [value] = (await self._merchant.transfers()).values()
        self._log.check(
            format_usdc(value) == mended["payment"]["amount_usdc"] == billing(bought)["amount_usdc"],
            f"the chain has one transfer, of the {format_usdc(value)} USDC of the receipt",
        )

    async def _over_the_limit(self) -> None:
        self._log.step("The limits hold there too")
        before, price = await self._merchant.transfers(), MicroUSDC(self._per_call + 50_000)
        await self._merchant.ask_for("/pdf", price)
        self._log.note(f"the merchant now wants {format_usdc(price)} USDC for a PDF")
        request = {"url": f"{self._merchant.url}/pdf", "json": {"markdown": "# Rags and water"}}
        error = await self._host.expect_refusal(PREPARE, request)
        self._log.check(error["error"]["code"] == PER_CALL_LIMIT, "that is over the limit of a call")
        self._log.check(await self._merchant.transfers() == before, "nothing was signed, and no money moved")

    async def _lost_answer(self) -> None:
        self._log.step("A merchant takes the money, and its answer is lost")
        before = await self._merchant.transfers()
        prepared = await self._prepare({"url": self._abstract, "json": {"sentences": 2, "text": self._text}})
        await self._merchant.lose_answer("/abstract")
        self._log.note("the merchant will take the payment, and break off in the middle of its answer")
        error = await self._host.expect_refusal(EXECUTE, prepared["next_action"]["arguments"])
        self._log.check(error["charged"] == "unknown", "the error admits that it is not known whether it was charged")
        step = error["next_action"]
        found = await self._host.buy(step["tool"], step["arguments"], note="what the error says to do")
        self._log.check(billing(found)["call_id"] == error["call_id"], "the answer is that of the same call")
        new = (await self._merchant.transfers()).keys() - before.keys()
        self._log.check(len(new) == 1, "the chain has one transfer for it: the same payment came again, and no other")

    async def _prepare(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return await ask_price(self._host, self._log, arguments)


async def ask_price(host: Host, log: DemoLog, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Ask a merchant for a price; gives what was prepared.

    Raises:
        CheckFailed: it could not be asked.
    """
    result = await host.ask(PREPARE, arguments)
    log.check(not result.get("isError", False), "the merchant is asked for its price, and not paid")
    prepared: dict[str, Any] = result["structuredContent"]
    log.receipt(f"{prepared['cost_summary']} next_action: {prepared['next_action']['type']}")
    return prepared
