"""Every cell of the fault matrix, with the state its call must end in, and how to run one.

python -m tests.faults.proxy.matrix     runs all of them and prints the table
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from pydantic import SecretStr

from jecp_mcp.calls.pipeline import Calls
from jecp_mcp.calls.ports import Caller, Charge
from jecp_mcp.clock import SystemClock
from jecp_mcp.domain.offers import Offer, Price
from jecp_mcp.domain.purchases import LOCAL, Purchase
from jecp_mcp.http import Http
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.policy import Policy
from jecp_mcp.mandate.states import State
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.jecp.client import HubClient
from jecp_mcp.rails.jecp.rail import JecpRail
from jecp_mcp.settings import Credentials, MandateSettings
from tests.acceptance.roads import SandboxHub, sandbox
from tests.faults.proxy.proxy import Kind, Point, proxied
from tests.rails import at_hub

PLAIN = Offer("inkwell/convert", "markdown-to-html", "inkwell", Price(MicroUSDC(2_000)), version="1.3.0")
STREAMED = Offer(
    "lectern/concordance", "keyword-in-context", "lectern", Price(MicroUSDC(6_000)), version="1.1.0", streaming=True
)
ARGUMENTS: dict[bool, dict[str, Any]] = {
    False: {"markdown": "# One call\n\nIt is paid **once**."},
    True: {"text": "Once paid is once paid, and once is enough. " * 12, "keyword": "once"},
}
SILENCE_SECONDS, PATIENT_SECONDS = 6.0, 30.0
"""How long an attempt waits where only waiting ends it, and where something else does on any machine, however loaded."""

ALWAYS = 1_000_000
HARMLESS = frozenset({Kind.LATENCY, Kind.THROTTLED, Kind.SLICED})
"""Faults that only take time."""


@dataclass(frozen=True)
class Cell:
    """One cell: the fault, where it begins, and for which kind of call."""

    kind: Kind
    point: Point
    streaming: bool

    def __str__(self) -> str:
        return f"{'streaming' if self.streaming else 'plain'}: {self.kind} at {self.point}"

    @property
    def seconds(self) -> float:
        """How long an attempt waits, so that there is time for a second one."""
        return SILENCE_SECONDS if self.kind is Kind.TIMEOUT else PATIENT_SECONDS

    @property
    def impossible(self) -> str | None:
        """Why there is no such cell, or None."""
        if self.point is Point.MID_STREAM and not self.streaming:
            return "a plain answer is no stream"
        return None

    @property
    def once(self) -> State:
        """Where the call stands when the fault happened to its first connection only."""
        return State.SETTLED

    @property
    def always(self) -> State:
        """Where it stands when the fault happened to every connection."""
        return State.SETTLED if self.kind in HARMLESS else State.IN_DOUBT

    @property
    def healed(self) -> State:
        """Where it stands when the fault has gone and the call was looked up."""
        return State.SETTLED if self.kind in HARMLESS else State.RECONCILED_CHARGED


CELLS = [Cell(*parts) for parts in itertools.product(Kind, Point, (False, True))]
POSSIBLE = [cell for cell in CELLS if cell.impossible is None]


@dataclass(frozen=True)
class Ran:
    """What became of one cell.

    Attributes:
        state, healed: where the call stood after it, and after the fault had gone and it was looked up.
        told: what the caller was told of the charge.
        worst: the most that the Hub had charged beyond what the ledger counted, micro-USDC, whenever it was looked at.
        charges: how many charges the Hub booked for it in the end, and `booked` micro-USDC in all.
        counted: what the ledger counts in the end, micro-USDC.
        spoiled: how many connections were spoiled.
        findings: what the audit found.
    """

    cell: Cell
    state: State
    told: Charge
    healed: State
    worst: int
    charges: int
    booked: int
    counted: int
    spoiled: int
    findings: tuple[str, ...]


async def run(cell: Cell, hub: SandboxHub, folder: Path, times: int) -> Ran:
    """Buy one call through a proxy that spoils the first `times` connections."""
    clock, worst = SystemClock(), 0
    identity = Credentials(agent_id=hub.agent_id, api_key=SecretStr(hub.api_key), source="test")
    ledger = open_ledger(folder / "ledger.sqlite", clock=clock)
    action = STREAMED if cell.streaming else PLAIN

    async def excess() -> int:
        books = await asyncio.to_thread(hub.books)
        await ledger.flush()
        totals = await ledger.totals()
        return int(books["charged_micro"]) - totals.charged - totals.held

    async with proxied(hub.url, cell.kind, cell.point, times) as proxy, Http(proxy.url) as http:
        client = HubClient(proxy.url, http, lambda: identity, clock)
        # The fault is to hit the call, and nothing is bought before the guide was heard.
        async with Http(hub.url) as unspoiled:
            heard = HubClient(hub.url, unspoiled, lambda: identity, clock)
            await heard.consult()
        client.guide, client.guide_known = heard.guide, heard.guide_known
        rail = JecpRail(client, timeout_seconds=cell.seconds, clock=clock, random=lambda: 0.0)
        ids = itertools.count(1)
        calls = Calls(
            policy=Policy.from_settings(MandateSettings()),
            ledger=ledger,
            rails=at_hub(rail, client),
            clock=clock,
            mint=lambda: f"call_{hub.agent_id[-12:]}_{next(ids)}",
        )
        async with calls.open():
            bought = Purchase("tool", action, ARGUMENTS[cell.streaming])
            end = await calls.pay(bought, Caller(LOCAL))
            worst = max(worst, await excess())
            (row,) = await ledger.rows()
            if row.state is State.IN_DOUBT:
                # The same call again is not another purchase while this one is open.
                again = await calls.pay(bought, Caller(LOCAL))
                assert again.call_id == row.call_id, again
                worst = max(worst, await excess())
            proxy.spoil = 0
            await calls.resolve(row.call_id)
            worst = max(worst, await excess())
        (healed,) = await ledger.rows()
        totals, report = await ledger.totals(), await ledger.audit()
    await ledger.close()
    books = await asyncio.to_thread(hub.books)
    return Ran(
        cell, row.state, end.charge, healed.state, worst, len(books["transactions"]), int(books["charged_micro"]),
        totals.charged + totals.held, proxy.spoiled, report.findings,
    )  # fmt: skip


async def run_all(hub: SandboxHub, folder: Path, times: int) -> dict[Cell, Ran]:
    """Every cell at once, each with an account, a ledger and a proxy of its own."""
    found: dict[Cell, Ran] = {}

    async def one(cell: Cell, agent: SandboxHub) -> None:
        place = folder / f"{times} {cell}".replace(" ", "-")
        found[cell] = await run(cell, agent, place, times)

    async with anyio.create_task_group() as tasks:
        for cell in POSSIBLE:
            tasks.start_soon(one, cell, await asyncio.to_thread(hub.new_agent))
    return found


def table(once: dict[Cell, Ran], always: dict[Cell, Ran]) -> str:
    """The matrix as Markdown."""
    lines = ["| cell | once | always: told, state | healed | charges |", "|---|---|---|---|---|"]
    for cell in CELLS:
        if cell.impossible is not None:
            lines.append(f"| {cell} | impossible: {cell.impossible} | | | |")
            continue
        a, b = once[cell], always[cell]
        lines.append(f"| {cell} | {a.state} | {b.told}, {b.state} | {b.healed} | {a.charges}, {b.charges} |")
    return "\n".join(lines)


def main() -> None:
    with tempfile.TemporaryDirectory() as name, sandbox(Path(name) / "hub.sqlite") as hub:
        once = asyncio.run(run_all(hub, Path(name), 1))
        always = asyncio.run(run_all(hub, Path(name), ALWAYS))
    print(table(once, always))


if __name__ == "__main__":
    main()
