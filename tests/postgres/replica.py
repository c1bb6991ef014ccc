"""A replica that spends from a ledger, and says on stdout what was promised to it.

python -m tests.postgres.replica fill URL TAG LIMIT CALLERS
    one line: how many reservations were admitted
python -m tests.postgres.replica spend URL TAG CALLERS
    lines "reserved ID", "refused ID", "settled ID", until its stdin ends; then "ended"
"""

import asyncio
import itertools
import sys

from pydantic import SecretStr

from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import LedgerUnavailable
from jecp_mcp.mandate.postgres.ledger import PostgresLedger
from jecp_mcp.mandate.records import Admitted, Conclusion, Meter
from jecp_mcp.mandate.windows import Window
from jecp_mcp.money import MicroUSDC
from tests.unit.mandate.reservations import reservation

BODY = b"{}" * 300


async def fill(url: str, tag: str, limit: int, callers: int) -> None:
    ledger = PostgresLedger(SecretStr(url), tag)
    meters = (
        Meter("day", Window.DAY, MicroUSDC(7 * limit), "daily_usdc", "local"),
        Meter(f"session {tag}", Window.SESSION, MicroUSDC(10**12), "session_usdc", "local"),
    )
    numbers = itertools.count()

    async def caller() -> int:
        admitted = 0
        for number in numbers:
            if not isinstance(
                await ledger.reserve(reservation(tag, 7, meters=meters, call_id=f"{tag}-{number}", request=BODY)),
                Admitted,
            ):
                break
            admitted += 1
        return admitted

    await ledger.totals()
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    counts = await asyncio.gather(*(caller() for _ in range(callers)))
    print(sum(counts), flush=True)
    await ledger.close()


async def spend(url: str, tag: str, callers: int) -> None:
    ledger = PostgresLedger(SecretStr(url), tag)
    meters = (Meter("day", Window.DAY, MicroUSDC(10**12), "daily_usdc", "local"),)
    numbers = itertools.count()
    ended = asyncio.Event()

    async def caller() -> None:
        while not ended.is_set():
            number = next(numbers)
            call_id = f"{tag}-{number}"
            try:
                assert isinstance(
                    await ledger.reserve(reservation(tag, 7, meters=meters, call_id=call_id, request=BODY)), Admitted
                )
            except LedgerUnavailable as exc:
                print("refused", call_id, flush=True)
                print(exc, file=sys.stderr, flush=True)
                # As a model does that is told to try again a little later.
                await asyncio.sleep(0.01)
                continue
            print("reserved", call_id, flush=True)
            if number % 3:
                ledger.conclude(Conclusion(call_id, Verdict.CHARGED, MicroUSDC(5), answer=b"answer"))

    async def listen() -> None:
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        ended.set()

    await asyncio.gather(listen(), *(caller() for _ in range(callers)))
    await ledger.close()
    print("ended", flush=True)


if __name__ == "__main__":
    mode, where, name, *rest = sys.argv[1:]
    asyncio.run(fill(where, name, *map(int, rest)) if mode == "fill" else spend(where, name, *map(int, rest)))
