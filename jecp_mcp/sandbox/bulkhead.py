"""Bulkheads: each kind of request has places of its own, so that a surge of one kind starves no other.

Which pool a route is in stands in ``/health``, with how full each is. ``/health`` itself, the pages and the sandbox's
controls are in none: they are reachable when every pool is full.

All kinds share one event loop, too. Whatever is ready in one of its turns waits for all the rest that is, so little is
done of each pool in a turn, and least of one in which much is under way while others are in use.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, Literal, Protocol, get_args

import anyio

from jecp_mcp.sandbox.error_answers import Refused

PoolName = Literal["invoke", "read", "provider"]
SIZES: Final[Mapping[PoolName, int]] = {"invoke": 256, "read": 8, "provider": 32}
"""How many requests of each kind are worked on at once."""
A_FEW: Final = 4
"""So many of a pool begin in one turn of the event loop, and end. With more in its places it is crowded: while other
pools are in use, too, one of its requests does one thing in a turn."""
BESIDE_OTHERS_SECONDS: Final[Mapping[PoolName, float]] = {"invoke": 0.0025, "read": 0.00125, "provider": 0.004}
"""While other pools are in use, too, a crowded one begins one request in so long, which leaves the others most of the
loop: a providers' request costs more than a call, and a call more than a read."""
IN_USE_SECONDS: Final = 1.0
"""How long a pool counts as in use after its last request: whoever asks again and again has pauses between."""
MOST_WAITING: Final = 1_024
_PROVIDERS: Final = ("/v1/providers", "/v1/manifests", "/v1/subscriptions")
_CALLS: Final = ("/v1/", "/api/agent")
_READS: Final = ("/v1/", "/.well-known/", "/llms.txt")


class Books(Protocol):
    """What most requests need, and nobody can use while it is being written to the disk."""

    @property
    def busy(self) -> bool:
        """Whether the loop would have to wait for it now."""

    def when_free(self, go_on: Callable[[], None]) -> None:
        """Call back once, when it no longer is."""

    expects: Callable[[], bool]
    """Set by the bulkhead: whether anybody waits to use it."""


class Pool:
    """Places for one kind of request."""

    def __init__(self, name: PoolName, books: Books, others: Callable[[], Iterable[Pool]] = tuple) -> None:
        """Begin empty, beside others."""
        self.name, self.size = name, SIZES[name]
        self._others = others
        self._places = anyio.Semaphore(self.size, fast_acquire=True)
        self._used_at = self._due_at = -math.inf
        self.turns = Turns(self, books)

    @property
    def crowded(self) -> bool:
        """Whether more than a few requests have a place."""
        return self.size - self._places.value > A_FEW

    @property
    def holds_back(self) -> bool:
        """Whether it is crowded while others are in use."""
        now = asyncio.get_running_loop().time()
        return self.crowded and any(pool.in_use(now) for pool in self._others())

    def pause(self) -> float:
        """In how many seconds the next request may begin."""
        return max(0, self._due_at - asyncio.get_running_loop().time()) if self.holds_back else 0

    def note_start(self) -> None:
        """A request begins: the next is due a while after this one was, with time for those of other crowded pools."""
        if not self.holds_back:
            return
        crowds = 1 + sum(pool.crowded for pool in self._others())
        now = asyncio.get_running_loop().time()
        each = BESIDE_OTHERS_SECONDS[self.name]
        self._due_at = max(self._due_at, now - A_FEW * each) + crowds * each

    def in_use(self, at: float) -> bool:
        """Whether any request has a place, or had just before `at`, the loop's time."""
        return self._places.value < self.size or at - self._used_at < IN_USE_SECONDS

    @asynccontextmanager
    async def place(self, *, with_books: bool = True) -> AsyncIterator[None]:
        """A place, once there is one and it is this request's turn; left when it is its turn to end.

        Args:
            with_books: whether it needs the books; it then begins when they are free.

        Raises:
            Refused: as many wait as may.
        """
        if self._places.value == 0 and self._places.statistics().tasks_waiting >= MOST_WAITING:
            raise Refused("SERVICE_DEGRADED", f"Too many requests wait in the Hub's {self.name} pool.", retry_after=1)
        async with self._places:
            await self.turns.take("begin with books" if with_books else "begin")
            yield
            if with_books:
                # One commit ends many at once.
                await self.turns.take("end")
        self._used_at = asyncio.get_running_loop().time()

    def view(self) -> dict[str, Any]:
        """How full it is."""
        return pool_view(self.size, self._places.value, self._places.statistics().tasks_waiting)


