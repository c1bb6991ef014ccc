"""The real pipeline, rail and ledger file of one process over the Hub model, where a process may die or fall silent."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import TaskGroup
from pydantic import SecretStr

from jecp_mcp.calls.pipeline import Calls
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.errors import LedgerUnavailable
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.policy import Policy
from jecp_mcp.mandate.records import Conclusion
from jecp_mcp.rails.jecp.account import HubAccount
from jecp_mcp.rails.jecp.client import HubClient
from jecp_mcp.rails.jecp.rail import JecpRail
from jecp_mcp.rails.registry import Rails, Way
from jecp_mcp.settings import Credentials, MandateSettings
from tests.model.calls.echo_model import ORIGIN, EchoModel
from tests.model.calls.hub_model import HubModel
from tests.model.calls.world import World
from tests.rails import source
from tests.tiny_rail.rail import TinyRail
from tests.tiny_rail.way import EchoSource

AGENTS = ("jdb_ag_00000000000000aa", "jdb_ag_00000000000000bb")


class Process:
    """A server's process: an account, a pipeline, and its tasks."""

    def __init__(
        self,
        world: World,
        hub: HubModel,
        path: Path,
        agent: str,
        mandate: MandateSettings,
        name: str,
        echo: EchoModel | None = None,
    ) -> None:
        self.world, self.agent, self.name = world, agent, name
        self.alive = True
        self.mandate = mandate
        ids = itertools.count(1)
        identity = Credentials(agent_id=agent, api_key=SecretStr(f"jdb_ak_{agent[-16:]}"), source="test")
        self.client = HubClient("http://127.0.0.1:1", hub, lambda: identity, world)
        rail = JecpRail(self.client, timeout_seconds=30, clock=world, random=world.rng.random, sleep=self._sleep)
        self.ledger = open_ledger(path, clock=world)
        assert self.ledger.fault is None
        self._haunt()
        self.calls = Calls(
            policy=Policy.from_settings(mandate),
            ledger=self.ledger,
            rails=Rails(self._ways(rail, echo)),
            clock=world,
            mint=lambda: f"call_{name}_{next(ids):04d}",
        )
        self._scope = anyio.CancelScope()

    def _ways(self, rail: JecpRail, echo: EchoModel | None) -> list[Way]:
        """The Hub, and the echo where this process pays there."""
        account = HubAccount(self.client)
        ways = [Way(rail=rail, sources=(source(""),), account=account, witness=account)]
        if echo is not None:
            ways.append(Way(rail=TinyRail(ORIGIN, echo, self.world, sleep=self._sleep), sources=(EchoSource(),)))
        return ways

    async def live(self, tasks: TaskGroup) -> None:
        """Begin to live: look for what others left, and take calls."""
        ready = anyio.Event()
        self._over = anyio.Event()

        async def run() -> None:
            with self._scope:
                async with anyio.create_task_group() as self.tasks:
                    self.calls._tasks = self.tasks
                    ready.set()
                    self.tasks.start_soon(self.calls.keep_recovering)
            self._over.set()

        tasks.start_soon(run)
        await ready.wait()
        await self.client.discover()

    async def die(self) -> None:
        """As `kill -9` does it: nothing that runs comes to its conclusion, and nothing that is queued is written."""
        self.alive = False
        self._scope.cancel()
        await self._over.wait()
        self.ledger._writer._changes.clear()
        await self.ledger.close()

    def fall_silent(self) -> None:
        """Lose the lock that says it lives, as a lease is lost, and go on."""
        if self.ledger._own_lock is not None:
            self.ledger._own_lock.release()

    def serve(self, mandate: MandateSettings) -> None:
        """Go on under other limits."""
        self.calls._execution._policy = Policy.from_settings(mandate)

    async def _sleep(self, seconds: float) -> None:
        await self.world.pause()
        await anyio.sleep(seconds)

    def _haunt(self) -> None:
        """Let time pass around every step that is awaited, and lose a conclusion now and then."""
        ledger, conclude = self.ledger, self.ledger.conclude

        def slowly(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
            async def step(*given: Any) -> Any:
                await self.world.pause()
                found = await method(*given)
                await self.world.pause()
                return found

            return step

        def full(note: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
            async def step(*given: Any) -> Any:
                if self.world.chance(0.05):
                    raise LedgerUnavailable("the disk is full")
                return await note(*given)

            return step

        def sometimes(conclusion: Conclusion) -> None:
            if conclusion.verdict is Verdict.CHARGED or not self.world.chance(0.05) or self.world.chance(0.5):
                conclude(conclusion)

        ledger.reserve = slowly(ledger.reserve)  # type: ignore[method-assign]
        ledger.resend = slowly(ledger.resend)  # type: ignore[method-assign]
        ledger.send = slowly(ledger.send)  # type: ignore[method-assign]
        ledger.note = full(slowly(ledger.note))  # type: ignore[method-assign]
        ledger.conclude = sometimes  # type: ignore[method-assign]
