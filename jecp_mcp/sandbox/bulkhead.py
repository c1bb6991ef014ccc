"""Bulkheads: each kind of request has places of its own, so that a surge of one kind starves no other.

Which pool a route is in stands in ``/health``, with how full each is. ``/health`` itself, the pages and the sandbox's
controls are in none: they are reachable when every pool is full.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, Literal

import anyio

from jecp_mcp.sandbox.error_answers import Refused

PoolName = Literal["invoke", "read", "provider"]
SIZES: Final[Mapping[PoolName, int]] = {"invoke": 256, "read": 8, "provider": 32}
"""How many requests of each kind are worked on at once."""
STARTS_IN_A_TURN: Final[Mapping[PoolName, int]] = {"invoke": 16, "read": 1, "provider": 1}
"""How many of each kind begin in one turn of the event loop: whatever else is ready waits for no more. The calls
of one turn share a commit. While requests of another kind are worked on, one of each kind begins."""
MOST_WAITING: Final = 1_024
_PROVIDERS: Final = ("/v1/providers", "/v1/manifests", "/v1/subscriptions")
_CALLS: Final = ("/v1/", "/api/agent")
_READS: Final = ("/v1/", "/.well-known/", "/llms.txt")


class Pool:
    """Places for one kind of request."""

    def __init__(self, name: PoolName, others_busy: Callable[[], bool] = lambda: False) -> None:
        """Begin empty; `others_busy` says whether requests of another kind are worked on."""
        self.name, self.size = name, SIZES[name]
        self._places = anyio.Semaphore(self.size, fast_acquire=True)
        self._starts = _Starts(lambda: 1 if others_busy() else STARTS_IN_A_TURN[name])

    @property
    def busy(self) -> bool:
        """Whether any request is worked on."""
        return self._places.value < self.size

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place, once there is one and it is this request's turn.

        Raises:
            Refused: as many wait as may.
        """
        if self._places.value == 0 and self._places.statistics().tasks_waiting >= MOST_WAITING:
            raise Refused("SERVICE_DEGRADED", f"Too many requests wait in the Hub's {self.name} pool.", retry_after=1)
        async with self._places:
            await self._starts.take()
            yield

    def view(self) -> dict[str, Any]:
        """How full it is."""
        return pool_view(self.size, self._places.value, self._places.statistics().tasks_waiting)


def pool_view(size: int, idle: int, waiting: int) -> dict[str, Any]:
    """How full a pool is, as ``/health`` shows it."""
    return {"status": "ok" if idle else "saturated", "size": size, "idle": idle, "waiting": waiting}


class _Starts:
    """Lets so many begin in one turn of the event loop, in the order in which they came."""

    def __init__(self, most: Callable[[], int]) -> None:
        self._most, self._begun = most, 0
        self._waiting = deque[asyncio.Future[None]]()

    async def take(self) -> None:
        """Wait for this turn, or a later one."""
        if not self._waiting and self._begun < self._most():
            self._begin()
            return
        mine = asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        await mine

    def _begin(self) -> None:
        if self._begun == 0:
            asyncio.get_running_loop().call_soon(self._next_turn)
        self._begun += 1

    def _next_turn(self) -> None:
        self._begun = 0
        while self._waiting and self._begun < self._most():
            first = self._waiting.popleft()
            # Who left meanwhile takes nobody's turn.
            if not first.done():
                self._begin()
                first.set_result(None)


class Bulkhead:
    """The pools, and which route is in which."""

    def __init__(self) -> None:
        self.pools: dict[PoolName, Pool] = {}
        for name in SIZES:
            self.pools[name] = Pool(name, partial(self._busy_beside, name))
        self.assignments: dict[str, str] = {}

    def _busy_beside(self, name: PoolName) -> bool:
        return any(pool.busy for pool in self.pools.values() if pool.name != name)

    def assign(self, method: str, path: str) -> Pool | None:
        """The pool of a route, noted for ``/health``; None for one that is in none."""
        name = _pool_of(method, path)
        if name is None:
            return None
        self.assignments[f"{method:<4} {path}"] = name
        return self.pools[name]


def _pool_of(method: str, path: str) -> PoolName | None:
    if method == "GET":
        return "read" if path.startswith(_READS) else None
    if path.startswith(_PROVIDERS):
        return "provider"
    return "invoke" if path.startswith(_CALLS) else None
