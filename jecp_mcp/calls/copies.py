"""Copies of one call: purchases that a label alone tells apart, so that one more is bought only where it is meant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from jecp_mcp.calls import refusals, stored
from jecp_mcp.calls.ends import standing
from jecp_mcp.calls.execution import is_unfinished
from jecp_mcp.calls.orders import Wish
from jecp_mcp.calls.ports import CallEnd
from jecp_mcp.calls.runs import Run
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.mandate.records import CallRow


class Copies:
    """Looks for copies that are open. Every method raises `LedgerError` where the ledger cannot be read."""

    def __init__(self, ledger: Ledger, running: Mapping[str, Run]) -> None:
        """Look in `ledger`; `running` are the runs of this process by their fingerprint."""
        self._ledger = ledger
        self._running = running

    async def unresolved(self, wish: Wish) -> CallEnd | None:
        """How another copy stands of which nobody knows what becomes; None where there is none such.

        Whoever lost an answer and asks again under another label, or under none, would pay for the same twice. Copies
        that are wanted at once are each waited for, and stand in nobody's way.
        """
        # Nearly always there is none, which a look at what is written tells without waiting for what is queued.
        found = await self._open(wish, wait=False) and await self._open(wish, wait=True)
        return replace(standing(found), refusal=refusals.copy_open(found), offer=wish.purchase.offer) if found else None

    async def _open(self, wish: Wish, *, wait: bool) -> CallRow | None:
        rows = list(await self._ledger.open_copies(wish.identity, wait=wait))
        if wish.former is not None:
            rows += await self._ledger.open_copies(stored.identity_of(wish.former), wait=wait)
        others = (row for row in rows if row.fingerprint != wish.fingerprint)
        return next((row for row in others if not self._waited_for(row)), None)

    def _waited_for(self, row: CallRow) -> bool:
        run = self._running.get(row.fingerprint)
        return run is not None and run.waiting > 0 and not is_unfinished(row)
