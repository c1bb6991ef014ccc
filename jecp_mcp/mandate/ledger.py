"""What the pipeline asks of a ledger, whatever keeps it. The rows are the truth about money spent.

Amounts are micro-USDC, instants milliseconds since the Unix epoch (UTC).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from jecp_mcp.clock import UnixMs
from jecp_mcp.mandate.slips import Slip, SlipRef, Slips
from jecp_mcp.mandate.states import Event, State
from jecp_mcp.money import ZERO, MicroUSDC


class Window(StrEnum):
    """The stretch of time a cap looks at. Rolling windows end now and start that long ago."""

    SESSION = "session"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    TOTAL = "total"


WINDOW_MS: dict[Window, int] = {
    Window.HOUR: 3_600_000,
    Window.DAY: 86_400_000,
    Window.MONTH: 30 * 86_400_000,
}
"""The length of each rolling window; a month is 30 days. The others never roll."""


@dataclass(frozen=True, slots=True)
class Meter:
    """One cap that applies to a call.

    Attributes:
        key: the meter's identity in the ledger: window, principal, and pattern or session.
        limit: the most that may be counted in the window, micro-USDC.
        label: the cap in the operator's words, such as ``daily_usdc`` or ``limits[docs/*].hourly_usdc``.
        principal: whose calls it counts.
        pattern: the glob over a call's names that it counts; None counts every call of the principal. A meter that is
            new counts what its window already holds.
    """

    key: str
    window: Window
    limit: MicroUSDC
    label: str
    principal: str = "local"
    pattern: str | None = None


@dataclass(frozen=True, slots=True)
class Reservation:
    """One durable promise to pay, written before anything is sent.

    Attributes:
        fingerprint: hash of principal, tool and arguments; at most one open call carries it.
        hold: what is held, micro-USDC; also the Hub-side mandate.
        meters: every window cap that applies; all must have room, or nothing is written.
        request: the stored request, opaque here (see `jecp_mcp.calls.stored`).
        send: whether the row starts as ``sent`` (nobody has to be asked in between).
        uses: the slips that this call uses; all must be good for it, or nothing is written.
    """

    call_id: str
    principal: str
    session: str
    tool: str
    payee: str
    capability: str
    action: str
    version: str | None
    fingerprint: str
    quoted: MicroUSDC
    hold: MicroUSDC
    meters: tuple[Meter, ...]
    request: bytes
    send: bool = True
    uses: tuple[SlipRef, ...] = ()


@dataclass(frozen=True, slots=True)
class CallRow:
    """One call as the ledger knows it.

    Attributes:
        number: its place in the ledger, from 1.
        charged: what the Hub took, micro-USDC.
        refunded: what of it the Hub gave back since, micro-USDC.
        answered: whether an answer was kept; a list leaves bodies out, and old ones are dropped in time.
    """

    number: int
    call_id: str
    principal: str
    session: str
    tool: str
    payee: str
    capability: str
    action: str
    version: str | None
    state: State
    quoted: MicroUSDC
    held: MicroUSDC
    charged: MicroUSDC
    refunded: MicroUSDC
    balance_after: MicroUSDC | None
    transaction_id: str | None
    evidence: str | None
    attempts: int
    created_at: UnixMs
    ended_at: UnixMs | None
    answered: bool
    delivered: bool
    fingerprint: str
    request: bytes
    answer: bytes | None


@dataclass(frozen=True, slots=True)
class Admitted:
    """The reservation is durable; the call may be sent."""

    call_id: str
    at: UnixMs


@dataclass(frozen=True, slots=True)
class OverLimit:
    """A cap has no room. Nothing was written. `resets_at` is when enough of a rolling window will have left it."""

    meter: Meter
    used: MicroUSDC
    resets_at: UnixMs | None


@dataclass(frozen=True, slots=True)
class AlreadyOpen:
    """The identical call is open. Nothing was written."""

    row: CallRow


@dataclass(frozen=True, slots=True)
class Undelivered:
    """The identical call has an answer that never reached the client. Nothing was written."""

    row: CallRow


@dataclass(frozen=True, slots=True)
class NotGood:
    """A slip is not good for this call (any more). Nothing was written. `slip` is None when there is none."""

    ref: SlipRef
    slip: Slip | None


Admission = Admitted | OverLimit | AlreadyOpen | Undelivered | NotGood


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What became of a call.

    Attributes:
        charged: what the Hub took, micro-USDC; 0 unless settled or proven charged.
        answer: the answer to keep for a repeat or a status question, None when there is none.
        attempts: how many attempts were made since the last conclusion.
    """

    call_id: str
    event: Event
    charged: MicroUSDC = ZERO
    balance_after: MicroUSDC | None = None
    transaction_id: str | None = None
    evidence: str | None = None
    answer: bytes | None = None
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class MeterReading:
    """How full a cap is. `resets_at` is when the oldest counted amount leaves a rolling window."""

    meter: Meter
    used: MicroUSDC
    resets_at: UnixMs | None


