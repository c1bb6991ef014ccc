"""What an attempt of any rail asks for right before its first byte leaves."""

from __future__ import annotations

from jecp_mcp.clock import Clock, UnixMs, iso
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.rails.base import Journal, NotNow
from jecp_mcp.rails.codes import TOO_LATE_TO_SEND


class SendPermit:
    """Lets attempts leave until an instant, each once the journal has taken it down.

    Attributes:
        refused: why the last one was held back, if one was.
    """

    def __init__(self, until: UnixMs, journal: Journal, clock: Clock) -> None:
        self._until = until
        self._journal = journal
        self._clock = clock
        self.refused: NotNow | None = None

    async def ask(self) -> None:
        """Let the attempt leave. Raises `NotNow`."""
        try:
            self._in_time()
            await self._journal.sending()
            # Writing that down took time, in which the machine may have slept.
            self._in_time()
        except NotNow as exc:
            self.refused = exc
            raise

    def _in_time(self) -> None:
        if self._clock.now() >= self._until:
            raise NotNow(_too_late(self._until))


def _too_late(until: UnixMs) -> Refusal:
    return Refusal(
        TOO_LATE_TO_SEND,
        f"This call could be sent until {iso(until)} and is not any more: the machine slept, or its clock was set. "
        "Nothing was sent and nothing was charged.",
        details={"until": iso(until)},
        source="bridge",
    )
