"""The product's ledger, asked for no more than the two writes of `bare_ledger`, under one daily limit."""

from __future__ import annotations

from pathlib import Path

from bench_ledger import METERS, reservation

from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import Admitted, Conclusion
from jecp_mcp.money import MicroUSDC


class WholeLedger:
    """The product's ledger, and nothing else of the product."""

    def __init__(self, path: str) -> None:
        self._ledger = open_ledger(Path(path))

    async def reserve(self, call_id: str, request: bytes) -> None:
        """Write a request down, where a limit has room; durable when it returns."""
        admission = await self._ledger.reserve(reservation(self._ledger, call_id, request, METERS[-1:]))
        assert isinstance(admission, Admitted)

    def conclude(self, call_id: str, answer: bytes) -> None:
        """Have an answer written down soon."""
        self._ledger.conclude(Conclusion(call_id, Verdict.CHARGED, MicroUSDC(4_000), reference=call_id, answer=answer))
        self._ledger.note_delivery(call_id)
