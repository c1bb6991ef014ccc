"""The last requests that changed something or wanted to, with what they were answered, in memory."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

MOST_KEPT: Final = 200
MOST_BYTES: Final = 16 * 1024
"""How much is kept of a body."""
_MOST_CHARACTERS: Final = 200


class RecordedRequest(NamedTuple):
    """A request and its answer. `number` counts from 1; `at` is Unix milliseconds.

    `request` and `answer` are the beginnings of the bodies, whose whole length in bytes stands beside. The answer of a
    stream is empty.
    """

    number: int
    at: int
    method: str
    path: str
    agent_id: str
    status: int
    milliseconds: float
    request: bytes
    request_bytes: int
    answer: bytes
    answer_bytes: int


class RequestLog:
    """The last two hundred requests."""

    def __init__(self) -> None:
        self._kept: deque[RecordedRequest] = deque(maxlen=MOST_KEPT)
        self.count = 0

    def note(
        self, at: int, head: tuple[str, str, str], status: int, milliseconds: float, bodies: tuple[bytes, bytes]
    ) -> None:
        """Remember a request.

        Args:
            at: when it was answered.
            head: its method, its path, and the agent that it says it is from.
            status: what it was answered with.
            milliseconds: how long that took.
            bodies: its body and the answer's.
        """
        self.count += 1
        method, path, agent_id = head
        request, answer = bodies
        self._kept.append(
            RecordedRequest(
                self.count, at, method, path[:_MOST_CHARACTERS], agent_id[:_MOST_CHARACTERS], status, milliseconds,
                request[:MOST_BYTES], len(request), answer[:MOST_BYTES], len(answer),
            )
        )  # fmt: skip

    def newest(self, before: int, most: int) -> list[RecordedRequest]:
        """Those before a number, the newest first."""
        return [one for one in reversed(self._kept) if one.number < before][:most]

    def get(self, number: int) -> RecordedRequest | None:
        """One of them; None for one that is not kept any more."""
        return next((one for one in self._kept if one.number == number), None)
