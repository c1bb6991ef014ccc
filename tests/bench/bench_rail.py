"""What the rail adds to a bare POST: `JecpRail.execute` against the HTTP library alone, on one local server.

Run: python -m tests.bench.bench_rail [calls]. The server runs in a process of its own, so that its work is not counted.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import statistics
import sys
import time
from multiprocessing.connection import Connection

import httpx2

from jecp_mcp.domain.outcomes import Verdict
from tests.faults.rails.raw_hub import IDENTITY, KEY, PAID, bench, raw_hub, says

ROUNDS = 7
BODY = json.dumps({**PAID, "result": {"text": "x" * 1_000}}).encode()


def serve(address: Connection) -> None:
    """Answer every request with a paid call of about 1.3 kB, until the other end is closed."""

    async def run() -> None:
        async with raw_hub(says(BODY)) as hub:
            address.send(hub.url)
            await asyncio.to_thread(address.recv)

    asyncio.run(run())


async def bare(client: httpx2.AsyncClient, url: str, body: bytes) -> float:
    headers = {"X-Agent-ID": IDENTITY.agent_id, "X-API-Key": KEY, "Content-Type": "application/json"}
    begun = time.perf_counter()
    response = await client.post(url + "/v1/invoke", content=body, headers=headers)
    response.json()
    return time.perf_counter() - begun


async def measure(url: str, calls: int) -> tuple[list[float], list[float]]:
    """Milliseconds per call of both, interleaved, so that a busy machine disturbs both alike."""
    ours, theirs = [], []
    async with bench(url, seconds=30) as parts, httpx2.AsyncClient(trust_env=False) as client:
        request = parts.request(text="hi")
        for number in range(calls + 50):
            begun = time.perf_counter()
            found = await parts.rail.send(request)
            took = time.perf_counter() - begun
            assert found.verdict is Verdict.CHARGED
            other = await bare(client, url, request.body)
            if number >= 50:
                ours.append(took * 1e3)
                theirs.append(other * 1e3)
    return ours, theirs


def main() -> None:
    """Print the medians of several rounds and their ratio."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(there,))
    server.start()
    url = here.recv()
    ratios = []
    for _ in range(ROUNDS):
        ours, theirs = (statistics.median(times) for times in asyncio.run(measure(url, calls)))
        ratios.append(ours / theirs)
        print(f"execute p50 {ours:.3f} ms   bare POST p50 {theirs:.3f} ms   ratio {ours / theirs:.3f}")
    print(f"median ratio {statistics.median(ratios):.3f}")
    here.send(None)
    server.join(5)


if __name__ == "__main__":
    main()
