"""How many durable reservations a second one process makes, beside the bare disk.

    python tests/bench/bench_ledger.py [--folder DIR] [--seconds N]

Each line is one number of callers at once on one event loop; each reservation is committed and synced before its
caller goes on. The first line is the floor: append as many bytes as a lone reservation writes, and sync them.
"""

import argparse
import asyncio
import os
import tempfile
import time
from pathlib import Path

from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import Admitted, Conclusion, Meter, Reservation
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.mandate.windows import Window
from jecp_mcp.money import MicroUSDC

BODY = (
    b'{"jecp":"1.0","id":"call_0123456789abcdef","capability":"docs/pdf","action":"make","input":' + b"x" * 400 + b"}"
)
METERS = tuple(
    Meter(f"bench {window.value}", window, MicroUSDC(10**15), window.value, "local")
    for window in (Window.SESSION, Window.HOUR, Window.DAY)
)


def report(name: str, latencies: list[float], seconds: float) -> None:
    latencies.sort()
    count = len(latencies)
    middle, late = latencies[count // 2] * 1e6, latencies[count * 99 // 100] * 1e6
    print(f"{name:<28}{count / seconds:>10,.0f}/s   p50 {middle:>8,.0f} us   p99 {late:>8,.0f} us")


def bare_sync(folder: Path, seconds: float, size: int) -> None:
    latencies = []
    data = os.urandom(size)
    descriptor = os.open(folder / "bare", os.O_RDWR | os.O_CREAT)
    started = time.perf_counter()
    while (at := time.perf_counter()) < started + seconds:
        os.pwrite(descriptor, data, len(latencies) % 100 * size)
        os.fdatasync(descriptor)
        latencies.append(time.perf_counter() - at)
    os.close(descriptor)
    report(f"write {size} bytes and sync", latencies, seconds)


async def reservations(folder: Path, callers: int, seconds: float, *, settle: bool) -> None:
    ledger = open_ledger(folder / f"{callers}{settle}.db")
    latencies: list[float] = []
    started = time.perf_counter()

    async def caller(number: int) -> None:
        done = 0
        while (at := time.perf_counter()) < started + seconds:
            call_id = f"{number}-{done}"
            admission = await ledger.reserve(reservation(ledger, call_id))
            latencies.append(time.perf_counter() - at)
            assert isinstance(admission, Admitted)
            if settle:
                ledger.conclude(Conclusion(call_id, Verdict.CHARGED, MicroUSDC(4_000), answer=BODY))
                ledger.note_delivery(call_id)
            done += 1
            if callers == 1:
                # As a real caller does between two calls, and once in a loop's turn.
                await asyncio.sleep(0)

    await asyncio.gather(*(caller(number) for number in range(callers)))
    await ledger.flush()
    took = time.perf_counter() - started
    report(f"{callers} caller{'s' * (callers > 1)}{', settled' * settle}", latencies, took)
    await ledger.close()


def reservation(
    ledger: SqliteLedger, call_id: str, request: bytes = BODY, meters: tuple[Meter, ...] = METERS
) -> Reservation:
    return Reservation(
        call_id=call_id,
        principal="local",
        session=ledger.session,
        tool="docs_pdf_make",
        rail="jecp",
        account="https://hub.example agent",
        payee="docs",
        source="https://hub.example",
        offer="docs/pdf:make",
        names=("docs/pdf:make", "docs/pdf", "docs_pdf_make"),
        version="1.0.0",
        fingerprint=f"{hash(call_id):x}",
        quoted=MicroUSDC(5_000),
        hold=MicroUSDC(5_000),
        meters=meters,
        request=request,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Durable reservations a second.")
    parser.add_argument("--folder", type=Path, help="where to write; its disk is what is measured")
    parser.add_argument("--seconds", type=float, default=2.0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
        folder = Path(name)
        bare_sync(folder, chosen.seconds, 4096)
        bare_sync(folder, chosen.seconds, 40_960)
        for settle in (False, True):
            for callers in (1, 8, 64):
                asyncio.run(reservations(folder, callers, chosen.seconds, settle=settle))


if __name__ == "__main__":
    main()
