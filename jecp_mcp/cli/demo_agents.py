"""The demo's chapter on agents that are hired by AJP, under the same limits and in the same books."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from jecp_mcp.cli.demo_host import Host, billing
from jecp_mcp.cli.demo_log import DemoLog
from jecp_mcp.cli.sandbox_client import AgentsClient
from jecp_mcp.rails.ajp.payload import job_id_of

HONEST: Final = "ajp_hire_counter"
OVERCHARGER: Final = "ajp_hire_overcharger"


class AgentChapter:
    """Two steps: a job that is done, proven and acknowledged; and one that asks for twice what it was offered.

    Attributes:
        owed: what was acknowledged, by the agents' own books: USDC by call.
    """

    def __init__(self, host: Host, agents: AgentsClient, log: DemoLog, text: str) -> None:
        """Hire the sandbox's agents as `host`, to count what is in `text`."""
        self.owed: dict[str, Decimal] = {}
        self._host = host
        self._agents = agents
        self._log = log
        self._text = text
        self._job = {"instruction": "Count the words.", "input": {"text": text}}

    async def wake(self) -> None:
        """Have the agents begin, which they do when they are first asked. Takes them a while.

        Raises:
            PayeeError: the sandbox failed.
        """
        await self._agents.wake()

    async def run(self) -> None:
        """Tell it.

        Raises:
            CheckFailed: something was not so.
            PayeeError: the sandbox failed.
        """
        await self._hired()
        await self._overcharged()

    async def _hired(self) -> None:
        self._log.step("An agent is hired by AJP: an offer with a budget, a signed result, an acknowledgement")
        done = await self._host.buy(HONEST, self._job)
        found, words = done["structuredContent"]["output"]["words"], len(self._text.split())
        self._log.check(found == words, f"the result is about the text that was sent: {words} words")
        owed, theirs = Decimal(billing(done)["amount_usdc"]), await self._asked_for(HONEST, done)
        self._log.check(
            owed == theirs > 0, f"the {owed} USDC of the receipt are what the signed result costs, and acknowledged"
        )
        self.owed[billing(done)["call_id"]] = theirs

    async def _overcharged(self) -> None:
        self._log.step("Another asks for twice what it was offered")
        done = await self._host.buy(OVERCHARGER, self._job)
        wallet = (await self._host.call("jecp_wallet", {}))["structuredContent"]
        held, asked = Decimal(wallet["held_usdc"]), await self._asked_for(OVERCHARGER, done)
        self._log.check(
            "not acknowledged" in done["content"][0]["text"], f"its result says {asked} USDC, and is not acknowledged"
        )
        self._log.check(
            0 < held < asked, f"the limit holds: the {held} USDC offered count until a person rules, and no more"
        )

    async def _asked_for(self, tool: str, done: Mapping[str, Any]) -> Decimal:
        """What a job costs by its agent's own books."""
        name = tool.removeprefix("ajp_hire_")
        report = await self._agents.result(name, job_id_of(billing(done)["call_id"]))
        return Decimal(str(report["usage"]["cost_usd"]))
