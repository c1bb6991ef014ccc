"""How many calls a second the sandbox Hub sells, with every charge on the disk before it is answered.

    python -m tests.bench.bench_sandbox [--seconds 10] [--callers 32]

The Hub is a process of its own with a file; the callers are another, over kept connections. Every call is checked for
its charge, and the books are summed in the end. A disk that takes long to make sure of what was written makes the
figure smaller: it is measured beside. How long others wait beside them: `tests.bench.bench_bulkheads`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
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
from typing import Any, NamedTuple
from urllib.parse import urlsplit

WANTED_PER_SECOND = 800


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
    if status != 200 or b'"cost_usdc":0.0005,' not in body:
        raise SystemExit(f"a call failed: {status} {body[:300]!r}")


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
    assert status in (200, 201), answer
    return dict(json.loads(answer))


def cpu_seconds(process: int) -> float:
    """What a process has computed, in all its threads."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def agent_of(line: dict[str, Any]) -> Agent:
    """The test agent of a Hub, with the key to its controls; `line` is what the Hub says when it is ready."""
    place = urlsplit(line["hub"])
    keys = {"X-Agent-ID": line["agent_id"], "X-API-Key": line["api_key"], "X-Sandbox-Key": line["control_key"]}
    headers = "".join(f"{name}: {value}\r\n" for name, value in (keys | {"Content-Type": "application/json"}).items())
    return Agent(str(place.hostname), int(place.port or 0), headers)


async def make_rich(agent: Agent) -> None:
    await ask(agent, "POST", "/sandbox/wallet", {"balance_usdc": "1000000", "rate_limit_rpm": 1_000_000_000})


async def balanced(agent: Agent) -> tuple[int, bool]:
    """How many calls were sold, and whether every one is split and the wallet has the rest, to the micro-USDC."""
    books = await ask(agent, "GET", "/sandbox/books")
    split = all(
        row["provider_share_micro"] + row["hub_fee_micro"] + row["payment_fee_micro"] == row["amount_micro"]
        for row in books["transactions"]
    )
    charged = sum(row["amount_micro"] for row in books["transactions"])
    rest = books["credited_micro"] - books["charged_micro"]
    return len(books["transactions"]), split and charged == books["charged_micro"] and rest == books["balance_micro"]


@contextmanager
def hub_process(*options: str) -> Iterator[tuple[dict[str, Any], int]]:
    """A Hub with a file: what it says when it is ready, and its process id."""
    with tempfile.TemporaryDirectory() as folder:
        print(f"{sync_seconds(Path(folder)) * 1000:8.2f} ms to sync a small write")
        command = [sys.executable, "-m", "jecp_mcp", "sandbox", "--port", "0", "--data", f"{folder}/hub.sqlite"]
        with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as hub:
            assert hub.stdout is not None
            try:
                yield json.loads(hub.stdout.readline()), hub.pid
            finally:
                hub.terminate()


async def measure(agent: Agent, process: int, arguments: argparse.Namespace) -> bool:
    await make_rich(agent)
    before, _ = await balanced(agent)
    await load(agent, 1, arguments.callers)
    computed = cpu_seconds(process)
    quiet = await load(agent, arguments.seconds, arguments.callers)
    computed = cpu_seconds(process) - computed
    sold, good = await balanced(agent)
    rate = len(quiet) / arguments.seconds
    print(f"{rate:8.0f} calls a second, {arguments.callers} at once; wanted {WANTED_PER_SECOND}")
    print(
        f"{computed / len(quiet) * 1000:8.2f} ms of the Hub's CPU a call, so at most {len(quiet) / computed:.0f} on one core"
    )
    print(f"{statistics.median(quiet) * 1000:8.1f} ms a call in the median, {p99(quiet):.1f} ms at the 99th percentile")
    print(f"{sold - before:8d} calls sold in all, books {'balanced' if good else 'NOT BALANCED'}")
    return good and rate >= WANTED_PER_SECOND


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--callers", type=int, default=32)
    arguments = parser.parse_args()
    with hub_process() as (line, process):
        good = asyncio.run(measure(agent_of(line), process, arguments))
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
