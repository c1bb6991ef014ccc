"""The sandbox's agents, hired by hand over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from jecp_mcp.errors import SettingsError
from jecp_mcp.sandbox.ajp.config import AgentsConfig
from jecp_mcp.sandbox.ajp.run import serve_agents
from tests.contract.ajp_server.hirer import Key, by_key, offer, public_key, verify
from tests.contract.ajp_server.house import Time, until

pytestmark = pytest.mark.anyio

TEXT = "The harbour slept. The harbour master did not sleep. A gull cried."


@dataclass
class Sandbox:
    """The agents, and their hirer."""

    line: dict[str, Any]
    time: Time
    http: httpx2.AsyncClient

    def agent(self, name: str) -> dict[str, Any]:
        return next(one for one in self.line["agents"] if one["name"] == name)

    async def declared(self, name: str) -> dict[str, Any]:
        address = self.agent(name)["id"].removeprefix("provenance:domain:")
        return (await self.http.get(f"http://{address}/.well-known/provenance.json")).json()

    async def offer(self, name: str, job_id: str, **changed: Any) -> tuple[str, httpx2.Response]:
        """Offer a job at the declared endpoint; gives the job's address, and the answer."""
        hirer = self.line["hirer"]
        message = offer(
            self.time.ms,
            self.agent(name)["id"],
            job_id=job_id,
            **{"from": {"type": "agent", "provenance_id": hirer["id"]}},
            budget={"max_usd": 0.5, "max_seconds": self.agent(name)["max_seconds"]},
            task={"type": "task", "instruction": "Read this.", "input": {"text": TEXT, "sentences": 1}, **changed},
        )
        endpoint = (await self.declared(name))["ajp"]["endpoint"]
        raw = by_key(message, Key("", hirer["private_key"]))
        return f"{endpoint}/jobs/{job_id}", await self.http.post(f"{endpoint}/jobs", content=raw)

    async def result(self, name: str, job: str) -> dict[str, Any]:
        """The result, proven by the declared key."""

        async def found() -> dict[str, Any] | None:
            report = (await self.http.get(job)).json()
            return None if report["status"] in {"accepted", "running"} else report

        report = await until(found)
        verify(public_key(await self.declared(name))[0], report)
        return report

    async def hire(self, name: str, job_id: str, **changed: Any) -> dict[str, Any]:
        job, answer = await self.offer(name, job_id, **changed)
        assert answer.status_code == 202, answer.text
        return await self.result(name, job)


@asynccontextmanager
async def sandbox(data: Path | None = None, time: Time | None = None) -> AsyncIterator[Sandbox]:
    time = time or Time()
    async with (
        serve_agents(AgentsConfig(data, clock=time, sleep=time.sleep)) as line,
        httpx2.AsyncClient(timeout=60) as http,
    ):
        yield Sandbox(line, time, http)


async def test_the_agents_work_overcharge_change_their_key_and_are_busy_as_they_say() -> None:
    async with sandbox() as here:
        counted = await here.hire("counter", "job_00000001")
        assert (counted["output"]["words"], counted["usage"]["cost_usd"]) == (12, 0.01)
        summary = await here.hire("summariser", "job_00000002", output_format="text")
        assert summary["output"] in TEXT
        assert (await here.hire("counter", "job_00000003", output_format="html"))["output"].startswith("<p>12 words")
        refused = await here.hire("summariser", "job_00000004", input={"text": TEXT, "sentences": 0})
        assert (refused["status"], refused["usage"]["cost_usd"]) == ("failed", 0)
        assert (await here.hire("summariser", "job_00000005", input="?!", instruction=" "))["status"] == "failed"
        assert "longer than" in (await here.hire("counter", "job_00000006", input="x" * 100_001))["message"]

        # Its result is its own and proven; only its price is nothing that anybody offered.
        overcharged = await here.hire("overcharger", "job_00000007")
        assert (overcharged["status"], overcharged["usage"]["cost_usd"]) == ("completed", 1.0)

        _, busy = await here.offer("busy", "job_00000008")
        assert (busy.status_code, int(busy.headers["Retry-After"])) == (429, busy.json()["retry_after"])

        for name, incidents in (("counter", 0), ("overcharger", 0), ("accused", 1)):
            place = here.agent(name)["id"].removeprefix("provenance:").replace(":", "/", 1)
            profile = (await here.http.get(f"{here.line['index_url']}/api/agent/{place}")).json()
            assert profile["incident_count"] == len(profile["incidents"]) == incidents
            declared = await here.declared(name)
            assert profile["public_key"] == declared["identity"]["public_key"]
            assert (profile["provenance_id"], profile["status"], profile["ajp"]) == (
                here.agent(name)["id"],
                "active",
                declared["ajp"],
            )
        assert (await here.http.get(f"{here.line['index_url']}/api/agent/domain/nobody.example")).status_code == 404

        known = here.agent("stranger")["fingerprint"]
        assert known == Key("the sandbox's stranger").fingerprint != public_key(await here.declared("stranger"))[1]
        assert [one["name"] for one in here.line["agents"] if one["fingerprint"]] == ["stranger"]
        nobody = here.agent("counter")["id"].removeprefix("provenance:domain:").replace("counter", "nobody")
        assert (await here.http.get(f"http://{nobody}")).status_code == 404


@pytest.mark.slow
async def test_the_slow_one_takes_its_time_also_across_a_restart_at_the_same_address(tmp_path: Path) -> None:
    time, folder = Time(), tmp_path / "sandbox.ajp"
    async with sandbox(folder, time) as here:
        agents = here.line["agents"]
        job, _ = await here.offer("slow", "job_00000001")

        async def works() -> bool:
            return len(time.sleeping) == 2

        await until(works)
        time.turn(59)
        assert (await here.http.get(job)).json()["status"] == "running"
    async with sandbox(folder, time) as here:
        assert here.line["agents"] == agents
        # Nobody has asked yet, and it works on.
        await until(works)
        time.turn(60)
        assert (await here.result("slow", job))["usage"]["cost_usd"] == 0.03
        with pytest.raises(SettingsError, match="another server"):
            async with sandbox(folder, time):
                pass


async def test_a_folder_that_cannot_be_one_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="cannot hold the agents' jobs"):
        async with sandbox(tmp_path / "file"):
            pass
