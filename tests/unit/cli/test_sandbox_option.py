"""What ``--sandbox`` means for commands that only read: the sandbox's Hub, account and catalog, and no Hub started."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import anyio
import click
import pytest

from jecp_mcp.cli.completion import complete_tools
from jecp_mcp.cli.describe import command as describe
from jecp_mcp.cli.hub_record import DATA_FILE, HubRecord
from jecp_mcp.cli.main import jecp_mcp
from jecp_mcp.clock import SystemClock
from jecp_mcp.rails.jecp.catalog_source import CatalogSource
from jecp_mcp.sandbox.open_links import LINK_SECONDS, OpenLinks
from jecp_mcp.settings import CatalogSettings
from tests.unit.catalog.hubs import FakeHub, capability
from tests.unit.cli.test_commands import run, state

__all__ = ["run", "state"]

HUB = {"hub": "http://127.0.0.1:20123", "agent_id": "sbx_ag_1", "api_key": "sbx_ak_1", "control_key": "control"}
MERCHANT = {
    "merchant": "http://127.0.0.1:20124",
    "rpc": ["http://127.0.0.1:20125/1", "http://127.0.0.1:20125/2"],
    "faucet": "f",
    "chain": "c",
}


@pytest.fixture
def record(state: Path) -> HubRecord:
    """A sandbox that has run here and ended."""
    made = HubRecord(state / DATA_FILE)
    made.create()
    made.write({**HUB, "x402": MERCHANT})
    return made


def test_the_wallet_is_read_without_starting_a_hub(run: Any, record: HubRecord) -> None:
    status, out, err = run("wallet", "--sandbox")
    assert (status, len(err.splitlines())) == (0, 1)
    assert HUB["hub"] in out
    assert "The sandbox Hub is not running." in out
    assert "catalog --sandbox" in out
    assert not record.lives()
    with record.claim():
        assert json.loads(run("wallet", "--sandbox", "--json")[1])["sandbox_running"] is True


def test_before_a_sandbox_ever_ran_that_is_what_is_said(run: Any, state: Path) -> None:
    shown = json.loads(run("wallet", "--sandbox", "--json")[1])
    assert (shown["hub"], shown["sandbox_running"], shown["balance_usdc"]) == (None, False, None)
    assert "a sandbox that has not run yet" in run("wallet", "--sandbox")[1]
    told = run("config", "--sandbox")[1]
    assert "the sandbox's own, once it has run" in told
    assert "register" not in told
    assert "jecp.dev" not in told
    assert run("status", "--sandbox")[1] == "No call was made from here yet.\n"
    assert not (state / DATA_FILE).exists()


def test_its_hub_and_account_take_the_place_of_the_configured_ones(
    run: Any, record: HubRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JECP_MCP_PAID_HTTP__MERCHANTS", "https://api.example.com")
    monkeypatch.setenv("JECP_MCP_LEDGER__URL", "postgresql://jecp@db.example/jecp")
    shown = json.loads(run("config", "--sandbox", "--json")[1])
    settings = shown["settings"]
    assert shown["credentials"] == {"agent_id": "sbx_ag_1", "api_key": "********", "from": "the sandbox"}
    assert settings["hub.base_url"] == {"value": HUB["hub"], "from": "the sandbox"}
    assert settings["paid_http.merchants"] == {"value": [MERCHANT["merchant"]], "from": "the sandbox"}
    assert settings["ledger.url"] == {"value": None, "from": "the sandbox"}
    # Also while the next one starts.
    with record.claim():
        assert json.loads(run("config", "--sandbox", "--json")[1])["credentials"] == shown["credentials"]


def test_a_registration_there_is_told_that_there_is_an_account(run: Any) -> None:
    status, _, err = run("register", "--sandbox")
    assert (status, "the sandbox brings its own account" in err) == (2, True)


@pytest.fixture
def catalog(state: Path, record: HubRecord) -> Path:
    """What is remembered of the sandbox's catalog."""
    hub, path = FakeHub([capability("docs/invoice", "create")]), state / "catalog.jsonl"
    source = CatalogSource(hub, HUB["hub"], path, CatalogSettings(), SystemClock())
    anyio.run(source.refresh)
    assert source.current.actions
    return path


def test_tool_names_are_completed_from_its_catalog(catalog: Path) -> None:
    group = click.Context(jecp_mcp, resilient_parsing=True)
    told = describe.make_context("describe", ["--sandbox"], parent=group, resilient_parsing=True)
    plain = describe.make_context("describe", [], parent=click.Context(jecp_mcp), resilient_parsing=True)
    found = complete_tools(told, click.Argument(["tool"]), "docs")
    assert found
    assert complete_tools(plain, click.Argument(["tool"]), "docs") == []


def test_the_doctor_holds_patterns_against_its_catalog(
    run: Any, catalog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JECP_MCP_MANDATE__DENY", "nothing/like-it")
    found = json.loads(run("doctor", "--sandbox", "--json")[1])["findings"]
    what = [one["what"] for one in found if one["about"] in {"settings", "catalog"}]
    assert any("mandate.deny: nothing/like-it matches none" in one for one in what)
    assert any("1 action, as of" in one for one in what)


def test_a_hub_that_nobody_uses_stays_for_whoever_may_still_come(record: HubRecord) -> None:
    """Without a user, until then; the same as a page that a person was given a link to."""
    asked, come = threading.Event(), threading.Event()

    def stay() -> float:
        asked.set()
        return 0 if come.is_set() else 0.001

    closing = threading.Thread(target=HubRecord.close_when_unused, args=(record.users(), 0, stay), daemon=True)
    closing.start()
    assert asked.wait(60)
    with record.use() as possible:
        assert possible
        assert closing.is_alive()
        come.set()
    closing.join(60)
    with record.use() as possible:
        assert not possible


def test_a_link_is_waited_for_until_it_is_paid_at_or_nobody_can_be_expected_any_more() -> None:
    links, given = OpenLinks(), 1_800_000_000_000
    assert links.stay_seconds(given) <= 0
    links.note("first", given)
    links.note("second", given + 10_000)
    assert links.stay_seconds(given + 10_000) == LINK_SECONDS
    links.note_payment("second", given + 20_000)
    assert links.stay_seconds(given + 20_000) == LINK_SECONDS - 20
    links.note_payment("first", given + 20_000)
    assert 0 < links.stay_seconds(given + 20_000) < LINK_SECONDS / 10
    assert links.stay_seconds(given + LINK_SECONDS * 1000) <= 0
