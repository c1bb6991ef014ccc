"""The ledger as one principal may read it: their own calls and limits, and nobody else's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from jecp_mcp.calls.ports import CallEnd
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.outcomes import Mark
from jecp_mcp.domain.purchases import Principal
from jecp_mcp.mandate.caps import meters_for, standing_meters
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.mandate.naming import names_of
from jecp_mcp.mandate.policy import Policy
from jecp_mcp.mandate.records import CallRow, MeterReading, Totals
from jecp_mcp.mandate.states import OPEN
from jecp_mcp.rails.registry import Rails


class Reader:
    """Reads; every method raises `LedgerError` where the ledger cannot be read."""

    def __init__(self, policy: Policy, ledger: Ledger, rails: Rails, principal: Principal) -> None:
        self._policy = policy
        self._ledger = ledger
        self._rails = rails
        self._principal = principal

    @property
    def trouble(self) -> str | None:
        """Why the ledger cannot be written at the moment, as far as it is known, or None."""
        return self._ledger.trouble

    async def call(self, call_id: str) -> CallRow | None:
        """One call with its bodies, or None."""
        row = await self._ledger.row(call_id)
        return row if row is not None and row.principal == self._principal else None

    def arguments_of(self, row: CallRow) -> Mapping[str, Any] | None:
        """What a call with its bodies was given; None where its request is not kept any more, or cannot be read."""
        return self._rails.arguments_of(row.rail, row.request)

    async def latest(self, *, limit: int) -> Sequence[CallRow]:
        """The latest calls, newest first, without their bodies."""
        return await self._ledger.rows(limit=limit, principal=self._principal)

    async def receipts(self, offer: Offer, *, among: int) -> tuple[int, int]:
        """How many of the latest `among` calls an offer's payee charged, and how many of these have a reference."""
        return await self._ledger.receipts(self._principal, offer.source, offer.payee, among=among)

    async def holding(self, *, limit: int) -> Sequence[CallRow]:
        """The latest calls that hold money without a proven end, newest first."""
        return await self._ledger.rows(limit=limit, states=OPEN, principal=self._principal)

    async def excessive(self, *, limit: int) -> Sequence[CallRow]:
        """The latest calls that were charged more than they were allowed to cost, newest first."""
        rows = await self._ledger.excessive(limit=limit)
        return [row for row in rows if row.principal == self._principal]

    async def windows(self, bought: tuple[Offer, str] | None = None, *, wait: bool = True) -> Sequence[MeterReading]:
        """How full the caps are: all of them, or those that apply to an offer under a tool's name.

        Args:
            wait: as `Ledger.readings` has it.
        """
        session = self._ledger.session
        if bought is None:
            meters = standing_meters(self._policy, principal=self._principal, session=session)
        else:
            meters = meters_for(self._policy.caps, names_of(*bought), self._principal, session)
        return await self._ledger.readings(meters, wait=wait)

    async def with_copy_number(self, end: CallEnd, *, labelled: bool) -> CallEnd:
        """A call's end with the number of the copy that it is, where it is a further one or has a label."""
        if end.call_id is None:
            return end
        number = await self._ledger.copy_number(end.call_id)
        copy = number if number > 1 or (labelled and number) else None
        return end if copy == end.copy else replace(end, copy=copy)

    async def totals(self) -> Totals:
        """The sums over the whole ledger."""
        return await self._ledger.totals()

    async def last_told(self, paid_by: tuple[str, str] | None = None) -> CallRow | None:
        """The latest call whose answer told the balance, or None: of an account, or of all of this process's.

        Args:
            paid_by: as `paying`.
        """
        accounts = [(rail, one.account) for rail, one in self._rails.accounts] if paid_by is None else [paid_by]
        found = [await self._ledger.last_of(*one) for one in accounts]
        rows = [row for row in found if row is not None]
        return max(rows, key=lambda row: row.number) if rows else None

    def paying(self, offer: Offer) -> tuple[str, str] | None:
        """The rail and account that pay for an offer, where the account can be asked something."""
        found = self._rails.paying(offer)
        return None if found is None else (found[0], found[1].account)

    def may_come_back(self, row: CallRow) -> bool:
        """Whether money of a call can be asked back at all: whether an account of its rail paid for it, which can.

        What was paid by the payer's own signature its payee no longer holds.
        """
        return row.mark is not Mark.AUTHORIZED and any(row.rail == rail for rail, _ in self._rails.accounts)

    def paid_here(self, row: CallRow) -> bool:
        """Whether an account of this process paid for a call, at its payee."""
        return any((row.rail, row.account) == (rail, one.account) for rail, one in self._rails.accounts)
