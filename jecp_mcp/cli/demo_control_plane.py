"""The demo's chapter on a merchant that a 402flow control plane pays: its policy stands behind the same limits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from jecp_mcp.cli.demo_host import Host, billing
from jecp_mcp.cli.demo_log import DemoLog
from jecp_mcp.cli.demo_merchant import EXECUTE, ask_price
from jecp_mcp.cli.sandbox_client import ControlPlaneClient, MerchantClient
from jecp_mcp.money import MicroUSDC, format_usdc
from jecp_mcp.rails.codes import PAYMENT_DENIED

_RESULT: Final = "paid_http_result"
_TOO_DEAR: Final = MicroUSDC(60_000)
"""Within the demo's limit of a call, and above what the sandbox's control plane lets anybody pay."""


class ControlPlaneChapter:
    """Two steps: a payment that the control plane denies; and one whose receipt is provisional, then confirmed."""

    def __init__(
        self,
        host: Host,
        plane: ControlPlaneClient,
        merchant: MerchantClient,
        log: DemoLog,
        text: str,
        evidence: Callable[[str, str], Awaitable[str]],
    ) -> None:
        """Buy as `host` what `plane` pays for.

        Args:
            merchant: who sells it, as whoever runs the shop.
            text: what is summarised.
            evidence: reads in the ledger what a call's charge rests on, once a word is in it.
        """
        self._host = host
        self._plane = plane
        self._merchant = merchant
        self._log = log
        self._text = text
        self._evidence = evidence

    async def run(self) -> None:
        """Tell it.

        Raises:
            CheckFailed: something was not so.
            PayeeError: the sandbox failed.
        """
        await self._denied()
        await self._confirmed()

    async def _denied(self) -> None:
        self._log.step("A merchant that a 402flow control plane pays: its policy denies what the limits would allow")
        await self._merchant.ask_for("/pdf", _TOO_DEAR)
        self._log.note(f"the merchant now wants {format_usdc(_TOO_DEAR)} USDC for a PDF")
        request = {"url": f"{self._plane.merchant}/pdf", "json": {"markdown": "# Rags and water"}}
        error = await self._host.expect_refusal(EXECUTE, await self._prepare(request))
        self._log.check(error["error"]["code"] == PAYMENT_DENIED, "the error says whose word that is")
        said = error["error"]["details"]["control_plane_says"]
        self._log.check(bool(said), f"and why, in the control plane's words: {said}")
        self._log.check(
            error["charged"] == "no" and not await self._plane.payments(), "it paid nothing, and nothing was charged"
        )
        self._log.check(error["next_action"]["actor"] == "operator", "the model is told that only a person can help")

    async def _confirmed(self) -> None:
        self._log.step("It pays for another, by a receipt that is provisional until its chain has seen the payment")
        request = {"url": f"{self._plane.merchant}/abstract", "json": {"sentences": 1, "text": self._text}}
        bought = await self._prepare(request)
        call_id = billing(await self._host.buy(EXECUTE, bought))["call_id"]
        await self._receipt(call_id, "provisional")
        await self._merchant.pass_time(60)
        self._log.note("a minute passes on the chain")
        result = await self._host.buy(_RESULT, bought, note="asked again, which looks at the receipt")
        self._log.check(billing(result)["call_id"] == call_id, "nothing was bought anew")
        await self._receipt(call_id, "confirmed")
        paid = await self._plane.payments()
        self._log.check(paid.keys() == {call_id}, "the control plane paid once, under the call's id")

    async def _receipt(self, call_id: str, status: str) -> None:
        evidence = await self._evidence(call_id, status)
        self._log.check(status in evidence, f"the ledger says what the charge rests on: {evidence}")

    async def _prepare(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Ask for a price; gives the arguments that buy it."""
        prepared = await ask_price(self._host, self._log, arguments)
        given: dict[str, Any] = prepared["next_action"]["arguments"]
        return given
