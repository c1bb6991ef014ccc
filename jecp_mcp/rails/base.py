"""What a way to pay looks like to the pipeline: quote, write the request down, execute it, report the outcome.

A rail never decides whether money may be spent, and the pipeline never decides whether it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.answers import Answer
from jecp_mcp.domain.offers import Action
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import HeldBack
from jecp_mcp.mandate.states import Verdict
from jecp_mcp.money import MicroUSDC

__all__ = [
    "Journal",
    "NotNow",
    "Outcome",
    "Progress",
    "Quote",
    "QuoteKind",
    "Rail",
    "Refunded",
    "StoredRequest",
    "Verdict",
    "account_changed",
]

ACCOUNT_CHANGED: Final = "ACCOUNT_CHANGED"

UNREAD: Final = "; how much cannot be read"
"""How the evidence ends of a charge whose amount is not the payee's own figure: see `Outcome.estimated`."""


class QuoteKind(StrEnum):
    """What is known of a price: all of it, only where it begins (the hold bounds it then), or nothing."""

    EXACT = "exact"
    FROM = "from"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Quote:
    """What a call will cost, in micro-USDC: exactly that, or that and more."""

    amount: MicroUSDC
    kind: QuoteKind


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """Everything that rebuilds the identical bytes of a paid request, and no secret.

    Attributes:
        rail: which rail must execute it, and whose account at which Hub pays; no other one may, because an id is known
            to that account only.
        account: the Hub and agent that it was written for; it is never sent to or by another.
        call_id: the idempotency id; minted here, stored before the first byte leaves.
        path: the Hub path, such as ``/v1/invoke``.
        body: the exact JSON body without its mandate, which carries the API key and is added when sent.
        budget: the mandate's per-call bound, micro-USDC: what was reserved.
        provable_until: the last instant at which it may leave, by the wall clock. The payee knows the id for longer, so
            whatever left before that can still be found out about then.
        streaming: whether ``Accept: text/event-stream`` goes with it.
        provenance: whether the Hub demands a provenance hash; it is made when the request is sent.
    """

    rail: str
    account: str
    call_id: str
    path: str
    body: bytes
    budget: MicroUSDC
    provable_until: UnixMs
    streaming: bool = False
    timeout_seconds: float = 30.0
    provenance: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of an execution.

    Attributes:
        verdict: what is proven about money.
        amount: what was charged, micro-USDC (0 unless charged).
        estimated: whether the payee did not say readably how much it charged, so that `amount` is what counts instead.
        answer: the delivered answer, if one arrived (also with `NOT_CHARGED`: a free call; and with `IN_DOUBT`, where
            it leaves open whether an attempt before it was charged).
        refusal: why there is no answer. Exactly one of `answer` and `refusal` is set.
        evidence: one short sentence for the ledger: what the verdict rests on.
        attempts: how many attempts may have reached the payee.
        proven: whether a charge is proven, and not only assumed.
        look_again_at: with `IN_DOUBT` and `PENDING`: when the payee is worth asking again.
    """

    verdict: Verdict
    amount: MicroUSDC
    answer: Answer | None
    refusal: Refusal | None
    evidence: str
    attempts: int = 1
    transaction_id: str | None = None
    estimated: bool = False
    proven: bool = True
    look_again_at: UnixMs | None = None


@dataclass(frozen=True, slots=True)
class Refunded:
    """Money that came back: `amount` micro-USDC in all for one transaction; `evidence` is for the ledger."""

    transaction_id: str
    amount: MicroUSDC
    evidence: str


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

        Raises:
            NotNow: it must not leave.
        """
        ...


class Rail(Protocol):
    """One way to pay."""

    @property
    def name(self) -> str:
        """The rail's name in the ledger, such as ``jecp``."""
        ...

    @property
    def account(self) -> str:
        """Who pays whom: the Hub's origin and the agent's id. Never a secret."""
        ...

    @property
    def source(self) -> str:
        """Where what it pays for is on offer: the Hub's origin."""
        ...

    def serves(self, account: str) -> bool:
        """Whether it can act for an account: find out about its calls, and finish them."""
        ...

    def quote(self, action: Action, arguments: Mapping[str, Any]) -> Quote | None:
        """The price of this call, or None when it cannot be known. Moves no money and asks nobody."""
        ...

    def request(
        self, call_id: str, action: Action, arguments: Mapping[str, Any], hold: MicroUSDC, now: UnixMs
    ) -> StoredRequest:
        """Write the call down, with the last instant at which it may leave. The same arguments give the same bytes.

        Args:
            hold: the most it may cost, micro-USDC.
            now: the wall clock.
        """
        ...

    async def skew(self, *, fresh: bool = False) -> float | None:
        """How far this machine's clock is ahead of the payee's, in seconds; None where the payee does not say.

        Args:
            fresh: ask now, instead of going by what was last heard.

        Raises:
            HubError: the payee was asked, because it must be or nothing was heard yet, and did not answer.
        """
        ...

    async def refunds(self) -> Sequence[Refunded]:
        """The refunds that were paid so far.

        Raises:
            HubError: the payee does not say.
        """
        ...

    async def execute(
        self,
        request: StoredRequest,
        journal: Journal,
        *,
        replay: bool = False,
        attempts: int = 0,
        progress: Progress | None = None,
    ) -> Outcome:
        """Send the request, and again under the same id where that is safe and useful.

        Args:
            request: what was stored before this call; its reservation must be durable already.
            journal: asked before each attempt leaves.
            replay: whether an earlier attempt, perhaps of another process, may have reached the Hub.
            attempts: how many earlier ones are known that may have.
            progress: where to report the progress of a streaming call.

        Never raises for anything the Hub or the network does: that is the outcome.
        """
        ...


def account_changed() -> Refusal:
    """The account is another one than the call was prepared for."""
    return Refusal(
        ACCOUNT_CHANGED,
        "The agent's account or its Hub changed while this call was being prepared. Nothing was sent and nothing was "
        "charged. Make the call again.",
        source="bridge",
    )
