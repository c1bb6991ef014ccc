"""A real server process whose tools ask before they buy: run with a transport, and in seconds the patience with a
2025-era host and how long the question to a 2026-era host can be answered.

``buy`` asks once, ``buy_after_two`` two questions in one call, ``pay`` has a link opened. Each says what came of it and
how often this process has bought.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio

from jecp_mcp.calls.ports import Caller, Decision, Question, Reply
from jecp_mcp.calls.stored import identity
from jecp_mcp.domain.quotes import QuoteKind
from jecp_mcp.money import MicroUSDC
from jecp_mcp.server import elicitation, transports
from jecp_mcp.server.elicitation import Askers
from jecp_mcp.server.list_changed import ListChangedNotifier
from jecp_mcp.server.mcp_server import build_server
from jecp_mcp.settings import ServerSettings
from jecp_mcp.tools.dispatch import ToolDispatcher
from jecp_mcp.tools.own.handlers import free_result
from jecp_mcp.tools.schemas.arguments import ArgumentChecks
from jecp_mcp.tools.types import ToolResult
from tests.contract.tools.shop import Shop, opened


class AskingDispatcher(ToolDispatcher):
    """A dispatcher whose only purchases are those a person approved."""

    def __init__(self, shop: Shop) -> None:
        super().__init__(shop.dispatcher._deps, ArgumentChecks())
        self.price = 750_000
        self.bought = 0
        self.links = 0

    async def call(self, name: str, arguments: Mapping[str, Any], caller: Caller) -> ToolResult:
        assert caller.asker is not None
        replies: list[Reply] = []
        match name:
            case "buy":
                replies.append(await caller.asker.approve(self.question("It is dear.", arguments)))
            case "buy_after_two":
                for why in ("It is dear.", "It is new."):
                    replies.append(await caller.asker.approve(self.question(why, arguments)))
                    if replies[-1].decision is not Decision.ACCEPTED:
                        break
            case "pay":
                replies.append(await caller.asker.show_link("topup 5", "Pay 5 USD?", self.link))
            case "set_price":
                self.price = arguments["price"]
        if name.startswith("buy") and all(one.decision is Decision.ACCEPTED for one in replies):
            self.bought += 1
        said = [{"decision": one.decision.value, "reason": one.reason, "url": one.url} for one in replies]
        return free_result({"replies": said, "bought": self.bought, "links": self.links})

    def question(self, because: str, arguments: Mapping[str, Any]) -> Question:
        key = identity("local", "hub agent", "docs/invoice:render", arguments)
        return Question(
            "local",
            "docs",
            "hub agent",
            "docs/invoice:render",
            MicroUSDC(self.price),
            QuoteKind.EXACT,
            "",
            key,
            because,
            dict(arguments),
        )

    async def link(self) -> str:
        self.links += 1
        return f"https://checkout.stripe.com/c/pay/cs_{self.links}"


async def serve(transport: str, patience: float, good_for: float) -> None:
    elicitation.STATE_SECONDS = good_for  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as folder:
        async with opened(Path(folder)) as shop:
            server = build_server(AskingDispatcher(shop), ListChangedNotifier(), Askers(patience=patience))
            if transport == "stdio":
                await transports.serve_stdio(server)
                return
            settings = ServerSettings(port=0)
            serve = transports.serve_sse if transport == "sse" else transports.serve_http
            await serve(server, settings, transports.listen(settings))


if __name__ == "__main__":
    anyio.run(serve, sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
