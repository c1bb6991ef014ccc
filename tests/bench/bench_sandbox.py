"""How many calls a second the sandbox Hub sells, and how long calls and reads of its catalog take beside many of the others.

    python -m tests.bench.bench_sandbox [--seconds 10] [--callers 32] [--readers 64]

The Hub is a process of its own with a file; whoever is timed is another one, over kept connections, and the many beside are
a third. Every call is checked for its charge, and the books are summed in the end. A disk that takes long to make sure of what was written makes the
figure smaller: it is measured beside.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

WANTED_PER_SECOND = 800
WANTED_RATIO = 2
PRICE_MICRO = 500
TURNS = 10


Request = Callable[["Connection"], Awaitable[None]]


class Agent(NamedTuple):
    """Who buys, and where."""

    host: str
    port: int
    headers: str


class Connection:
    """One kept connection, on which one request after the other is written by hand: the client costs as little as may be."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, agent: Agent) -> None:
        self._reader, self._writer, self._agent = reader, writer, agent

    @classmethod
    async def open(cls, agent: Agent) -> Connection:
        return cls(*await asyncio.open_connection(agent.host, agent.port, limit=2**24), agent)

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._agent.host}:{self._agent.port}\r\n{self._agent.headers}"
        self._writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        return int(answer[9:12]), await self._reader.readexactly(length)

    def close(self) -> None:
        self._writer.close()


async def buy(connection: Connection) -> None:
    call = {"jecp": "1.0", "id": uuid.uuid4().hex, "capability": "text-stats", "action": "count"}
    status, body = await connection.ask("POST", "/v1/jecp", json.dumps({**call, "input": {"text": "one two"}}).encode())
    if status != 200 or b"transaction_id" not in body:
        raise SystemExit(f"a call failed: {status} {body[:300]!r}")


async def read(connection: Connection) -> None:
    status, _ = await connection.ask("GET", "/v1/capabilities")
    if status != 200:
        raise SystemExit(f"the catalog was refused: {status}")


async def load(agent: Agent, seconds: float, many: int, do: Request = buy) -> list[float]:
    """How long each request took of so many who ask at once."""
    connections = [await Connection.open(agent) for _ in range(many)]
    until: float = time.perf_counter() + seconds
    took: list[float] = []

    async def again_and_again(connection: Connection) -> None:
        while (began := time.perf_counter()) < until:
            await do(connection)
            took.append(time.perf_counter() - began)

    await asyncio.gather(*(again_and_again(one) for one in connections))
    for one in connections:
        one.close()
    return took


class Many:
    """Many who ask for one thing, in a process of their own: what they compute is not for others to wait for."""

    def __init__(self, agent: Agent, many: int, do: Request) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._asking, self._ended, self.asked = spawn.Event(), spawn.Event(), spawn.Value("q", 0)
        arguments = agent, many, do, self._asking, self._ended, self.asked
        self._process = spawn.Process(target=ask_when_wanted, args=arguments, daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._process.join()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """They ask within, as often as they can."""
        before = self.asked.value
        self._asking.set()
        while self.asked.value == before:
            time.sleep(0.01)
        try:
            yield
        finally:
            self._asking.clear()


def ask_when_wanted(agent: Agent, many: int, do: Request, asking: Any, ended: Any, asked: Any) -> None:
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


async def alone_and_beside(agent: Agent, seconds: float, do: Request, many: Many) -> tuple[float, float]:
    """The 99th percentile of four who ask by themselves, and beside many, in turns: the machine is as busy for both."""
    alone: list[float] = []
    beside: list[float] = []
    for _ in range(TURNS):
        alone += await load(agent, seconds / TURNS, 4, do)
        with many.asking():
            beside += await load(agent, seconds / TURNS, 4, do)
    return p99(alone), p99(beside)


def sync_seconds(folder: Path) -> float:
    """How long the disk takes to make sure of a small write: the median of fifty."""
    took = []
    with (folder / "sync").open("wb") as file:
        for _ in range(50):
            file.write(b"x" * 4096)
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - began)
    return statistics.median(took)


