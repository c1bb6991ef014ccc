"""The demo's script. Nothing in it is staged but the sandbox's money, one lost answer, and who plays the human."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jecp_mcp.cli import ledger
from jecp_mcp.cli.demo_agents import OVERCHARGER, AgentChapter
from jecp_mcp.cli.demo_control_plane import ControlPlaneChapter
from jecp_mcp.cli.demo_host import Host, billing
from jecp_mcp.cli.demo_merchant import MerchantChapter
from jecp_mcp.cli.hub_record import SandboxHub
from jecp_mcp.cli.options import Start
from jecp_mcp.cli.sandbox_client import AgentsClient, ControlPlaneClient, MerchantClient, SandboxClient
from jecp_mcp.cli.saved_files import NotWritten, write_beside
from jecp_mcp.http import Http
from jecp_mcp.mandate.codes import PER_CALL_LIMIT
from jecp_mcp.money import MicroUSDC, format_usdc
from jecp_mcp.settings import load_settings

if TYPE_CHECKING:
    from jecp_mcp.cli.demo_log import DemoLog

INVOICE: Final[Mapping[str, Any]] = {
    "number": "2026-117",
    "issued": "2026-11-20",
    "currency": "EUR",
    "seller": {"name": "Fjordline Bookbinding", "address": "Strandgaten 9\n5013 Bergen"},
    "buyer": {"name": "Museo della Carta", "address": "Via delle Ferriere 14\n84011 Amalfi"},
    "items": [
        {"description": "Half-leather rebinding, folio", "quantity": 2, "unit_price": 412.5},
        {"description": "Marbled endpapers", "quantity": 8, "unit_price": 19.9},
    ],
    "tax_percent": 22,
}

CSV: Final = """month,visitors,tickets_eur,rain_days
2026-01,1840,12880.00,11
2026-02,1975,13825.00,9
2026-03,2610,18270.00,8
2026-04,3980,27860.00,7
2026-05,4415,30905.00,5
2026-06,5230,36610.00,3
2026-07,6105,42735.00,1
2026-08,6480,45360.00,2
2026-09,4890,34230.00,5
2026-10,3320,23240.00,9
"""

TEXT: Final = (
    "The mill has made paper by hand since the thirteenth century. Cotton rags were beaten by water-driven hammers "
    "until only fibre was left. The vat man dipped his mould, shook it once in each direction and let it drain. "
    "Each sheet was pressed between felts and hung in the loft to dry. The flood of 1954 destroyed most of the "
    "machines along the valley. One family rebuilt a single mill, and it still sells sheets to bookbinders. "
    "Today visitors outnumber the sheets made by more than ten to one, and the museum lives on their tickets."
)

PRICE: Final = re.compile(r"(?<!\d)\d++\.\d\d")

ATTEMPTS: Final = 8
"""More attempts than the server makes for one call."""

LOOKS, LOOK_SECONDS = 500, 0.02
"""How often the ledger is looked at for what the server is about to write there, and how long between."""


class DemoScript:
    """The steps, in order, each checked."""

    def __init__(self, host: Host, hub: SandboxHub, log: DemoLog, state: Path, output: Path, per_call: str) -> None:
        self._host = host
        self._hub = hub
        self._log = log
        self._state = state
        self._output = output
        self._per_call = per_call
        assert hub.merchant is not None, "the demo's sandbox has a merchant"
        assert hub.control_plane is not None, "and a control plane that pays it"
        assert hub.agents is not None, "and agents"
        self._http, self._shop, self._chain = Http(hub.url), Http(hub.merchant.url), Http(hub.merchant.chain)
        self._sandbox = SandboxClient(hub, self._http)
        self._merchant = MerchantClient(hub.merchant, hub.control_key, self._shop, self._chain)
        self._governed = Http(hub.control_plane.url)
        self._plane = ControlPlaneClient(hub.control_plane, hub.control_key, self._governed)
        self._hired = Http(AgentsClient.origin(hub.agents))
        self._agents = AgentChapter(host, AgentsClient(hub.agents, self._hired), log, TEXT)

    async def run(self) -> None:
        """Tell it.

        Raises:
            NotHeld: something was not so.
        NotWritten: what was bought cannot be saved.
            PayeeError: the sandbox failed.
        """
        self._log.title(
            "The whole story",
            f"A Hub with test money at {self._hub.url}, a merchant at {self._merchant.url}, a 402flow control plane "
            "that pays it, and agents to hire; the server behind the official MCP client over stdio.",
        )
        async with self._http, self._shop, self._chain, self._governed, self._hired:
            waking = asyncio.create_task(self._agents.wake())  # beside what comes before they are hired
            await self._catalog()
            await self._invoice()
            await self._csv()
            await self._search()
            await self._over_the_limit()
            await self._unknown_tool()
            await self._empty_wallet()
            await self._lost_answer()
            await MerchantChapter(self._host, self._merchant, self._log, TEXT, self._per_call).run()
            await ControlPlaneChapter(self._host, self._plane, self._merchant, self._log, TEXT, self._evidence).run()
            await waking
            await self._agents.run()
            await self._books()
        self._log.end("Everything held.")

    async def _catalog(self) -> None:
        self._log.step("The Hub's live catalog, as tools")
        tools = await self._host.tools()
        bought = {name: text for name, text in tools.items() if not name.startswith(("jecp_", "paid_http_", "ajp_"))}
        rows = [(name, text.splitlines()[0]) for name, text in sorted(bought.items())]
        self._log.table([("tool", "left"), ("first line of its description", "prose")], rows)
        self._log.check(bool(bought), f"{len(bought)} actions of the Hub are tools, beside {len(tools) - len(bought)}")
        self._log.check(
            all(PRICE.search(text.splitlines()[0]) for text in bought.values()), "each says its price first"
        )

    async def _invoice(self) -> None:
        self._log.step("Buy an invoice as PDF")
        tool = await self._find_tool("invoice pdf", "invoice")
        before = await self._total_charged()
        result = await self._host.buy(tool, INVOICE)
        [kept] = result["structuredContent"]["files"]
        data = await self._read_file(kept["uri"])
        try:
            path = write_beside(self._output, "invoice.pdf", data)
        except OSError as exc:
            raise NotWritten(f"the invoice cannot be written to {self._output}: {exc.strerror}") from exc
        self._log.note(f"saved to {path} ({len(data)} bytes)")
        self._log.check(data.startswith(b"%PDF-"), "it is a PDF")
        paid = Decimal(billing(result)["amount_usdc"])
        self._log.check(
            await self._total_charged() - before == paid > 0, f"the Hub charged the {paid} USDC of the receipt"
        )

    async def _csv(self) -> None:
        self._log.step("Have a CSV analysed")
        tool = await self._find_tool("csv columns statistics", "csv")
        result = await self._host.buy(tool, {"csv": CSV})
        text = json.dumps(result["structuredContent"])
        self._log.check("visitors" in text and "rain_days" in text, "the answer is about the columns that were sent")

    async def _search(self) -> None:
        self._log.step("Search for what else there is, and use the Hub's best match")
        found = await self._host.ask("jecp_search", {"query": "summary of a text", "limit": 5})
        hits = found["structuredContent"]["results"]
        rows = [(hit["tool"], str(hit.get("price_usdc")), str(hit.get("summary", ""))[:60]) for hit in hits]
        self._log.table([("tool", "left"), ("USDC", "right"), ("what it does", "prose")], rows)
        result = await self._host.buy("jecp_call", {"tool": _of_hub(hits), "arguments": {"text": TEXT}})
        first = str(next(iter(result["structuredContent"]["output"].values())))
        self._log.check(any(part in first for part in TEXT.split(". ")), "the summary is made of the text's sentences")

    async def _over_the_limit(self) -> None:
        self._log.step("A price over the limit")
        found = await self._host.ask("jecp_search", {"query": "report", "limit": 20})
        dear = next(hit for hit in found["structuredContent"]["results"] if Decimal(hit["price_usdc"]) > 1)
        before = await self._total_charged()
        error = await self._host.expect_refusal("jecp_call", {"tool": dear["tool"], "arguments": {"csv": CSV}})
        self._log.check(
            error["error"]["code"] == PER_CALL_LIMIT, f"{dear['price_usdc']} USDC is over the limit of a call"
        )
        self._log.check(error["charged"] == "no" and await self._total_charged() == before, "nothing was charged")
        step = error["next_action"]
        self._log.check(
            step["actor"] == "human" and "tool" not in step, "the model is told that nothing else does the same"
        )
        self._log.check("rais" not in step["hint"], "and is not coached to raise its own limit")

    async def _unknown_tool(self) -> None:
        self._log.step("A name the model made up, recovered by following next_action")
        error = await self._host.expect_refusal("text_statistic_counter", {})
        self._log.check(error["next_action"]["actor"] == "agent", "the agent can act itself")
        found = await self._host.follow(error["next_action"])
        tool = _of_hub(found["structuredContent"]["results"])
        self._log.check(bool(tool), f"the search that came with the error finds {tool}")
        await self._host.buy(tool, {"text": TEXT})

    async def _empty_wallet(self) -> None:
        self._log.step("An empty wallet, topped up by the human")
        await self._sandbox.empty_wallet()
        self._log.note("the wallet is emptied behind the scenes")
        tool = await self._find_tool("invoice pdf", "invoice")
        error = await self._host.expect_refusal(tool, {**INVOICE, "number": "2026-118"})
        self._log.check(error["error"]["code"] == "INSUFFICIENT_BALANCE", "the Hub refuses, and the error says why")
        self._log.check(error["charged"] == "no", "nothing was charged")
        step = error["next_action"]
        if step["actor"] == "agent":
            step = (await self._host.follow(step))["structuredContent"]["next_action"]
        self._log.check(step["actor"] == "human" and bool(step["url"]), "the human gets a payment link")
        self._log.note(f"the human opens {step['url']} and pays")
        await self._sandbox.pay(step["url"])
        books = await self._sandbox.books()
        self._log.check(Decimal(books["balance_usdc"]) > 0, f"the wallet holds {books['balance_usdc']} USDC")
        await self._host.buy(tool, {**INVOICE, "number": "2026-118"})

    async def _lost_answer(self) -> None:
        self._log.step("A paid answer is lost on its way; the same call again")
        tool = await self._find_tool("csv columns statistics", "csv")
        before, arguments = await self._total_charged(), {"csv": CSV.replace("2026-", "2025-")}
        action = await self._action_of(tool)
        await self._sandbox.lose_answers(action, ATTEMPTS)
        self._log.note("the Hub will do the work, charge, and then lose the connection")
        error = await self._host.expect_refusal(tool, arguments)
        self._log.check(error["charged"] == "unknown", "the error admits that it is not known whether it was charged")
        paid = await self._total_charged() - before
        self._log.check(paid > 0, f"the Hub did charge {paid} USDC")
        await self._sandbox.forget_faults()
        result = await self._host.buy(tool, arguments, note="the same call again")
        self._log.check(billing(result).get("call_id") == error["call_id"], "the answer is that of the first call")
        self._log.check(await self._total_charged() - before == paid, "the Hub charged once")

    async def _books(self) -> None:
        self._log.step("The books: ours, and beside them the Hub's, the chain's, the control plane's and the agents'")
        ours = [row for row in await self._ledger() if row["charged_usdc"] != "0.00" or row["held_usdc"] != "0.00"]
        spent = (await self._host.call("jecp_wallet", {}))["structuredContent"]
        books = await self._sandbox.books()
        theirs = {row["call_id"]: Decimal(row["amount_usdc"]) for row in books["transactions"] if row["amount_micro"]}
        transfers = await self._merchant.transfers()
        paid = {
            row["call_id"]: Decimal(format_usdc(transfers.pop(row["transaction_id"])))
            for row in ours
            if row["transaction_id"] in transfers
        }
        governed = await self._plane.payments()
        self._log.check(
            sorted(transfers.values()) == sorted(governed.values()),
            "every transfer on the chain is one of ours, or the control plane's for us",
        )
        paid |= {call_id: Decimal(format_usdc(amount)) for call_id, amount in governed.items()}
        theirs |= paid | self._agents.owed
        together = format_usdc(MicroUSDC(int(sum(theirs.values()) * 1_000_000)))
        rows = [
            (row["tool"], row["state"], row["charged_usdc"], format(theirs.get(row["call_id"], "—")))
            for row in reversed(ours)
        ]
        rows.append(("together", "", spent["charged_usdc"], together))
        self._log.table([("tool", "left"), ("state", "left"), ("our ledger", "right"), ("their books", "right")], rows)
        for limit in spent["limits"]:
            self._log.note(f"{limit['limit']}: {limit['used_usdc']} of {limit['limit_usdc']} USDC used")
        self._log.check(
            {row["call_id"]: Decimal(row["charged_usdc"]) for row in ours if row["charged_usdc"] != "0.00"} == theirs,
            "every call stands in both books with the same amount",
        )
        self._log.check(
            Decimal(spent["charged_usdc"])
            == Decimal(books["charged_usdc"]) + sum(paid.values()) + sum(self._agents.owed.values()),
            "the sums are equal to the micro-USDC",
        )
        [held] = spent["open_holds"]
        self._log.check(held["tool"] == OVERCHARGER, "nothing is left held but what the overcharger was offered")

    async def _ledger(self) -> Sequence[Mapping[str, Any]]:
        """The ledger, as ``jecp-mcp ledger`` reads it, while the server writes."""
        environ = {"JECP_MCP_CONFIG": "/dev/null", "JECP_BASE_URL": self._hub.url}
        return await ledger.read(Start(load_settings(environ=environ), self._state, None))

    async def _evidence(self, call_id: str, word: str) -> str:
        """What a call's charge rests on, by the ledger, once a word is in it: that is written beside the answer."""
        for _ in range(LOOKS):
            evidence = next(str(row["evidence"]) for row in await self._ledger() if row["call_id"] == call_id)
            if word in evidence:
                break
            await asyncio.sleep(LOOK_SECONDS)
        return evidence

    async def _read_file(self, uri: str) -> bytes:
        """A bought file, piece by piece."""
        data, offset = b"", 0
        while True:
            piece = (await self._host.ask("jecp_file", {"uri": uri, "offset": offset}))["structuredContent"]
            data += base64.b64decode(piece["base64"])
            if "next_offset" not in piece:
                return data
            offset = piece["next_offset"]

    async def _find_tool(self, query: str, part: str) -> str:
        found = await self._host.call("jecp_search", {"query": query})
        return next(str(hit["tool"]) for hit in found["structuredContent"]["results"] if part in hit["tool"])

    async def _action_of(self, tool: str) -> str:
        return str((await self._host.read(f"jecp://catalog/{tool}"))["action"])

    async def _total_charged(self) -> Decimal:
        return Decimal((await self._sandbox.books())["charged_usdc"])


def _of_hub(hits: Sequence[Mapping[str, Any]]) -> str:
    """The best match among the Hub's own actions, beside which agents are found."""
    return next(str(hit["tool"]) for hit in hits if not str(hit["tool"]).startswith("ajp_"))
