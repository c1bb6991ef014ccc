"""How many durable reservations a second PostgreSQL takes, from one process and from four replicas.

    python -m tests.bench.bench_postgres [--seconds N] [--url URL]

Without a URL a server of its own is started in a temporary folder, with the settings a server has by default: each
COMMIT waits for the disk. The first line is the floor: two round trips, one of them a COMMIT of one row.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import psycopg
from pydantic import SecretStr

from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.mandate.postgres.ledger import PostgresLedger
from jecp_mcp.mandate.records import Admitted, Conclusion, Meter
from jecp_mcp.mandate.windows import Window
from jecp_mcp.money import MicroUSDC
from tests.postgres.cluster import new_cluster
from tests.unit.mandate.reservations import reservation

ROOT = Path(__file__).parents[2]
BODY = (
    b'{"jecp":"1.0","id":"call_0123456789abcdef","capability":"docs/pdf","action":"make","input":' + b"x" * 400 + b"}"
)


def meters(session: str) -> tuple[Meter, ...]:
    return tuple(
        Meter(
            f"bench {window.value} {session * (window is Window.SESSION)}",
            window,
            MicroUSDC(10**15),
            window.value,
            "local",
        )
        for window in (Window.SESSION, Window.HOUR, Window.DAY)
    )


def line(name: str, latencies: list[float], seconds: float) -> None:
    latencies.sort()
    count = len(latencies)
    middle, late = latencies[count // 2] * 1e3, latencies[count * 99 // 100] * 1e3
    print(
        f"{name:<32}{count / seconds:>9,.0f}/s   p50 {middle:>7.2f} ms   p99 {late:>7.2f} ms   "
        f"max {latencies[-1] * 1e3:>7.2f} ms",
        flush=True,
    )


def floor(url: str, seconds: float) -> None:
    latencies = []
    with psycopg.connect(url, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS public.floor(body bytea)")
        started = time.perf_counter()
        while (at := time.perf_counter()) < started + seconds:
            connection.execute("BEGIN; SELECT 1")
            connection.execute("INSERT INTO public.floor VALUES (%s); COMMIT", (BODY,))
            latencies.append(time.perf_counter() - at)
    line("two round trips, one commit", latencies, time.perf_counter() - started)


async def reservations(url: str, tag: str, callers: int, seconds: float, *, settle: bool) -> tuple[list[float], float]:
    ledger = PostgresLedger(SecretStr(url), tag)
    await ledger.totals()
    caps = meters(tag)
    latencies: list[float] = []
    started = time.perf_counter()

    async def caller(number: int) -> None:
        done = 0
        while (at := time.perf_counter()) < started + seconds:
            call_id = f"{tag}-{number}-{done}"
            admission = await ledger.reserve(reservation(tag, meters=caps, call_id=call_id, request=BODY))
            latencies.append(time.perf_counter() - at)
            assert isinstance(admission, Admitted)
            if settle:
                ledger.conclude(Conclusion(call_id, Verdict.CHARGED, MicroUSDC(4_000), answer=BODY))
                ledger.note_delivery(call_id)
            done += 1

    await asyncio.gather(*(caller(number) for number in range(callers)))
    await ledger.flush()
    took = time.perf_counter() - started
    await ledger.close()
    return latencies, took


def replicas(url: str, count: int, callers: int, seconds: float) -> None:
    command = [sys.executable, "-m", "tests.bench.bench_postgres", "--url", url, "--seconds", str(seconds)]
    running = [
        subprocess.Popen(
            [*command, "--replica", f"replica{callers}{number}", "--callers", str(callers)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    told = [json.loads(one.communicate(timeout=seconds + 60)[0]) for one in running]
    line(
        f"{count} replicas, {callers} callers each",
        [second for one in told for second in one["latencies"]],
        max(one["took"] for one in told),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Durable reservations a second in PostgreSQL.")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--url", help="an empty database; without it a server is started")
    parser.add_argument("--replica", help=argparse.SUPPRESS)
    parser.add_argument("--callers", type=int, default=1, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.replica:
        latencies, took = asyncio.run(
            reservations(chosen.url, chosen.replica, chosen.callers, chosen.seconds, settle=False)
        )
        print(json.dumps({"latencies": latencies, "took": took}))
        return
    cluster = None if chosen.url else new_cluster()
    try:
        url = chosen.url or cluster.database()
        floor(url, chosen.seconds)
        for settle in (False, True):
            for callers in (1, 8, 64):
                tag = f"alone{callers}{settle}"
                latencies, took = asyncio.run(reservations(url, tag, callers, chosen.seconds, settle=settle))
                line(f"{callers} caller{'s' * (callers > 1)}{', settled' * settle}", latencies, took)
        for callers in (16, 64):
            replicas(url, 4, callers, chosen.seconds)
    finally:
        if cluster is not None:
            cluster.remove()


if __name__ == "__main__":
    main()
