"""What the bridge does beside the calls, for as long as it runs: finish what was left open, note refunds, tidy up."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from jecp_mcp.calls.ends import MOST_ATTEMPTS
from jecp_mcp.calls.ports import CallEnd, Charge
from jecp_mcp.calls.refusals import estimated
from jecp_mcp.clock import Clock, UnixMs
from jecp_mcp.errors import HubError, LedgerError
from jecp_mcp.mandate.ledger import CallRow, Ledger
from jecp_mcp.mandate.states import OPEN
from jecp_mcp.rails.base import UNREAD, Rail

log = logging.getLogger(__name__)

ROUND_SECONDS: Final = 300.0
"""How often a living process looks for calls that somebody left open."""

ROUNDS_BETWEEN_REFUNDS: Final = 12
"""After how many rounds the Hub is asked for refunds: once an hour."""

FRUITLESS: Final = 3
"""How many calls in a row may be sent again in vain before a round ends: a Hub that is down is not asked for each."""

_DAY_MS: Final = 86_400_000


class Upkeep:
    """The rounds of one process."""

    def __init__(
        self,
        ledger: Ledger,
        rail: Rail,
        clock: Clock,
        resolve: Callable[[str, int | None], Awaitable[CallEnd | None]],
        *,
        keep_bodies_days: int,
    ) -> None:
        """Keep up `ledger`.

        Args:
            resolve: finishes one call, sending it again at most so many times in all.
            keep_bodies_days: how long the request and answer of a call that has ended are kept.
        """
        self._ledger = ledger
        self._rail = rail
        self._clock = clock
        self._resolve = resolve
        self._keep_ms = keep_bodies_days * _DAY_MS

    async def recover(self) -> None:
        """Finish what dead processes left open. What cannot be finished stays counted as spent."""
        # However often a call was sent before: a start is rare, and the Hub may answer again by now.
        await self._finish(None)

    async def keep(self) -> None:
        """`recover`, then a round every `ROUND_SECONDS` until cancelled."""
        done = 0
        while True:
            try:
                await (self._round(done) if done else self.recover())
            except Exception:
                # Nobody watches this task but its group, which carries every caller's purchase.
                log.exception("a round of the ledger's upkeep failed; the next one tries again")
            done += 1
            await anyio.sleep(ROUND_SECONDS)

    async def note_refunds(self) -> int:
        """Take what the Hub gave back into the windows it came from; returns how many calls that was news for.

        Raises:
            HubError: the Hub does not say.
            LedgerError: it cannot be written down.
        """
        news = 0
        for refund in await self._rail.refunds():
            row = await self._ledger.of_transaction(refund.transaction_id)
            if row is None:
                continue
            try:
                # What a charge rests on is still to be told when some of it came back.
                evidence = refund.evidence + (UNREAD if estimated(row) else "")
                news += await self._ledger.refund(row.call_id, refund.amount, evidence)
            except LedgerError as exc:
                log.warning("a refund of call %s was not taken into the limits: %s", row.call_id, exc)
        return news

    async def _round(self, number: int) -> None:
        await self._finish(MOST_ATTEMPTS)
        if number % ROUNDS_BETWEEN_REFUNDS == 0:
            try:
                await self.note_refunds()
            except HubError as exc:
                log.info("the Hub was not asked for refunds: %s", exc)
        if number % ROUNDS_BETWEEN_REFUNDS == 1:
            await self._ledger.prune(UnixMs(self._clock.now() - self._keep_ms))

    async def _finish(self, most: int | None) -> None:
        try:
            orphans = await self._ledger.adopt_orphans()
        except LedgerError as exc:
            log.error("open calls of earlier runs could not be taken over: %s", exc)  # noqa: TRY400 - the cause is in the message
            return
        left, in_vain = len(orphans), 0
        for row in orphans:
            end = await self._resolve(row.call_id, most)
            charge = Charge.UNKNOWN if end is None else end.charge
            if charge is not Charge.UNKNOWN or most is None:
                log.warning("call %s, whose answer was lost: charged=%s", row.call_id, charge.value)
            now = await self._as_it_stands(row)
            if now is None or now.state not in OPEN:
                left, in_vain = left - 1, 0
            elif now.attempts > row.attempts:
                # One that was not sent, because it was sent often enough, says nothing of the Hub.
                in_vain += 1
            if in_vain >= FRUITLESS and left > FRUITLESS:
                log.warning("%d calls stay in doubt until the next round", left)
                return

    async def _as_it_stands(self, row: CallRow) -> CallRow | None:
        try:
            return await self._ledger.row(row.call_id)
        except LedgerError as exc:
            log.error("call %s cannot be read: %s", row.call_id, exc)  # noqa: TRY400 - the cause is in the message
            return row
