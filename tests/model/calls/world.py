"""Time that a story moves: an event loop whose clock stands still while the machine sleeps, and a wall clock that does
not. Nothing here waits for real, so a seed tells the same story every time."""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.lowlevel

from jecp_mcp.clock import UnixMs

BEGIN = 1_800_000_000_000
SLEEPS = (90_000, 20 * 60_000, 50 * 60_000, 2 * 3_600_000, 9 * 3_600_000)
"""How long a closed lid stays closed, in milliseconds."""


class _Selector(selectors.SelectSelector):
    """Passes time instead of waiting for it."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found and timeout is None:
            raise AssertionError("the story stands still: everybody waits for somebody")
        if not found and timeout:
            self.passed += timeout
        return found


class _Here(ThreadPoolExecutor):
    """What would be done in a thread is done at once: no time passes meanwhile."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as exc:  # noqa: BLE001 whoever waits is told, as of a thread
            done.set_exception(exc)
        return done


class StoryLoop(asyncio.SelectorEventLoop):
    """A loop in which a timer is due as soon as nothing else is to be done."""

    def __init__(self) -> None:
        self._passing = _Selector()
        super().__init__(self._passing)
        self.set_default_executor(_Here())

    async def shutdown_default_executor(self, *_: Any) -> None:
        """There is no thread to wait for."""

    def time(self) -> float:
        return self._passing.passed


def tell(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Live through a story in its own time."""
    with asyncio.Runner(loop_factory=StoryLoop) as runner:
        runner.run(story())


@dataclass
class OnItsWay:
    """A request that has left and arrives later."""

    due: int
    arrive: Callable[[], object]


class World:
    """One machine with its clocks, and the network behind it. It is the machine's `Clock`."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.calm = False
        self.slept = 0
        self.on_its_way: list[OnItsWay] = []
        self._arriving: int | None = None

    def now(self) -> UnixMs:
        if self._arriving is not None:
            return UnixMs(self._arriving)
        return UnixMs(BEGIN + self.slept + int(self.monotonic() * 1000))

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def chance(self, probability: float) -> bool:
        return not self.calm and self.rng.random() < probability

    def suspend(self) -> None:
        """Close the lid, and open it again: the wall clock has moved on, the monotonic one has not."""
        self.slept += self.rng.choice(SLEEPS)
        self.arrive()

    async def pass_time(self, seconds: float) -> None:
        """Be awake for a while."""
        await anyio.sleep(seconds)
        self.arrive()

    async def pause(self) -> None:
        """What may happen wherever a task waits for something."""
        if self.calm:
            await anyio.lowlevel.checkpoint()
            return
        dice = self.rng.random()
        if dice < 0.01:
            self.suspend()
        elif dice < 0.10:
            await self.pass_time(self.rng.choice((0.5, 5.0, 25.0)))
        for _ in range(self.rng.randrange(3)):
            await anyio.lowlevel.checkpoint()

    def arrive(self) -> None:
        """What is under way arrives at its own time, also while the machine sleeps."""
        now = self.now()
        for one in sorted((one for one in self.on_its_way if one.due <= now), key=lambda one: one.due):
            self.on_its_way.remove(one)
            self._arriving = one.due
            one.arrive()
            self._arriving = None
