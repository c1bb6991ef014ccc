"""What the pipeline asks of a ledger, whatever keeps it. The rows are the truth about money spent.

Amounts are micro-USDC, instants milliseconds since the Unix epoch (UTC).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.grants import Grants
from jecp_mcp.mandate.records import (
    Admission,
    AlreadyOpen,
    AuditReport,
    CallRow,
    Conclusion,
    EventRow,
    Meter,
    MeterReading,
    Note,
    Readmission,
    Reservation,
    Totals,
    Undelivered,
)
from jecp_mcp.mandate.served import Serves
from jecp_mcp.mandate.states import State
from jecp_mcp.money import MicroUSDC


class Ledger(Grants, Protocol):
    """A durable ledger.

    Every method raises `jecp_mcp.errors.LedgerUnavailable` when it cannot write and `LedgerDamaged` when the file is
    not what was written; then nothing of the request was done.
    """

    @property
    def session(self) -> str:
        """This process session's id; the owner of the rows it writes."""
        ...

    @property
    def fault(self) -> LedgerError | None:
        """Why it cannot be used now, or None."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why what waits to be written could not be, the last time it was tried; None where it could."""
        ...

    async def reserve(self, reservation: Reservation) -> Admission:
        """Check every cap and write the row in one atomic, durable step.

        Looked at in this order: an open call with the same fingerprint, an undelivered answer to it from the
        last 24 hours, the caps. When several caps have no room, the one reported takes longest to reset. A caller that
        is cancelled meanwhile leaves nothing held.

        Raises:
            LedgerError: the call id is taken, or the reservation names another session.
            ClockWentBack: the clock is well behind the last change; `trust_clock` tells that it is right.
        """
        ...

    async def send(self, call_id: str, claim: int = 0) -> bool:
        """Move a ``reserved`` row to ``sent``, durably. False when it is no longer ``reserved`` or under that claim.

        Raises:
            LedgerError: there is no such call.
        """
        ...

    async def resend(self, call_id: str, claim: int, meters: Sequence[Meter]) -> Readmission:
        """Let an open call leave again, in one atomic, durable step: the windows count it from now on, once.

        Args:
            claim: the claim under which it is sent.
            meters: every window cap that applies to it now; each must have room for it beside everything but itself,
                unless its window counts it already.

        Raises:
            LedgerError: there is no such call.
        """
        ...

    async def note(self, call_id: str, claim: int, notes: Sequence[Note]) -> bool:
        """Write down, durably and in one step, how far an open call has come.

        After `Mark.INTENT` only a person says that it was not charged. False when the call is not open any more, or
        not under that claim: then whoever works on it must not go on.

        Raises:
            LedgerError: there is no such call, or a text is too long.
        """
        ...

    async def identical(self, fingerprint: str) -> AlreadyOpen | Undelivered | None:
        """The call that a reservation with this fingerprint would repeat, or None."""
        ...

    async def open_copies(self, identity: str, *, wait: bool = True) -> Sequence[CallRow]:
        """The open calls whose fingerprint is `identity` or begins with it and a point, without their bodies.

        Args:
            wait: whether what this process has queued is written first; else a call that ended just now may still be
                among them.
        """
        ...

    async def copy_number(self, call_id: str) -> int:
        """Which copy of its call this one is, counted from 1; 0 where there is no such call.

        Those count that were bought or may have been, among the 1,000 calls before it.
        """
        ...

    def conclude(self, conclusion: Conclusion) -> None:
        """Queue what became of a call; written in the next batch.

        Losing it to a crash leaves the row ``sent``, which is safe. What says nothing new of the row, or is no longer
        believed, is logged and dropped.
        """
        ...

    async def conclude_now(self, conclusion: Conclusion) -> None:
        """Write what became of a call, durably: for an operator, who wants to know.

        Raises:
            LedgerError: there is no such call, or it says nothing new of where the call stands.
        """
        ...

    def write_off(self, call_id: str, evidence: str) -> None:
        """Queue that the call's end can no longer be proven: it counts as spent until a person rules."""
        ...

    async def correct(self, call_id: str, charged: MicroUSDC, evidence: str) -> None:
        """Move what a charged call counts for to `charged` micro-USDC, by an operator's ruling.

        Raises:
            LedgerError: there is no such call, it was not charged, or less than was refunded is left.
        """
        ...

    async def refund(self, call_id: str, total: MicroUSDC, evidence: str) -> bool:
        """Note that the payee gave back `total` micro-USDC of a call, in all; its windows have that much more room.

        Returns whether that was news. More than was charged counts as all of it.

        Raises:
            LedgerError: there is no such call, or it was not charged.
        """
        ...

    async def trust_clock(self) -> str | None:
        """Take the clock as it is for right after it went back, and count the windows anew from the calls.

        Returns what the clock and the ledger showed before; None where the clock had not gone back.
        """
        ...

    def note_delivery(self, call_id: str) -> None:
        """Queue that the call's answer reached the client."""
        ...

    async def flush(self) -> None:
        """Wait until everything queued is durable."""
        ...

    async def adopt_orphans(
        self, serves: Serves, running: Collection[str] = (), *, clock_right: bool = False
    ) -> Sequence[CallRow]:
        """See to the unended rows that nobody works on: those whose process is dead, and this one's own without a task.

        ``reserved`` is released, ``sent`` becomes ``in_doubt``. What can no longer be proven is written off, and so is
        what was made while the clock was ahead, for its age is not known; neither unless `clock_right`. What `serves`
        says can be acted for becomes this process's; the others wait for a process that can.

        Args:
            serves: whether this process can act for a rail and account and, of a call for which a payment may be
                signed, for that one.
            running: the ids of the calls that tasks of this process work on.
            clock_right: whether somebody else's clock just confirmed this machine's.

        Returns:
            The rows of this process whose payee is due to be asked, be they open or charged for the time being: of
            each account in turn, the longest due first, without their bodies.
        """
        ...

    async def next_look(self) -> UnixMs | None:
        """When the first row of this process is due to be asked for, or None."""
        ...

    async def row(self, call_id: str) -> CallRow | None:
        """One call, or None."""
        ...

    async def rows(
        self, *, limit: int = 100, states: frozenset[State] | None = None, principal: str | None = None
    ) -> Sequence[CallRow]:
        """The latest calls, newest first, without their requests and answers; of all principals, or of one."""
        ...

    async def receipts(self, principal: str, source: str, payee: str, *, among: int) -> tuple[int, int]:
        """How many of a principal's latest `among` calls were charged by a payee of a source, and with a reference."""
        ...

    async def excessive(self, *, limit: int = 100) -> Sequence[CallRow]:
        """The latest calls that were charged more than was held for them, newest first, without their bodies.

        One on which a person has ruled is not among them.
        """
        ...

    async def pages(self, *, after: int = 0, limit: int = 1000) -> Sequence[CallRow]:
        """The calls behind number `after`, oldest first, without their requests and answers."""
        ...

    async def has_paid(self, principal: str, rail: str, account: str, payee: str) -> bool:
        """Whether a principal ever paid a payee from an account, as far as it is proven."""
        ...

    async def of_reference(self, rail: str, account: str, reference: str) -> CallRow | None:
        """The call that a payment of an account paid for, or None."""
        ...

    async def last_of(self, rail: str, account: str) -> CallRow | None:
        """The latest call of an account whose answer told the balance, without its bodies, or None."""
        ...

    async def events(self, call_id: str | None = None, *, after: int = 0, limit: int = 1000) -> Sequence[EventRow]:
        """Changes behind number `after`, oldest first: those of one call, or all."""
        ...

    async def readings(self, meters: Sequence[Meter], *, wait: bool = True) -> Sequence[MeterReading]:
        """How full each cap is now; one that no call has met yet shows what it will begin with.

        Args:
            wait: whether what this process has queued is written first; else a call that ended just now may still
                count with all that was held for it.
        """
        ...

    async def totals(self) -> Totals:
        """The sums over all rows."""
        ...

    async def audit(self, head: str | None = None) -> AuditReport:
        """Go over everything: the chain of events, every call against its events, every meter against its calls.

        Args:
            head: a digest that an earlier audit gave; the report says whether it is still in the chain.
        """
        ...

    async def prune(self, before: UnixMs) -> int:
        """Drop the requests and answers of calls that ended before; rows and events stay for ever.

        Returns how many calls had one. What is still open or undelivered keeps its bodies.
        """
        ...

    async def check(self) -> None:
        """Look for damage to the whole store, beside the event loop and without keeping anybody from writing.

        Raises:
            LedgerDamaged: something is not what was written.
        """
        ...

    async def close(self) -> None:
        """Write what is queued and let go of what keeps it. Open rows are anybody's to adopt from then on.

        Raises:
            LedgerUnavailable: what was queued could not be written; it is let go all the same.
        """
        ...
