"""Having a call's work done, and charging for it (JECP 01-protocol §4 to §6).

A wallet pays only after the work is done, in one transaction with the answer that is kept for repeats.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from jecp_mcp.clock import Clock
from jecp_mcp.sandbox.agents import Agents
from jecp_mcp.sandbox.call_checks import AcceptedCall, balance_too_low
from jecp_mcp.sandbox.call_request import Call
from jecp_mcp.sandbox.error_answers import Refused
from jecp_mcp.sandbox.listing import Listing, Offer
from jecp_mcp.sandbox.sales import Receipt, Sale, Sales
from jecp_mcp.sandbox.success_answers import Parts, encode, output_text, success
from jecp_mcp.wire.jecp.codes import CODES

if TYPE_CHECKING:
    from jecp_mcp.sandbox.work import Work

WORKERS = 4
INLINE_SECONDS = 0.002
"""Work that takes less than this is done on the spot: a thread's hand-over and the wait for the lock cost as much."""
INLINE_BYTES = 16 * 1024
Forward = Callable[[AcceptedCall], Awaitable[tuple["Work", bytes]]]
"""Has a call's provider do it. Raises `Refused`."""
Asked = Callable[[Call, Listing, Offer], dict[str, Any]]
"""What a call of an offer is asked to pay, and how."""


class Fulfilment:
    """The work, its threads, and the sales it becomes."""

    def __init__(self, sales: Sales, agents: Agents, clock: Clock, forward: Forward) -> None:
        # Imported here, where the Hub is made: importing the app must not cost the work's modules.
        from jecp_mcp.sandbox import work

        self.work = work
        self.workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="sandbox-work")
        self._sales, self._agents, self._clock, self._forward = sales, agents, clock, forward
        self._durations: dict[tuple[str, str], float] = {}

    def close(self) -> None:
        """Let go of the threads."""
        self.workers.shutdown(wait=False, cancel_futures=True)

    async def run(self, accepted: AcceptedCall) -> tuple[Work, bytes]:
        """Have the work done; what it gave, and its JSON text.

        Raises:
            Refused: nobody can do it here, it cannot be done on this input, or it took too long.
        """
        runs = accepted.offer.runs
        if runs is None:
            return await self._forward(accepted)

        def do() -> tuple[Work, bytes]:
            began = time.perf_counter()
            work = self.work.run(*runs, accepted.call.arguments)
            output = output_text(work, accepted.offer)
            took = time.perf_counter() - began
            self._durations[runs] = (self._durations.get(runs, took) + took) / 2
            return work, output

        try:
            if accepted.call.size <= INLINE_BYTES and self._durations.get(runs, INLINE_SECONDS) < INLINE_SECONDS:
                return do()
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(accepted.offer.timeout_seconds):
                return await loop.run_in_executor(self.workers, do)
        except self.work.WorkFailed as failed:
            raise work_refusal(failed.code, failed.message) from failed
        except TimeoutError as exc:
            raise Refused("PROVIDER_TIMEOUT", "The provider did not answer in time.") from exc

    def settle(
        self,
        accepted: AcceptedCall,
        output: bytes,
        work: Work,
        duration_ms: int,
        asked: Asked,
        x402: Mapping[str, Any] | None = None,
    ) -> tuple[Parts, bytes]:
        """Charge for work done and keep its answer, in one transaction; the envelope and its text.

        Args:
            asked: gives the ``payment`` of a refusal for want of money.
            x402: what ``billing.x402`` says, where a payment that came along has paid.

        Raises:
            Refused: the wallet was emptied meanwhile; nothing is charged.
        """
        units, call = work.units, accepted.call
        # What was signed is the base, and no more.
        price = accepted.offer.tariff.base if x402 is not None else accepted.offer.tariff.charge(units, call.budget)
        written: list[Parts] = []

        def render(receipt: Receipt) -> bytes:
            parts = success(call, accepted.listing, receipt, output, units=units, duration_ms=duration_ms, x402=x402)
            written.append(parts)
            return encode(parts)

        for free in (True, False) if accepted.free else (False,):
            sale = Sale(
                accepted.agent.agent_id, call.call_id, call.digest, accepted.listing.id, call.action, price, free,
                dict(accepted.headers), work.steps, x402 is not None,
            )  # fmt: skip
            body = self._sales.settle(sale, self._clock.now(), render)
            if body is not None:
                return written[-1], body
        agent = self._agents.get(accepted.agent.agent_id)
        asks = asked(call, accepted.listing, accepted.offer)
        raise balance_too_low(agent.balance if agent else 0, price, asks)


def work_refusal(code: str, message: str) -> Refused:
    """The refusal of work that cannot be done on its input."""
    if code in CODES:
        return Refused(code, message)
    return Refused("VALIDATION_FAILED", message, details={"reason": code, "errors": [{"path": "", "reason": message}]})
