"""A program at one of several Hubs of the server's settings: their rules hold for it, by the names that they use."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from jecp_mcp import CallInDoubtError, DeniedByMandateError, JecpClient, Mandate, SpendingLimitError
from jecp_mcp.mandate.opening import open_ledger
from tests.acceptance.roads import LEGACY, Road, SandboxHub, connect, error_of, sandbox, server_env

pytestmark = pytest.mark.anyio

EU = "https://hub.example.eu"
COUNT = ("text-stats", "count")


def settings(folder: Path, hub: str, rules: str = "", *, name: str = "eu") -> Path:
    """Settings of two Hubs, of which `hub` is the further one."""
    path = folder / f"{name}.toml"
    path.write_text(f'[[hubs]]\nname = "{name}"\nbase_url = "{hub}"\n[mandate]\n{rules}', encoding="utf-8")
    return path


def at(agent: SandboxHub, mandate: Mandate) -> JecpClient:
    return JecpClient(agent.agent_id, agent.api_key, base_url=agent.url, mandate=mandate)


def test_each_hub_of_the_settings_is_called_what_its_rules_call_it(tmp_path: Path) -> None:
    mandate = Mandate.from_settings(settings(tmp_path, f"{EU}:443/"), state=tmp_path)
    assert [mandate.name_of(url) for url in ("https://jecp.dev", EU)] == ["", "eu"]
    with pytest.raises(ValueError, match=r"no Hub at https://us\.example"):
        mandate.name_of("https://us.example")
    (tmp_path / "one.toml").write_text("[mandate]\ndaily_usdc = '1'\n", encoding="utf-8")
    for one in (Mandate.from_settings(tmp_path / "one.toml", state=tmp_path), Mandate(tmp_path / "ledger.sqlite")):
        assert one.name_of("https://us.example") == ""


async def test_a_hub_that_no_rule_could_name_is_not_bought_from(tmp_path: Path) -> None:
    mandate = Mandate.from_settings(settings(tmp_path, EU), state=tmp_path)
    with pytest.raises(ValueError, match=r"no Hub at https://us\.example"):
        async with JecpClient("agent", "jdb_ak_key", base_url="https://us.example", mandate=mandate):
            pass
    assert not (tmp_path / "ledger.sqlite").exists()


@pytest.mark.parametrize("pattern", ["eu::*", "*::*", "*::docs/*", "e?::docs/pdf:*"])
@pytest.mark.parametrize("rule", ["deny", "limits", "allow"])
def test_a_mandate_of_the_programs_own_takes_no_pattern_that_it_could_match_with_nothing(
    tmp_path: Path, rule: str, pattern: str
) -> None:
    given = [{"match": pattern, "daily_usdc": "1"}] if rule == "limits" else [pattern]
    if (rule, pattern) == ("allow", "*::*"):
        # What every mandate allows that says nothing of it.
        Mandate(tmp_path / "ledger.sqlite", **{rule: ["*", pattern]})
        return
    with pytest.raises(ValueError, match="names a Hub"):
        Mandate(tmp_path / "ledger.sqlite", **{rule: given})


def test_the_first_hub_is_named_by_any_mandate(tmp_path: Path) -> None:
    assert Mandate(tmp_path / "ledger.sqlite", deny=["hub::docs/*"]).settings.deny == ("hub::docs/*",)


@pytest.mark.parametrize("written", ["https://HUB.example.eu", f"{EU}/", f"{EU}:443"])
def test_one_hub_is_one_however_its_address_is_written(written: str) -> None:
    assert JecpClient("agent", "jdb_ak_key", base_url=written)._hub.origin == EU


@pytest.fixture(scope="module")
def eu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxHub]:
    with sandbox(tmp_path_factory.mktemp("eu") / "eu.sqlite") as hub:
        yield hub


@pytest.mark.slow
async def test_what_the_settings_forbid_or_bound_at_one_hub_holds_for_a_program_there(
    eu: SandboxHub, tmp_path: Path
) -> None:
    agent = eu.new_agent()
    for rules in ('deny = ["eu::*"]', 'deny = ["*::text-stats"]', 'deny = ["text-stats"]', 'allow = ["*"]'):
        mandate = Mandate.from_settings(settings(tmp_path, agent.url, rules), state=tmp_path)
        async with at(agent, mandate) as hub:
            with pytest.raises(DeniedByMandateError):
                await hub.invoke(*COUNT, {"text": "one"})
    assert agent.books()["transactions"] == []

    bounded = 'allow = ["eu::*"]\n[[mandate.limits]]\nmatch = "eu::*"\ndaily_usdc = "0.0005"\n'
    mandate = Mandate.from_settings(settings(tmp_path, agent.url, bounded), state=tmp_path)
    async with at(agent, mandate) as hub:
        await hub.invoke(*COUNT, {"text": "one"})
        with pytest.raises(SpendingLimitError) as full:
            await hub.invoke(*COUNT, {"text": "two"})
    assert full.value.details["limit"] == "limits[eu::*].daily_usdc"
    assert len(agent.books()["transactions"]) == 1
    ledger = open_ledger(tmp_path / "ledger.sqlite")
    assert [row.offer for row in await ledger.rows()] == ["eu::text-stats:count"]
    await ledger.close()


@pytest.mark.slow
async def test_a_call_in_doubt_is_not_bought_again_by_a_program_nor_once_its_hub_is_called_otherwise(
    eu: SandboxHub, tmp_path: Path
) -> None:
    agent, state = eu.new_agent(), tmp_path / "state"
    words = {name: {"text": f"said once, and asked for at {name}"} for name in ("eu", "de")}
    configs = {name: settings(tmp_path, agent.url, name=name) for name in words}
    agent.fault("text-stats", "drop_after_charge", times=100)
    account = {"JECP_AGENT_ID_EU": agent.agent_id, "JECP_API_KEY_EU": agent.api_key}
    nobody = SandboxHub("http://127.0.0.1:9", "agent_first", "jdb_ak_first", agent.http)
    given = {"config": str(configs["eu"]), "tools__mode": "search"}
    async with connect(Road("stdio", LEGACY), nobody, state, settings=given, variables=account) as server:
        for one in words.values():
            asked = {"tool": "eu::text-stats:count", "arguments": one}
            lost = error_of(await server.call_tool("jecp_call", asked))
            assert lost["charged"] == "unknown", lost
    assert len(agent.books()["transactions"]) == 2
    agent.heal()
    for name, one in words.items():
        mandate = Mandate.from_settings(configs[name], state=state)
        async with at(agent, mandate) as hub:
            assert (await hub.invoke(*COUNT, one)).output["words"] == 7
    assert len(agent.books()["transactions"]) == 2, "what was paid for once was not bought again"


@pytest.mark.slow
async def test_a_limit_of_a_hub_counts_and_reconcile_shows_what_was_bought_while_it_was_called_otherwise(
    eu: SandboxHub, tmp_path: Path
) -> None:
    agent = eu.new_agent()
    for name in ("eu", "de"):
        bounded = f'allow = ["{name}::*"]\n[[mandate.limits]]\nmatch = "{name}::*"\ndaily_usdc = "0.0005"\n'
        mandate = Mandate.from_settings(settings(tmp_path, agent.url, bounded, name=name), state=tmp_path)
        async with at(agent, mandate) as hub:
            if name == "eu":
                agent.fault("text-stats", "drop_before", times=100)
                with pytest.raises(CallInDoubtError):
                    await hub.invoke(*COUNT, {"text": "one"})
            with pytest.raises(SpendingLimitError) as full:
                await hub.invoke(*COUNT, {"text": "two"})
        assert full.value.details["limit"] == f"limits[{name}::*].daily_usdc"
    agent.http.delete("/sandbox/faults")
    command = [sys.executable, "-m", "jecp_mcp", "reconcile", "--json", "--state-dir", str(tmp_path)]
    given = {"JECP_MCP_CONFIG": str(tmp_path / "de.toml")}
    env = server_env("https://jecp.dev", "agent_first", "jdb_ak_first") | given
    told = json.loads((await anyio.run_process(command, env=env, check=False)).stdout)
    (call,) = [*told["needs_ruling"], *told["still_found_out"]]
    assert (call["offer"], call["tool"]) == ("de::text-stats:count", "de__text-stats_count")


@pytest.mark.slow
async def test_a_limit_of_the_server_that_names_a_tool_counts_what_a_program_bought(
    eu: SandboxHub, tmp_path: Path
) -> None:
    agent, state = eu.new_agent(), tmp_path / "state"
    config = tmp_path / "tool.toml"
    config.write_text('[[mandate.limits]]\nmatch = "text-stats_*"\ndaily_usdc = "0.001"\n', encoding="utf-8")
    state.mkdir(mode=0o700)
    async with at(agent, Mandate(state / "ledger.sqlite")) as hub:
        for word in ("one", "two"):
            await hub.invoke(*COUNT, {"text": word})
    given = {"config": str(config), "tools__mode": "search"}
    async with connect(Road("stdio", LEGACY), agent, state, settings=given) as server:
        asked = {"tool": "text-stats_count", "arguments": {"text": "three"}}
        refused = error_of(await server.call_tool("jecp_call", asked))
    assert refused["error"]["code"] == "LIMIT_REACHED", refused
    assert len(agent.books()["transactions"]) == 2
