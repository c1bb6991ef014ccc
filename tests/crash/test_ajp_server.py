"""A hired agent is killed before and after each thing that it writes down: no job, result or debt is lost or doubled."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.contract.ajp_server.hirer import SECRET, by_secret, offer
from tests.contract.ajp_server.house import AGENT_KEY, Pages
from tests.served import served

pytestmark = pytest.mark.slow

JOB = "job_0000000000000001"
AGENT_ID = "provenance:domain:127.0.0.1:9/words"
STEPS = (
    "add",
    "begin",
    "end",
    "take_callback",
    "count_callback",
    "acknowledge",
    "take_settlement",
    "settle",
)
_AGENT = """
import os, signal
from pathlib import Path

from jecp_mcp.ajp_server import Agent, Identity, Surroundings, Trust, Work
from jecp_mcp.ajp_server.store import JobStore
from jecp_mcp.clock import SystemClock

here = Path(os.environ["HERE"])


class Later(SystemClock):
    # Half a minute after the process died, when a callback that it was at is tried again.
    def now(self):
        return super().now() + (0 if os.environ["STEP"] else 30_000)


def note(what, job):
    with (here / what).open("a") as file:
        file.write(job.job_id + "\\n")


async def count(job):
    note("runs", job)
    return Work({"words": len(job.input["text"].split())}, "0.01")


def die():
    os.kill(os.getpid(), signal.SIGKILL)


async def settle(job, cost):
    assert cost == 10_000
    note("settled", job)
    if os.environ["STEP"] == "hook":
        die()


when, step = os.environ["WHEN"], os.environ["STEP"]
if hasattr(JobStore, step):
    method = getattr(JobStore, step)

    def dying(store, *given, **more):
        jobs = step == "add" or store.find("job_0000000000000001") is not None
        if when == "before" and jobs:
            die()
        found = method(store, *given, **more)
        if when == "after" and jobs and not (found is None and step in {"begin", "take_callback", "take_settlement"}):
            die()
        return found

    setattr(JobStore, step, dying)

identity = Identity(
    "provenance:domain:127.0.0.1:9/words", os.environ["KEY"], "http://127.0.0.1:9/words", "Words", "Counts."
)
app = Agent(
    count, identity, here / "jobs.sqlite", trust=Trust(os.environ["SECRET"]), settle=settle,
    surroundings=Surroundings(Later(), loopback=True),
).app
"""


class Hired:
    """The agent's process, begun again once where it died."""

    def __init__(self, folder: Path, stack: ExitStack, step: str, when: str) -> None:
        (folder / "words.py").write_text(_AGENT)
        self.deaths = 0
        self._folder, self._stack = folder, stack
        self._client = stack.enter_context(httpx2.Client(timeout=60))
        self._process = self._start(step, when)

    def _start(self, step: str, when: str) -> subprocess.Popen[str]:
        known = {"HERE": str(self._folder), "KEY": AGENT_KEY.private, "SECRET": SECRET, "STEP": step, "WHEN": when}
        command = [sys.executable, "-m", "uvicorn", "words:app", "--no-access-log", "--port", "0"]
        process = self._stack.enter_context(
            subprocess.Popen(command, cwd=self._folder, env={**os.environ, **known}, stderr=subprocess.PIPE, text=True)
        )
        self._stack.callback(process.kill)
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.search(r"running on (http://\S+)", line):
                self._client.base_url = found[1]
                return process
        raise AssertionError("it did not start")

    def ask(self, method: str, path: str, raw: bytes = b"") -> httpx2.Response:
        """Its answer; that of the next one where it dies instead."""
        while True:
            try:
                return self._client.request(method, path, content=raw)
            except httpx2.TransportError:
                assert self._process.wait() == -9
                self.deaths += 1
                assert self.deaths == 1
                self._process = self._start("", "")

    def until(self, look: Callable[[], Any]) -> Any:
        """What `look` gives, once it gives something; whoever asks meanwhile finds the process."""
        for _ in range(2_000):
            if found := look():
                return found
            self.ask("GET", "/.well-known/provenance.json")
        raise AssertionError("it never happened")


def _lines(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []


@pytest.mark.parametrize(
    ("step", "when"), [(step, when) for step in STEPS for when in ("before", "after")] + [("hook", "within")]
)
def test_a_kill_at_any_write_loses_and_doubles_nothing(tmp_path: Path, step: str, when: str) -> None:
    pages = Pages({"/done": (200, b"")})
    with ExitStack() as stack:
        told = stack.enter_context(served(pages.handler()))
        hired = Hired(tmp_path, stack, step, when)
        message = offer(int(time.time() * 1000), AGENT_ID, callback={"url": f"{told}/done", "headers": {}})
        raw = by_secret(message)
        answer = hired.ask("POST", "/words/jobs", raw)
        assert (answer.status_code, answer.json()) == (202, {"job_id": JOB, "status": "accepted"})

        def result() -> bytes | None:
            answer = hired.ask("GET", f"/words/jobs/{JOB}")
            assert answer.status_code == 200, "what was accepted is known"
            return answer.content if answer.json()["status"] == "completed" else None

        signed = hired.until(result)
        report = json.loads(signed)
        assert AGENT_KEY.verifies(report)
        assert (report["output"], report["usage"]["cost_usd"]) == ({"words": 3}, 0.01)
        hired.until(lambda: pages.asked)
        assert hired.ask("POST", f"/words/jobs/{JOB}/ack").json() == {"settled": True, "job_id": JOB}
        hired.until(lambda: _lines(tmp_path / "settled"))
        # The next start has nothing left to do but what may have been heard and was not known to be.
        hired.until(lambda: hired.deaths)
        assert hired.ask("POST", "/words/jobs", raw).status_code == 202
        assert hired.ask("POST", f"/words/jobs/{JOB}/ack").json() == {"settled": True, "job_id": JOB}
        twice_settled = (step, when) in {("settle", "before"), ("hook", "within")}
        hired.until(lambda: len(_lines(tmp_path / "settled")) == 1 + twice_settled)
        twice_told = (step, when) == ("count_callback", "before")
        hired.until(lambda: len(pages.asked) == 1 + twice_told)
        assert {body for *_, body in pages.asked} == {signed} == {hired.ask("GET", f"/words/jobs/{JOB}").content}
        twice_run = (step, when) == ("end", "before")
        assert len(_lines(tmp_path / "runs")) == 1 + twice_run
