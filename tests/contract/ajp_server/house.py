"""An agent in one process with its hirer: asked through ASGI, in a time that a test turns."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import anyio
import httpx2
from anyio.lowlevel import checkpoint

from jecp_mcp.ajp_server import Agent, Identity, Job, Surroundings, Terms, Trust, Work
from jecp_mcp.clock import UnixMs
from tests.contract.ajp_server.hirer import SECRET, Key, by_secret, offer

AGENT_ID = "provenance:domain:words.example"
AGENT_KEY = Key("agent")


class Time:
    """A clock that a test turns, and sleeps that end by it."""

    def __init__(self) -> None:
        self.ms = 1_764_243_600_000
        self.sleeping: list[tuple[int, anyio.Event]] = []

    def now(self) -> UnixMs:
        return UnixMs(self.ms)

    def monotonic(self) -> float:
        return self.ms / 1000

    async def sleep(self, seconds: float) -> None:
        entry = (self.ms + int(seconds * 1000), anyio.Event())
        self.sleeping.append(entry)
        try:
            await entry[1].wait()
        finally:
            self.sleeping.remove(entry)

    def turn(self, seconds: float) -> None:
        self.ms += int(seconds * 1000)
        for until, woken in self.sleeping:
            if until <= self.ms:
                woken.set()


async def count(job: Job) -> Work:
    """Count words, for a cent."""
    return Work({"words": len(job.input["text"].split())}, "0.01", 7, ("no:pii",))


@dataclass
class House:
    """One agent and how it is asked."""

    agent: Agent
    time: Time
    client: httpx2.AsyncClient

    def offer(self, **changed: Any) -> dict[str, Any]:
        return offer(self.time.ms, AGENT_ID, **changed)

    async def post(self, raw: bytes, path: str = "/ajp/jobs") -> tuple[int, dict[str, Any]]:
        answer = await self.client.post(path, content=raw)
        return answer.status_code, answer.json()

    async def hire(self, **changed: Any) -> str:
        """Have an offer accepted."""
        message = self.offer(**changed)
        status, answer = await self.post(by_secret(message))
        assert (status, answer) == (202, {"job_id": message["job_id"], "status": "accepted"})
        return message["job_id"]

    async def raw(self, job_id: str = "job_0000000000000001", path: str = "/ajp/jobs") -> bytes:
        answer = await self.client.get(f"{path}/{job_id}")
        assert answer.status_code == 200
        return answer.content

    async def result(self, job_id: str = "job_0000000000000001") -> dict[str, Any]:
        """The result once there is one."""

        async def found() -> dict[str, Any] | None:
            report = json.loads(await self.raw(job_id))
            return None if report["status"] in {"accepted", "running"} else report

        return await until(found)

    async def ack(self, job_id: str = "job_0000000000000001", path: str = "/ajp/jobs") -> tuple[int, dict[str, Any]]:
        answer = await self.client.post(f"{path}/{job_id}/ack", content=b"not json")
        return answer.status_code, answer.json()


async def until(look: Callable[[], Any]) -> Any:
    """What `look` gives, once it gives something; the others go on in between."""
    # Steps are no measure: what is waited for may be another thread's, which a loaded machine leaves waiting.
    with anyio.fail_after(60):
        while not (found := await look()):
            await checkpoint()
    return found


def identity(**changed: Any) -> Identity:
    given = {"endpoint": "https://words.example/ajp", "name": "Words", "description": "Counts words.", **changed}
    return Identity(given.pop("provenance_id", AGENT_ID), given.pop("private_key", AGENT_KEY.private), **given)


@asynccontextmanager
async def house(
    work: Any = count,
    data: Path | None = None,
    *,
    time: Time | None = None,
    terms: Terms | None = None,
    trust: Trust | None = None,
    endpoint: str = "https://words.example/ajp",
    kind: type[Agent] = Agent,
    **more: Any,
) -> AsyncIterator[House]:
    """An agent that runs until the block ends, and takes what is signed with the secret."""
    time = time or Time()
    world = Surroundings(time, time.sleep, loopback=more.pop("loopback", False), **more.pop("world", {}))
    if world.loopback:
        endpoint = "http://127.0.0.1:9/ajp"
    agent = kind(
        work,
        identity(endpoint=endpoint),
        data,
        terms=terms or Terms(),
        trust=trust or Trust(SECRET),
        surroundings=world,
        **more,
    )
    client = httpx2.AsyncClient(transport=httpx2.ASGITransport(agent.app), base_url="https://words.example")
    async with client, agent.running():
        yield House(agent, time, client)


@dataclass
class Pages:
    """What a server on loopback answers by path, and what it was sent."""

    found: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    came: threading.Event = field(default_factory=threading.Event)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        pages = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                pages.asked.append((self.command, self.path, headers, body))
                pages.came.set()
                status, answer = pages.found.get(self.path, (404, b""))
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                if 300 <= status < 400:
                    self.send_header("Location", answer.decode())
                self.end_headers()
                self.wfile.write(answer)

            do_POST = do_GET  # noqa: N815 - the library's name

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
