"""How long calls, reads and providers' requests take at the sandbox Hub while another kind's pool is full.

    python -m tests.bench.bench_bulkheads [--seconds 6]

For each pair of pools: the 99th percentile of four who ask the one again and again, alone and while the other is full, in
turns, so that the machine is as busy for both. A pool is full of requests that keep the Hub busy, or of such as wait: calls
for a provider that does not answer, manifests whose provider's health is not told, reads that the sandbox delays.
``/health`` says during each run that it is full.

The Hub is a process of its own with a file, those who fill a pool are another. The one that is timed has priority (nice
-10) where that is allowed: three processes share the machine's cores, and one that does not get its turn would measure the
machine. What the machine adds all the same is measured beside: the same timed client at a server that does nothing, while
the Hub is as busy.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager
from typing import Any, NamedTuple, Self

import httpx2

from tests.bench.bench_sandbox import (
    Agent,
    Connection,
    Request,
    agent_of,
    ask,
    balanced,
    buy,
    hub_process,
    load,
    make_rich,
)
from tests.bench.bench_sandbox import p99 as p99_ms
from tests.contract.providers.conftest import Endpoint, House, endpoint, manifest
from tests.contract.sandbox.conftest import TurnableClock

WANTED_RATIO = 2
AT_ONCE = 4
TURNS = 4
PRIORITY = -10
ALL_WAIT_SECONDS = 1
"""After so long all that have a place have begun, and wait."""
CROWD = {"invoke": 300, "read": 64, "provider": 64}
"""How many ask at once for what is to fill a pool: more than it has places."""


async def read(connection: Connection) -> None:
    status, _ = await connection.ask("GET", "/v1/capabilities")
    if status != 200:
        raise SystemExit(f"the catalog was refused: {status}")


class ChangeSubscription(NamedTuple):
    """A request in the providers' pool that writes."""

    subscription_id: str

    async def __call__(self, connection: Connection) -> None:
        path = f"/v1/subscriptions/{self.subscription_id}"
        status, answer = await connection.ask("PATCH", path, b'{"status":"active"}')
        if status != 200:
            raise SystemExit(f"a subscription was not changed: {status} {answer[:300]!r}")


class Many:
    """Many who ask for one thing, in a process of their own: what they compute is not for others to wait for."""

    def __init__(self, agent: Agent, many: int, do: Request) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._asking, self._ended, self.asked = spawn.Event(), spawn.Event(), spawn.Value("q", 0)
        arguments = agent, many, do, self._asking, self._ended, self.asked
        self._process = spawn.Process(target=ask_when_wanted, args=arguments, daemon=True)
        self.seconds = 0.0

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._process.join()

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        """They ask within, as often as they can."""
        before = self.asked.value
        self._asking.set()
        while self.asked.value == before:
            await asyncio.sleep(0.01)
        began = time.perf_counter()
        try:
            yield
        finally:
            self._asking.clear()
            self.seconds += time.perf_counter() - began


def ask_when_wanted(agent: Agent, many: int, do: Request, asking: Any, ended: Any, asked: Any) -> None:
    os.setpriority(os.PRIO_PROCESS, 0, 0)

    async def again_and_again(connection: Connection) -> None:
        while not ended.is_set():
            if not asking.is_set():
                await asyncio.sleep(0.01)
                continue
            await do(connection)
            asked.value += 1

    async def run() -> None:
        await asyncio.gather(*[again_and_again(await Connection.open(agent)) for _ in range(many)])

    asyncio.run(run())


