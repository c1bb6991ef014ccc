"""A call whose end is not proven: taken over from a dead process, and sent again while that may still prove it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from jecp_mcp.calls.ends import conclusion, ended, standing
from jecp_mcp.calls.ports import CallEnd
from jecp_mcp.calls.stored import unpack
from jecp_mcp.clock import Clock
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.ledger import CallRow, Conclusion, Ledger
from jecp_mcp.mandate.states import OPEN, Event, State
from jecp_mcp.rails.base import Progress, Rail, Verdict

log = logging.getLogger(__name__)

REPLAY_WINDOW_MS: Final = 55 * 60 * 1000
"""How long a lost call may be replayed: five minutes inside the shortest idempotency window allowed (1 h)."""

CLOCK_SLACK_MS: Final = 60 * 1000
"""How far a call may seem to lie in the future; beyond that the clock went back, and its age is not known."""

_PROOF: Final[Mapping[Verdict, Event]] = {
    Verdict.CHARGED: Event.PROVE_CHARGED,
    Verdict.NOT_CHARGED: Event.PROVE_FREE,
    Verdict.IN_DOUBT: Event.DOUBT,
}
"""What the answer to a replay does to a call in doubt."""


class Replays:
    """Sends the identical bytes under the same id; never anything else."""

    def __init__(self, ledger: Ledger, rail: Rail, clock: Clock) -> None:
        self._ledger = ledger
        self._rail = rail
        self._clock = clock

    async def taken_over(self, row: CallRow) -> CallRow:
        """The call as it stands, taken over from the process that was paying for it if that one is dead."""
        if row.state not in OPEN or row.session == self._ledger.session:
            return row
        try:
            await self._ledger.adopt_orphans()
            return await self._ledger.row(row.call_id) or row
        except LedgerError as exc:
            log.error("call %s could not be taken over: %s", row.call_id, exc)  # noqa: TRY400 - the cause is in the message
            return row

    async def replay(self, row: CallRow, most: int | None, progress: Progress) -> CallEnd:
        """Send a call in doubt again, unless that is no longer safe or it was sent `most` times.

        One that another living process owns is that one's to finish.
        """
        if row.session != self._ledger.session:
            return standing(row)
        age = self._clock.now() - row.created_at
        if age > REPLAY_WINDOW_MS:
            self._ledger.conclude(
                Conclusion(row.call_id, Event.WRITE_OFF, evidence="the Hub's idempotency window has passed", attempts=0)
            )
            return standing(replace(row, state=State.WRITTEN_OFF))
        try:
            request = unpack(row.request)
        except LedgerError as exc:
            log.error("call %s cannot be replayed: %s", row.call_id, exc)  # noqa: TRY400 - the cause is in the message
            return standing(row)
        enough = most is not None and row.attempts >= most
        if enough or age < -CLOCK_SLACK_MS or request.account != self._rail.account:
            return standing(row)
        outcome = await self._rail.execute(request, replay=True, progress=progress)
        concluded = replace(conclusion(row.call_id, outcome), event=_PROOF[outcome.verdict])
        self._ledger.conclude(concluded)
        if outcome.verdict is Verdict.IN_DOUBT:
            return standing(replace(row, attempts=row.attempts + concluded.attempts))
        return replace(ended(row.call_id, None, outcome, request), stored=True)
