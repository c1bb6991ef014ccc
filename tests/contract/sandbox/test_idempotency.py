"""One id, one execution, one charge, one body: at once, later, and after a restart."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from jecp_mcp.errors import SettingsError
from jecp_mcp.sandbox.run import SandboxConfig, serve
from tests.contract.sandbox.conftest import Buyer, TurnableClock, controlled, error, manifest, output, running

HOUR_MS = 3_600_000

PROGRAM = """
import asyncio, json, sys
from pathlib import Path
from jecp_mcp.sandbox.run import SandboxConfig, serve
config = SandboxConfig(data=Path(sys.argv[1]), dialect=sys.argv[2])
asyncio.run(serve(config, 0, lambda line: print(json.dumps(line), flush=True)))
"""


@pytest.mark.requirement("WIRE-id-3", "WIRE-5-2", "WIRE-5-3", "AUTH-9.4-1")
def test_the_same_id_and_content_gives_the_same_body_and_is_paid_once(buyer: Buyer) -> None:
    asked = buyer.request()
    first, second = buyer.send(asked), buyer.send(asked)
    assert first.status_code == second.status_code == 200
    assert first.content == second.content
    assert len(buyer.books()["transactions"]) == 1


@pytest.mark.parametrize("change", [{"input": {"text": "other"}}, {"capability": "lab/counting@1.0.0"}])
@pytest.mark.requirement("WIRE-id-3", "WIRE-5-4")
def test_the_same_id_with_other_content_is_refused(buyer: Buyer, change: dict[str, Any]) -> None:
    asked = buyer.request()
    assert output(buyer.send(asked))
    error(buyer.send({**asked, **change}), "DUPLICATE_REQUEST", 409)
    assert len(buyer.books()["transactions"]) == 1


@pytest.mark.requirement("WIRE-5-1")
def test_an_id_belongs_to_its_agent(buyer: Buyer, served: Buyer) -> None:
    asked = buyer.request(input={"text": "mine"})
    assert output(buyer.send(asked))["words"] == 1
    served.wallet(balance_usdc="1")
    other = Buyer(served.dialect, served.http, served.agent_id, served.api_key, served.clock)
    assert output(other.send({**asked, "input": {"text": "not at all"}}))["words"] == 3


@pytest.mark.requirement("WIRE-6-1")
def test_many_requests_under_one_id_at_once_are_one_sale(buyer: Buyer) -> None:
    given = buyer.example("inkwell/convert", "markdown-to-pdf")
    asked = buyer.request("inkwell/convert", "markdown-to-pdf", input=given)
    with ThreadPoolExecutor(8) as pool:
        bodies = {answer.content for answer in pool.map(lambda _: buyer.send(asked), range(8))}
    assert len(bodies) == 1
    [row] = buyer.books()["transactions"]
    assert (row["call_id"], row["amount_usdc"]) == (asked["id"], "0.02")


def test_a_different_request_under_an_id_still_at_work_is_refused(buyer: Buyer) -> None:
    given = buyer.example("inkwell/convert", "markdown-to-pdf")
    long = {**given, "markdown": given.get("markdown", "") + "\n\nmore words\n" * 2000}
    asked = buyer.request("inkwell/convert", "markdown-to-pdf", input=long)
    with ThreadPoolExecutor(2) as pool:
        answers = [*pool.map(buyer.send, (asked, {**asked, "input": given}))]
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert len(buyer.books()["transactions"]) == 1


def test_a_refused_call_leaves_its_id_free(fresh: Buyer) -> None:
    fresh.wallet(free_calls=0)
    asked = fresh.request()
    assert fresh.send(asked).status_code == 402
    fresh.wallet(balance_usdc="1")
    assert output(fresh.send({**asked, "input": {"text": "another one now"}}))["words"] == 3


@pytest.mark.requirement("WIRE-id-2")
def test_an_answer_is_kept_for_a_day(buyer: Buyer) -> None:
    asked = buyer.request()
    body = buyer.send(asked).content
    buyer.clock.ahead_ms = 23 * HOUR_MS
    assert buyer.send(asked).content == body
    buyer.clock.ahead_ms = 24 * HOUR_MS + 60_000
    assert buyer.send(asked).content != body
    assert len(buyer.books()["transactions"]) == 2


@pytest.mark.parametrize("dialect", ["reference", "spec"])
@pytest.mark.requirement("AUTH-9.2-1")
def test_a_restart_keeps_agents_money_answers_nonces_rates_and_the_catalog(tmp_path: Path, dialect: Any) -> None:
    clock = TurnableClock()
    config = SandboxConfig(data=tmp_path / "state" / "hub.sqlite", dialect=dialect, clock=clock)
    with running(config) as ready, controlled(ready) as http:
        buyer = Buyer(dialect, http, ready["agent_id"], ready["api_key"], clock)
        assert buyer.books()["balance_usdc"] == "20.00"
        assert buyer.books()["free_calls_remaining"] == 100
        buyer.publish(manifest(), manifest(capability="second"), manifest(capability="third"))
        http.post("/sandbox/catalog", json={"remove": "lab/third"}).raise_for_status()
        buyer.wallet(balance_usdc="2", rate_limit_rpm=2)
        asked = buyer.request()
        body = buyer.send(asked).content
        books = buyer.books()
    with running(config) as again, controlled(again) as http:
        assert (again["agent_id"], again["api_key"]) == (ready["agent_id"], ready["api_key"])
        buyer = Buyer(dialect, http, again["agent_id"], again["api_key"], clock)
        assert buyer.books() == books
        assert buyer.send(asked).content == body
        error(buyer.buy(), "RATE_LIMITED", 429)
        assert http.get("/v1/capabilities/lab/second").status_code == 200
        assert http.get("/v1/capabilities/lab/third").status_code == 404
        assert buyer.books() == books


def test_a_key_rotated_by_the_default_agent_is_the_one_announced_next_time(tmp_path: Path) -> None:
    config = SandboxConfig(data=tmp_path / "hub.sqlite")
    with running(config) as ready:
        auth = {"X-Agent-ID": ready["agent_id"], "X-API-Key": ready["api_key"]}
        made = httpx2.post(f"{ready['hub']}/v1/agents/me/rotate-key", json={"revoke_old": True}, headers=auth).json()
    with running(config) as again:
        assert again["api_key"] == made["api_key"] != ready["api_key"]


@pytest.mark.parametrize("dialect", ["reference", pytest.param("spec", marks=pytest.mark.slow)])
def test_a_killed_hub_has_lost_no_charge_and_no_answer(tmp_path: Path, dialect: str) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "hub.sqlite"), dialect]
    answered: dict[str, bytes] = {}
    for _ in range(2):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            ready = json.loads(process.stdout.readline())
            with controlled(ready) as http:
                buyer = Buyer(dialect, http, ready["agent_id"], ready["api_key"], TurnableClock())
                if not answered:
                    buyer.wallet(balance_usdc="1")
                    buyer.publish(manifest())
                    requests = {each["id"]: each for each in (buyer.request() for _ in range(30))}
                for call_id, asked in requests.items():
                    body = buyer.send(asked).content
                    assert answered.setdefault(call_id, body) == body
                books = buyer.books()
                assert {row["call_id"] for row in books["transactions"]} == set(requests)
                assert books["charged_usdc"] == "0.15"
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()


@pytest.mark.requirement("WIRE-6-2")
def test_a_second_hub_on_the_same_file_is_refused(tmp_path: Path) -> None:
    config = SandboxConfig(data=tmp_path / "hub.sqlite")
    with running(config), pytest.raises(SettingsError, match="another sandbox"), running(config):
        pass


def test_a_file_that_is_no_state_is_refused_and_left_alone(tmp_path: Path) -> None:
    data = tmp_path / "notes.txt"
    data.write_text("my notes, at least one page of them " * 50)
    with pytest.raises(SettingsError, match="cannot hold"), running(SandboxConfig(data=data)):
        pass
    assert data.read_text().startswith("my notes")


@pytest.mark.parametrize("before", [None, 0o644, 0o666])
def test_nobody_else_can_read_the_file(tmp_path: Path, before: int | None) -> None:
    data = tmp_path / "folder" / "hub.sqlite"
    if before is not None:
        data.parent.mkdir(mode=0o700)
        data.touch()
        data.chmod(before)
    with running(SandboxConfig(data=data)) as ready:
        made = httpx2.post(f"{ready['hub']}/api/agents/register", json={"name": "one"})
        assert made.status_code == 201
        assert {path.name: f"{path.stat().st_mode & 0o777:o}" for path in data.parent.iterdir()} == {
            "hub.sqlite": "600",
            "hub.sqlite-wal": "600",
        }
    assert data.parent.stat().st_mode & 0o777 == 0o700


def test_a_link_in_the_file_s_place_is_not_followed(tmp_path: Path) -> None:
    data, target = tmp_path / "hub.sqlite", tmp_path / "target"
    data.symlink_to(target)
    with pytest.raises(SettingsError, match="cannot hold"), running(SandboxConfig(data=data)):
        pass
    assert not target.exists()


def test_a_port_that_is_taken_is_refused() -> None:
    with running(SandboxConfig()) as ready:
        port = int(ready["hub"].rsplit(":", 1)[1])
        with pytest.raises(SettingsError, match=r"cannot be used: .*; --port 0 takes a free one$"):
            asyncio.run(serve(SandboxConfig(), port, lambda _: None))


@pytest.mark.requirement("AUTH-3.2-3")
def test_keys_are_not_in_the_file_except_the_default_agents(tmp_path: Path) -> None:
    data = tmp_path / "hub.sqlite"
    with running(SandboxConfig(data=data)) as ready:
        made = httpx2.post(f"{ready['hub']}/api/agents/register", json={"name": "one"}).json()
        auth = {"X-Agent-ID": made["agent_id"], "X-API-Key": made["api_key"]}
        request = {"jecp": "1.0", "id": "call-0001", "capability": "text-stats", "action": "count"}
        mandate = {"agent_id": made["agent_id"], "api_key": made["api_key"], "budget_usdc": 1}
        sent = {**request, "input": {"text": "a"}, "mandate": mandate}
        assert httpx2.post(f"{ready['hub']}/v1/jecp", json=sent, headers=auth).status_code == 200
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert made["agent_id"].encode() in kept
    assert made["api_key"].encode() not in kept


def test_a_catalog_file_adds_manifests_and_a_wrong_one_is_refused_by_name(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.json"
    for content in ([manifest()], {"manifests": [manifest()]}):
        catalog.write_text(json.dumps(content))
        with running(SandboxConfig(catalog=catalog)) as ready:
            assert httpx2.get(f"{ready['hub']}/v1/capabilities/lab/counting").status_code == 200
    for content, reason in (
        ({"other": 1}, "list of manifests"),
        ([manifest(), manifest(version="one")], r"manifests\[1\].*version"),
        ([manifest(extensions={"sandbox": {"runs": "no/thing:here"}})], "runs"),
        ([manifest(actions=[{**manifest()["actions"][0], "input_schema": {"type": "nothing"}}])], "not valid"),
        ([manifest(actions=[{**manifest()["actions"][0], "input_schema": {"$ref": "http://x/"}}])], "other documents"),
    ):
        catalog.write_text(json.dumps(content))
        with pytest.raises(SettingsError, match=reason), running(SandboxConfig(catalog=catalog)):
            pass
    with pytest.raises(SettingsError), running(SandboxConfig(catalog=tmp_path / "absent.json")):
        pass
