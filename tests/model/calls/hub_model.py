"""A Hub in memory, behind the bridge's HTTP seam: the protocol's promises and no more, and a network that breaks them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import formatdate
from typing import Any

import anyio
import anyio.lowlevel

from jecp_mcp import jsontext
from jecp_mcp.errors import HeldBack
from jecp_mcp.http import ExchangeFailed, HttpAnswer
from jecp_mcp.money import format_usdc, parse_usdc
from tests.model.calls.world import OnItsWay, World

FAULTS = (
    *("none",) * 6,
    "not_sent",
    "not_sent",
    "lost_before",
    "lost_before",
    "lost_before",
    "lost_after",
    "late",
    "html_before",
    "html_after",
    "internal_before",
    "internal_after",
    "provider_error",
    "rate_limited",
    "hang_before",
    "hang_after",
)

GLOOM = (*("lost_after",) * 6, *("late",) * 3, "not_sent", "hang_after", "internal_after")
"""A network that lets most requests through and no answer back."""

LATEST_MS = 20_000
"""The longest that a request travels."""


@dataclass(frozen=True)
class Booked:
    """A charge in the Hub's books; micro-USDC."""

    at: int
    agent: str
    call_id: str
    action: str
    amount: int


class HubModel:
    """Charges once per agent and id as long as it remembers the id, and refuses what the mandate does not cover."""

    def __init__(
        self, world: World, prices: Mapping[str, int], balance: int, dialect: str, window: int, *, heeds_expiry: bool
    ) -> None:
        """Open the Hub.

        Args:
            window: for how many seconds from its first arrival an id is remembered, as the guide says.
            heeds_expiry: whether it looks at ``mandate.expires_at``.
        """
        self.world, self.prices, self.balance, self.dialect = world, prices, balance, dialect
        self.window, self.heeds_expiry = window, heeds_expiry
        self.faults = world.rng.choice([FAULTS, FAULTS, GLOOM])
        self.kept: dict[tuple[str, str], tuple[int, bytes, dict[str, Any]]] = {}
        self.books: list[Booked] = []

    def of(self, call_id: str) -> list[Booked]:
        """Every charge of a call."""
        return [one for one in self.books if one.call_id == call_id]

    async def exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 30.0,  # noqa: ASYNC109 - as Http's
        max_bytes: int = 0,
        before_sending: Callable[[], Awaitable[None]] | None = None,
    ) -> HttpAnswer:
        """One request, with a fault of the dice's choice."""
        if method == "GET":
            return self._answer(200, {"idempotency_window_seconds": self.window})
        sent = False

        async def leave() -> None:
            nonlocal sent
            assert before_sending is not None
            await before_sending()
            sent = True

        try:
            with anyio.fail_after(timeout):
                return await self._post(headers or {}, body or b"", leave)
        except HeldBack as exc:
            raise ExchangeFailed(sent=False, phase="send", reason=str(exc)) from exc
        except TimeoutError as exc:
            raise ExchangeFailed(sent=sent, phase="answer", reason="no whole answer") from exc

    async def _post(self, headers: Mapping[str, str], body: bytes, leave: Callable[[], Awaitable[None]]) -> HttpAnswer:
        fault = "none" if self.world.calm else self.world.rng.choice(self.faults)
        agent = headers["X-Agent-ID"]
        await self.world.pause()
        if fault == "not_sent":
            raise ExchangeFailed(sent=False, phase="connect", reason="refused")
        await leave()
        if fault == "hang_before":
            await anyio.sleep_forever()
        if fault == "lost_before":
            raise ExchangeFailed(sent=True, phase="response", reason="reset")
        if fault == "html_before":
            return HttpAnswer(502, {"content-type": "text/html"}, b"<html></html>")
        if fault in {"internal_before", "provider_error", "rate_limited"}:
            return self._refuse(fault)
        if fault == "late":
            due = self.world.now() + self.world.rng.randrange(LATEST_MS)
            self.world.on_its_way.append(OnItsWay(due, lambda: self._invoke(agent, body)))
            await self.world.pause()
            raise ExchangeFailed(sent=True, phase="response", reason="reset")
        answer = self._invoke(agent, body)
        await self.world.pause()
        if fault == "hang_after":
            await anyio.sleep_forever()
        if fault == "lost_after":
            raise ExchangeFailed(sent=True, phase="response", reason="reset")
        if fault == "html_after":
            return HttpAnswer(502, {"content-type": "text/html"}, b"<html></html>")
        if fault == "internal_after":
            return self._refuse("internal_after")
        return answer

    def _answer(self, status: int, body: dict[str, Any], headers: Mapping[str, str] | None = None) -> HttpAnswer:
        date = formatdate(self.world.now() / 1000, usegmt=True)
        made = {"content-type": "application/json", "date": date, **(headers or {})}
        return HttpAnswer(status, made, jsontext.dumps(body))

    def _refuse(self, fault: str) -> HttpAnswer:
        if fault == "rate_limited":
            error = {"code": "RATE_LIMITED", "message": "slow down", "details": {"retry_after_seconds": 600}}
            return self._answer(429, {"jecp": "1.0", "status": "failed", "error": error}, {"retry-after": "600"})
        code, status = ("PROVIDER_ERROR", 502) if fault == "provider_error" else ("INTERNAL_ERROR", 500)
        error = {"code": code, "message": "something broke"}
        return self._answer(status, {"jecp": "1.0", "status": "failed", "error": error})

    def _invoke(self, agent: str, body: bytes) -> HttpAnswer:
        sent, now = jsontext.loads(body, max_bytes=1_000_000), self.world.now()
        call_id, mandate = sent["id"], sent["mandate"]
        assert mandate["agent_id"] == agent
        content = json.dumps([sent["capability"], sent["action"], sent["input"]], sort_keys=True, default=str).encode()
        known = self.kept.get((agent, call_id))
        if known is not None and now - known[0] < self.window * 1000:
            return (
                self._failed(409, call_id, "DUPLICATE_REQUEST") if known[1] != content else self._answer(200, known[2])
            )
        if self.heeds_expiry and datetime.fromisoformat(mandate["expires_at"]).timestamp() * 1000 <= now:
            return self._failed(403, call_id, "MANDATE_EXPIRED")
        price = self.prices[sent["action"]]
        if parse_usdc(mandate["budget_usdc"]) < price:
            return self._failed(402, call_id, "INSUFFICIENT_BUDGET")
        if self.balance < price:
            return self._failed(402, call_id, "INSUFFICIENT_BALANCE")
        self.balance -= price
        self.books.append(Booked(now, agent, call_id, sent["action"], price))
        made = self._success(call_id, sent, price)
        self.kept[agent, call_id] = (now, content, made)
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