def pool_view(size: int, idle: int, waiting: int) -> dict[str, Any]:
    """How full a pool is, as ``/health`` shows it."""
    return {"status": "ok" if idle else "saturated", "size": size, "idle": idle, "waiting": waiting}


Step = Literal["settle", "begin with books", "begin", "end"]
_WITH_BOOKS: Final = frozenset[Step]({"settle", "begin with books"})
_BEGIN: Final = frozenset[Step]({"begin with books", "begin"})


class Turns:
    """Lets the requests of a pool go on, each kind of step in the order in which they came.

    In one turn of the event loop a few of each kind do, or of a pool that holds back one in all. What begins keeps the
    pool's pause, and what needs the books waits for them.
    """

    def __init__(self, pool: Pool, books: Books) -> None:
        self._pool, self._books = pool, books
        self._gone_on = Counter[Step]()
        self._comes = self._comes_later = False
        self._waiting: dict[Step, deque[asyncio.Future[None]]] = {step: deque() for step in get_args(Step)}

    @property
    def expects_books(self) -> bool:
        """Whether anything waits that will need the books."""
        return any(self._waiting[step] for step in _WITH_BOOKS)

    async def take(self, step: Step) -> None:
        """Wait for this turn, or a later one."""
        if not self._waiting[step] and self._has_room(step) and not self._is_hindered(step):
            self._go_on(step)
            return
        mine = asyncio.get_running_loop().create_future()
        self._waiting[step].append(mine)
        self._look_again()
        await mine

    def _has_room(self, step: Step) -> bool:
        return not self._gone_on if self._pool.holds_back else self._gone_on[step] < A_FEW

    def _is_hindered(self, step: Step) -> bool:
        return (step in _WITH_BOOKS and self._books.busy) or (step in _BEGIN and self._pool.pause() > 0)

    def _go_on(self, step: Step) -> None:
        self._gone_on[step] += 1
        if step in _BEGIN:
            self._pool.note_start()
        self._look_again()

    def _look_again(self) -> None:
        """See to it that those who wait go on when they may."""
        loop = asyncio.get_running_loop()
        if self._gone_on or any(self._waiting[step] and not self._is_hindered(step) for step in self._waiting):
            if not self._comes:
                self._comes = True
                loop.call_soon(self._next_turn)
        elif not self._comes_later:
            self._comes_later = True
            if self._waiting["begin"] or not self._books.busy:
                loop.call_later(self._pool.pause(), self._later)
            else:
                self._books.when_free(self._later)

    def _later(self) -> None:
        self._comes_later = False
        if not self._comes:
            self._next_turn()

    def _next_turn(self) -> None:
        self._gone_on.clear()
        self._comes = False
        for step, waiting in list(self._waiting.items()):
            while waiting and self._has_room(step) and not self._is_hindered(step):
                first = waiting.popleft()
                # Who left meanwhile takes nobody's turn.
                if not first.done():
                    first.set_result(None)
                    self._go_on(step)
                    # Next time the others come first.
                    self._waiting[step] = self._waiting.pop(step)
        if any(self._waiting.values()):
            self._look_again()


class Bulkhead:
    """The pools, and which route is in which."""

    def __init__(self, books: Books) -> None:
        self.pools: dict[PoolName, Pool] = {}
        for name in SIZES:
            self.pools[name] = Pool(name, books, partial(self._beside, name))
        books.expects = lambda: any(pool.turns.expects_books for pool in self.pools.values())
        self.assignments: dict[str, str] = {}

    def _beside(self, name: PoolName) -> Iterable[Pool]:
        return (pool for pool in self.pools.values() if pool.name != name)

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
