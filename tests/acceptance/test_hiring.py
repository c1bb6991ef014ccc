"""Hiring through an official client and the real server, in both protocol eras, from an agent behind a real socket."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from jecp_mcp.settings.agent_key import FILE
from jecp_mcp.settings.key_file import store_key
from jecp_mcp.wire.ajp.offer import read_offer
from jecp_mcp.wire.ajp.signatures import PrivateKey, new_private_key
from tests.acceptance.roads import (
    LEGACY,
    MODERN,
    NOBODY,
    Road,
    connect,
    connect_with_yes,
    error_of,
    output_of,
    until_on_sale,
)
from tests.acceptance.terminal import another_terminal
from tests.ajp_agent import Agent, serving

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

TEXT = new_private_key()
TASK = {"instruction": "Count the words", "input": {"text": "one two three"}}
TOOL = "ajp_hire_words"


@pytest.fixture
def agent() -> Iterator[Agent]:
    with serving(Agent(PrivateKey(TEXT))) as served:
        yield served


@pytest.fixture(params=[LEGACY, MODERN], ids=["2025", "2026"])
def road(request: pytest.FixtureRequest) -> Road:
    return Road("stdio", request.param)


def configured(agent: Agent, state: Path) -> Path:
    """The settings file of who hires an agent, and their key in the state folder."""
    if not (state / FILE).exists():
        store_key(state / FILE, TEXT)
    config = state / "config.toml"
    config.write_text(
        '[ajp]\nidentity = "provenance:domain:hirer.example"\n\n'
        f'[[ajp.agents]]\nname = "words"\nid = "{agent.id}"\nmax_usdc = "0.05"\ndescription = "Counts words."\n'
    )
    return config


@asynccontextmanager
async def hirer(road: Road, agent: Agent, state: Path, **mandate: str) -> AsyncIterator[tuple[Client, list[str]]]:
    """A client, and what its person was asked, who agrees to everything."""
    config = configured(agent, state)
    async with connect_with_yes(road, NOBODY, state, config, "0.05", **mandate) as (client, asked):
        yield client, asked


def text_of(result: Any) -> str:
    return "".join(getattr(one, "text", "") for one in result.content)


async def test_an_agent_is_a_tool_and_what_it_did_is_paid_for_once(road: Road, agent: Agent, tmp_path: Path) -> None:
    async with hirer(road, agent, tmp_path) as (client, _):
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert "Costs up to 0.05 USDC." in tools[TOOL].description
        assert "Counts words." in tools[TOOL].description
        (row,) = output_of(await client.call_tool("jecp_search", {"query": "count words agent"}))["results"]
        assert (row["tool"], "paid_with" in row) == (TOOL, False)
        for looking in (("jecp_describe", {"tool": TOOL}), ("jecp_prepare", {"tool": TOOL, "arguments": TASK})):
            before = output_of(await client.call_tool(*looking))
            assert before["paid_with"].startswith("nothing now: what it costs is owed to the agent, who bills")
        done = await client.call_tool(TOOL, TASK)
        assert output_of(done) == {"words": 3}
        assert "Owed 0.02 USDC" in text_of(done)
        refused = error_of(await client.call_tool(TOOL, TASK | {"credentials": {"token": "x"}}))
        assert refused["charged"] == "no"
        agent.status = "failed"
        failed = error_of(await client.call_tool(TOOL, {"instruction": "Fail"}))
        assert (failed["error"]["code"], failed["charged"]) == ("JOB_FAILED", "no")
        agent.status, agent.cost = "completed", 7
        dear = await client.call_tool(TOOL, {"instruction": "Be dear"})
        assert output_of(dear) == {"words": 0}
        assert "not acknowledged" in text_of(dear)
    assert sum(agent.acknowledged.values()) == 1


async def test_a_long_job_is_left_running_and_its_result_is_given_after_a_restart(
    road: Road, agent: Agent, tmp_path: Path
) -> None:
    agent.polls = 10_000
    async with hirer(road, agent, tmp_path) as (client, _):
        running = error_of(await client.call_tool(TOOL, TASK))
        assert (running["error"]["code"], running["charged"]) == ("CALL_IN_PROGRESS", "unknown")
        step = running["next_action"]
        assert step["tool"] == "jecp_status"
    agent.polls = 0
    async with hirer(road, agent, tmp_path) as (client, _):
        found = await client.call_tool(step["tool"], step["arguments"])
        assert output_of(found) == {"words": 3}
    assert list(agent.acknowledged.values()) == [1]


async def test_a_new_agent_is_approved_in_the_host(road: Road, agent: Agent, tmp_path: Path) -> None:
    async with hirer(road, agent, tmp_path, approve_new_payees="true") as (client, asked):
        assert output_of(await client.call_tool(TOOL, TASK)) == {"words": 3}
        assert len(asked) == 1
        assert agent.endpoint in asked[0]


async def test_the_sandbox_has_agents_to_hire_the_good_and_the_bad(road: Road, tmp_path: Path) -> None:
    environment = another_terminal(tmp_path)
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "jecp_mcp", "serve", "--sandbox"], env=environment
    )
    text = {"text": "One two. Three four five. Six."}
    async with Client(stdio_client(server), mode=road.era) as client:

        async def hire(name: str) -> Any:
            return await client.call_tool(f"ajp_hire_{name}", {"instruction": "Do it", "input": text})

        await until_on_sale(client)
        tools = {tool.name for tool in (await client.list_tools(cache_mode="bypass")).tools}
        assert {one.split("_")[0] for one in tools} > {"ajp", "jecp", "paid"}, (
            "the Hub's actions are there from the start"
        )
        assert output_of(await hire("counter"))["words"] == 6
        assert output_of(await hire("summariser"))["total_sentences"] == 3
        dear = await hire("overcharger")
        assert "not acknowledged: it asks for 0.02 USDC, where at most 0.01 was offered" in text_of(dear)
        stranger, busy = error_of(await hire("stranger")), error_of(await hire("busy"))
        assert (stranger["error"]["code"], stranger["charged"]) == ("AGENT_NOT_TRUSTED", "no")
        assert (busy["error"]["code"], busy["charged"]) == ("AGENT_BUSY", "no")
        accused = error_of(await hire("accused"))
        assert (accused["error"]["code"], accused["charged"]) == ("AGENT_NOT_TRUSTED", "no")
        assert "it has open incidents there: 1" in accused["error"]["message"]


async def test_an_agent_that_nobody_listed_is_hired_once_a_person_agrees_to_the_job(
    road: Road, agent: Agent, tmp_path: Path
) -> None:
    with serving(Agent(PrivateKey(TEXT))) as other:
        config = configured(agent, tmp_path)
        config.write_text(config.read_text().replace("[ajp]", "[ajp]\nallow_unlisted = true", 1))
        task = TASK | {"agent": other.id}
        async with connect(road, NOBODY, tmp_path, settings={"config": str(config)}, sells=False) as client:
            refused = error_of(await client.call_tool("ajp_hire", task))
            assert (refused["error"]["code"], refused["charged"]) == ("APPROVAL_REQUIRED", "no")
            assert refused["next_action"]["actor"] == "human"
        async with connect_with_yes(road, NOBODY, tmp_path, config, "0.25") as (client, asked):
            done = await client.call_tool("ajp_hire", task)
            assert output_of(done) == {"words": 3}
            assert other.id in asked[0]
            assert other.endpoint in asked[0]
            listed = error_of(await client.call_tool("ajp_hire", TASK | {"agent": agent.id}))
            assert "hire it by ajp/hire:words" in listed["error"]["message"]
        assert (list(other.acknowledged.values()), agent.offers) == ([1], [])


async def test_an_agent_that_is_written_after_the_guide_is_hired_and_what_it_does_not_sign_is_said(
    road: Road, agent: Agent, tmp_path: Path
) -> None:
    agent.mount, agent.signs = "", "six"
    async with hirer(road, agent, tmp_path) as (client, _):
        done = await client.call_tool(TOOL, TASK)
    assert output_of(done) == {"words": 3}
    assert "not what it says it cost" in text_of(done)
    assert list(agent.acknowledged.values()) == [1]


async def test_a_question_for_a_job_waits_for_its_result(road: Road, agent: Agent, tmp_path: Path) -> None:
    agent.polls = 10_000
    async with hirer(road, agent, tmp_path) as (client, _):
        running = error_of(await client.call_tool(TOOL, TASK))
    [asked] = agent.asked.values()
    agent.polls = asked + 3
    async with hirer(road, agent, tmp_path) as (client, _):
        found = await client.call_tool("jecp_status", running["next_action"]["arguments"])
    assert output_of(found) == {"words": 3}


def test_at_a_terminal_an_agent_is_hired_its_jobs_are_listed_and_its_result_is_shown_again(
    agent: Agent, tmp_path: Path
) -> None:
    config = configured(agent, tmp_path)

    def run(*words: str, status: int = 0, given: str | None = None) -> str:
        command = [sys.executable, "-m", "jecp_mcp", *words, "--config", str(config), "--hub", NOBODY.url]
        command += ["--state-dir", str(tmp_path)]
        environment = another_terminal(tmp_path)
        done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, input=given)
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    assert "No agent was hired from here yet" in run("jobs")
    work = json.dumps(TASK["input"])
    told = run("hire", "words", "--instruction", "Count", "--input", "-", "--budget", "0.04", given=work)
    assert '"words": 3' in told
    assert "Owed 0.02 USDC" in told
    agent.cost = 0.04
    assert '"words": 2' in run(
        "hire", agent.id, "--instruction", "Count", "--input", '{"text": "a b"}', "--timeout", "9"
    )
    offers = [read_offer(raw)[0] for raw in agent.offers]
    assert [(one.budget.max_usd, one.budget.max_seconds) for one in offers] == [(40_000, 120), (50_000, 9)]
    listed = json.loads(run("jobs", "--json"))
    assert [(one["agent"], one["state"], one["charged_usdc"], one["most_usdc"]) for one in listed["jobs"]] == [
        ("words", "settled", "0.04", "0.05"),
        ("words", "settled", "0.02", "0.04"),
    ]
    assert listed["agents"] == [
        {"agent": "words", "jobs": 2, "charged": 2, "median_charged_usdc": "0.03", "median_most_usdc": "0.045"}
    ]
    assert "words: 2 jobs charged; the median is 0.03 USDC, where 0.045 was allowed." in run("jobs")
    for known in (listed["jobs"][1]["job_id"], listed["jobs"][1]["call_id"]):
        assert '"words": 3' in run("jobs", known)
    assert sum(agent.acknowledged.values()) == 2
    config.write_text(config.read_text().replace('"0.05"', '"0.08"'))
    assert '"words": 4' in run("hire", "words", "--instruction", "Count", "--input", '{"text": "a b c d"}')
    assert read_offer(agent.offers[-1])[0].budget.max_usd == 80_000, "the operator's own change waits for nobody"
    assert "there is no agent 'somebody'; listed: words" in run("hire", "somebody", "--instruction", "x", status=2)
    assert "the values of --input are not JSON" in run("hire", "words", "--instruction", "x", "--input", "{", status=2)


def test_a_start_that_hires_nobody_imports_nothing_of_it(tmp_path: Path) -> None:
    code = (
        "import sys, anyio; from pathlib import Path; from jecp_mcp.cli.assembly import build\n"
        "from jecp_mcp.cli.options import start\n"
        "async def main():\n"
        "    async with build(start(None, Path('config.toml'), Path('state'))): pass\n"
        "anyio.run(main)\n"
        "rooms = ('jecp_mcp.rails.ajp', 'jecp_mcp.wire.ajp', 'jecp_mcp.http_gate', 'cryptography', 'rfc8785')\n"
        "print([one for one in sys.modules if one.startswith(rooms)])"
    )
    (tmp_path / "config.toml").write_text("")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
