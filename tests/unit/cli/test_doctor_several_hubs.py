"""The doctor at several Hubs: each is looked at, and none is shown what belongs to another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.settings.wallet_key import FILE, SANDBOX_FILE, store_wallet_key
from jecp_mcp.wire.x402.assets import SANDBOX_ASSET
from tests.served import served
from tests.unit.cli.test_commands import run, state

__all__ = ["run", "state"]

pytestmark = pytest.mark.slow

AWAY = "http://127.0.0.1:9"
KEY = "jdb_ak_belongs_to_the_first"


class Listening(BaseHTTPRequestHandler):
    """A Hub that notes what it is shown."""

    shown: list[str]

    def do_GET(self) -> None:
        self.shown.append(f"{self.path} {self.headers}")
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A Hub's address."""
    monkeypatch.setattr(Listening, "shown", [], raising=False)
    with served(Listening) as url:
        yield url


def settings(folder: Path, eu: str, more: str = "", rest: str = "") -> tuple[str, str]:
    file = folder / "several.toml"
    file.write_text(f"""[hub]\nbase_url = "{AWAY}"\n[[hubs]]\nname = "eu"\nbase_url = "{eu}"\n{more}\n{rest}\n""")
    return "--config", str(file)


def wrong(run: Any, *options: str) -> list[dict[str, str]]:
    found = json.loads(run("doctor", "--json", *options)[1])["findings"]
    return [one for one in found if one["level"] != "ok"]


@pytest.mark.parametrize("ask", [(), ("--hub", "eu")], ids=["all", "one"])
@pytest.mark.parametrize("further", [{}, {"JECP_AGENT_ID_US": "half_a_pair"}], ids=["two", "a third is wrong"])
def test_no_hub_is_shown_a_key_that_is_anothers(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: str, further: dict[str, str], ask: tuple[str, ...]
) -> None:
    given = {"JECP_AGENT_ID": "agent_1", "JECP_API_KEY": KEY, "JECP_AGENT_ID_EU": "agent_2", "JECP_API_KEY_EU": KEY}
    for name, value in (given | further).items():
        monkeypatch.setenv(name, value)
    us = '[[hubs]]\nname = "us"\nbase_url = "http://127.0.0.1:10"'
    found = wrong(run, *settings(tmp_path, hub, us if further else ""), *ask)
    assert any("would get the same agent id or key" in one["what"] for one in found)
    assert Listening.shown
    assert KEY not in str(Listening.shown)


def test_a_hub_of_its_own_account_is_asked_whether_it_takes_it(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: str
) -> None:
    monkeypatch.setenv("JECP_AGENT_ID_EU", "agent_2")
    monkeypatch.setenv("JECP_API_KEY_EU", "jdb_ak_of_eu")
    wrong(run, *settings(tmp_path, hub))
    assert "jdb_ak_of_eu" in str(Listening.shown)


def test_each_hub_that_is_paid_by_x402_is_looked_at(run: Any, tmp_path: Path, state: Path, hub: str) -> None:
    """The first is paid from its wallet; on this machine nothing but play money pays."""
    x402 = settings(tmp_path, hub, 'payment = "x402"')
    [found] = [one for one in wrong(run, *x402) if one["about"] == "hub.payment eu"]
    assert f"the Hub at {hub} is on this machine, where play money on {SANDBOX_ASSET.network}" in found["what"]
    assert found["money"] == "nothing starts, so nothing can be bought"
    status, _, err = run("call", "docs/pdf:merge", "{}", *x402)
    assert (status, f"the Hub at {hub} is on this machine" in err) == (2, True)
    play = settings(tmp_path, hub, 'payment = "x402"', f'[paid_http]\nnetworks = ["{SANDBOX_ASSET.network}"]')
    store_wallet_key(state / FILE, b"\x01" * 32)
    [found] = [one for one in wrong(run, *play) if one["about"] == "hub.payment eu"]
    assert str(state / SANDBOX_FILE) in found["what"]
    assert "x402 key" not in found["mend"]
    store_wallet_key(state / SANDBOX_FILE, b"\x02" * 32)
    assert not [one for one in wrong(run, *play) if one["about"] == "hub.payment eu" and one["level"] == "fault"]


def test_what_stands_still_is_what_the_hub_that_is_away_sells(run: Any, tmp_path: Path, hub: str) -> None:
    [found] = [one for one in wrong(run, *settings(tmp_path, hub)) if "does not answer" in one["what"]]
    assert found["money"] == "nothing can be bought from hub meanwhile"
    shown = run("doctor", *settings(tmp_path, hub), "--hub", "eu")[1]
    assert hub in shown
    assert AWAY not in shown
