"""The tiny rail's payee behind the bridge's HTTP seam, and the same network that breaks the Hub's promises."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio

from jecp_mcp.errors import HeldBack
from jecp_mcp.http import ExchangeFailed, HttpAnswer
from tests.model.calls.hub_model import LATEST_MS
from tests.model.calls.world import OnItsWay, World
from tests.tiny_rail.payee import Payee

ORIGIN = "http://echo"
FAULTS = (*("none",) * 8, "not_sent", "lost_before", "lost_after", "late", "broken", "hang_before", "hang_after")


class EchoModel:
    """Takes the money of a job once, when its answer is acknowledged, whenever that arrives."""

    def __init__(self, world: World) -> None:
        self.world = world
        rng = world.rng
        self.payee = Payee(
            world.now,
            price=rng.choice([20_000, 60_000]),
            kind=rng.choice(["exact", "max"]),
            good_ms=rng.choice([None, 60_000]),
            takes_ms=rng.choice([0, 0, 10_000, 3_600_000]),
        )
        # What is paid for the time being, and may come back.
        self.payee.final_ms = rng.choice([0, 0, 60_000, 3_600_000])
        self.payee.voids = rng.random() < 0.5
        # What costs more than was quoted is not paid before a person has ruled.
        self.payee.cost = rng.choice([None, 15_000, 15_000, 90_000])

    def drift(self) -> None:
        """The payee changes its mind."""
        self.payee.price = self.world.rng.choice([None, 20_000, 40_000, 60_000])
        self.payee.refuses = self.world.rng.choice([None, None, None, "closed"])

    async def exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 10.0,  # noqa: ASYNC109 - as Http's
        before_sending: Callable[[], Awaitable[None]] | None = None,
    ) -> HttpAnswer:
        """One request, with a fault of the dice's choice."""
        path, sent = url.removeprefix(ORIGIN), False

        async def leave() -> None:
            nonlocal sent
            if before_sending is not None:
                await before_sending()
            sent = True

        try:
            with anyio.fail_after(timeout):
                return await self._travel(method, path, body or b"", leave)
        except HeldBack as exc:
            raise ExchangeFailed(sent=False, phase="send", reason=str(exc)) from exc
        except TimeoutError as exc:
            raise ExchangeFailed(sent=sent, phase="answer", reason="no whole answer") from exc

    async def _travel(self, method: str, path: str, body: bytes, leave: Callable[[], Awaitable[None]]) -> HttpAnswer:
        fault = "none" if self.world.calm else self.world.rng.choice(FAULTS)
        await self.world.pause()
        if fault == "not_sent":
            raise ExchangeFailed(sent=False, phase="connect", reason="refused")
        await leave()
        if fault == "hang_before":
            await anyio.sleep_forever()
        if fault == "lost_before":
            raise ExchangeFailed(sent=True, phase="answer", reason="reset")
        if fault == "late":
            due = self.world.now() + self.world.rng.randrange(LATEST_MS)
            self.world.on_its_way.append(OnItsWay(due, lambda: self.payee.answer(method, path, body)))
            await self.world.pause()
            raise ExchangeFailed(sent=True, phase="answer", reason="reset")
        status, said = self.payee.answer(method, path, body)
        await self.world.pause()
        if fault == "hang_after":
            await anyio.sleep_forever()
        if fault in {"lost_after", "broken"}:
            raise ExchangeFailed(sent=True, phase="answer", reason="reset")
        return _answer(status, said)

    def taken(self) -> dict[str, int]:
        """What was taken and has not come back, by job."""
        return {
            job_id: sum(job.acknowledged) - self.payee.returned(job_id)
            for job_id, job in self.payee.jobs.items()
            if job.acknowledged
        }


def _answer(status: int, said: Mapping[str, Any]) -> HttpAnswer:
    return HttpAnswer(status, {}, json.dumps(said).encode())