def p99(took: list[float]) -> float:
    return statistics.quantiles(took, n=100)[98] * 1000


async def ask(agent: Agent, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    connection = await Connection.open(agent)
    status, answer = await connection.ask(method, path, b"" if body is None else json.dumps(body).encode())
    connection.close()
    assert status == 200, answer
    return dict(json.loads(answer))


def cpu_seconds(process: int) -> float:
    """What a process has computed, in all its threads."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(line: dict[str, Any], process: int, arguments: argparse.Namespace) -> bool:
    place = urlsplit(line["hub"])
    keys = {"X-Agent-ID": line["agent_id"], "X-API-Key": line["api_key"], "X-Sandbox-Key": line["control_key"]}
    headers = "".join(f"{name}: {value}\r\n" for name, value in (keys | {"Content-Type": "application/json"}).items())
    agent = Agent(str(place.hostname), int(place.port or 0), headers)
    await ask(agent, "POST", "/sandbox/wallet", {"balance_usdc": "1000000", "rate_limit_rpm": 1_000_000_000})
    before = await ask(agent, "GET", "/sandbox/books")
    await load(agent, 1, arguments.callers)
    computed = cpu_seconds(process)
    quiet = await load(agent, arguments.seconds, arguments.callers)
    computed = cpu_seconds(process) - computed
    with Many(agent, arguments.readers, read) as readers:
        calls_alone, calls_beside = await alone_and_beside(agent, arguments.seconds, buy, readers)
    with Many(agent, arguments.callers, buy) as callers:
        reads_alone, reads_beside = await alone_and_beside(agent, arguments.seconds, read, callers)
    ratios = calls_beside / calls_alone, reads_beside / reads_alone
    books = await ask(agent, "GET", "/sandbox/books")
    sold = len(books["transactions"]) - len(before["transactions"])
    balanced = books["credited_micro"] - books["charged_micro"] == books["balance_micro"] and all(
        row["provider_share_micro"] + row["hub_fee_micro"] + row["payment_fee_micro"]
        == row["amount_micro"]
        == PRICE_MICRO
        for row in books["transactions"]
    )
    rate = len(quiet) / arguments.seconds
    print(f"{rate:8.0f} calls a second, {arguments.callers} at once; wanted {WANTED_PER_SECOND}")
    print(
        f"{computed / len(quiet) * 1000:8.2f} ms of the Hub's CPU a call, so at most {len(quiet) / computed:.0f} on one core"
    )
    print(f"{statistics.median(quiet) * 1000:8.1f} ms a call in the median, {p99(quiet):.1f} ms at the 99th percentile")
    print(
        f"{calls_alone:8.1f} ms at the 99th percentile with 4 callers alone, {calls_beside:.1f} ms beside "
        f"{arguments.readers} readers of the catalog ({readers.asked.value} reads): {ratios[0]:.2f} times as long"
    )
    print(
        f"{reads_alone:8.1f} ms at the 99th percentile with 4 readers alone, {reads_beside:.1f} ms beside "
        f"{arguments.callers} callers ({callers.asked.value} calls): {ratios[1]:.2f} times; wanted under {WANTED_RATIO}"
    )
    print(f"{sold:8d} calls sold in all, books {'balanced' if balanced else 'NOT BALANCED'}")
    return balanced and rate >= WANTED_PER_SECOND and max(ratios) < WANTED_RATIO


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--callers", type=int, default=32)
    parser.add_argument("--readers", type=int, default=64)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(f"{sync_seconds(Path(folder)) * 1000:8.2f} ms to sync a small write")
        command = [sys.executable, "-m", "jecp_mcp", "sandbox", "--port", "0", "--data", f"{folder}/hub.sqlite"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as hub:
            assert hub.stdout is not None
            try:
                good = asyncio.run(measure(json.loads(hub.stdout.readline()), hub.pid, arguments))
            finally:
                hub.terminate()
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
