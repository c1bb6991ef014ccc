"""A process that spends from a ledger until it is killed, and says on stdout what was promised to it.

``python spender.py LEDGER TAG`` says lines such as "reserved ID" and "settled ID".
"""

import asyncio
import itertools
import sys
from pathlib import Path

from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import Admitted, Conclusion, Meter, Reservation
from jecp_mcp.mandate.windows import Window
from jecp_mcp.money import MicroUSDC


def reservation(session: str, call_id: str, meters: tuple[Meter, ...]) -> Reservation:
    return Reservation(
        call_id=call_id,
        principal="local",
        session=session,
        rail="jecp",
        account="https://hub.example agent",
        tool="t",
        payee="jecp",
        source="https://hub.example",
        offer="docs/pdf:make",
        names=("docs/pdf:make",),
        version=None,
        fingerprint=call_id,
        quoted=MicroUSDC(7),
        hold=MicroUSDC(7),
        meters=meters,
        request=b"{}" * 300,
    )


async def spend(path: Path, tag: str) -> None:
    ledger = open_ledger(path, tag)
    meters = (Meter("day", Window.DAY, MicroUSDC(10**12), "daily_usdc", "local"),)
    numbers = itertools.count()

    async def caller() -> None:
        for number in numbers:
            call_id = f"{tag}-{number}"
            assert isinstance(await ledger.reserve(reservation(tag, call_id, meters)), Admitted)
            print("reserved", call_id, flush=True)
            if number % 3:
                ledger.conclude(Conclusion(call_id, Verdict.CHARGED, MicroUSDC(5), answer=b"answer"))
            if number % 9 == 1:
                await ledger.flush()
                print("settled", call_id, flush=True)
            await asyncio.sleep(0)

    await asyncio.gather(*(caller() for _ in range(4)))


if __name__ == "__main__":
    where, name = sys.argv[1:]
    asyncio.run(spend(Path(where), name))
