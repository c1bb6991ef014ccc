"""What docs/ajp-server.md says to write, as it stands there; and a process that is killed in the middle of a job."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.contract.ajp_server.hirer import SECRET, by_secret, declaration, offer
from tests.contract.ajp_server.house import AGENT_ID, AGENT_KEY, until
from tests.ports import free_port

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "ajp-server.md"
_BLOCKING = """
from pathlib import Path

import anyio

done = count

async def count(job):
    await anyio.to_thread.run_sync(Path("began").write_text, str(job.attempt))
    await anyio.to_thread.run_sync(Path("go").read_text)
    return await done(job)
"""


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


def _example() -> str:
    return _blocks("python")[0]


@pytest.mark.anyio
async def test_the_documented_lines_are_hired_and_declared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PROVENANCE_PRIVATE_KEY", AGENT_KEY.private)
    monkeypatch.setenv("AJP_SECRET", SECRET)
    monkeypatch.chdir(tmp_path)
    written: dict[str, Any] = {}
    exec(_example(), written)  # the document's own words
    app = written["app"]
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="https://words.example") as client:
        async with app.router.lifespan_context(app):
            raw = by_secret(offer(int(time.time() * 1000), AGENT_ID))
            assert (await client.post("/ajp/jobs", content=raw)).status_code == 202

            async def completed() -> Any:
                report = (await client.get("/ajp/jobs/job_0000000000000001")).json()
                return report if report["status"] == "completed" else None

            report = await until(completed)
            assert (report["output"], report["usage"]["cost_usd"]) == ({"words": 3}, 0.01)
            declared = (await client.get("/.well-known/provenance.json")).json()
        told = {key: declared[key] for key in ("name", "description", "capabilities", "constraints", "ajp")}
        assert httpx2.Response(200, content=declaration(AGENT_ID, AGENT_KEY, **told)).json() == declared


@pytest.mark.slow
def test_the_documented_try_on_one_machine_is_hired_as_it_is_written(tmp_path: Path) -> None:
    port = str(free_port())
    words, here = _blocks("python")
    [settings] = _blocks("toml")
    serve, hire = (block.replace("8402", port) for block in _blocks("sh")[1:])
    (tmp_path / "words.py").write_text(words)
    (tmp_path / "here.py").write_text(here.replace("8402", port))
    (tmp_path / "hirer.toml").write_text(settings.replace("8402", port))
    # Their Hub plays no part in it, and is not reached from here.
    away = {
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "JECP_BASE_URL": "http://127.0.0.1:9",
    }
    shell = ["bash", "-c"]
    with subprocess.Popen(
        [*shell, serve.replace("uvicorn", "exec uvicorn")], cwd=tmp_path, env=away, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            assert any("running on http" in line for line in process.stderr)
            done = subprocess.run([*shell, hire], cwd=tmp_path, env=away, capture_output=True, text=True, check=False)
            listed = ["jecp-mcp", "ledger", "--config", "hirer.toml", "--state-dir", "try", "--json"]
            books = subprocess.run(listed, cwd=tmp_path, env=away, capture_output=True, text=True, check=True)
        finally:
            process.kill()
    assert (done.returncode, json.loads(done.stdout)) == (0, {"words": 3}), done.stderr
    assert done.stderr.startswith("Owed 0.01 USDC to ")
    assert [(one["state"], one["charged_usdc"]) for one in json.loads(books.stdout)] == [("settled", "0.01")]


@contextmanager
def _served(folder: Path) -> Iterator[tuple[subprocess.Popen[str], httpx2.Client]]:
    """The document's agent in a process, as the document says to serve it, on a free port."""
    environment = {**os.environ, "PROVENANCE_PRIVATE_KEY": AGENT_KEY.private, "AJP_SECRET": SECRET}
    command = [sys.executable, "-m", "uvicorn", "words:app", "--no-access-log", "--port", "0"]
    with (
        subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as process,
        httpx2.Client(timeout=60) as client,
    ):
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if found := re.search(r"running on (http://\S+)", line):
                    client.base_url = found[1]
                    break
            yield process, client
        finally:
            process.kill()


def _result(client: httpx2.Client) -> bytes:
    for _ in range(10_000):
        answer = client.get("/ajp/jobs/job_0000000000000001")
        if answer.json()["status"] == "completed":
            return answer.content
    raise AssertionError(answer.json())


@pytest.mark.slow
def test_a_server_that_is_killed_in_the_middle_of_a_job_finishes_it_when_it_starts_again(tmp_path: Path) -> None:
    before, after = _example().split("identity =")
    (tmp_path / "words.py").write_text(f"{before}{_BLOCKING}\nidentity ={after}")
    began, go = tmp_path / "began", tmp_path / "go"
    os.mkfifo(began)
    os.mkfifo(go)
    raw = by_secret(offer(int(time.time() * 1000), AGENT_ID))
    with _served(tmp_path) as (process, client):
        assert client.post("/ajp/jobs", content=raw).status_code == 202
        assert began.read_text() == "1"
        process.send_signal(signal.SIGKILL)
        process.wait()
    with _served(tmp_path) as (process, client):
        assert began.read_text() == "2"
        go.write_text("go")
        report = _result(client)
        assert client.post("/ajp/jobs", content=raw).json() == {"job_id": "job_0000000000000001", "status": "accepted"}
        assert client.post("/ajp/jobs/job_0000000000000001/ack").json()["settled"] is True
        process.send_signal(signal.SIGKILL)
        process.wait()
    with _served(tmp_path) as (process, client):
        assert _result(client) == report
        assert client.post("/ajp/jobs/job_0000000000000001/ack").json()["settled"] is True
        process.send_signal(signal.SIGTERM)
        assert process.wait() in {0, -signal.SIGTERM}
