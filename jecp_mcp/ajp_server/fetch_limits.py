"""How many declarations are fetched for whom, so that nobody keeps the others out, or has this agent pester a host."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from jecp_mcp.ajp_server.refusals import Refused
from jecp_mcp.clock import Clock

_AT_ONCE: Final = 8
"""How many are fetched at the same time for senders who were never here, and as many for those who were."""
_AT_ONCE_OF_HOST: Final = 2
_A_MINUTE_OF_HOST: Final = 30
_MINUTE: Final = 60.0
_MOST_HOSTS: Final = 1_024
_WAITING_BYTES: Final = 4 * 1024 * 1024
"""How long all offers together may be that wait for a declaration: each takes many times its length while it does."""
_AGAIN_SECONDS: Final = 5


class FetchLimits:
    """Lets declarations be fetched, within bounds. Whoever meets one is asked to come again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._fetching: Counter[bool] = Counter()
        self._waiting: Counter[bool] = Counter()
        self._hosts: Counter[tuple[str, bool]] = Counter()
        self._latest: OrderedDict[tuple[str, bool], deque[float]] = OrderedDict()

    @contextmanager
    def waiting(self, size: int, *, known: bool) -> Iterator[None]:
        """An offer waits for a declaration.

        Args:
            size: the bytes of the offer.
            known: whether it says to be of somebody who was here before: for those there is room beside all others'.

        Raises:
            Refused: too much waits already.
        """
        if self._waiting[known] + size > _WAITING_BYTES:
            raise _busy()
        self._waiting[known] += size
        try:
            yield
        finally:
            self._waiting[known] -= size

    @contextmanager
    def fetching(self, host: str, *, known: bool) -> Iterator[None]:
        """A declaration is fetched.

        Args:
            host: from which.
            known: as `waiting`.

        Raises:
            Refused: too many are, or were within a minute.
        """
        asked = host, known
        latest = self._latest.setdefault(asked, deque(maxlen=_A_MINUTE_OF_HOST))
        self._latest.move_to_end(asked)
        if len(self._latest) > _MOST_HOSTS:
            self._latest.popitem(last=False)
        now = self._clock.monotonic()
        often = len(latest) == _A_MINUTE_OF_HOST and latest[0] > now - _MINUTE
        if often or self._fetching[known] >= _AT_ONCE or self._hosts[asked] >= _AT_ONCE_OF_HOST:
            raise _busy()
        latest.append(now)
        self._fetching[known] += 1
        self._hosts[asked] += 1
        try:
            yield
        finally:
            self._fetching[known] -= 1
            self._hosts[asked] -= 1
            self._hosts += Counter()  # which leaves out those from whom nothing is fetched


def _busy() -> Refused:
    return Refused(429, "too many new senders at once; send the same offer again", retry_after=_AGAIN_SECONDS)
