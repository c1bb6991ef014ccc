"""The changes of the books as values: each says what must be fetched for it, so that a batch is fetched at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from jecp_mcp.clock import UnixMs
from jecp_mcp.mandate.ledger import Admission, Admitted, Conclusion, Meter, Reservation
from jecp_mcp.mandate.postgres.books import Books
from jecp_mcp.mandate.slips import Slip, SlipRef
from jecp_mcp.mandate.states import Event
from jecp_mcp.money import MicroUSDC


@dataclass(frozen=True, slots=True)
class Needs:
    """What a change depends on.

    Attributes:
        fingerprints: fetch the open and undelivered calls that carry them.
        ids: fetch these calls.
        meters: fetch these meters, and make those that are new.
        lives: the session must be seen to live.
        orphans: fetch at most so many open calls of the sessions this one has claimed.
        alone: it reads or changes more than it says, so it has a transaction to itself.
        keeps: what fetching it changes is to stay, even where the change leaves no event.
    """

    fingerprints: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    meters: tuple[Meter, ...] = ()
    lives: bool = False
    orphans: int = 0
    alone: bool = False
    keeps: bool = False


NOTHING = Needs()


class Step(Protocol):
    """One change, made inside a transaction at the given instant."""

    @property
    def needs(self) -> Needs:
        """What it depends on."""
        ...

    def undo(self, outcome: Any) -> Step | None:
        """What takes it back where its caller was told that it was not made; nothing was sent for it."""
        ...

    def __call__(self, books: Books, at: UnixMs) -> Any:
        """Make it."""
        ...


def unsent(call_id: str, evidence: str) -> Conclude:
    """The release of a call that was written, and for which nothing was sent."""
    return Conclude(Conclusion(call_id, Event.RELEASE, evidence=evidence, attempts=0))


_NOT_KNOWN = "its commit was not known to have happened, so nothing was sent"


@dataclass(frozen=True, slots=True, eq=False)
class Reserve:
    """`Books.reserve`."""

    reservation: Reservation

    @property
    def needs(self) -> Needs:
        """The identical calls, the call of that id, and its meters."""
        wanted = self.reservation
        return Needs((wanted.fingerprint,), (wanted.call_id,), wanted.meters, lives=True)

    def undo(self, outcome: Admission) -> Step | None:
        """Release what was admitted."""
        return unsent(self.reservation.call_id, _NOT_KNOWN) if isinstance(outcome, Admitted) else None

    def __call__(self, books: Books, at: UnixMs) -> Any:
        """Make it."""
        return books.reserve(self.reservation, at)


@dataclass(frozen=True, slots=True, eq=False)
class Send:
    """`Books.send`."""

    call_id: str

    @property
    def needs(self) -> Needs:
        """The call."""
        return Needs(ids=(self.call_id,))

    def undo(self, outcome: bool) -> Step | None:
        """Release what was marked as sent."""
        return unsent(self.call_id, _NOT_KNOWN) if outcome else None

    def __call__(self, books: Books, _at: UnixMs) -> bool:
        """Make it."""
        return books.send(self.call_id)


@dataclass(frozen=True, slots=True, eq=False)
class _Fact:
    """A change that stands, whoever was told what."""

    def undo(self, _outcome: Any) -> Step | None:
        """Nothing."""
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Conclude(_Fact):
    """`Books.conclude`."""

    conclusion: Conclusion

    @property
    def needs(self) -> Needs:
        """The call."""
        return Needs(ids=(self.conclusion.call_id,))

    def __call__(self, books: Books, at: UnixMs) -> None:
        """Make it."""
        books.conclude(self.conclusion, at)


@dataclass(frozen=True, slots=True, eq=False)
class Refund(_Fact):
    """`Books.refund`."""

    call_id: str
    total: MicroUSDC
    evidence: str

    @property
    def needs(self) -> Needs:
        """The call."""
        return Needs(ids=(self.call_id,))

    def __call__(self, books: Books, _at: UnixMs) -> bool:
        """Make it."""
        return books.refund(self.call_id, self.total, self.evidence)


@dataclass(frozen=True, slots=True, eq=False)
class Deliver(_Fact):
    """`Books.deliver`."""

    call_id: str

    @property
    def needs(self) -> Needs:
        """The call."""
        return Needs(ids=(self.call_id,))

    def __call__(self, books: Books, _at: UnixMs) -> None:
        """Make it."""
        books.deliver(self.call_id)


@dataclass(frozen=True, slots=True, eq=False)
class Adopt(_Fact):
    """`Books.adopt`; the result is whether claimed sessions may have more open calls."""

    most: int

    @property
    def needs(self) -> Needs:
        """The open calls of the claimed sessions."""
        return Needs(lives=True, orphans=self.most, alone=True, keeps=True)

    def __call__(self, books: Books, at: UnixMs) -> bool:
        """Make it."""
        return books.adopt(self.most, at)


@dataclass(frozen=True, slots=True, eq=False)
class Prune(_Fact):
    """`Books.prune`."""

    before: UnixMs
    most: int
    needs: Needs = field(default=Needs(alone=True), init=False)

    def __call__(self, books: Books, _at: UnixMs) -> int:
        """Make it."""
        return books.prune(self.before, self.most)


@dataclass(frozen=True, slots=True, eq=False)
class TrustClock(_Fact):
    """`Books.trust_clock`."""

    needs: Needs = field(default=Needs(alone=True), init=False)

    def __call__(self, books: Books, _at: UnixMs) -> None:
        """Make it."""
        books.trust_clock()


@dataclass(frozen=True, slots=True, eq=False)
class Recount(_Fact):
    """`Books.recount`."""

    needs: Needs = field(default=Needs(alone=True), init=False)

    def __call__(self, books: Books, _at: UnixMs) -> None:
        """Make it."""
        books.recount()


@dataclass(frozen=True, slots=True, eq=False)
class WriteSlip(_Fact):
    """`Books.write_slip`."""

    slip: Slip
    needs: Needs = field(default=Needs(alone=True), init=False)

    def __call__(self, books: Books, at: UnixMs) -> Slip:
        """Make it."""
        return books.write_slip(self.slip, at)


@dataclass(frozen=True, slots=True, eq=False)
class AnswerSlip(_Fact):
    """`Books.answer_slip`."""

    ref: SlipRef
    granted: bool
    note: str
    needs: Needs = field(default=Needs(alone=True), init=False)

    def __call__(self, books: Books, at: UnixMs) -> Slip | None:
        """Make it."""
        return books.answer_slip(self.ref, self.granted, self.note, at)


@dataclass(frozen=True, slots=True, eq=False)
class UseSlips(_Fact):
    """`Books.use_slips`."""

    refs: Sequence[SlipRef]
    subject: str
    principal: str
    call_id: str
    needs: Needs = field(default=Needs(alone=True), init=False)

    def __call__(self, books: Books, at: UnixMs) -> None:
        """Make it."""
        books.use_slips(self.refs, self.subject, self.principal, self.call_id, at)


@dataclass(slots=True, eq=False)
class Live:
    """Say that the session lives.

    Attributes:
        waiting: whether it was asked for and has not been said yet.
    """

    waiting: bool = False
    needs: Needs = field(default=Needs(lives=True, keeps=True), init=False)

    def __call__(self, _books: Books, _at: UnixMs) -> None:
        """Make it: fetching what it needs has."""
        self.waiting = False


def needs_of(steps: Iterable[Any]) -> list[Needs]:
    """What each step depends on; the writer's own steps depend on nothing."""
    return [getattr(step, "needs", NOTHING) for step in steps]
