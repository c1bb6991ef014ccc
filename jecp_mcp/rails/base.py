"""What a way to pay looks like to the pipeline: quote, prepare, execute, find out; and what else it may bring along.

A rail never decides whether money may be spent, and the pipeline never decides whether it was.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.answers import Answer
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.outcomes import AuthorizedCall, Entry, Mark, Outcome, Refunded
from jecp_mcp.domain.quotes import Free, Quote
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import HeldBack
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.codes import ACCOUNT_CHANGED


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """Everything that rebuilds the identical bytes of a paid request, and no secret.

    Attributes:
        rail, account: who must execute it; no other one may, because an id is known to that account only.
        call_id: the idempotency id; minted here, stored before the first byte leaves.
        hold: the most it may cost, micro-USDC: what is reserved.
        payload: the rail's own; nobody else reads it.
        provable_until: the last instant, by the wall clock, at which bytes of it may leave, or its end may still be
            found out; None where harmless look-ups prove the end for ever.
        sent_first: whether the row may be written as sent at once. False where a crash before the first byte must be
            known for one: then the rail says `Journal.sending` before that.
    """

    rail: str
    account: str
    call_id: str
    hold: MicroUSDC
    payload: bytes
    provable_until: UnixMs | None
    sent_first: bool = True


@dataclass(frozen=True, slots=True)
class OpenCall:
    """All that a rail may know of a call that is open.

    Attributes:
        attempts: how many attempts of earlier executions may have reached the payee.
        entries: what its rail wrote down of it, oldest first, without the answer.
        answer: the answer that was written down, if it was and can be read.
        reference: the payee's own name for the payment, where it is known.
        charged: whether it is in the books as charged. Then nothing of it that can spend may leave: it is only looked
            whether the charge stands (`Outcome.look_again_at`), and what of it came back (`Outcome.refunded`).
    """

    request: StoredRequest
    attempts: int = 0
    entries: tuple[Entry, ...] = ()
    answer: Answer | None = None
    charged: bool = False
    reference: str | None = None

    def last(self, mark: Mark) -> Entry | None:
        """The latest entry with a mark."""
        return next((entry for entry in reversed(self.entries) if entry.mark is mark), None)


def new_call_id() -> str:
    """An idempotency id: 128 bits of randomness, within the protocol's grammar (JECP 01-protocol §3.3)."""
    return f"call_{secrets.token_hex(16)}"


class Progress(Protocol):
    """Where a streaming call reports how far it is."""

    async def report(self, done: float, total: float | None, message: str | None) -> None:
        """Say how far the call is; `done` and `total` in the provider's units."""
        ...


class NotNow(HeldBack):
    """An attempt must not leave now.

    Attributes:
        refusal: why, where nothing of the call has left.
        again_at: when it may be allowed to leave; None where that is not known.
    """

    def __init__(self, refusal: Refusal, again_at: UnixMs | None = None) -> None:
        self.refusal, self.again_at = refusal, again_at
        super().__init__(f"held back: {refusal.code}")


class Journal(Protocol):
    """What a rail tells of an execution while it runs."""

    async def sending(self) -> None:
        """Say that an attempt is about to leave: its connection is up, and no byte of it has left.

        Where `StoredRequest.sent_first` is False, an execution that never said it has only one end without a fault:
        that nothing was charged. Any other, be it a doubt or an exception, is written down as of a call that was sent,
        so that no money is lost, and logged as an error.

        Raises:
            NotNow: it must not leave.
        """
        ...

    async def keep(self, *entries: Entry) -> None:
        """Write down what happened, all of it durably in one step, before the step that follows from it.

        Raises:
            NotNow: it was not written, or the call is another process's by now: that step must not be taken.
        """
        ...


