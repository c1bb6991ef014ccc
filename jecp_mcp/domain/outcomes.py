"""What an execution proved about money, and what it brought. Pure: no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.answers import Answer
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.money import ZERO, MicroUSDC

UNREAD: Final = "; how much cannot be read"
"""How the evidence ends of a charge whose amount is not the payee's own figure: see `Outcome.estimated`."""

UNHEARD: Final = "; its payee does not say now"
"""How the evidence ends of a charge that may yet turn, and of which its payee was asked in vain."""


class Verdict(StrEnum):
    """What is proven about the money of a call. `PENDING`: the payee is known to work on it still."""

    CHARGED = "charged"
    NOT_CHARGED = "not_charged"
    IN_DOUBT = "in_doubt"
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of an execution.

    Attributes:
        verdict: what is proven about money.
        amount: what was charged, micro-USDC (0 unless charged).
        estimated: whether the payee did not say readably how much it charged, so that `amount` is what counts instead.
        answer: the delivered answer, if one arrived (also with `NOT_CHARGED`: a free call; and with `IN_DOUBT`, where
            it leaves open whether an attempt before it was charged).
        refusal: why there is no answer. At least one of `answer` and `refusal` is set, but for `PENDING`, and for how a
            charge stands that is in the books already.
        evidence: one short sentence for the ledger: what the verdict rests on.
        attempts: how many attempts may have reached the payee.
        reference: the payee's own name for the payment, unique within rail and account.
        proven: whether a charge is proven, and not only assumed.
        look_again_at: when the payee is worth asking again: with `IN_DOUBT` and `PENDING`, and with `CHARGED` where the
            charge may yet turn. Then the call is found out about until an outcome says no more when.
        refunded: how much of the charge came back, micro-USDC; all of it where the charge turned out to be void.
    """

    verdict: Verdict
    amount: MicroUSDC
    answer: Answer | None
    refusal: Refusal | None
    evidence: str
    attempts: int = 1
    reference: str | None = None
    estimated: bool = False
    proven: bool = True
    look_again_at: UnixMs | None = None
    refunded: MicroUSDC = ZERO


@dataclass(frozen=True, slots=True)
class Refunded:
    """Money that came back: `amount` micro-USDC in all for one payment; `evidence` is for the ledger."""

    reference: str
    amount: MicroUSDC
    evidence: str


class Mark(StrEnum):
    """What a rail writes down of a call while it works on it.

    `AUTHORIZED`: the next step is a payment that its payee asked for only while the call ran; the rail knows how it is
    found out that it can be taken no longer. `ACCEPTED`: the payee has taken the work on. `RESULT`: its answer is here.
    `INTENT`: the next step spends for good; from then on the call is never free by itself.
    """

    AUTHORIZED = "authorized"
    ACCEPTED = "accepted"
    RESULT = "result"
    INTENT = "intent"


class AuthorizedCall(NamedTuple):
    """A call for which a payment may be signed (`Mark.AUTHORIZED`), with what was agreed, and when it was made."""

    call_id: str
    terms: str
    made_at: UnixMs


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing written down: `data` is the rail's own short text; `answer` comes with `RESULT`."""

    mark: Mark
    data: str = ""
    answer: Answer | None = None
