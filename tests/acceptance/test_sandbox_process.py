"""The sandbox Hub beside a server: a process that knows nothing of the real account, and belongs to all its users."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import httpx2
import pytest

from jecp_mcp.cli.hub_process import private_hub, sandbox_hub
from jecp_mcp.cli.hub_record import HubRecord, SandboxMerchant
from jecp_mcp.errors import PayeeError
from tests.hub_users import HubUser, ended, hub_pid
from tests.x402_sandbox import PaidHttp

pytestmark = pytest.mark.anyio

SECRETS = {
    "JECP_API_KEY": "jdb_ak_0123456789abcdef",
    "JECP_AGENT_KEY": "jdb_ak_old",
    "JECP_MCP_LEDGER__URL": "postgresql://jecp:password@db.example/jecp",
    "PGPASSWORD": "password",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "HTTPS_PROXY": "http://user:password@proxy.example",
}


def environment(pid: int) -> dict[str, str]:
    return dict(part.split("=", 1) for part in Path(f"/proc/{pid}/environ").read_text().split("\0") if part)


def buy_by_x402(merchant: SandboxMerchant, control_key: str) -> None:
    where = {"merchant": merchant.url, "rpc": merchant.rpc, "faucet": merchant.faucet, "chain": merchant.chain}
    with httpx2.Client() as http:
        shop = PaidHttp(where, control_key, http)
        payer = shop.payer()
        assert payer.buy("/offers/v2").answer.status_code == 200
        assert shop.chain.paid_by(payer.address) == [1_000]


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="the system does not show what a process was given")
async def test_it_is_given_only_what_python_needs_and_is_joined_and_ends_with_its_last_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    data = tmp_path / "hub.sqlite"
    async with private_hub(data) as hub:
        pid = hub_pid(data)
        given = environment(pid)
        assert given.keys().isdisjoint(SECRETS)
        assert not [name for name in given if not name.startswith(("LC_", "PYTHON")) and name not in {"PATH", "HOME", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH"}]  # fmt: skip
        async with sandbox_hub(data) as joined, httpx2.AsyncClient(base_url=joined.url) as http:
            assert (joined, hub_pid(data)) == (hub, pid)
            for key, status in ((hub.control_key, 200), (hub.api_key, 403)):
                answer = await http.delete("/sandbox/faults", headers={"X-Sandbox-Key": key})
                assert answer.status_code == status
            auth = {"X-Agent-ID": hub.agent_id, "X-API-Key": hub.api_key}
            books = (await http.get("/sandbox/books", headers=auth)).json()
            # Ten days' worth of the daily limit that a new mandate has.
            assert books["balance_usdc"] == "20.00"
            assert hub.merchant is not None
            buy_by_x402(hub.merchant, hub.control_key)
        assert HubRecord(data).lives()
    assert not HubRecord(data).lives()
    ended(pid)


@pytest.mark.slow
async def test_a_hub_that_cannot_start_leaves_nothing_behind_but_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "hub.sqlite").mkdir()
    with pytest.raises(PayeeError, match=r"did not start: .*hub\.sqlite is a folder"):
        async with private_hub(tmp_path / "hub.sqlite"):
            raise AssertionError("there is no Hub")
    assert not HubRecord(tmp_path / "hub.sqlite").lives()


@pytest.mark.slow
async def test_another_program_on_its_port_is_no_hub_and_a_first_port_is_found_beside_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = tmp_path / "hub.sqlite"
    async with private_hub(data) as first:
        pass
    port = int(first.url.rpartition(":")[2])

    with socket.create_server(("127.0.0.1", port)):
        async with private_hub(data) as second:
            assert second.url != first.url
            assert (second.agent_id, second.api_key) == (first.agent_id, first.api_key)
    moved = f"has taken port {port}, so the sandbox Hub is at port {second.url.rpartition(':')[2]} from now on"
    assert moved in caplog.text


@pytest.mark.slow
def test_many_at_once_share_one_hub_whoever_of_them_is_killed(tmp_path: Path) -> None:
    data = tmp_path / "hub.sqlite"
    users = [HubUser(data) for _ in range(6)]
    hubs = {user.hub for user in users}
    assert len(hubs) == 1
    pid = hub_pid(data)
    for user in users[:-1]:
        user.kill()
    [(url, *_)] = hubs
    assert httpx2.get(f"{url}/health").status_code == 200
    assert hub_pid(data) == pid
    users[-1].leave()
    ended(pid)


@pytest.mark.slow
def test_whoever_starts_it_may_be_killed_meanwhile(tmp_path: Path) -> None:
    """The one who starts it is killed before it answers, at whatever point that is; the next ones get a Hub."""
    data = tmp_path / "hub.sqlite"
    for _ in range(3):
        HubUser(data, wait=False).kill_when_started()
        user = HubUser(data)
        assert httpx2.get(f"{user.hub[0]}/health").status_code == 200
        pid = hub_pid(data)
        user.leave()
        ended(pid)


@pytest.mark.slow
def test_a_hub_that_is_killed_is_started_again_where_it_was_with_the_same_books(tmp_path: Path) -> None:
    data = tmp_path / "hub.sqlite"
    user, other = HubUser(data), HubUser(data)
    url, agent_id, api_key = user.hub
    auth = {"X-Agent-ID": agent_id, "X-API-Key": api_key}
    topup = httpx2.post(f"{url}/api/agents/topup", headers=auth, json={"amount": 5}).json()["url"]
    httpx2.post(f"{topup}/pay")
    for _ in range(3):
        before = hub_pid(data)

        os.kill(before, signal.SIGKILL)
        ended(before)
        user.wait_for_another_hub(before)
        assert httpx2.get(f"{url}/sandbox/books", headers=auth).json()["balance_usdc"] == "25.00"
    user.kill()
    pid = hub_pid(data)
    other.leave()
    ended(pid)


@pytest.mark.slow
def test_it_waits_a_while_for_the_next_user(tmp_path: Path) -> None:
    """A client that starts a server for each call meets the same Hub each time."""
    data = tmp_path / "hub.sqlite"
    HubUser(data, linger=60).leave()
    pid = hub_pid(data)
    HubUser(data).leave()
    assert hub_pid(data) == pid

    os.kill(pid, signal.SIGTERM)
    ended(pid)
    assert json.loads((HubRecord(data).folder / "record.json").read_text())["port"]
