"""What a ledger of a million calls costs: its own commands, and everybody else who buys meanwhile.

    python tests/bench/bench_million.py [--calls N] [--folder DIR] [--ledger FILE]

A buyer in a process of its own buys all the while; each line says how long one thing took, the most memory its process
had, and how long the buyer's purchases took meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import Admitted, Conclusion, Meter
from jecp_mcp.mandate.windows import Window
from jecp_mcp.money import MicroUSDC
from tests.bench.million import write
from tests.unit.mandate.reservations import reservation

BODY = b"{}" * 200

MOST = MicroUSDC(10**15)
DAY = Meter('["day","local",null]', Window.DAY, MOST, "daily_usdc", "local")
TOTAL = Meter('["total","local",null]', Window.TOTAL, MOST, "total_usdc", "local")
APART = 0.02
"""How long the buyer rests between two purchases, in seconds."""


async def buy(path: Path) -> None:
    """Buy until stdin is closed; say when each purchase began and how long it took."""
    ledger = open_ledger(path)
    done = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    number = 0
    while not done.done():
        call_id = f"{ledger.session} {number}"
        begun = time.perf_counter()
        admission = await ledger.reserve(reservation(ledger.session, meters=(DAY,), call_id=call_id, request=BODY))
        took = time.perf_counter() - begun
        assert isinstance(admission, Admitted)
        print(json.dumps([time.time() - took, took]), flush=True)
        ledger.conclude(Conclusion(call_id, Verdict.CHARGED, MicroUSDC(5_000), answer=b"{}" * 2_000))
        ledger.note_delivery(call_id)
        number += 1
        await asyncio.sleep(APART)
    await ledger.close()


async def do(what: str, path: Path) -> None:
    """Do one thing in this process, and say how long it took and how much memory the process had."""
    begun = time.perf_counter()
    ledger = open_ledger(path)
    if what == "open":
        taken = time.perf_counter() - begun
        assert ledger.fault is None, ledger.fault
    else:
        begun = time.perf_counter()
        if what == "a new total limit":
            call_id = f"{ledger.session} total"
            assert isinstance(
                await ledger.reserve(reservation(ledger.session, meters=(TOTAL,), call_id=call_id, request=BODY)),
                Admitted,
            )
            ledger.conclude(Conclusion(call_id, Verdict.NOT_CHARGED))
        elif what == "verify":
            report = await ledger.audit()
            assert not report.findings, report.findings
        elif what == "structure":
            await ledger.check()
        elif what == "recount":
            await ledger.recount()
        else:
            assert what == "trim"
            await ledger.trim()
        taken = time.perf_counter() - begun
    await ledger.close()
    print(json.dumps([taken, peak()]))


def peak() -> float:
    """The most memory this process had, in MiB."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


@contextmanager
def buyer(path: Path, log: Path) -> Iterator[None]:
    with log.open("w") as out:
        command = [sys.executable, __file__, "--buy", str(path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, text=True) as process:
            try:
                time.sleep(3)
                yield
            finally:
                assert process.stdin
                process.stdin.close()
                assert process.wait(60) == 0


def purchases(log: Path, since: float, until: float) -> str:
    """How long the purchases that began in between took, in words."""
    read = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("]")]
    taken = sorted(took for begun, took in read if since <= begun <= until)
    if not taken:
        return "no purchase meanwhile"
    p99 = taken[math.ceil(len(taken) * 0.99) - 1]
    return (
        f"{len(taken):>5} purchases p50 {taken[len(taken) // 2] * 1e3:>6.1f} ms  p99 {p99 * 1e3:>6.1f} ms  "
        f"most {taken[-1] * 1e3:>6.1f} ms"
    )


def measure(name: str, command: list[str], log: Path, *, timed: bool) -> None:
    since, begun = time.time(), time.perf_counter()
    done = subprocess.run([sys.executable, *command], check=False, capture_output=True, text=True)
    took, until = time.perf_counter() - begun, time.time()
    told = f"{'':>9}"
    if timed:
        assert done.returncode == 0, done.stderr
        took, memory = json.loads(done.stdout)
        told = f"{memory:>5.0f} MiB"
    # What began at the end is said soon.
    time.sleep(0.5)
    print(f"{name:<28}{took:>8.2f} s {told}  {purchases(log, since, until)}", flush=True)


def rest(name: str, seconds: float, log: Path) -> None:
    since = time.time()
    time.sleep(seconds)
    print(f"{name:<28}{seconds:>8.2f} s {'':>9}  {purchases(log, since, time.time())}", flush=True)


def bench(path: Path) -> None:
    log, state = path.with_name("bought"), str(path.parent)
    print(f"{path.stat().st_size / 2**20:,.0f} MiB, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    with buyer(path, log):
        rest("nothing else", 5, log)
        for name in ("open", "open", "open"):
            measure(name, [__file__, "--do", name, str(path)], log, timed=True)
        for words in ("wallet", "ledger", "reconcile", "ledger --json", "ledger --statement --by month"):
            measure(words, ["-m", "jecp_mcp", *words.split(), "--state-dir", state], log, timed=False)
        for name in ("a new total limit", "verify", "structure", "recount", "trim"):
            measure(name, [__file__, "--do", name, str(path)], log, timed=True)
        rest("nothing else", 3, log)


def main() -> None:
    parser = argparse.ArgumentParser(description="What a ledger of a million calls costs.")
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where to write; it takes 3 GB for a million calls")
    parser.add_argument("--ledger", type=Path, help="one that was generated before; it is bought from")
    parser.add_argument("--buy", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--do", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.buy is not None:
        asyncio.run(buy(chosen.buy))
    elif chosen.do is not None:
        asyncio.run(do(chosen.do[0], Path(chosen.do[1])))
    elif chosen.ledger is not None:
        bench(chosen.ledger)
    else:
        folder = Path(tempfile.mkdtemp(dir=chosen.folder))
        try:
            begun = time.perf_counter()
            write(folder / "ledger.sqlite", chosen.calls)
            print(f"{chosen.calls:,} calls written in {time.perf_counter() - begun:.0f} s")
            bench(folder / "ledger.sqlite")
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
