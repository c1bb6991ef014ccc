"""A person decides: in the host where it can ask, else at a terminal; and a prepared call is paid for once."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp_types import ElicitResult

from jecp_mcp.tools.asking import FIELD
from tests.acceptance.roads import LEGACY, MODERN, Road, SandboxHub, connect, error_of, output_of, server_env
from tests.acceptance.terminal import at_a_terminal

pytestmark = pytest.mark.anyio

INVOICE, PRICE = "inkwell_invoice_render", "0.05"
ASKING = {"mandate__approve_above_usdc": "0.01"}
Person = Callable[[Any], Awaitable[ElicitResult]]


@pytest.fixture(params=[LEGACY, MODERN], ids=["2025", "2026"])
def era(request: pytest.FixtureRequest) -> str:
    return request.param


def who(action: Any, content: dict[str, Any] | None = None) -> Person:
    async def answer(_context: Any, _asked: Any = None) -> ElicitResult:
        return ElicitResult(action=action, content=content)

    return answer


@asynccontextmanager
async def seat(
    era: str, hub: SandboxHub, state: Path, person: Person | None = None, settings: Mapping[str, str] = ASKING
) -> AsyncIterator[Client]:
    options = {} if person is None else {"elicitation_callback": person}
    async with connect(Road("stdio", era), hub, state, settings=settings, **options) as client:
        with anyio.fail_after(20):
            while INVOICE not in {tool.name for tool in (await client.list_tools(cache_mode="bypass")).tools}:
                await anyio.sleep(0.05)
        yield client


async def invoice(client: Client) -> dict[str, Any]:
    described = output_of(await client.call_tool("jecp_describe", {"tool": INVOICE}))
    return described["examples"][0]["input"]


def paid(hub: SandboxHub) -> int:
    return len(hub.books()["transactions"])


async def test_a_person_in_the_host_says_yes_to_one_call(era: str, hub: SandboxHub, tmp_path: Path) -> None:
    asked: list[str] = []

    async def person(_context: Any, question: Any) -> ElicitResult:
        asked.append(question.message)
        return ElicitResult(action="accept", content={FIELD: PRICE})

    async with seat(era, hub, tmp_path, person) as client:
        bought = await client.call_tool(INVOICE, await invoice(client))
        assert not bought.is_error, bought.content[0].text
        again = await client.call_tool(INVOICE, await invoice(client))
        assert not again.is_error
    # One yes, one purchase: the second call was asked for again.
    assert (len(asked), paid(hub)) == (2, 2)
    assert all("inkwell/invoice:render" in said and PRICE in said for said in asked)


@pytest.mark.parametrize(
    ("person", "code"),
    [
        (who("decline"), "APPROVAL_DENIED"),
        (who("cancel"), "APPROVAL_REQUIRED"),
        (who("accept", {}), "APPROVAL_REQUIRED"),
        (who("accept", {FIELD: "yes"}), "APPROVAL_REQUIRED"),
        (None, "APPROVAL_REQUIRED"),
    ],
    ids=["declines", "cancels", "accepts nothing", "types a yes", "cannot be asked"],
)
async def test_nothing_is_bought_without_a_genuine_yes(
    era: str, hub: SandboxHub, tmp_path: Path, person: Person | None, code: str
) -> None:
    async with seat(era, hub, tmp_path, person) as client:
        for _ in range(2):
            error = error_of(await client.call_tool(INVOICE, await invoice(client)))
            assert (error["error"]["code"], error["charged"]) == (code, "no")
            assert (error["next_action"]["type"], error["next_action"]["actor"]) == ("ask_human", "human")
    assert paid(hub) == 0


async def test_a_person_answers_at_a_terminal_what_the_host_could_not_ask(
    era: str, hub: SandboxHub, tmp_path: Path
) -> None:
    async with seat(era, hub, tmp_path) as client:
        arguments = await invoice(client)
        error = error_of(await client.call_tool(INVOICE, arguments))
        code = error["error"]["details"]["approval_code"]
        assert code in error["next_action"]["hint"]
        status, seen = await anyio.to_thread.run_sync(lambda: at_a_terminal(hub, tmp_path, "approve", "--json"))
        assert status == 0
        (waiting,) = json.loads(seen)
        assert (waiting["code"], waiting["at_most_usdc"]) == (code, PRICE)
        # No terminal, no approval.
        env = server_env(hub.url, hub.agent_id, hub.api_key)
        command = [sys.executable, "-m", "jecp_mcp", "approve", code, "--state-dir", str(tmp_path)]
        piped = await anyio.run_process(command, input=b"y\n", env=env, check=False)
        assert piped.returncode == 1
        assert b"terminal" in piped.stderr
        for answer, expected in (("n", 1), ("y", 0)):
            status, seen = await anyio.to_thread.run_sync(
                lambda answer=answer: at_a_terminal(hub, tmp_path, "approve", code.lower(), answer=answer)
            )
            assert (status, PRICE in seen) == (expected, True), seen
        bought = await client.call_tool(INVOICE, arguments)
        assert not bought.is_error, bought.content[0].text
        third = error_of(await client.call_tool(INVOICE, arguments))
        assert third["error"]["code"] == "APPROVAL_REQUIRED"
        assert third["error"]["details"]["approval_code"] != code
    assert paid(hub) == 1


async def test_a_no_at_a_terminal_reaches_the_agent(hub: SandboxHub, tmp_path: Path) -> None:
    async with seat(MODERN, hub, tmp_path) as client:
        arguments = await invoice(client)
        code = error_of(await client.call_tool(INVOICE, arguments))["error"]["details"]["approval_code"]
        status, _ = await anyio.to_thread.run_sync(lambda: at_a_terminal(hub, tmp_path, "deny", code))
        assert status == 0
        denied = error_of(await client.call_tool(INVOICE, arguments))
        assert denied["error"]["code"] == "APPROVAL_DENIED"
        status, seen = await anyio.to_thread.run_sync(lambda: at_a_terminal(hub, tmp_path, "approve", code))
        assert (status, "denied already" in seen) == (1, True)
    assert paid(hub) == 0


async def test_the_first_purchase_from_a_provider_can_need_a_person(hub: SandboxHub, tmp_path: Path) -> None:
    answers = [who("accept", {FIELD: PRICE})]

    async def person(context: Any, asked: Any) -> ElicitResult:
        return await answers.pop()(context, asked)

    settings = {"mandate__approve_new_payees": "true"}
    async with seat(MODERN, hub, tmp_path, person, settings) as client:
        arguments = await invoice(client)
        for _ in range(2):
            bought = await client.call_tool(INVOICE, arguments)
            assert not bought.is_error, bought.content[0].text
    assert (answers, paid(hub)) == ([], 2)


async def test_only_the_operator_lets_a_call_past_a_full_limit_and_only_that_one(
    hub: SandboxHub, tmp_path: Path
) -> None:
    person = who("accept", {FIELD: PRICE})
    settings = {"mandate__total_usdc": "0.05"}
    async with seat(MODERN, hub, tmp_path, person, settings) as client:
        arguments = await invoice(client)
        assert not (await client.call_tool(INVOICE, arguments)).is_error
        full = error_of(await client.call_tool(INVOICE, arguments))
        assert (full["error"]["code"], full["next_action"]["actor"]) == ("LIMIT_REACHED", "operator")
        code = full["error"]["details"]["approval_code"]
        status, seen = await anyio.to_thread.run_sync(lambda: at_a_terminal(hub, tmp_path, "approve", code, answer="y"))
        assert status == 0, seen
        past = await client.call_tool(INVOICE, arguments)
        assert not past.is_error, past.content[0].text
        assert error_of(await client.call_tool(INVOICE, arguments))["error"]["code"] == "LIMIT_REACHED"
    assert paid(hub) == 2


async def test_a_prepared_call_is_paid_for_once_by_whichever_process(era: str, hub: SandboxHub, tmp_path: Path) -> None:
    async with seat(era, hub, tmp_path, settings={}) as client:
        arguments = await invoice(client)
        wrong = output_of(await client.call_tool("jecp_prepare", {"tool": INVOICE, "arguments": {}}))
        assert (wrong["next_action"]["type"], wrong["issues"][0]["blocking"]) == ("revise_request", True)
        made = output_of(await client.call_tool("jecp_prepare", {"tool": INVOICE, "arguments": arguments}))
        assert (made["price_usdc"], made["at_most_usdc"], made["charged"]) == (PRICE, PRICE, "no")
        assert made["next_action"]["tool"] == "jecp_execute"
        assert paid(hub) == 0
    # A later process of the same user executes what this one prepared.
    async with seat(era, hub, tmp_path, settings={}) as client:
        step = made["next_action"]
        first = await client.call_tool(step["tool"], step["arguments"])
        again = await client.call_tool(step["tool"], step["arguments"])
        assert first.structured_content == again.structured_content
        assert again.meta["jecp-mcp/billing"]["stored"] is True
        newer = output_of(await client.call_tool("jecp_prepare", {"tool": INVOICE, "arguments": arguments}))
        latest = output_of(await client.call_tool("jecp_prepare", {"tool": INVOICE, "arguments": arguments}))
        old = error_of(await client.call_tool("jecp_execute", {"prepared_id": newer["prepared_id"]}))
        assert (old["error"]["code"], old["next_action"]["tool"]) == ("PREPARED_SUPERSEDED", "jecp_prepare")
        assert not (await client.call_tool("jecp_execute", {"prepared_id": latest["prepared_id"]})).is_error
        unknown = error_of(await client.call_tool("jecp_execute", {"prepared_id": "prep_nobody"}))
        assert unknown["error"]["code"] == "PREPARED_NOT_FOUND"
    assert paid(hub) == 2


async def test_a_prepared_call_resumes_once_the_wallet_was_filled(hub: SandboxHub, tmp_path: Path) -> None:
    hub.fund("0.01")
    async with seat(MODERN, hub, tmp_path, settings={}) as client:
        arguments = await invoice(client)
        made = output_of(await client.call_tool("jecp_prepare", {"tool": INVOICE, "arguments": arguments}))
        execute = ("jecp_execute", {"prepared_id": made["prepared_id"]})
        empty = error_of(await client.call_tool(*execute))
        assert (empty["error"]["code"], empty["charged"]) == ("INSUFFICIENT_BALANCE", "no")
        hub.fund("5.00")
        assert not (await client.call_tool(*execute)).is_error
    assert paid(hub) == 1


async def test_money_comes_back_into_the_limits(hub: SandboxHub, tmp_path: Path) -> None:
    async with seat(MODERN, hub, tmp_path, settings={"mandate__total_usdc": "0.06"}) as client:
        arguments = await invoice(client)
        bought = await client.call_tool(INVOICE, arguments)
        call_id = bought.meta["jecp-mcp/billing"]["call_id"]
        asked = output_of(await client.call_tool("jecp_refund", {"call_id": call_id, "reason": "The total is wrong."}))
        assert asked["status"] == "requested"
        assert error_of(await client.call_tool(INVOICE, arguments))["error"]["code"] == "LIMIT_REACHED"
        resolve = f"/sandbox/refunds/{asked['refund_id']}"
        hub.http.post(resolve, json={"decision": "approve"}).raise_for_status()
        (listed,) = output_of(await client.call_tool("jecp_refund", {}))["refunds"]
        assert (listed["status"], listed["returns_usdc"]) == ("approved", "0.045")
        assert not (await client.call_tool(INVOICE, arguments)).is_error
        for wrong in ({"call_id": "call_nobody", "reason": "x"}, {"call_id": call_id}):
            assert error_of(await client.call_tool("jecp_refund", wrong))["charged"] == "no"
