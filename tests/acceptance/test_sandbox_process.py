"""The sandbox Hub beside a server: a child that knows nothing of the real account."""

from __future__ import annotations

import os
from pathlib import Path

import httpx2
import pytest

from jecp_mcp.cli.hub_process import sandbox_hub

pytestmark = pytest.mark.anyio

SECRETS = {
    "JECP_API_KEY": "jdb_ak_0123456789abcdef",
    "JECP_AGENT_KEY": "jdb_ak_old",
    "JECP_MCP_LEDGER__URL": "postgresql://jecp:password@db.example/jecp",
    "PGPASSWORD": "password",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "HTTPS_PROXY": "http://user:password@proxy.example",
}


def children() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def environment(pid: int) -> dict[str, str]:
    return dict(part.split("=", 1) for part in Path(f"/proc/{pid}/environ").read_text().split("\0") if part)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="the system does not show what a process was given")
async def test_it_is_given_only_what_python_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    before = set(children())
    async with sandbox_hub(tmp_path / "hub.sqlite") as hub:
        [child] = set(children()) - before
        given = environment(child)
        assert given.keys().isdisjoint(SECRETS)
        assert not [name for name in given if not name.startswith(("LC_", "PYTHON")) and name not in {"PATH", "HOME", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH"}]  # fmt: skip
        assert hub.control_key not in repr(hub)
        async with httpx2.AsyncClient(base_url=hub.url) as http:
            for key, status in ((hub.control_key, 200), (hub.api_key, 403)):
                answer = await http.delete("/sandbox/faults", headers={"X-Sandbox-Key": key})
                assert answer.status_code == status
