"""What a rail tells of a call while it runs, made durable: that an attempt leaves, and what must not be forgotten.

Before its first byte leaves, an attempt needs room in the limits' windows at that very time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, assert_never

from jecp_mcp.calls import refusals
from jecp_mcp.calls.clock_check import MOST_SKEW_SECONDS
from jecp_mcp.calls.stored import dump_answer
from jecp_mcp.clock import Clock, UnixMs
from jecp_mcp.domain.outcomes import Entry, Mark
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import LedgerError, WireError
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.mandate.records import (
    Admitted,
    Meter,
    Note,
    NotYours,
    OverLimit,
)
from jecp_mcp.mandate.rules import CLOCK_SLACK_MS
from jecp_mcp.mandate.windows import SHORTEST_SLOT_MS
from jecp_mcp.rails.base import NotNow

_MOST_ADMISSIONS: Final = 3
"""How often one attempt asks for room: a machine may fall asleep while the ledger answers, but not each time."""


class CallJournal:
    """The journal of one execution (`jecp_mcp.rails.base.Journal`).

    A call counts in the windows from the minute in which it was admitted. An attempt that leaves later is admitted
    anew, counts from then, and only once.

    Attributes:
        held_back: why the last attempt was not let go, if one was not.
        committed: whether it was written down that the next step pays for good.
        taken: whether the call turned out to be another process's by now, or not open any more.
        reserved: whether its row is only reserved: nothing has left, by its rail's word.
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
        reserved: bool = False,
        forbidden: Refusal | None = None,
    ) -> None:
        """Let the attempts of a call leave.

        Args:
            hold: what is held for it, micro-USDC.
            meters: every window cap that applies to it.
            claim: the claim under which it is sent.
            since: this machine's clock when it was admitted, or not later.
            admitted_at: the ledger's instant of that; None where each attempt is to be admitted, as a replay's are.
            reserved: whether its row is only reserved, and becomes sent with the first attempt.
            forbidden: why no attempt may leave, whatever room there is; None where one may.
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
        self._forbidden = forbidden
        self.reserved = reserved
        self.held_back: NotNow | None = None
        self.taken = self.committed = False

    async def sending(self) -> None:
        """As `jecp_mcp.rails.base.Journal.sending`."""
        try:
            await self._let_go()
        except NotNow as exc:
            self.held_back = exc
            raise

    async def keep(self, *entries: Entry) -> None:
        """As `jecp_mcp.rails.base.Journal.keep`."""
        try:
            noted = await self._ledger.note(self._call_id, self._claim, [_noted(entry) for entry in entries])
        except (LedgerError, WireError) as exc:
            raise NotNow(
                refusals.unreadable(exc) if isinstance(exc, LedgerError) else refusals.unwritable(exc)
            ) from exc
        if not noted:
            self.taken = True
            raise NotNow(refusals.taken_over())
        self.committed = self.committed or any(entry.mark is Mark.INTENT for entry in entries)

    async def _let_go(self) -> None:
        if self._forbidden is not None:
            raise NotNow(self._forbidden)
        if self.reserved:
            await self._send()
        if self._each:
            self._admitted_at = None
        for _ in range(_MOST_ADMISSIONS):
            now = self._clock.now()
            if now < self._since - CLOCK_SLACK_MS:
                raise NotNow(refusals.clock_set_back())
            if self._counted_now(now):
                self._compare_clocks()
                return
            await self._admit(now)
        raise NotNow(refusals.ledger_too_slow())

    def _counted_now(self, now: UnixMs) -> bool:
        """Whether the windows count the call in the minute that it is now, by the ledger's clock."""
        if self._admitted_at is None or now < self._since:
            return False
        passed = self._admitted_at % SHORTEST_SLOT_MS + now - self._since
        return passed < SHORTEST_SLOT_MS

    def _compare_clocks(self) -> None:
        """Where a server's clock is the windows', it must not leap either."""
        assert self._admitted_at is not None
        apart = (self._since - self._admitted_at) / 1000
        if abs(apart) > MOST_SKEW_SECONDS:
            raise NotNow(refusals.clocks_apart(apart))

    async def _send(self) -> None:
        try:
            sent = await self._ledger.send(self._call_id, self._claim)
        except LedgerError as exc:
            raise NotNow(refusals.ledger_trouble(exc)) from exc
        if not sent:
            self.taken = True
            raise NotNow(refusals.taken_over())
        self.reserved = False

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


def _noted(entry: Entry) -> Note:
    return Note(entry.mark, entry.data, None if entry.answer is None else dump_answer(entry.answer))