class Nothing(asyncio.Protocol):
    """Answers whatever is asked with the same few bytes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, _data: bytes) -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


def serve_nothing(port: Any) -> None:
    os.setpriority(os.PRIO_PROCESS, 0, 0)

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Nothing, "127.0.0.1", 0)
        port.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


@contextmanager
def server_of_nothing() -> Iterator[Agent]:
    spawn = multiprocessing.get_context("spawn")
    port = spawn.Queue()
    process = spawn.Process(target=serve_nothing, args=(port,), daemon=True)
    process.start()
    try:
        yield Agent("127.0.0.1", port.get(), "")
    finally:
        process.terminate()


class Full(NamedTuple):
    """A way to fill a pool; `busy` are those who ask, where the Hub is kept busy."""

    pool: str
    how: str
    fill: Callable[[], AbstractAsyncContextManager[None]]
    busy: Many | None = None


class Scene(NamedTuple):
    """A Hub, who buys at it, and the endpoint of who sells at it."""

    agent: Agent
    endpoint: Endpoint
    auth: dict[str, str]
    kinds: dict[str, Request]

    @asynccontextmanager
    async def waiting(self, pool: str, seconds: float) -> AsyncIterator[None]:
        """Every place of a pool taken by a request that waits until the block ends, reads for so many seconds."""
        many = {"invoke": 256, "read": 8, "provider": 32}[pool]
        headers = "".join(f"{name}: {value}\r\n" for name, value in self.auth.items())
        who = self.agent._replace(headers=self.agent.headers + headers)
        connections = [await Connection.open(who) for _ in range(many)]
        if pool == "read":
            fault = {"match": "/v1/refunds", "fault": f"delay:{seconds:.3f}", "times": many}
            await ask(self.agent, "POST", "/sandbox/faults", fault)
        self.endpoint.goes_on.clear()
        self.endpoint.looked_after.clear()
        asking = [asyncio.create_task(self._wait(pool, number, one)) for number, one in enumerate(connections)]
        while (await full_pools(self.agent))[pool] != "saturated":
            await asyncio.sleep(0.01)
        await asyncio.sleep(ALL_WAIT_SECONDS)
        try:
            yield
        finally:
            self.endpoint.goes_on.set()
            self.endpoint.looked_after.set()
            await asyncio.gather(*asking)
            for one in connections:
                one.close()

    async def _wait(self, pool: str, number: int, connection: Connection) -> None:
        match pool:
            case "invoke":
                call = {"jecp": "1.0", "id": uuid.uuid4().hex, "capability": "words/words", "action": "count"}
                status, answer = await connection.ask(
                    "POST", "/v1/invoke", json.dumps({**call, "input": {"text": "one two"}}).encode()
                )
            case "read":
                status, answer = await connection.ask("GET", "/v1/refunds")
            case _:
                version = f"2.{int(time.monotonic() * 10)}.{number}"
                made = manifest("words", self.endpoint.url, version=version)
                status, answer = await connection.ask("POST", "/v1/manifests", json.dumps(made).encode())
        if status not in (200, 201):
            raise SystemExit(f"what was to wait was refused: {status} {answer[:300]!r}")


async def full_pools(agent: Agent) -> dict[str, str]:
    return {name: pool["status"] for name, pool in (await ask(agent, "GET", "/health"))["pools"].items()}


async def timed(agent: Agent, seconds: float, do: Request) -> list[float]:
    return await load(agent, seconds, AT_ONCE, do)


async def alone_and_beside(
    scene: Scene, where: Agent, seconds: float, do: Request, full: Full
) -> tuple[list[float], list[float]]:
    """How long each request took alone, and beside a full pool, in turns."""
    alone: list[float] = []
    beside: list[float] = []
    for _ in range(TURNS):
        alone += await timed(where, seconds / TURNS / 2, do)
        async with full.fill():
            looks = []
            for _ in range(2):
                looks.append((await full_pools(scene.agent))[full.pool])
                beside += await timed(where, seconds / TURNS / 4, do)
            looks.append((await full_pools(scene.agent))[full.pool])
        if looks.count("saturated") < 2:
            raise SystemExit(f"the {full.pool} pool was not full: {looks}")
    return alone, beside


async def measure(scene: Scene, seconds: float, nothing: Agent, stack: ExitStack) -> bool:
    await make_rich(scene.agent)
    for do in scene.kinds.values():
        await timed(scene.agent, 1, do)
    fulls: list[Full] = []
    waited = ALL_WAIT_SECONDS + seconds / TURNS + 1
    for pool, do in scene.kinds.items():
        many = stack.enter_context(Many(scene.agent, CROWD[pool], do))
        fulls.append(Full(pool, "busy", many.asking, many))
        fulls.append(Full(pool, "waiting", lambda pool=pool: scene.waiting(pool, waited)))
    try:
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    except PermissionError:
        print("         the timed client has no priority: that is not allowed here")
    print("    full, by requests that | timed    |    median alone, beside |       p99 alone, beside | times as long")
    worst = 0.0
    for full in fulls:
        others = [(pool, scene.agent, do) for pool, do in scene.kinds.items() if pool != full.pool]
        for name, where, do in [*others, *([("nothing", nothing, read)] if full.busy else [])]:
            before = full.busy.asked.value if full.busy else 0
            since = full.busy.seconds if full.busy else 0
            alone, beside = await alone_and_beside(scene, where, seconds, do, full)
            ratio = p99_ms(beside) / p99_ms(alone)
            rate = ""
            if full.busy:
                rate = f", {(full.busy.asked.value - before) / (full.busy.seconds - since):.0f} a second beside"
            print(
                f"{full.pool:>10} {'are ' if full.busy else ''}{full.how:12}| {name:9}"
                f"| {statistics.median(alone) * 1000:10.2f} {statistics.median(beside) * 1000:10.2f} ms"
                f"| {p99_ms(alone):10.2f} {p99_ms(beside):10.2f} ms | {ratio:5.2f}{rate}",
                flush=True,
            )
            if name != "nothing":
                worst = max(worst, ratio)
    sold, good = await balanced(scene.agent)
    print(f"{worst:8.2f} times as long at the most; wanted under {WANTED_RATIO}")
    print(f"{sold:8d} calls sold in all, books {'balanced' if good else 'NOT BALANCED'}")
    return good and worst < WANTED_RATIO


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=6, help="for each pair, half of it alone")
    arguments = parser.parse_args()
    with (
        hub_process("--loopback") as (line, _),
        endpoint() as point,
        server_of_nothing() as nothing,
        ExitStack() as stack,
    ):
        agent = agent_of(line)
        keys = {"X-Sandbox-Key": line["control_key"]}
        with httpx2.Client(base_url=line["hub"], headers=keys, timeout=60) as http:
            seller = House(http, TurnableClock(), "reference").seller(point, namespace="words")
            seller.sell()
            mine = {"X-Agent-ID": line["agent_id"], "X-API-Key": line["api_key"]}
            told = http.post("/v1/subscriptions", json={"endpoint_url": point.url, "events": ["none"]}, headers=mine)
            change = ChangeSubscription(told.raise_for_status().json()["subscription_id"])
        scene = Scene(agent, point, seller.auth, {"invoke": buy, "read": read, "provider": change})
        good = asyncio.run(measure(scene, arguments.seconds, nothing, stack))
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
