"""A process that reserves from a shared limit until it is full or somebody kills it, and tells each promise it was made.

Says ``("admitted", [call id, …])`` after each round of its callers, and ``("full", None)`` at the end.
"""

from __future__ import annotations

import asyncio
import itertools
from multiprocessing.connection import Connection
from pathlib import Path

from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import Admitted, Conclusion, Meter, OverLimit
from jecp_mcp.mandate.windows import Window
from jecp_mcp.money import MicroUSDC
from tests.unit.mandate.reservations import reservation

PRICE = 7


def limit_of(calls: int) -> Meter:
    return Meter("day", Window.DAY, MicroUSDC(PRICE * calls), "daily_usdc", "local")


def live(path: Path, name: str, calls: int, callers: int, tell: Connection) -> None:
    async def do() -> None:
        ledger = open_ledger(path, name)
        assert ledger.fault is None, ledger.fault
        mine = Meter(f"session {name}", Window.SESSION, MicroUSDC(10**12), "session_usdc", "local")
        numbers = itertools.count()

        async def one() -> str | None:
            wanted = reservation(
                name, PRICE, meters=[limit_of(calls), mine], call_id=f"{name}-{next(numbers)}", request=b"{}" * 300
            )
            admission = await ledger.reserve(wanted)
            if isinstance(admission, Admitted):
                # Most calls end; that they cost what was held keeps the sum what it is.
                ledger.conclude(Conclusion(wanted.call_id, Verdict.CHARGED, MicroUSDC(PRICE)))
                return wanted.call_id
            assert isinstance(admission, OverLimit)
            return None

        while True:
            round_ = await asyncio.gather(*(one() for _ in range(callers)))
            admitted = [each for each in round_ if each is not None]
            tell.send(("admitted", admitted))
            if len(admitted) < callers:
                break
        await ledger.close()
        tell.send(("full", None))

    asyncio.run(do())
