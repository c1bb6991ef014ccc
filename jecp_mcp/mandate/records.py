"""What a ledger holds and tells: reservations, calls, meters and events, and what came of a request.

Pure: values only. Amounts are micro-USDC, instants milliseconds since the Unix epoch (UTC).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.outcomes import AuthorizedCall, Mark, Verdict
from jecp_mcp.mandate.grants import Grant, GrantRef
from jecp_mcp.mandate.states import State
from jecp_mcp.mandate.windows import Window
from jecp_mcp.money import ZERO, MicroUSDC

RULED = "ruled "
"""How the evidence of a person's ruling begins."""


@dataclass(frozen=True, slots=True)
class Meter:
    """One cap that applies to a call.

    Attributes:
        key: the meter's identity in the ledger: window, principal, and pattern or session.
        limit: the most that may be counted in the window, micro-USDC.
        label: the cap in the operator's words, such as ``daily_usdc`` or ``limits[docs/*].hourly_usdc``.
        principal: whose calls it counts.
        pattern: the glob over a call's names that it counts, with what it means by a name
            (`jecp_mcp.mandate.naming.Naming.bind`); None counts every call of the principal. A meter that is new counts
            what its window already holds.
    """

    key: str
    window: Window
    limit: MicroUSDC
    label: str
    principal: str
    pattern: str | None = None


@dataclass(frozen=True, slots=True)
class Reservation:
    """One durable promise to pay, written before anything is sent.

    Attributes:
        team: the team whose budget it draws on too, or None.
        rail: by which way to pay it is executed.
        account: who pays at whom, such as an endpoint's origin and the payer's id; never a secret. Only who
            can act for the account finishes the call.
        payee: the identity that earns the money, to which approvals bind.
        source: where the offer comes from.
        offer: the offer's key within its source.
        names: what patterns of limits are matched against (`jecp_mcp.mandate.naming.stored_names`).
        version: the version or other pin of the offer that is bought.
        fingerprint: hash of principal, offer and arguments; at most one open call carries it.
        kind: what kind of price `quoted` is (`jecp_mcp.domain.quotes.QuoteKind`).
        terms: what else was agreed with the price, as canonical text; ``""`` where there is nothing.
        hold: what is held, micro-USDC.
        meters: every window cap that applies; all must have room, or nothing is written.
        request: the stored request, opaque here (its rail reads it).
        provable_until: until when the call's end can be proven; None for ever. Past it an open call is written off.
        send: whether the row starts as ``sent`` (nobody has to be asked in between).
        uses: the grants that this call uses; all must be good for it, or nothing is written.
    """

    call_id: str
    principal: str
    session: str
    rail: str
    account: str
    tool: str
    payee: str
    source: str
    offer: str
    names: tuple[str, ...]
    version: str | None
    fingerprint: str
    quoted: MicroUSDC
    hold: MicroUSDC
    meters: tuple[Meter, ...]
    request: bytes
    team: str | None = None
    kind: str = "exact"
    terms: str = ""
    provable_until: UnixMs | None = None
    send: bool = True
    uses: tuple[GrantRef, ...] = ()


@dataclass(frozen=True, slots=True)
class CallRow:
    """One call as the ledger knows it; what a `Reservation` says of it stays as it was.

    Attributes:
        number: its place in the ledger, from 1.
        session: the process session that reserved it.
        owner: the process session that sees to it now.
        claim: how often it was taken over. Whoever lost it proves nothing but a charge.
        charged: what the payee took, micro-USDC.
        refunded: what of it the payee gave back since, micro-USDC.
        reference: the payee's own name for the payment, unique within rail and account.
        attempts: how many attempts may have reached the payee.
        sent_at: when it was last admitted to be sent; the windows count it from then.
        look_again_at: when its payee is asked again, while it is open or its charge may yet turn.
        ended_at: when it ended; None while it is open or its charge may yet turn.
        answered: whether an answer was kept; old ones are dropped in time.
        mark: how far its rail wrote down that it has come; None where it wrote nothing.
        request, answer: what was sent, and what came back; None where none is kept (any more). A list leaves them out:
            there both are empty, the answer where one is kept.
    """

    number: int
    call_id: str
    principal: str
    team: str | None
    session: str
    owner: str
    claim: int
    rail: str
    account: str
    tool: str
    payee: str
    source: str
    offer: str
    names: tuple[str, ...]
    version: str | None
    fingerprint: str
    kind: str
    terms: str
    state: State
    quoted: MicroUSDC
    held: MicroUSDC
    charged: MicroUSDC
    refunded: MicroUSDC
    balance_after: MicroUSDC | None
    reference: str | None
    evidence: str | None
    attempts: int
    created_at: UnixMs
    sent_at: UnixMs
    look_again_at: UnixMs | None
    provable_until: UnixMs | None
    ended_at: UnixMs | None
    answered: bool
    delivered: bool
    mark: Mark | None
    request: bytes
    answer: bytes | None

    @property
    def awaits_ruling(self) -> bool:
        """Whether only a person can still say what it cost: its answer is here, at a price that was not agreed to."""
        return self.state is State.IN_DOUBT and self.mark is Mark.RESULT

    @property
    def authorized(self) -> AuthorizedCall | None:
        """What decides on who can find out about a payment that may be signed for it; None where none may be."""
        return AuthorizedCall(self.call_id, self.terms, self.created_at) if self.mark is Mark.AUTHORIZED else None


