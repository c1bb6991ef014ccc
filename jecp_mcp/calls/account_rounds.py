"""The calls that are due to be asked for: those of one account one after another, those of several side by side.

So a payee that keeps everybody waiting keeps no other account's calls from being found out about.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final

import anyio

from jecp_mcp.calls.execution import is_pending, may_turn
from jecp_mcp.calls.ports import CallEnd, Charge
from jecp_mcp.domain.outcomes import UNHEARD
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.mandate.records import CallRow
from jecp_mcp.mandate.states import OPEN

log = logging.getLogger(__name__)

FRUITLESS: Final = 3
"""How many calls of an account may be asked for in vain before a round leaves its others: a payee that is down is not
asked for each."""

ACCOUNTS_AT_ONCE: Final = 8
"""How many accounts' calls are looked at side by side."""

Account = tuple[str, str]
"""A rail, and an account there."""


class AccountRounds:
    """Finishes due calls."""

    def __init__(self, ledger: Ledger, resolve: Callable[[str], Awaitable[CallEnd | None]]) -> None:
        """Look into `ledger`; `resolve` finishes one call, if that is possible now."""
        self._ledger = ledger
        self._resolve = resolve
        self._room = anyio.CapacityLimiter(ACCOUNTS_AT_ONCE)
        self._busy: set[Account] = set()

    @property
    def busy(self) -> bool:
        """Whether some account's calls are being looked at."""
        return bool(self._busy)

    async def finish(
        self,
        due: Sequence[CallRow],
        leave: Callable[[Account], None],
        resting: Callable[[], Collection[Account]] = tuple,
    ) -> None:
        """Finish calls. Those of an account that is being looked at already are left to whoever does that.

        Args:
            leave: told each account of which some were left, because its payee answers nobody or this program failed.
            resting: the accounts that are left alone, asked when one's turn comes: a round may just have left it.
        """
        by_account: defaultdict[Account, list[CallRow]] = defaultdict(list)
        for row in due:
            by_account[row.rail, row.account].append(row)
        async with anyio.create_task_group() as tasks:
            for account, rows in by_account.items():
                tasks.start_soon(self._see_to, account, rows, leave, resting)

    async def _see_to(
        self,
        account: Account,
        rows: Sequence[CallRow],
        leave: Callable[[Account], None],
        resting: Callable[[], Collection[Account]],
    ) -> None:
        if account in self._busy or account in resting():
            return
        self._busy.add(account)
        try:
            async with self._room:
                left = await self._in_turn(rows)
        except Exception:
            # The other accounts' calls are looked at in the same group.
            log.exception("open calls of %s could not be looked at; a later round tries again", account[1])
            leave(account)
        else:
            if left:
                log.warning("%d calls of %s stay in doubt until the next round", left, account[1])
                leave(account)
        finally:
            self._busy.discard(account)

    async def _in_turn(self, rows: Sequence[CallRow]) -> int:
        """Finish an account's calls, as far as its payee answers; how many were left."""
        in_vain = 0
        for number, row in enumerate(rows):
            if in_vain >= FRUITLESS:
                return len(rows) - number
            end = await self._resolve(row.call_id)
            charge = Charge.UNKNOWN if end is None else end.charge
            if charge is not Charge.UNKNOWN and is_pending(row):
                log.info("call %s, which its payee worked on, has ended: charged=%s", row.call_id, charge.value)
            elif charge is not Charge.UNKNOWN and row.state in OPEN:
                log.warning("call %s, whose answer was lost: charged=%s", row.call_id, charge.value)
            now = await self._as_it_stands(row)
            # Who is known to work on a call was not asked in vain.
            vain = now is None or (now.state in OPEN and not is_pending(now)) or _unheard(now)
            in_vain = in_vain + 1 if vain else 0
        return 0

    async def _as_it_stands(self, row: CallRow) -> CallRow | None:
        try:
            await self._ledger.flush()
            return await self._ledger.row(row.call_id)
        except LedgerError as exc:
            log.error("call %s cannot be read: %s", row.call_id, exc)  # noqa: TRY400 - the cause is in the message
            return row


def _unheard(row: CallRow) -> bool:
    """Whether a charge may yet turn, and its payee was asked in vain how it stands."""
    return may_turn(row) and row.evidence is not None and row.evidence.endswith(UNHEARD)
