"""A world for the mechanical agent: a real sandbox Hub, a real server process before it, and the people behind both."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from mcp import Client

from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.states import HOLDING
from jecp_mcp.settings.credentials import stored_credentials
from tests.acceptance.errors.seats import Person, names, seated
from tests.acceptance.roads import SandboxHub, output_of
from tests.acceptance.terminal import at_a_terminal

TALLY, PRICE = "acme_tally_count", "0.001"
AN_HOUR = 3_700_000
"""A little more than an hour, in milliseconds."""
A_DAY = 86_400_000

INSTANTS = {
    "call": ("created_at", "sent_at", "look_again_at", "provable_until"),
    "slot": ("start", "expires"),
    "slip": ("created_at", "expires_at"),
}
"""What the ledger writes down of time, by table."""


def tally(capability: str = "tally", price: str = f"${PRICE}", version: str = "1.0.0", **more: Any) -> dict[str, Any]:
    """A provider's manifest that does the work of the Hub's own word count; `action` changes its action."""
    counts = {
        "id": "count",
        "description": "Counts the words of a text.",
        "pricing": {"base": price, "currency": "USD", "model": "flat"},
        "input_schema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
        "output_schema": {"type": "object"},
        "examples": [{"input": {"text": "one two"}}],
    }
    return {
        "namespace": "acme",
        "capability": capability,
        "version": version,
        "description": "Counts words.",
        "endpoint": "https://provider.example/jecp",
        "actions": [counts | more.pop("action", {})],
        "extensions": {"sandbox": {"runs": "text-stats:count"}},
        **more,
    }


def make_older(state: Path, ms: int) -> None:
    """Everything that the ledger in a state folder knows happened so much earlier."""
    with sqlite3.connect(state / "ledger.sqlite", timeout=60) as books:
        for table, instants in INSTANTS.items():
            for instant in instants:
                books.execute(f"UPDATE {table} SET {instant} = {instant} - ?", [ms])
    books.close()


class World:
    """An agent's place before a server, and what only people, operators and providers can do.

    Attributes:
        words: what the agent would have counted.
        person: who answers the questions of its host.
    """

    def __init__(self, hub: SandboxHub, state: Path, era: str, settings: Mapping[str, str]) -> None:
        self.hub, self.state = hub, state
        self.client: Client
        self.words: Mapping[str, Any] = {}
        self.person: Person | None = None
        self._era = era
        self._settings = dict(settings)
        self._asks = False
        self._stack = AsyncExitStack()

    async def serve(self, *, registered: bool = True, asks: bool | None = None, **settings: str) -> None:
        """Start the server, as a host does; or once more, with other settings of the operator's.

        Args:
            registered: whether it is given the account.
            asks: whether its host can ask a person; None as before.
        """
        await self.leave()
        self._settings |= settings
        self._asks = self._asks if asks is None else asks
        agent = (self.hub.agent_id, self.hub.api_key) if registered else None
        person = self._answered if self._asks else None
        seat = seated(self.hub.url, self.state, self._era, agent=agent, awaits=TALLY, person=person, **self._settings)
        self.client = await self._stack.enter_async_context(seat)

    async def _answered(self, context: Any, asked: Any) -> Any:
        assert self.person is not None
        return await self.person(context, asked)

    async def leave(self) -> None:
        """End the host, and with it the server."""
        await self._stack.aclose()

    async def free(self, name: str, /, **arguments: Any) -> Any:
        """What a call says that must succeed."""
        return output_of(await self.client.call_tool(name, arguments))

    async def listed(self, tool: str, *, gone: bool = False) -> None:
        """Wait until a tool is published, or is no more."""
        with anyio.fail_after(60):
            while (tool in await names(self.client)) is gone:
                await anyio.sleep(0.05)

    def paid(self) -> int:
        """How often the Hub has charged this world's account."""
        return len(_charges(self._theirs()))

    async def until_paid_after(self, before: int) -> None:
        with anyio.fail_after(60):
            while self.paid() <= before:
                await anyio.sleep(0.02)

    def tell(self, path: str, **body: Any) -> None:
        """Tell the sandbox something."""
        self.hub.http.post(path, headers=self.hub.auth, json=body).raise_for_status()

    def sells(self, *manifests: Mapping[str, Any]) -> None:
        self.tell("/sandbox/catalog", manifests=list(manifests))

    def fault(self, fault: str, times: int = 1, match: str = "acme/tally:count", **more: Any) -> None:
        """The next calls of this agent's to the tally, or to what `match` names, go wrong."""
        self.tell("/sandbox/faults", match=match, agent_id=self.hub.agent_id, fault=fault, times=times, **more)  # fmt: skip

    def heals(self) -> None:
        """Nothing goes wrong at the Hub any more."""
        self.hub.heal()

    def an_hour_passes(self) -> None:
        """Everything this ledger knows happened an hour earlier."""
        make_older(self.state, AN_HOUR)

    def a_day_passes(self) -> None:
        """More than the Hub remembers an id for."""
        make_older(self.state, A_DAY)

    async def terminal(self, *command: str, answer: str | None = None) -> None:
        """The operator types a command, and answers its question."""
        status, seen = await anyio.to_thread.run_sync(
            partial(at_a_terminal, self.hub, self.state, *command, answer=answer)
        )
        assert status == 0, seen

    async def check_the_books(self) -> None:
        """Not a micro-USDC differs between the ledger and the Hub's books, and none is left in between.

        A server that still runs writes the end of a call a moment after its answer.
        """
        books = self._theirs()
        refunded = sum(one["amount_micro"] for one in books.get("credits", ()) if one["kind"] == "refund")
        theirs = (_charges(books), refunded, [])
        with anyio.move_on_after(60):
            while await self._own_books() != theirs:
                await anyio.sleep(0.05)
        assert await self._own_books() == theirs

    async def _own_books(self) -> tuple[dict[str, int], int, list[str]]:
        """What the ledger says was charged, by call; what came back; and the calls whose money is held."""
        book = open_ledger(self.state / "ledger.sqlite")
        try:
            rows = await book.rows(limit=1_000)
        finally:
            await book.close()
        charged = {row.call_id: int(row.charged) for row in rows if row.charged}
        return charged, sum(row.refunded for row in rows), [row.call_id for row in rows if row.state in HOLDING]

    def _theirs(self) -> Mapping[str, Any]:
        """The Hub's books of the account that the server uses; none when the Hub knows no such account."""
        kept = stored_credentials(self.state, self.hub.url)
        hub = self.hub
        if kept is not None:
            hub = SandboxHub(hub.url, kept.agent_id, kept.api_key.get_secret_value(), hub.http)
        elif hub.http.get("/sandbox/books", headers=hub.auth).status_code != 200:
            return {}
        return hub.books()


def _charges(books: Mapping[str, Any]) -> dict[str, int]:
    return {row["call_id"]: row["amount_micro"] for row in books.get("transactions", ()) if row["amount_micro"]}


@asynccontextmanager
async def opened(hub: SandboxHub, state: Path, era: str, settings: Mapping[str, str]) -> AsyncIterator[World]:
    """A world whose server is not yet started."""
    world = World(hub, state, era, settings)
    try:
        yield world
    finally:
        await world.leave()