@dataclass(frozen=True, slots=True)
class Admitted:
    """The call may be sent now: its reservation, or its new instant in the windows, is durable.

    Attributes:
        at: the ledger's instant, from which the windows count it.
        claim: what whoever concludes it must name.
    """

    call_id: str
    at: UnixMs
    claim: int = 0


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
    """A grant is not good for this call (any more). Nothing was written. `grant` is None when there is none."""

    ref: GrantRef
    grant: Grant | None


@dataclass(frozen=True, slots=True)
class Counting:
    """A cap is still being counted from the calls before it. Nothing was written but how far that has come."""

    meter: Meter


@dataclass(frozen=True, slots=True)
class NotYours:
    """The call is not open, or is another process's by now. Nothing was written, and nothing may be sent."""


Admission = Admitted | OverLimit | AlreadyOpen | Undelivered | NotGood

Readmission = Admitted | OverLimit | NotYours


@dataclass(frozen=True, slots=True)
class Note:
    """What a rail writes down of a call while it works on it: `data` is its own short text."""

    mark: Mark
    data: str = ""
    answer: bytes | None = None


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What is proven of a call.

    Attributes:
        charged: what the payee took, micro-USDC; 0 unless `CHARGED`.
        claim: the claim under which it was found out; None for a person's ruling, which holds under any. Under a claim
            that was lost, only a proven charge is believed.
        proven: whether a charge is proven, and not only assumed.
        answer: the answer to keep for a repeat or a status question, None when there is none.
        attempts: how many attempts may have reached the payee since the last conclusion.
        look_again_at: when to ask again: with `IN_DOUBT` and `PENDING`, and where a charge may yet turn.
        refunded: how much of the charge came back, micro-USDC.
    """

    call_id: str
    verdict: Verdict
    charged: MicroUSDC = ZERO
    claim: int | None = None
    proven: bool = True
    balance_after: MicroUSDC | None = None
    reference: str | None = None
    evidence: str | None = None
    answer: bytes | None = None
    attempts: int = 1
    look_again_at: UnixMs | None = None
    refunded: MicroUSDC = ZERO


@dataclass(frozen=True, slots=True)
class MeterReading:
    """How full a cap is. `resets_at` is when the oldest counted amount leaves a rolling window: `returns`."""

    meter: Meter
    used: MicroUSDC
    resets_at: UnixMs | None
    returns: MicroUSDC = ZERO


@dataclass(frozen=True, slots=True)
class Totals:
    """The ledger's sums, micro-USDC.

    Attributes:
        charged: what was charged by settled calls and those proven charged, less what was refunded.
        held: every hold that counts as spent, those in doubt and written off included.
        in_doubt: the part of `held` that is in doubt.
        calls: the number of rows.
        free: how many of them cost nothing, and are proven to.
    """

    charged: MicroUSDC
    held: MicroUSDC
    in_doubt: MicroUSDC
    calls: int
    free: int = 0


@dataclass(frozen=True, slots=True)
class EventRow:
    """One change of the ledger, chained to the one before it (see `jecp_mcp.mandate.chain`).

    Attributes:
        number: its place in the chain, from 1.
        call: the number of the call it happened to; None for what happened to the whole ledger.
        call_id: that call's id.
        event: ``reserve``, the name of a `jecp_mcp.mandate.states.Event`, ``deliver``, ``note`` or ``adopt`` for a
            call; ``meter``, ``feed``, ``slip``, ``slips_dropped``, ``prune``, ``trim``, ``clock``, ``recount`` or
            ``salvage`` for the ledger.
        held, charged, refunded: the call's amounts after it, micro-USDC.
        session: the process session that wrote it.
        facts: what else it wrote.
        digest: SHA-256 over its canonical bytes and over the digest before it, in hex.
    """

    number: int
    call: int | None
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
    facts: Mapping[str, object]
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
