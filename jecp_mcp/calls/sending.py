"""What an attempt of a call needs before its first byte leaves: room in the limits' windows at that very time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, assert_never

from jecp_mcp.calls import refusals
from jecp_mcp.clock import Clock, UnixMs
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.ledger import Admitted, Ledger, Meter, NotYours, OverLimit
from jecp_mcp.mandate.rules import CLOCK_SLACK_MS
from jecp_mcp.mandate.windows import SHORTEST_SLOT_MS
from jecp_mcp.rails.base import NotNow

_MOST_ADMISSIONS: Final = 3
"""How often one attempt asks for room: a machine may fall asleep while the ledger answers, but not each time."""


class Sending:
    """The journal of one execution (`jecp_mcp.rails.base.Journal`).

    A call counts in the windows from the minute in which it was admitted. An attempt that leaves later is admitted
    anew, counts from then, and only once.

    Attributes:
        held_back: why the last attempt was not let go, if one was not.
        taken: whether the call turned out to be another process's by now, or not open any more.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        call_id: str,
        hold: int,
        meters: Sequence[Meter],
        claim: int,
        *,
        since: UnixMs,
        admitted_at: UnixMs | None,
    ) -> None:
        """Let the attempts of a call leave.

        Args:
            hold: what is held for it, micro-USDC.
            meters: every window cap that applies to it.
            claim: the claim under which it is sent.
            since: this machine's clock when it was admitted, or not later.
            admitted_at: the ledger's instant of that; None where each attempt is to be admitted, as a replay's are.
        """
        self._ledger = ledger
        self._clock = clock
        self._call_id = call_id
        self._hold = hold
        self._meters = meters
        self._claim = claim
        self._since = since
        self._admitted_at = admitted_at
        self._each = admitted_at is None
        self.held_back: NotNow | None = None
        self.taken = False

    async def sending(self) -> None:
        """As `jecp_mcp.rails.base.Journal.sending`."""
        try:
            await self._let_go()
        except NotNow as exc:
            self.held_back = exc
            raise

    async def _let_go(self) -> None:
        if self._each:
            self._admitted_at = None
        for _ in range(_MOST_ADMISSIONS):
            now = self._clock.now()
            if now < self._since - CLOCK_SLACK_MS:
                raise NotNow(refusals.clock_set_back())
            if self._counted_now(now):
                return
            await self._admit(now)
        raise NotNow(refusals.ledger_too_slow())

    def _counted_now(self, now: UnixMs) -> bool:
        """Whether the windows count the call in the minute that it is now, by the ledger's clock."""
        if self._admitted_at is None or now < self._since:
            return False
        passed = self._admitted_at % SHORTEST_SLOT_MS + now - self._since
        return passed < SHORTEST_SLOT_MS

    async def _admit(self, now: UnixMs) -> None:
        try:
            found = await self._ledger.resend(self._call_id, self._claim, self._meters)
        except LedgerError as exc:
            raise NotNow(refusals.ledger_trouble(exc)) from exc
        match found:
            case Admitted(at=at):
                self._since, self._admitted_at = now, at
            case OverLimit(resets_at=resets_at):
                raise NotNow(refusals.limit_reached(found, self._hold), resets_at)
            case NotYours():
                self.taken = True
                raise NotNow(refusals.taken_over())
            case _:
                assert_never(found)
