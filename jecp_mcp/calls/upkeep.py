"""What the bridge does beside the calls, for as long as it runs: finish what was left open, note refunds, tidy up."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

import anyio
from anyio.abc import TaskGroup

from jecp_mcp.calls.account_rounds import Account, AccountRounds
from jecp_mcp.calls.clock_check import ClockCheck
from jecp_mcp.calls.codes import CLOCK_WRONG
from jecp_mcp.calls.ports import CallEnd
from jecp_mcp.calls.refusals import estimated
from jecp_mcp.clock import Clock, UnixMs
from jecp_mcp.domain.outcomes import UNREAD, Mark
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import LedgerError, PayeeError
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.mandate.records import CallRow
from jecp_mcp.mandate.rules import CLOCK_SLACK_MS
from jecp_mcp.mandate.states import OPEN
from jecp_mcp.rails.base import Witness
from jecp_mcp.rails.registry import Rails

log = logging.getLogger(__name__)

ROUND_SECONDS: Final = 180.0
"""How often a living process looks for calls that somebody left open, if none of its own is due before."""

LEAST_SECONDS: Final = 1.0
"""The shortest pause between two rounds."""

FRUITLESS_SECONDS: Final = 30.0
"""How long a payee that answers nobody is left alone."""

BESIDE_SECONDS: Final = 10.0
"""How long a round waits for payees at most, and the shortest pause before the next while one of them is still waited
for, or left alone."""

CHORES_SECONDS: Final = 3_600.0
"""How often refunds are asked for and old bodies dropped."""

jitter: Callable[[], float] = secrets.SystemRandom().random
"""Gives numbers from 0 to 1."""

_DAY_MS: Final = 86_400_000
_LISTED: Final = 1_000

_Teller = tuple[str, Witness | None]
"""A rail, and who tells the time to whom its calls are paid."""


class Upkeep:
    """The rounds of one process."""

    def __init__(
        self,
        ledger: Ledger,
        rails: Rails,
        clock: Clock,
        clock_check: ClockCheck,
        resolve: Callable[[str], Awaitable[CallEnd | None]],
        working: Collection[str],
        keep_bodies_days: int,
    ) -> None:
        """Keep up `ledger`.

        Args:
            resolve: finishes one call, if that is possible now.
            working: the ids of the calls that tasks of this process work on.
            keep_bodies_days: how long the request and answer of a call that has ended are kept.
        """
        self._ledger = ledger
        self._rails = rails
        self._clock = clock
        self._clock_check = clock_check
        self._accounts = AccountRounds(ledger, resolve)
        self._rest: dict[Account, float] = {}
        """Until when on the monotonic clock accounts are left alone."""
        self._working = working
        self._keep_ms = keep_bodies_days * _DAY_MS
        self._news = anyio.Event()

    def wake(self) -> None:
        """Look anew when the next call is due."""
        self._news.set()

    async def recover(self, but: Collection[str] = ()) -> bool:
        """Finish what is due, `but` of these sources; what cannot be finished stays counted as spent.

        Returns whether some were left because their payee answers nobody, or the clock cannot be gone by.
        """
        due, held = await self._askable(but)
        left: list[Account] = []
        await self._accounts.finish(due, left.append)
        return held or bool(left)

    async def keep(self) -> None:
        """A round whenever a call is due, and every `ROUND_SECONDS`, until cancelled.

        A round waits for no payee longer than `BESIDE_SECONDS`: the next one goes on without those that were not done
        with.
        """
        chores_at = self._clock.monotonic() + ROUND_SECONDS
        async with anyio.create_task_group() as tasks:
            while True:
                held = False
                try:
                    held = await self._round(tasks)
                    if self._clock.monotonic() >= chores_at:
                        chores_at = self._clock.monotonic() + CHORES_SECONDS
                        await self._chores()
                except Exception:
                    # Nobody watches this task but its group, which carries every caller's purchase.
                    log.exception("a round of the ledger's upkeep failed; the next one tries again")
                # What nobody is asked for now is due all the while.
                least = BESIDE_SECONDS if self._accounts.busy or self._resting() else LEAST_SECONDS
                await self._pause(FRUITLESS_SECONDS if held else least)

    async def _round(self, tasks: TaskGroup) -> bool:
        """As `recover`, in `tasks`, but for accounts that are left alone; whether the clock could not be gone by."""
        due, held = await self._askable()
        over = anyio.Event()

        async def finish() -> None:
            await self._accounts.finish(due, self._leave, self._resting)
            over.set()

        tasks.start_soon(finish)
        with anyio.move_on_after(BESIDE_SECONDS):
            await over.wait()
        return held

    async def _askable(self, but: Collection[str] = ()) -> tuple[Sequence[CallRow], bool]:
        """The calls to be asked for now, and whether there are others for which the clock cannot be gone by."""
        known = self._ledger.fault
        try:
            due, faults = await self._due(but)
        except LedgerError as exc:
            # What is wrong with the ledger from the start was said then.
            level = logging.ERROR if known is None else logging.INFO
            log.log(level, "open calls of earlier runs could not be taken over: %s", exc)
            return (), False
        return [row for row in due if self._told_by(row) not in faults], bool(faults)

    def _leave(self, account: Account) -> None:
        self._rest[account] = self._clock.monotonic() + FRUITLESS_SECONDS

    def _resting(self) -> Collection[Account]:
        """The accounts that are left alone now."""
        now = self._clock.monotonic()
        self._rest = {account: until for account, until in self._rest.items() if until > now}
        return self._rest.keys()

    async def note_refunds(self) -> int:
        """Take what payees gave back into the windows it came from; returns how many calls that was news for.

        Only of what they hold themselves: of a call for which a payment was signed, its rail finds out what came back.

        Raises:
            PayeeError: a payee does not say; what the others say was noted all the same.
            LedgerError: it cannot be written down.
        """
        news, failed = 0, None
        for rail, account in self._rails.accounts:
            whose = account.account
            try:
                refunds = await account.paid_refunds()
            except PayeeError as exc:
                failed = failed or exc
                continue
            for refund in refunds:
                row = await self._ledger.of_reference(rail, whose, refund.reference)
                if row is None or row.mark is Mark.AUTHORIZED:
                    # What was paid by the payer's own signature comes back to the payer's own wallet: that a payee says
                    # so frees nothing.
                    continue
                try:
                    # What a charge rests on is still to be told when some of it came back.
                    evidence = refund.evidence + (UNREAD if estimated(row) else "")
                    news += await self._ledger.refund(row.call_id, refund.amount, evidence)
                except LedgerError as exc:
                    log.warning("a refund of call %s was not taken into the limits: %s", row.call_id, exc)
        if failed is not None:
            raise failed
        return news

    async def _chores(self) -> None:
        # This also hears anew what the payee says of itself.
        fault = await self._clock_check.house_fault()
        if fault is None:
            await self._ledger.prune(UnixMs(self._clock.now() - self._keep_ms))
        else:
            log.info("old requests and answers are kept for now: %s", fault.message)
        try:
            await self.note_refunds()
        except PayeeError as exc:
            log.info("a payee was not asked for refunds: %s", exc)

    async def _pause(self, least: float) -> None:
        """Wait for the next round: until a call is due, which may change meanwhile.

        No two processes keep step: who looks at a dead one's calls keeps the others from them for that moment.
        """
        with anyio.move_on_after(ROUND_SECONDS * (1 - jitter() / 5)):
            await anyio.sleep(least)
            while True:
                self._news = anyio.Event()
                due = await self._next_look()
                seconds = ROUND_SECONDS if due is None else (due - self._clock.now()) / 1000
                if seconds <= 0:
                    return
                with anyio.move_on_after(seconds):
                    await self._news.wait()

    async def _next_look(self) -> UnixMs | None:
        try:
            await self._ledger.flush()
            return await self._ledger.next_look()
        except LedgerError as exc:
            log.info("when the next call is due cannot be read: %s", exc)
            return None

    def _in_question(self, row: CallRow) -> bool:
        """Whether something is to be done now about an open call, as far as this machine's clock tells."""
        if row.call_id in self._working:
            return False
        now = self._clock.now()
        due = row.look_again_at is None or row.look_again_at <= now
        return due or self._ahead(row) or (row.provable_until is not None and row.provable_until <= now)

    def _ahead(self, row: CallRow) -> bool:
        return row.created_at > self._clock.now() + CLOCK_SLACK_MS

    def _told_by(self, row: CallRow) -> _Teller:
        return row.rail, self._rails.witness(row.rail, row.account)

    async def _due(self, but: Collection[str] = ()) -> tuple[Sequence[CallRow], Mapping[_Teller, Refusal]]:
        """The calls to be asked for now, once nobody's are seen to; and why some cannot be, by who tells them the time.

        Args:
            but: the sources that are not asked now.

        Raises:
            LedgerError: they cannot be read, or not be taken over.
        """
        listed = await self._ledger.rows(limit=_LISTED, states=OPEN)
        rows = [row for row in listed if row.source not in but]
        asked = {self._told_by(row) for row in rows if self._in_question(row) or len(listed) == _LISTED}
        found = {one: await self._clock_check.fault(one[1], fresh=True) for one in sorted(asked, key=_rail_of)}
        faults = {one: fault for one, fault in found.items() if fault is not None}
        if found and all(one in faults and faults[one].code == CLOCK_WRONG for one in found):
            # What is written down now would carry a time that is none.
            self._note_left(rows, faults)
            return (), faults
        # What is written off for its age is everybody's, so everybody who tells the time has a say in that.
        right = bool(found) and not faults and not but and await self._clock_is_right(found, rows)
        adopted = await self._ledger.adopt_orphans(self._rails.serves, self._working, clock_right=right)
        due = [row for row in adopted if row.source not in but]
        for one in sorted({self._told_by(row) for row in due} - found.keys(), key=_rail_of):
            # Of charges that may yet turn, or of what another left open meanwhile.
            fault = await self._clock_check.fault(one[1], fresh=True)
            if fault is not None:
                faults[one] = fault
        self._note_left([*rows, *due], faults)
        return due, faults

    def _note_left(self, rows: Iterable[CallRow], faults: Mapping[_Teller, Refusal]) -> None:
        """Log whose calls are not asked for now, and why: what was charged for them is as unknown as it was."""
        left: dict[_Teller, set[str]] = {one: set() for one in faults}
        for row in rows:
            if (told_by := self._told_by(row)) in left:
                left[told_by].add(row.account)
        for one, accounts in left.items():
            whose, why = ", ".join(sorted(accounts)), faults[one].code
            log.warning("open calls of %s stay as they are, and counted as spent, until the next round: %s", whose, why)

    async def _clock_is_right(self, tellers: Iterable[_Teller], rows: Sequence[CallRow]) -> bool:
        """Whether a clock in which nobody found a fault can be gone by, for these open calls.

        Raises:
            LedgerError: it cannot be written down that it is right.
        """
        own = [witness for _, witness in tellers if witness is not None]
        told = [await witness.skew() for witness in own] + [one.heard() for one in self._rails.witnesses]
        if all(skew is None for skew in told):
            # Nobody ever tells the time. That will do, but not where the clock is known to have been wrong.
            return not any(self._ahead(row) for row in rows)
        await self._ledger.trust_clock()
        return True


def _rail_of(teller: _Teller) -> str:
    return teller[0]
