"""Two Hubs under one budget, through real clients in both eras: who is away hides nobody, and nobody is paid for another."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from jecp_mcp.clock import SystemClock
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import Conclusion
from tests.acceptance.held_hub import holding
from tests.acceptance.roads import (
    LEGACY,
    MODERN,
    Road,
    SandboxHub,
    connect,
    error_of,
    output_of,
    sandbox,
    server_env,
)
from tests.ports import free_port
from tests.unit.mandate.reservations import reservation

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

COUNT = "text-stats_count"
EU_COUNT = f"eu__{COUNT}"
PATIENCE = 90
"""Seconds after which what does not come is given up: a bound, not a measure."""
ERAS = [Road("stdio", LEGACY), Road("http", MODERN)]


@pytest.fixture(scope="module")
def hubs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SandboxHub, SandboxHub]]:
    """Two Hubs that sell the same."""
    folder = tmp_path_factory.mktemp("hubs")
    with sandbox(folder / "first.sqlite") as first, sandbox(folder / "eu.sqlite") as eu:
        yield first, eu


def config(folder: Path, eu_url: str, mandate: str) -> Path:
    path = folder / "two.toml"
    path.write_text(
        f'[[hubs]]\nname = "eu"\nbase_url = "{eu_url}"\n[catalog]\nrefresh_seconds = 5\n'
        f'[tools]\nmode = "direct"\nmax_tools = 200\n[mandate]\n{mandate}'
    )
    return path


def variables(eu: SandboxHub) -> dict[str, str]:
    return {"JECP_AGENT_ID_EU": eu.agent_id, "JECP_API_KEY_EU": eu.api_key}


@asynccontextmanager
async def at_both(
    road: Road,
    first: SandboxHub,
    eu: SandboxHub,
    folder: Path,
    mandate: str = "",
    *,
    awaits: tuple[str, ...] = (COUNT, EU_COUNT),
) -> AsyncIterator[Client]:
    """A client of a server that buys from both, once it lists these tools."""
    given = {"config": str(config(folder, eu.url, mandate))}
    state = folder / "state"
    async with connect(
        road, first, state, settings=given, variables=variables(eu), sells=False, read_timeout_seconds=PATIENCE
    ) as client:
        await listed(client, *awaits)
        yield client


def charged(hub: SandboxHub) -> list[str]:
    return [one["amount_usdc"] for one in hub.books()["transactions"]]


async def tools(client: Client) -> set[str]:
    return {tool.name for tool in (await client.list_tools()).tools}


async def listed(client: Client, *wanted: str) -> None:
    """Wait until the catalogs that have these tools are there: a loaded machine takes its time."""
    with anyio.fail_after(PATIENCE):
        while not {*wanted} <= await tools(client):
            await anyio.sleep(0.1)


@pytest.mark.parametrize("road", ERAS, ids=str)
async def test_two_hubs_sell_side_by_side_under_one_budget(
    hubs: tuple[SandboxHub, SandboxHub], tmp_path: Path, road: Road
) -> None:
    first, eu = hubs[0].new_agent(), hubs[1].new_agent()
    async with at_both(road, first, eu, tmp_path, 'daily_usdc = "0.0012"\n') as client:
        names = await tools(client)
        own = {name for name in names if name.startswith("jecp_")}
        assert {f"eu__{name}" for name in names - own if not name.startswith("eu__")} == {
            name for name in names if name.startswith("eu__")
        }
        found = output_of(await client.call_tool("jecp_search", {"query": "count words"}))["results"]
        assert {COUNT, EU_COUNT} <= {one["tool"] for one in found}

        output_of(await client.call_tool(COUNT, {"text": "at the first"}))
        output_of(await client.call_tool(EU_COUNT, {"text": "at the second"}))
        assert (len(charged(first)), len(charged(eu))) == (1, 1)
        for tool in (COUNT, EU_COUNT):
            refused = error_of(await client.call_tool(tool, {"text": "once more"}))
            assert (refused["error"]["code"], refused["charged"]) == ("LIMIT_REACHED", "no")

        wallet = output_of(await client.call_tool("jecp_wallet", {}))
        assert [(one["hub"], one["balance_usdc"]) for one in wallet["wallets"]] == [("hub", "9.9995"), ("eu", "9.9995")]
        assert (wallet["charged_usdc"], wallet["can_spend_now_usdc"]) == ("0.001", "0.0002")
        link = output_of(await client.call_tool("jecp_topup", {"amount_usd": 5, "hub": "eu"}))
        assert link["next_action"]["url"].startswith(f"{eu.url}/")
        described = output_of(await client.call_tool("jecp_describe", {"tool": EU_COUNT}))
        assert described["provider"] == "the Hub eu"


@pytest.mark.parametrize("road", ERAS, ids=str)
async def test_a_hub_that_is_away_hides_no_other_and_is_back_within_the_session(
    hubs: tuple[SandboxHub, SandboxHub], tmp_path: Path, road: Road
) -> None:
    first, port, data = hubs[0].new_agent(), free_port(), tmp_path / "eu.sqlite"
    with sandbox(data, "--port", str(port)) as eu:
        agent = eu.new_agent()
    # Away at the start: nothing of it was ever seen.
    async with at_both(road, first, agent, tmp_path, awaits=(COUNT,)) as client:
        assert COUNT in (names := await tools(client))
        assert not any(name.startswith("eu__") for name in names)
        output_of(await client.call_tool(COUNT, {"text": "while the other is away"}))
        refused = error_of(await client.call_tool(EU_COUNT, {"text": "nobody there"}))
        assert (refused["error"]["code"], refused["charged"]) == ("HUB_UNREACHABLE", "no")
        [away] = output_of(await client.call_tool("jecp_wallet", {}))["unreachable"]
        assert away["source"] == agent.url
        with sandbox(data, "--port", str(port)) as eu:
            agent.http = eu.http
            await listed(client, EU_COUNT)
            output_of(await client.call_tool(EU_COUNT, {"text": "it is back"}))
            assert len(charged(agent)) == 1
        # Away in mid-session: what is known of it stays, and says so.
        refused = error_of(await client.call_tool(EU_COUNT, {"text": "gone again"}))
        assert (refused["error"]["code"], refused["charged"]) == ("HUB_UNREACHABLE", "no")
        assert names | {EU_COUNT} <= await tools(client)
        described = output_of(await client.call_tool("jecp_describe", {"tool": EU_COUNT}))
        assert described["unreachable"][0]["source"] == agent.url
        assert "unreachable" not in output_of(await client.call_tool("jecp_describe", {"tool": COUNT}))
        output_of(await client.call_tool(COUNT, {"text": "as if nothing were"}))
    assert len(charged(first)) == 2


async def test_eight_callers_at_two_hubs_never_pass_one_limit(
    hubs: tuple[SandboxHub, SandboxHub], tmp_path: Path
) -> None:
    first, eu = hubs[0].new_agent(), hubs[1].new_agent()
    ends: Counter[str] = Counter()
    async with at_both(ERAS[0], first, eu, tmp_path, 'daily_usdc = "0.0051"\n') as client:

        async def buy(caller: int) -> None:
            for number in range(4):
                tool = (COUNT, EU_COUNT)[(caller + number) % 2]
                result = await client.call_tool(tool, {"text": f"{caller} {number}"})
                ends["bought" if not result.is_error else error_of(result)["error"]["code"]] += 1

        async with anyio.create_task_group() as tasks:
            for caller in range(8):
                tasks.start_soon(buy, caller)
    assert ends == {"bought": 10, "LIMIT_REACHED": 22}
    assert len(charged(first)) + len(charged(eu)) == 10
    assert charged(first)
    assert charged(eu)


async def test_an_allow_that_names_no_hub_lets_only_the_first_sell_and_a_deny_means_both(
    hubs: tuple[SandboxHub, SandboxHub], tmp_path: Path
) -> None:
    first, eu = hubs[0].new_agent(), hubs[1].new_agent()
    allow = 'allow = ["text-stats:*", "qr-code:*", "eu::qr-code:*"]\ndeny = ["qr-code_encode"]\n'
    async with at_both(ERAS[0], first, eu, tmp_path, allow, awaits=(COUNT,)) as client:
        assert {name for name in await tools(client) if not name.startswith("jecp_")} == {COUNT}
        refused = error_of(await client.call_tool(EU_COUNT, {"text": "x"}))
        assert (refused["error"]["code"], refused["charged"]) == ("DENIED_BY_POLICY", "no")
        refused = error_of(await client.call_tool("eu__qr-code_encode", {"text": "x"}))
        assert refused["error"]["code"] == "DENIED_BY_POLICY"


def host(first: SandboxHub, eu: SandboxHub, eu_url: str, folder: Path) -> subprocess.Popen[str]:
    """A server process on stdio that can be killed."""
    env = server_env(first.url, first.agent_id, first.api_key, config=str(config(folder, eu_url, "")))
    return subprocess.Popen(
        [sys.executable, "-m", "jecp_mcp", "serve", "--state-dir", str(folder / "state")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env | variables(eu),
    )  # fmt: skip


def say(process: subprocess.Popen[str], number: int, method: str, params: dict[str, Any]) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}) + "\n")
    process.stdin.flush()


def heard(process: subprocess.Popen[str], number: int) -> Any:
    assert process.stdout is not None
    return next(said["result"] for said in map(json.loads, process.stdout) if said.get("id") == number)


def ready(process: subprocess.Popen[str]) -> None:
    """Greet a server, and wait until it sells what the test buys."""
    say(process, 1, "initialize", HELLO)
    heard(process, 1)
    for number in itertools.count(100):
        say(process, number, "tools/list", {})
        if EU_COUNT in {tool["name"] for tool in heard(process, number)["tools"]}:
            return
        time.sleep(0.1)


HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}


def test_a_call_of_the_second_hub_whose_server_was_killed_is_finished_there_and_paid_once(
    hubs: tuple[SandboxHub, SandboxHub], tmp_path: Path
) -> None:
    first, eu = hubs[0].new_agent(), hubs[1].new_agent()
    asked = {"name": EU_COUNT, "arguments": {"text": "said before the end"}}
    with holding(eu) as held:
        with host(first, eu, held.hub.url, tmp_path) as dying:
            ready(dying)
            say(dying, 2, "tools/call", asked)
            held.wait()
            dying.kill()
        assert charged(eu) == []
        # Without the Hub in the settings nobody can find out, and that is said.
        env = server_env(first.url, first.agent_id, first.api_key)
        command = [sys.executable, "-m", "jecp_mcp", "--state-dir", str(tmp_path / "state")]
        told = subprocess.run(
            [*command[:3], "doctor", "--json", *command[3:]], capture_output=True, text=True, env=env, check=False
        )
        said = [one for one in json.loads(told.stdout)["findings"] if one["about"] == "calls"]
        assert [one["what"] for one in said if held.hub.url in one["what"]] == [
            f"1 call at {held.hub.url} is open, and that Hub is not among the settings"
        ]
        held.let_go.set()
        with host(first, eu, held.hub.url, tmp_path) as other:
            ready(other)
            say(other, 2, "tools/call", asked)
            result = heard(other, 2)
            other.kill()
        assert not result["isError"], result
    assert len(charged(eu)) == 1
    assert charged(first) == []


async def leave_in_doubt(state: Path, hub: str, agent: str) -> str:
    """Write down a call of a dead process at the Hub eu, whose answer was lost; its id."""
    ledger = open_ledger(state / "ledger.sqlite", "dead")
    wanted = reservation("dead", account=f"{hub} {agent}", provable_until=SystemClock().now() + 3_600_000)
    await ledger.reserve(replace(wanted, source=hub, offer="eu::text-stats:count", tool=EU_COUNT))
    ledger.conclude(Conclusion(wanted.call_id, Verdict.IN_DOUBT, evidence="the answer was lost"))
    await ledger.close()
    return wanted.call_id


def test_a_hub_that_answers_nobody_holds_up_no_call_at_another_and_one_that_is_gone_is_said_by_its_name(
    hubs: tuple[SandboxHub, SandboxHub], tmp_path: Path
) -> None:
    first, state = hubs[0].new_agent(), tmp_path / "state"
    # Connections are taken by the system, and nobody ever answers one.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        call_id = asyncio.run(leave_in_doubt(state, url, "agent_eu"))
        eu = {"JECP_AGENT_ID_EU": "agent_eu", "JECP_API_KEY_EU": "jdb_ak_eu"}
        two = {"JECP_MCP_CONFIG": str(config(tmp_path, url, ""))} | eu
        one = {"JECP_MCP_CONFIG": str(tmp_path / "one.toml")}
        (tmp_path / "one.toml").write_text("")

        def run(given: dict[str, str], *words: str) -> str:
            command = [sys.executable, "-m", "jecp_mcp", words[0], "--state-dir", str(state), *words[1:]]
            env = server_env(first.url, first.agent_id, first.api_key) | given
            done = subprocess.run(command, capture_output=True, text=True, env=env, check=False, timeout=PATIENCE)
            return done.stdout + done.stderr

        assert "Paid 0.0005 USDC" in run(two, "call", COUNT, '{"text": "one two"}')
        with pytest.raises(BlockingIOError):
            silent.accept()
    # Now it refuses connections.
    said = run(two, "search", "count words")
    assert f"{url} gives no catalog now; 0 actions of it known" in said
    assert COUNT in said
    assert "Will still be found out" in run(two, "reconcile")

    gone = run(one, "reconcile")
    assert "Found out only with a Hub that is not in the settings" in gone
    assert "Will still be found out" not in gone
    assert "another account (agent_eu at eu)" in run(one, "status", call_id)


def test_each_command_knows_which_hub_is_meant(hubs: tuple[SandboxHub, SandboxHub], tmp_path: Path) -> None:
    first, eu = hubs
    kept = {key: value for key, value in os.environ.items() if not key.startswith("JECP_")}
    places = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    given = {"JECP_BASE_URL": first.url, "JECP_MCP_CONFIG": str(config(tmp_path, eu.url, ""))}

    def run(*words: str, status: int = 0) -> Any:
        command = [sys.executable, "-m", "jecp_mcp", *words]
        done = subprocess.run(command, capture_output=True, text=True, env=kept | places | given, check=False)
        assert done.returncode == status, done.stdout + done.stderr
        return json.loads(done.stdout) if "--json" in words and not status else done.stdout + done.stderr

    # Of two Hubs without an account it is the one that was named.
    made = run("register", "--hub", "eu", "--json")
    assert made["hub"] == "eu"
    assert "ALREADY_REGISTERED" in run("register", "--hub", "eu", status=1)
    assert run("topup", "5", "--hub", "eu", "--json")["next_action"]["url"].startswith(f"{eu.url}/")
    assert f"--hub {first.url}` makes one" in run("topup", "5", status=1)

    run("call", EU_COUNT, '{"text": "one two"}', "--json")
    wallets = {one["hub"]: one for one in run("wallet", "--json")["wallets"]}
    assert (wallets["eu"]["free_calls_remaining"], wallets["hub"]["account"]) == (99, False)
    assert [one["hub"] for one in run("wallet", "--hub", "eu", "--json")["wallets"]] == ["eu"]
    shown = run("wallet")
    assert "free calls left at eu" in shown
    assert f"{first.url}, {eu.url}" in shown

    [row] = run("ledger", "--hub", "eu", "--json")
    assert (row["tool"], row["account"]) == (EU_COUNT, f"{eu.url} {made['agent_id']}")
    assert run("ledger", "--hub", "hub", "--json") == []
    keys = [one["action"] for one in run("catalog", "--hub", "eu", "--json")]
    assert keys
    assert all(key.startswith("eu::") for key in keys)
    found = {one["about"]: one for one in json.loads(run("doctor", "--json", status=1))["findings"]}
    assert found["credentials eu"]["level"] == found["hub eu"]["level"] == found["hub"]["level"] == "ok"
    assert f" --hub {first.url}, or set JECP_AGENT_ID and" in found["credentials"]["mend"]
    assert "the Hubs here are called hub, eu" in run("catalog", "--hub", "us", status=2)


async def test_money_is_asked_for_and_asked_back_at_the_hub_that_it_is_about(
    hubs: tuple[SandboxHub, SandboxHub], tmp_path: Path
) -> None:
    first, eu = hubs[0].new_agent(), hubs[1].new_agent()
    async with at_both(ERAS[0], first, eu, tmp_path) as client:
        bought = await client.call_tool(EU_COUNT, {"text": "to be asked back"})
        asked = {"call_id": bought.meta["jecp-mcp/billing"]["call_id"], "reason": "wrong"}
        assert output_of(await client.call_tool("jecp_refund", asked))["status"] == "requested"
        [refund] = output_of(await client.call_tool("jecp_refund", {}))["refunds"]
        assert (refund["hub"], refund["amount_usdc"]) == ("eu", "0.0005")

        eu.fund("0")
        refused = error_of(await client.call_tool(EU_COUNT, {"text": "no money there"}))
        assert refused["error"]["code"] == "PAYMENT_REQUIRED"
        step = refused["next_action"]
        assert (step["tool"], step["arguments"]) == ("jecp_topup", {"amount_usd": 5, "hub": "eu"})
        link = output_of(await client.call_tool(step["tool"], step["arguments"]))
        assert link["next_action"]["url"].startswith(f"{eu.url}/")
        # The other wallet has money, and says nothing of this one.
        output_of(await client.call_tool(COUNT, {"text": "money here"}))
        prepared = output_of(await client.call_tool("jecp_prepare", {"tool": COUNT, "arguments": {"text": "x"}}))
        assert "blocked_by" not in prepared