class Rail(Protocol):
    """One way to pay."""

    @property
    def name(self) -> str:
        """The rail's name in the ledger."""
        ...

    @property
    def most_per_call(self) -> MicroUSDC:
        """The most that one call can cost by this rail, micro-USDC."""
        ...

    @property
    def probes(self) -> bool:
        """Whether a quote asks the payee, so that nothing that is open or paid for may be quoted again."""
        ...

    def ready(self) -> Refusal | None:
        """What is missing before anything can be bought, or None. Asks nobody."""
        ...

    def serves(self, account: str, authorized: AuthorizedCall | None = None) -> bool:
        """Whether it can act for an account: find out about its calls, and finish them.

        Args:
            authorized: which of them is meant, where a payment may be signed for it that not everybody can look for.
        """
        ...

    def identity_arguments(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """What of a call's arguments says what is bought, in the one spelling by which it is the same call.

        What only bounds the call is not in it: a quote binds that, by its amount and terms. Pure. Arguments that cannot
        be bought are refused by the quote, not here.
        """
        ...

    async def quote(self, offer: Offer, arguments: Mapping[str, Any]) -> Quote | Free | Refusal:
        """What this call would cost. Moves no money.

        Asked once for all tasks of a process that want the same, and not at all where the ledger has the identical call
        open or undelivered. Other processes may ask at the same time.
        """
        ...

    def prepare(
        self,
        call_id: str,
        offer: Offer,
        arguments: Mapping[str, Any],
        quote: Quote,
        hold: MicroUSDC,
        now: UnixMs,
    ) -> StoredRequest:
        """Write the call down, with the last instant at which it may leave. The same inputs give the same bytes.

        Also asked before a person is, under an id that is never used, to see whether it can be written at all: so it
        signs nothing.

        Args:
            call_id: the idempotency id; one id, one authorisation.
            quote: what was agreed.
            hold: the most it may cost, micro-USDC.
            now: the wall clock.

        Raises:
            WireError: the arguments cannot be written as a request.
        """
        ...

    def arguments_of(self, payload: bytes) -> Mapping[str, Any] | None:
        """What a call was given, read from its stored request, for whoever made it; None where it cannot be read."""
        ...

    async def execute(self, call: OpenCall, journal: Journal, progress: Progress | None = None) -> Outcome:
        """Send the request for the first time, and again where that is safe and useful.

        Its reservation must be durable. Never raises for anything that the payee or the network does.

        Args:
            journal: told before each attempt leaves, and of whatever must not be forgotten.
            progress: where to report the progress of a streaming call.
        """
        ...

    async def find_out(self, call: OpenCall, journal: Journal, progress: Progress | None = None) -> Outcome:
        """Find out how a call stands of which an earlier attempt, perhaps of another process, may have left.

        Also how a charge stands that may yet turn (`OpenCall.charged`): `CHARGED` again with what came back and when to
        look again, if at all; any other verdict says that it is not known yet.

        Never buys anything that the earlier attempt did not. As `execute` otherwise.
        """
        ...


class Witness(Protocol):
    """Somebody the operator trusts to tell the time."""

    def heard(self) -> float | None:
        """`skew` as it was last heard; None where nothing was. Asks nobody; a machine that slept since seems ahead."""
        ...

    async def skew(self, *, fresh: bool = False) -> float | None:
        """How far this machine's clock is ahead of theirs, in seconds; None where they do not say.

        Args:
            fresh: ask now, instead of going by what was last heard.

        Raises:
            PayeeError: they were asked, because they must be or nothing was heard yet, and did not answer.
        """
        ...


class Account(Protocol):
    """Who pays by a rail, and at whom."""

    @property
    def account(self) -> str:
        """Its name in the ledger; never a secret."""
        ...

    async def paid_refunds(self) -> Sequence[Refunded]:
        """The refunds that were paid so far.

        Raises:
            PayeeError: the payee does not say.
        """
        ...


def account_changed() -> Refusal:
    """The account is another one than the call was prepared for."""
    return Refusal(
        ACCOUNT_CHANGED,
        "The agent's account or its Hub changed while this call was being prepared. Nothing was sent and nothing was "
        "charged.",
        source="bridge",
    )
