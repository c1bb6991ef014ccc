"""A Hub in memory, behind the bridge's HTTP seam: the protocol's promises, and a network that breaks them."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

import anyio
import anyio.lowlevel

from jecp_mcp.http import ExchangeFailed, HttpAnswer
from jecp_mcp.money import format_usdc, parse_usdc
from jecp_mcp.wire import jsontext

FAULTS = (
    "none",
    "none",
    "none",
    "not_sent",
    "lost_before",
    "lost_after",
    "html_before",
    "html_after",
    "internal_before",
    "internal_after",
    "provider_error",
    "rate_limited",
    "hang_before",
    "hang_after",
)


class HubModel:
    """Charges once per id, keeps the body, refuses what the mandate does not cover."""

    def __init__(self, rng: random.Random, prices: Mapping[str, int], balance: int, dialect: str) -> None:
        self.rng, self.prices, self.balance, self.dialect = rng, prices, balance, dialect
        self.kept: dict[str, tuple[bytes, dict[str, Any]]] = {}
        self.charges: dict[str, int] = {}
        self.healthy = False

    @property
    def charged(self) -> int:
        """Everything ever charged, micro-USDC."""
        return sum(self.charges.values())

    async def exchange(self, method: str, url: str, *, body: bytes | None = None, **_options: Any) -> HttpAnswer:
        """One request, with a fault of the dice's choice."""
        fault = "none" if self.healthy else self.rng.choice(FAULTS)
        await self._dawdle()
        if method == "GET":
            return HttpAnswer(404, {}, b"{}")
        if fault == "not_sent":
            raise ExchangeFailed(sent=False, phase="connect", reason="refused")
        if fault == "hang_before":
            await anyio.sleep_forever()
        if fault == "lost_before":
            raise ExchangeFailed(sent=True, phase="response", reason="reset")
        if fault == "html_before":
            return HttpAnswer(502, {"content-type": "text/html"}, b"<html></html>")
        if fault in {"internal_before", "provider_error", "rate_limited"}:
            return self._refuse(fault)
        answer = self._invoke(body or b"")
        await self._dawdle()
        if fault == "hang_after":
            await anyio.sleep_forever()
        if fault == "lost_after":
            raise ExchangeFailed(sent=True, phase="response", reason="reset")
        if fault == "html_after":
            return HttpAnswer(502, {"content-type": "text/html"}, b"<html></html>")
        if fault == "internal_after":
            return self._refuse("internal_after")
        return answer

    async def _dawdle(self) -> None:
        for _ in range(self.rng.randrange(4)):
            await anyio.lowlevel.checkpoint()

    @staticmethod
    def _answer(status: int, body: dict[str, Any], headers: Mapping[str, str] | None = None) -> HttpAnswer:
        return HttpAnswer(status, {"content-type": "application/json", **(headers or {})}, jsontext.dumps(body))

    def _refuse(self, fault: str) -> HttpAnswer:
        if fault == "rate_limited":
            error = {"code": "RATE_LIMITED", "message": "slow down", "details": {"retry_after_seconds": 600}}
            return self._answer(429, {"jecp": "1.0", "status": "failed", "error": error}, {"retry-after": "600"})
        code, status = ("PROVIDER_ERROR", 502) if fault == "provider_error" else ("INTERNAL_ERROR", 500)
        error = {"code": code, "message": "something broke"}
        return self._answer(status, {"jecp": "1.0", "status": "failed", "error": error})

    def _invoke(self, body: bytes) -> HttpAnswer:
        sent = jsontext.loads(body, max_bytes=1_000_000)
        call_id = sent["id"]
        content = json.dumps([sent["capability"], sent["action"], sent["input"]], sort_keys=True, default=str).encode()
        if call_id in self.kept:
            known, kept = self.kept[call_id]
            if known != content:
                return self._failed(409, call_id, "DUPLICATE_REQUEST")
            return self._answer(200, kept)
        price = self.prices[sent["action"]]
        if parse_usdc(sent["mandate"]["budget_usdc"]) < price:
            return self._failed(402, call_id, "INSUFFICIENT_BUDGET")
        if self.balance < price:
            return self._failed(402, call_id, "INSUFFICIENT_BALANCE")
        assert call_id not in self.charges, "the Hub charged an id twice"
        self.balance -= price
        self.charges[call_id] = price
        made = self._success(call_id, sent, price)
        self.kept[call_id] = (content, made)
        return self._answer(200, made)

    def _failed(self, status: int, call_id: str, code: str) -> HttpAnswer:
        return self._answer(
            status, {"jecp": "1.0", "id": call_id, "status": "failed", "error": {"code": code, "message": code.lower()}}
        )

    def _success(self, call_id: str, sent: dict[str, Any], price: int) -> dict[str, Any]:
        amount, after = (
            jsontext.loads(format_usdc(price), max_bytes=99),
            jsontext.loads(format_usdc(self.balance), max_bytes=99),
        )
        if self.dialect == "reference":
            return {
                "jecp": "1.0",
                "id": call_id,
                "status": "success",
                "result": {"said": sent["input"]},
                "provider": {"namespace": "model", "capability": "thing", "version": "1.0.0"},
                "billing": {
                    "charged": True,
                    "amount_usdc": amount,
                    "transaction_id": f"tx_{call_id}",
                    "balance_after": after,
                },
            }
        return {
            "jecp": "1.0",
            "id": call_id,
            "status": "completed",
            "result": {"capability": "model/thing", "action": sent["action"], "output": {"said": sent["input"]}},
            "billing": {
                "cost_usdc": amount,
                "method": "wallet",
                "balance_after": after,
                "transaction_id": f"tx_{call_id}",
            },
        }
