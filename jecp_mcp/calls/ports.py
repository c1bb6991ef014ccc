"""What a paid call needs from above and gives back: ports that `server/` and `cli/` implement, and the call's end."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from jecp_mcp.domain.answers import Answer
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.purchases import Principal
from jecp_mcp.domain.quotes import QuoteKind
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.money import ZERO, MicroUSDC
from jecp_mcp.rails.base import Progress


class Charge(StrEnum):
    """Whether money moved, as far as it is proven."""

    NO = "no"
    YES = "yes"
    UNKNOWN = "unknown"


class Connection(Protocol):
    """Whether the caller is still there to take the answer."""

    async def listening(self) -> bool:
        """False when whatever is answered now reaches nobody."""
        ...


class Decision(StrEnum):
    """What came of asking a person. Only `ACCEPTED` allows anything; every other one leaves the call unbought."""

    ACCEPTED = "accepted"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    UNABLE = "unable"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a person said, or why there is no word of theirs.

    Attributes:
        reason: with `CANCELLED` and `UNABLE`: why, as part of a sentence.
        url: the link that was shown, for `Asker.show_link`.
    """

    decision: Decision
    reason: str = ""
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A purchase that needs a person. An answer counts for exactly this question: all fields are bound by `digest`.

    Attributes:
        principal: whose budget would pay.
        payee: who would earn the money; ``""`` for the source itself.
        account: which account would pay, at whom.
        action: the offer's key.
        amount: the price or, when its kind is not `exact`, the most it can come to; micro-USDC.
        kind: what is known of the price.
        terms: what else would be agreed with it (`jecp_mcp.domain.quotes.Quote.terms`).
        fingerprint: the call's fingerprint (`jecp_mcp.calls.stored.fingerprint`), which binds the arguments that say
            what is bought; those that bound it are bound by `amount` and `terms`.
        because: why a person is asked, as one sentence.
        arguments: what the call would be given, to be shown.
    """

    principal: str
    payee: str
    account: str
    action: str
    amount: MicroUSDC
    kind: QuoteKind
    terms: str
    fingerprint: str
    because: str
    arguments: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """The question's identity (hex SHA-256)."""
        bound = [
            self.principal,
            self.payee,
            self.account,
            self.action,
            self.amount,
            self.kind,
            self.terms,
            self.fingerprint,
            self.because,
        ]
        return hashlib.sha256(json.dumps(bound, separators=(",", ":")).encode("ascii")).hexdigest()


class Asker(Protocol):
    """Asks the person behind the host, within one tool call.

    To `calls/` both protocol eras look alike: `approve` is awaited where nothing is reserved yet, and whatever it
    returns but `ACCEPTED` ends the call unbought. On 2025-era connections it returns when the person has answered. A
    2026-era host is asked with the answer to its own request, so the first time `approve` returns `WAITING` at once;
    the host then makes the identical call again with the person's word, and the same question, asked again on the
    same way through the pipeline, gets it. Whoever sees `WAITING` ends the call as a refusal like any other, holding
    nothing: the face replaces that result by the question. A call that asks again later must ask the same, so a
    question holds nothing that changes by itself, such as the time.
    """

    @property
    def can_ask(self) -> bool:
        """Whether whoever is there can be shown a question at all, as far as is known before one is asked."""
        ...

    async def approve(self, question: Question) -> Reply:
        """Ask whether to buy. An answer counts once, for this very question. Raises nothing but cancellation."""
        ...

    async def show_link(self, purpose: str, message: str, make: Callable[[], Awaitable[str]]) -> Reply:
        """Have the host open a link, if the person agrees. `ACCEPTED` says that it was opened, not what came of it.

        Args:
            purpose: what the link is for; the same purpose in the same call is the same link.
            message: what the person is told, as one sentence.
            make: makes the link; not awaited again when the host comes back with the person's word.

        Returns:
            The person's word; the link is its `url`, whatever that word is.

        Raises:
            PayeeError, ToolFault: as `make` does.
        """
        ...


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling, and how to reach them while the call runs.

    Attributes:
        principal: whose budget it is.
        progress: where to report progress, or None.
        connection: tells whether the caller has left without a word; None where leaving cancels the call's handler.
        asker: asks the person behind the host or at the terminal, or None where nobody can be asked.
        host: what kind of host it is, by the name of its profile.
        client: what the host calls itself; ``""`` where it does not say.
        patience: how long the caller waits for an answer, in seconds. A call that takes longer goes on, and is
            answered by its id.
        holds_list: whether it is a host with this server's list of tools before it, so that what stands there, or goes
            without saying, is not told.
    """

    principal: Principal
    progress: Progress | None = None
    connection: Connection | None = None
    asker: Asker | None = None
    host: str = "open"
    client: str = ""
    patience: float = math.inf
    holds_list: bool = False

    @property
    def can_ask(self) -> bool:
        """Whether a person can be asked within the call."""
        return self.asker is not None and self.asker.can_ask

    async def listening(self) -> bool:
        """Whether an answer given now reaches the caller, as far as it can be told."""
        return self.connection is None or await self.connection.listening()


@dataclass(frozen=True, slots=True)
class CallEnd:
    """How a paid call ended. At least one of `answer` and `refusal` is set.

    Attributes:
        call_id: the ledger's id; None when nothing was reserved.
        charge: whether money moved.
        amount: what was charged, micro-USDC.
        refunded: what of it came back, as far as is known, micro-USDC.
        estimated: whether the payee did not say readably how much it charged, so that `amount` is what counts instead.
        held: what stays held while `charge` is unknown, micro-USDC.
        reserved: what was set aside for the call, micro-USDC; a metered one is charged less.
        reference: the payee's own name for the payment.
        stored: whether this is the kept answer of an earlier call, delivered now at no further cost.
        delivered: whether that answer had reached a caller before.
        copy: which copy of its call it is, counted from 1; None for the first one without a label.
    """

    charge: Charge
    call_id: str | None = None
    offer: Offer | None = None
    answer: Answer | None = None
    refusal: Refusal | None = None
    amount: MicroUSDC = ZERO
    held: MicroUSDC = ZERO
    reserved: MicroUSDC = ZERO
    reference: str | None = None
    balance_after: MicroUSDC | None = None
    stored: bool = False
    delivered: bool = False
    estimated: bool = False
    copy: int | None = None
    refunded: MicroUSDC = ZERO

    @property
    def took_effect(self) -> bool:
        """Whether it was paid for, may have been, or brought its answer: then it is not made again."""
        return self.charge is not Charge.NO or self.answer is not None

    @property
    def excessive(self) -> bool:
        """Whether the payee says that it took more than the call was allowed to cost, which a person must look at."""
        return self.charge is Charge.YES and self.amount > self.reserved