@dataclass(frozen=True, slots=True)
class Totals:
    """The ledger's sums, micro-USDC.

    Attributes:
        charged: what was charged by settled calls and those proven charged, less what was refunded.
        held: every hold that counts as spent, those in doubt and written off included.
        in_doubt: the part of `held` that is in doubt.
        calls: the number of rows.
    """

    charged: MicroUSDC
    held: MicroUSDC
    in_doubt: MicroUSDC
    calls: int


@dataclass(frozen=True, slots=True)
class EventRow:
    """One change of the ledger, chained to the one before it (see `jecp_mcp.mandate.chain`).

    Attributes:
        number: its place in the chain, from 1.
        call_id: the call it happened to; None for what happened to the whole ledger.
        event: ``reserve``, the name of a `jecp_mcp.mandate.states.Event`, ``deliver`` or ``adopt`` for a call;
            ``meter``, ``slip``, ``prune``, ``clock``, ``recount`` or ``upgrade`` for the ledger.
        held, charged, refunded: the call's amounts after it, micro-USDC.
        session: the process session that wrote it.
        facts: what else it wrote, as a JSON object.
        digest: SHA-256 over all of it and over the digest before it, in hex.
    """

    number: int
    call_id: str | None
    at: UnixMs
    event: str
    before: State | None
    after: State | None
    held: MicroUSDC
    charged: MicroUSDC
    refunded: MicroUSDC
    session: str
    evidence: str | None
    facts: str
    digest: str


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What came of going over the whole ledger.

    Attributes:
        events: how many events the chain has.
        calls: how many calls there are.
        head: the digest of the last event: kept elsewhere, it later proves that nothing up to here was rewritten.
        findings: what is not as it was written, in words; empty when everything holds.
        anchored: whether the head that was asked for is in the chain; None when none was asked for.
    """

    events: int
    calls: int
    head: str
    findings: tuple[str, ...]
    anchored: bool | None = None


class Ledger(Slips, Protocol):
    """A durable ledger.

    Every method raises `jecp_mcp.errors.LedgerUnavailable` when it cannot write and `LedgerDamaged` when the file is
    not what was written; then nothing of the request was done.
    """

    @property
    def session(self) -> str:
        """This process session's id; the owner of the rows it writes."""
        ...

    async def reserve(self, reservation: Reservation) -> Admission:
        """Check every cap and write the row in one atomic, durable step.

        Raises:
            ClockWentBack: the clock is well behind the last change; `trust_clock` tells that it is right.
        """
        ...

    async def send(self, call_id: str) -> bool:
        """Move a ``reserved`` row to ``sent``, durably. False when it is no longer ``reserved``."""
        ...

    def conclude(self, conclusion: Conclusion) -> None:
        """Queue what became of a call; written in the next batch.

        Losing it to a crash leaves the row ``sent``, which is safe.
        """
        ...

    async def conclude_now(self, conclusion: Conclusion) -> None:
        """Write what became of a call, durably: for an operator, who wants to know.

        Raises:
            LedgerError: there is no such call, or the event cannot happen in its state.
        """
        ...

    async def refund(self, call_id: str, total: MicroUSDC, evidence: str) -> bool:
        """Note that the Hub gave back `total` micro-USDC of a call, in all; its windows have that much more room.

        Returns whether that was news. More than was charged counts as all of it.

        Raises:
            LedgerError: there is no such call, or it was not charged.
        """
        ...

    async def trust_clock(self) -> None:
        """Take the clock as it is for right after it went back, and count the windows anew from the calls."""
        ...

    def delivered(self, call_id: str) -> None:
        """Queue that the call's answer reached the client."""
        ...

    async def flush(self) -> None:
        """Wait until everything queued is durable."""
        ...

    async def adopt_orphans(self) -> Sequence[CallRow]:
        """Take over open rows whose process is dead: ``reserved`` is released, ``sent`` becomes ``in_doubt``.

        Returns the ``in_doubt`` rows this process now owns, oldest first.
        """
        ...

    async def row(self, call_id: str) -> CallRow | None:
        """One call, or None."""
        ...

    async def rows(self, *, limit: int = 100, states: frozenset[State] | None = None) -> Sequence[CallRow]:
        """The latest calls, newest first, without their requests and answers."""
        ...

    async def pages(self, *, after: int = 0, limit: int = 1000) -> Sequence[CallRow]:
        """The calls behind number `after`, oldest first, without their requests and answers."""
        ...

    async def has_paid(self, principal: str, payee: str) -> bool:
        """Whether a principal ever paid a payee, as far as it is proven."""
        ...

    async def of_transaction(self, transaction_id: str) -> CallRow | None:
        """The call that a Hub's transaction paid for, or None."""
        ...

    async def events(self, call_id: str | None = None, *, after: int = 0, limit: int = 1000) -> Sequence[EventRow]:
        """Changes behind number `after`, oldest first: those of one call, or all."""
        ...

    async def readings(self, meters: Sequence[Meter]) -> Sequence[MeterReading]:
        """How full each cap is now."""
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

    async def close(self) -> None:
        """Write what is queued and let go of the file."""
        ...
