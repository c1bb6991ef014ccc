"""The changes of a ledger as values: each says what must be loaded for it, so that a store can load a batch at once."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.mandate.columns import bound_text
from jecp_mcp.mandate.grants import QUESTIONS, Grant, GrantRef
from jecp_mcp.mandate.needs import Needs, Orphans
from jecp_mcp.mandate.records import (
    Admission,
    Admitted,
    Conclusion,
    Meter,
    Note,
    Reservation,
)
from jecp_mcp.mandate.rules import Batch
from jecp_mcp.mandate.served import Served
from jecp_mcp.mandate.windows import Window
from jecp_mcp.money import MicroUSDC

_T_co = TypeVar("_T_co", covariant=True)

MOST_KEPT_BYTES: Final = 512 * 1024 * 1024
"""How many bytes of requests and answers are kept where nothing else is said."""


class Command(Protocol[_T_co]):
    """One change, made inside a transaction at the given instant."""

    @property
    def needs(self) -> Needs:
        """What it depends on."""
        ...

    def undo(self, outcome: Any) -> Command[Any] | None:
        """What takes it back where its caller was told that it was not made; nothing was sent for it."""
        ...

    def __call__(self, batch: Batch, at: UnixMs, /) -> _T_co:
        """Make it."""
        ...


def release_unsent(call_id: str, evidence: str) -> Conclude:
    """The release of a call that was written, and for which nothing was sent."""
    return Conclude(Conclusion(call_id, Verdict.NOT_CHARGED, evidence=evidence, attempts=0, claim=0))


_NOT_KNOWN = "its commit was not known to have happened, so nothing was sent"


@dataclass(frozen=True, slots=True, eq=False)
class Reserve:
    """`Batch.reserve`."""

    reservation: Reservation

    @property
    def needs(self) -> Needs:
        """The identical calls, the call of that id, its meters and its grants."""
        wanted = self.reservation
        return Needs(
            fingerprints=(wanted.fingerprint,),
            ids=(wanted.call_id,),
            principal=wanted.principal,
            meters=wanted.meters,
            grants=wanted.uses,
            lives=True,
        )

    def undo(self, outcome: Admission) -> Command[Any] | None:
        """Release what was admitted."""
        return release_unsent(self.reservation.call_id, _NOT_KNOWN) if isinstance(outcome, Admitted) else None

    def __call__(self, batch: Batch, at: UnixMs) -> Any:
        """Make it."""
        return batch.reserve(self.reservation, at)


@dataclass(frozen=True, slots=True, eq=False)
class Send:
    """`CallRules.send`."""

    call_id: str
    claim: int

    @property
    def needs(self) -> Needs:
        """The call."""
        return Needs(ids=(self.call_id,))

    def undo(self, outcome: bool) -> Command[Any] | None:
        """Release what was marked as sent."""
        return release_unsent(self.call_id, _NOT_KNOWN) if outcome else None

    def __call__(self, batch: Batch, _at: UnixMs) -> bool:
        """Make it."""
        return batch.calls.send(self.call_id, self.claim)


@dataclass(frozen=True, slots=True, eq=False)
class _Fact:
    """A change that stands, whoever was told what."""

    def undo(self, _outcome: Any) -> Command[Any] | None:
        """Nothing."""
        return None


@dataclass(frozen=True, slots=True, eq=False)
class _CallFact(_Fact):
    """One about a single call."""

    call_id: str

    @property
    def needs(self) -> Needs:
        """The call."""
        return Needs(ids=(self.call_id,))


@dataclass(frozen=True, slots=True, eq=False)
class Resend(_Fact):
    """`Batch.resend`. One that was not known to be written moved an open call to a later slot, and no more."""

    call_id: str
    claim: int
    meters: tuple[Meter, ...]

    @property
    def needs(self) -> Needs:
        """The call and its meters."""
        return Needs(ids=(self.call_id,), meters=self._rolling)

    @property
    def _rolling(self) -> tuple[Meter, ...]:
        # A process session's cap is about what the process buys: what it bought counts there once, whoever sends it.
        return tuple(meter for meter in self.meters if meter.window is not Window.SESSION)

    def __call__(self, batch: Batch, at: UnixMs) -> Any:
        """Make it."""
        return batch.resend(self.call_id, self.claim, self._rolling, at)


@dataclass(frozen=True, slots=True, eq=False)
class WriteNotes(_CallFact):
    """`CallRules.note`. What was not known to be written says no more than what happened."""

    claim: int
    notes: tuple[Note, ...]

    def __call__(self, batch: Batch, _at: UnixMs) -> bool:
        """Make it."""
        return batch.calls.note(self.call_id, self.claim, self.notes)


@dataclass(frozen=True, slots=True, eq=False)
class Conclude(_Fact):
    """`CallRules.conclude`."""

    conclusion: Conclusion

    @property
    def needs(self) -> Needs:
        """The call, and whoever else has its payment."""
        return Needs(ids=(self.conclusion.call_id,), reference=bound_text(self.conclusion.reference))

    def __call__(self, batch: Batch, at: UnixMs) -> None:
        """Make it."""
        batch.calls.conclude(self.conclusion, at)


@dataclass(frozen=True, slots=True, eq=False)
class WriteOff(_CallFact):
    """`CallRules.write_off`."""

    evidence: str

    def __call__(self, batch: Batch, at: UnixMs) -> None:
        """Make it."""
        batch.calls.write_off(self.call_id, self.evidence, at)


@dataclass(frozen=True, slots=True, eq=False)
class Correct(_CallFact):
    """`CallRules.correct`."""

    charged: MicroUSDC
    evidence: str

    def __call__(self, batch: Batch, _at: UnixMs) -> None:
        """Make it."""
        batch.calls.correct(self.call_id, self.charged, self.evidence)


@dataclass(frozen=True, slots=True, eq=False)
class Refund(_CallFact):
    """`CallRules.refund`."""

    total: MicroUSDC
    evidence: str

    def __call__(self, batch: Batch, _at: UnixMs) -> bool:
        """Make it."""
        return batch.calls.refund(self.call_id, self.total, self.evidence)


@dataclass(frozen=True, slots=True, eq=False)
class Deliver(_CallFact):
    """`CallRules.deliver`."""

    def __call__(self, batch: Batch, _at: UnixMs) -> None:
        """Make it."""
        batch.calls.deliver(self.call_id)


@dataclass(frozen=True, slots=True, eq=False)
class Adopt(_Fact):
    """`Batch.adopt`."""

    dead: tuple[str, ...]
    served: Collection[Served]
    running: tuple[str, ...]
    behind: int
    most: int
    clock_right: bool

    @property
    def needs(self) -> Needs:
        """The open calls that nobody works on."""
        return Needs(
            lives=True, orphans=Orphans(self.dead, self.running, self.behind, self.most), alone=True, keeps=True
        )

    def __call__(self, batch: Batch, at: UnixMs) -> int | None:
        """Make it."""
        return batch.adopt(self.served, at, clock_right=self.clock_right)


@dataclass(frozen=True, slots=True, eq=False)
class Prune(_Fact):
    """`Batch.prune`."""

    before: UnixMs
    behind: int
    most: int
    needs: Needs = field(default=Needs(alone=True), init=False)

    def __call__(self, batch: Batch, _at: UnixMs) -> int:
        """Make it."""
        return batch.prune(self.before, self.behind, self.most)


@dataclass(frozen=True, slots=True, eq=False)
class Trim(_Fact):
    """`Batch.trim`."""

    bound: int
    most: int
    needs: Needs = field(default=Needs(alone=True), init=False)

    def __call__(self, batch: Batch, _at: UnixMs) -> int:
        """Make it."""
        return batch.trim(self.bound, self.most)


@dataclass(frozen=True, slots=True, eq=False)
class TrustClock(_Fact):
    """`Batch.trust_clock`."""

    needs: Needs = field(default=Needs(alone=True), init=False)

    def __call__(self, batch: Batch, _at: UnixMs) -> str | None:
        """Make it."""
        return batch.trust_clock()


@dataclass(frozen=True, slots=True, eq=False)
class Recount(_Fact):
    """`Batch.recount`."""

    needs: Needs = field(default=Needs(alone=True), init=False)

    def __call__(self, batch: Batch, _at: UnixMs) -> None:
        """Make it."""
        batch.recount()


@dataclass(frozen=True, slots=True, eq=False)
class WriteGrant(_Fact):
    """`GrantRules.write`."""

    grant: Grant

    @property
    def needs(self) -> Needs:
        """The grant of that id, those that it supersedes, and how many there are."""
        grant = self.grant
        return Needs(
            grants=(GrantRef(grant.kind, grant.grant_id),),
            subject=(grant.kind, grant.subject),
            stored_grants=(QUESTIONS if grant.kind in QUESTIONS else (grant.kind,), grant.principal),
            alone=True,
        )

    def __call__(self, batch: Batch, at: UnixMs) -> Grant:
        """Make it."""
        return batch.grants.write(self.grant, at)


@dataclass(frozen=True, slots=True, eq=False)
class AnswerGrant(_Fact):
    """`GrantRules.answer`."""

    ref: GrantRef
    granted: bool
    note: str

    @property
    def needs(self) -> Needs:
        """The grant."""
        return Needs(grants=(self.ref,))

    def __call__(self, batch: Batch, at: UnixMs) -> Grant | None:
        """Make it."""
        return batch.grants.answer(self.ref, self.granted, self.note, at)


@dataclass(frozen=True, slots=True, eq=False)
class UseGrants(_Fact):
    """`GrantRules.use_good`."""

    refs: tuple[GrantRef, ...]
    subject: str
    principal: str
    call_id: str

    @property
    def needs(self) -> Needs:
        """The grants."""
        return Needs(grants=self.refs)

    def __call__(self, batch: Batch, at: UnixMs) -> None:
        """Make it."""
        batch.grants.use_good(self.refs, self.subject, self.principal, self.call_id, at)


@dataclass(frozen=True, slots=True, eq=False)
class WithdrawGrants(_Fact):
    """`GrantRules.withdraw`."""

    refs: tuple[GrantRef, ...]

    @property
    def needs(self) -> Needs:
        """The grants."""
        return Needs(grants=self.refs)

    def __call__(self, batch: Batch, at: UnixMs) -> None:
        """Make it."""
        batch.grants.withdraw(self.refs, at)
