"""Bulkheads: each kind of request has places of its own, so that a surge of one kind starves no other.

Which pool a route is in stands in ``/health``, with how full each is. ``/health`` itself, the pages and the sandbox's
controls are in none: they are reachable when every pool is full.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import anyio

from jecp_mcp.sandbox.error_answers import Refused

PoolName = Literal["invoke", "read", "provider"]
SIZES: Final[Mapping[PoolName, int]] = {"invoke": 256, "read": 8, "provider": 32}
"""How many requests of each kind are worked on at once. Reads are short, and the fewer at once, the sooner a call comes
between them."""
MOST_WAITING: Final = 1_024
_PROVIDERS: Final = ("/v1/providers", "/v1/manifests", "/v1/subscriptions")
_CALLS: Final = ("/v1/", "/api/agent")
_READS: Final = ("/v1/", "/.well-known/", "/llms.txt")


class Pool:
    """Places for one kind of request."""

    def __init__(self, name: str, size: int) -> None:
        self.name, self.size = name, size
        self._places = anyio.Semaphore(size, fast_acquire=True)

    async def enter(self) -> None:
        """Wait for a place, which `leave` gives back.

        Raises:
            Refused: as many wait as may.
        """
        if self._places.value == 0 and self._places.statistics().tasks_waiting >= MOST_WAITING:
            raise Refused("SERVICE_DEGRADED", f"Too many requests wait in the Hub's {self.name} pool.", retry_after=1)
        await self._places.acquire()

    def leave(self) -> None:
        """Give a place back."""
        self._places.release()

    def view(self) -> dict[str, Any]:
        """How full it is."""
        return pool_view(self.size, self._places.value, self._places.statistics().tasks_waiting)


def pool_view(size: int, idle: int, waiting: int) -> dict[str, Any]:
    """How full a pool is, as ``/health`` shows it."""
    return {"status": "ok" if idle else "saturated", "size": size, "idle": idle, "waiting": waiting}


class Bulkhead:
    """The pools, and which route is in which."""

    def __init__(self) -> None:
        self.pools: dict[PoolName, Pool] = {name: Pool(name, size) for name, size in SIZES.items()}
        self.assignments: dict[str, str] = {}

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
