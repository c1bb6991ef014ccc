"""An agent that only follows `next_action`, on the real sandbox Hub: people, operators and prices have a say too.

Together with `test_mechanical_sandbox` these are the scenes of a paid call's life. After each one the ledger and the
Hub's books are the same to the last micro-USDC.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp_types import ElicitResult

from jecp_mcp.calls.prepared import PREPARED_MS, PreparedCall, new_slip
from jecp_mcp.calls.stored import fingerprint
from jecp_mcp.clock import SystemClock, UnixMs
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.money import MicroUSDC
from jecp_mcp.tools.asking import FIELD
from tests.acceptance.errors.mechanical import Ended, run
from tests.acceptance.errors.seats import ledger, names
from tests.acceptance.errors.test_mechanical_sandbox import tally
from tests.acceptance.roads import MODERN, Road, SandboxHub, connect, sandbox
from tests.acceptance.test_approvals import at_a_terminal

pytestmark = pytest.mark.anyio

TALLY, PRICE = "acme_tally_count", "0.001"
Person = Callable[[Any, Any], Any]
WORDS = {"text": "some words to count"}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxHub]:
    with sandbox(tmp_path_factory.mktemp("hub") / "hub.sqlite") as hub:
        hub.http.post("/sandbox/catalog", json={"manifests": [tally("tally")]}).raise_for_status()
        yield hub


class Scene:
    """An agent before a server, and the people behind it."""

    def __init__(self, hub: SandboxHub, client: Client, state: Path) -> None:
        self.hub, self.client, self.state = hub, client, state

    async def go(self, tool: str = TALLY, **arguments: Any) -> Ended:
        return await run(self.client.call_tool, _no_wait, tool, arguments or WORDS)

    async def prepare(self) -> Ended:
        return await run(self.client.call_tool, _no_wait, "jecp_prepare", {"tool": TALLY, "arguments": WORDS})

    def paid(self) -> int:
        return len(self.hub.books()["transactions"])

    async def terminal(self, *arguments: str, answer: str | None = None) -> None:
        status, seen = await anyio.to_thread.run_sync(
            lambda: at_a_terminal(self.hub, self.state, *arguments, answer=answer)
        )
        assert status == 0, seen


async def _no_wait(_seconds: float) -> None:
    await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def scene(first: SandboxHub, state: Path, person: Person | None = None, **settings: str) -> AsyncIterator[Scene]:
    """A new agent with $10 and a server of its own; at the end the books must agree."""
    hub = first.new_agent()
    options: Mapping[str, Any] = {} if person is None else {"elicitation_callback": person}
    async with connect(Road("stdio", MODERN), hub, state, settings=settings, **options) as client:
        with anyio.fail_after(20):
            while TALLY not in await names(client):
                await anyio.sleep(0.05)
        yield Scene(hub, client, state)
    rows = await anyio.to_thread.run_sync(ledger, hub.url, state)
    ours = {row["call_id"]: row["charged_usdc"] for row in rows if row["charged_usdc"] != "0.00"}
    assert ours == {row["call_id"]: row["amount_usdc"] for row in hub.books()["transactions"]}


def saying(action: Any, typed: str | None = None) -> Person:
    async def answer(_context: Any, _asked: Any) -> ElicitResult:
        return ElicitResult(action=action, content=None if typed is None else {FIELD: typed})

    return answer


async def test_a_wrong_name_leads_to_the_right_action(first: SandboxHub, tmp_path: Path) -> None:
    async with scene(first, tmp_path) as here:
        ended = await here.go("acme_taly_count")
        assert (ended.how, ended.types[0], here.paid()) == ("answered", "discover", 1)


async def test_wrong_input_is_mended_by_the_schema(first: SandboxHub, tmp_path: Path) -> None:
    async with scene(first, tmp_path) as here:
        ended = await here.go(TALLY, text=7)
        assert (ended.how, ended.types, here.paid()) == ("answered", ["fix_input"], 1)


async def test_a_price_above_the_cap_leads_to_a_cheaper_action(first: SandboxHub, tmp_path: Path) -> None:
    async with scene(first, tmp_path, mandate__per_call_usdc="0.0007") as here:
        ended = await here.go()
        assert (ended.how, ended.types[0], here.paid()) == ("answered", "find_cheaper", 1)


async def test_a_limit_that_never_refills_stops_at_the_operator_who_lets_one_call_past(
    first: SandboxHub, tmp_path: Path
) -> None:
    async with scene(first, tmp_path, mandate__total_usdc=PRICE) as here:
        assert (await here.go(text="one")).how == "answered"
        ended = await here.go(text="two")
        assert (ended.how, ended.types, here.paid()) == ("operator", ["ask_operator"], 1)
        assert ended.last is not None
        code = ended.last["error"]["details"]["approval_code"]
        assert code in ended.last["next_action"]["hint"]
        await here.terminal("approve", code, answer="y")
        assert (await here.go(text="two")).how == "answered"
        assert ((await here.go(text="three")).how, here.paid()) == ("operator", 2)


async def test_an_action_the_operator_denies_stops_it(first: SandboxHub, tmp_path: Path) -> None:
    async with scene(first, tmp_path, mandate__deny="acme/*") as here:
        ended = await here.go()
        assert (ended.how, ended.types, here.paid()) == ("operator", ["ask_operator"], 0)


async def test_a_yes_in_the_host_buys(first: SandboxHub, tmp_path: Path) -> None:
    person = saying("accept", PRICE)
    async with scene(first, tmp_path, person, mandate__approve_above_usdc="0.0001") as here:
        ended = await here.go()
        assert (ended.how, ended.types, here.paid()) == ("answered", [], 1)


@pytest.mark.parametrize(
    "person", [saying("decline"), saying("cancel"), saying("accept", "")], ids=["no", "cancel", ""]
)
async def test_anything_but_a_yes_stops_it_at_the_person(first: SandboxHub, tmp_path: Path, person: Person) -> None:
    async with scene(first, tmp_path, person, mandate__approve_above_usdc="0.0001") as here:
        ended = await here.go()
        assert (ended.how, ended.types, here.paid()) == ("human", ["ask_human"], 0)


async def test_a_person_outside_the_host_lets_it_go_on(first: SandboxHub, tmp_path: Path) -> None:
    async with scene(first, tmp_path, mandate__approve_above_usdc="0.0001") as here:
        stopped = await here.go()
        assert (stopped.how, stopped.types) == ("human", ["ask_human"])
        assert stopped.last is not None
        await here.terminal("approve", stopped.last["error"]["details"]["approval_code"], answer="y")
        assert ((await here.go()).how, here.paid()) == ("answered", 1)


async def test_a_prepared_call_is_executed(first: SandboxHub, tmp_path: Path) -> None:
    async with scene(first, tmp_path) as here:
        ended = await here.prepare()
        assert (ended.how, ended.types, here.paid()) == ("answered", ["execute"], 1)


async def test_a_prepared_call_that_was_superseded_is_prepared_anew(first: SandboxHub, tmp_path: Path) -> None:
    async with scene(first, tmp_path) as here:
        wanted = {"tool": TALLY, "arguments": WORDS}
        old, _ = [(await here.client.call_tool("jecp_prepare", wanted)).structured_content for _ in range(2)]
        assert old is not None
        ended = await here.go("jecp_execute", prepared_id=old["prepared_id"])
        assert (ended.how, ended.types, here.paid()) == ("answered", ["prepare", "execute"], 1)


async def test_a_prepared_call_that_expired_is_prepared_anew(first: SandboxHub, tmp_path: Path) -> None:
    class Earlier(SystemClock):
        def now(self) -> UnixMs:
            return UnixMs(super().now() - PREPARED_MS - 1_000)

    async with scene(first, tmp_path) as here:
        action = "acme/tally:count"
        call = PreparedCall(TALLY, action, "1.0.0", MicroUSDC(1_000), True, MicroUSDC(1_000), WORDS)
        account = f"{here.hub.url} {here.hub.agent_id}"
        books = open_ledger(tmp_path / "ledger.sqlite", clock=Earlier())
        slip = new_slip("local", fingerprint("local", account, action, WORDS), call, Earlier().now())
        await books.write_slip(slip)
        await books.close()
        ended = await here.go("jecp_execute", prepared_id=slip.slip_id)
        assert (ended.how, ended.types, here.paid()) == ("answered", ["prepare", "execute"], 1)


async def test_a_price_that_changed_since_it_was_prepared_is_looked_at_again(first: SandboxHub, tmp_path: Path) -> None:
    first.http.post("/sandbox/catalog", json={"manifests": [tally("falling", price="$0.003")]}).raise_for_status()
    falling = "acme_falling_count"
    async with scene(first, tmp_path, catalog__refresh_seconds="5") as here:
        with anyio.fail_after(20):
            while falling not in await names(here.client):
                await anyio.sleep(0.1)
        wanted = {"tool": falling, "arguments": WORDS}
        made = (await here.client.call_tool("jecp_prepare", wanted)).structured_content
        assert made is not None
        first.http.post("/sandbox/catalog", json={"manifests": [tally("falling", price="$0.002")]}).raise_for_status()
        with anyio.fail_after(20):
            while "0.002" not in str(
                (await here.client.call_tool("jecp_describe", {"tool": falling})).structured_content
            ):
                await anyio.sleep(0.2)
        ended = await here.go("jecp_execute", prepared_id=made["prepared_id"])
        assert (ended.how, ended.types) == ("answered", ["prepare", "execute"])
        assert [row["amount_usdc"] for row in here.hub.books()["transactions"]] == ["0.002"]


async def test_a_prepared_call_waits_for_the_money(first: SandboxHub, tmp_path: Path) -> None:
    async with scene(first, tmp_path) as here:
        here.hub.fund("0.0001")
        made = (await here.client.call_tool("jecp_prepare", {"tool": TALLY, "arguments": WORDS})).structured_content
        assert made is not None
        ended = await here.go("jecp_execute", prepared_id=made["prepared_id"])
        assert (ended.how, ended.types) == ("human", ["topup", "open_url"])
        here.hub.fund("5.00")
        again = await here.go("jecp_execute", prepared_id=made["prepared_id"])
        assert (again.how, here.paid()) == ("answered", 1)


async def test_a_call_long_in_doubt_is_found_when_the_hub_answers_again(first: SandboxHub, tmp_path: Path) -> None:
    async with scene(first, tmp_path) as here:
        fault = {"match": "acme/tally:count", "fault": "status:502 html", "times": 200, "after_charge": True}
        fault["agent_id"] = here.hub.agent_id
        here.hub.http.post("/sandbox/faults", json=fault).raise_for_status()
        stuck = (await here.client.call_tool(TALLY, WORDS)).structured_content
        assert stuck is not None
        step = stuck["next_action"]
        assert (stuck["charged"], step["type"], step["actor"]) == ("unknown", "check_status", "agent")
        here.hub.http.delete("/sandbox/faults").raise_for_status()
        ended = await here.go(step["tool"], **step["arguments"])
        assert (ended.how, ended.types, here.paid()) == ("answered", [], 1)


async def test_money_is_asked_back_and_followed(first: SandboxHub, tmp_path: Path) -> None:
    async with scene(first, tmp_path) as here:
        bought = await here.go()
        assert bought.answer is not None
        call_id = bought.answer.meta["jecp-mcp/billing"]["call_id"]
        ended = await here.go("jecp_refund", call_id=call_id, reason="It miscounts.")
        assert (ended.how, ended.types) == ("answered", ["check_status"])
        assert ended.answer.structured_content["refunds"][0]["status"] == "requested"
