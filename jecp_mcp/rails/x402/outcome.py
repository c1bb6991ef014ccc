"""From what was heard of a payment to what is proven about its money. Pure: no I/O, no clock.

A signed authorization can be taken until it expires, whatever the merchant says. So only three things free its money:
that no byte of it left, that it expired and the chain says at a final block that its nonce was never used, and a
person. That it was taken is believed of its merchant, and looked up on the chain where there is one to ask: a receipt
is a merchant's word.

====================================================  ==================================================
what was heard                                        what follows
====================================================  ==================================================
nothing left, at the first attempt                    released
nothing left, later                                   in doubt, as it was
2xx, with a receipt of success or without one         charged, until the chain shows otherwise
any other status with a receipt of success            charged so, and refused
any other status, that the nonce is used              charged so, and its answer lost
any other status, silence, a cut, a redirect          in doubt
the chain, at a final block: the nonce is used        charged
the chain, at one after it expired: it is not used    released
the chain does not say                                in doubt
charged by a merchant's word: the chain, it is used   charged
charged by a merchant's word: the chain, never used   all of it came back
====================================================  ==================================================
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, assert_never

from jecp_mcp.domain.answers import Answer, Billing
from jecp_mcp.domain.outcomes import Outcome, Verdict
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.money import ZERO, MicroUSDC, format_usdc
from jecp_mcp.rails.codes import (
    MERCHANT_UNREACHABLE,
    PAID_AND_REFUSED,
    PAID_ANSWER_LOST,
    PAYMENT_IN_DOUBT,
    PAYMENT_NEVER_TAKEN,
)
from jecp_mcp.rails.paid_http.lost import Lost
from jecp_mcp.wire.x402.settlement import NONCE_USED, Settlement

_TRANSACTION: Final = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
_OK: Final = range(200, 300)
_REDIRECTS: Final = range(300, 400)


@dataclass(frozen=True, slots=True)
class Paid:
    """The payment that something was heard of.

    Attributes:
        amount: what it moves, micro-USDC: all of it or nothing.
        units: the same in the token's smallest units.
        payer: an address in lower case.
        networks: what the network may be called in a receipt.
        first: whether nothing of it can have left before.
    """

    amount: MicroUSDC
    units: int
    payer: str
    networks: frozenset[str]
    first: bool


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer came.

    Attributes:
        settlement: what it says of the payment; None for nothing that can be read.
        said: why the merchant asks again for money, or what else it gives as the reason.
        words: the beginning of its body.
    """

    status: int
    answer: Answer
    settlement: Settlement | None = None
    said: str = ""
    words: str = ""


@dataclass(frozen=True, slots=True)
class OnChain:
    """What the chain says at a final block, which lies after the authorization expired where it is not `used`.

    Attributes:
        used: None where it does not say.
        transaction: where the money moved, if that was found.
        reason: why it does not say.
    """

    used: bool | None
    transaction: str | None = None
    reason: str = ""


Evidence = Lost | Answered | OnChain


def conclude(heard: Evidence, paid: Paid) -> Outcome:
    """What is proven. Of an outcome in doubt, when to look again is left to whoever has a clock."""
    match heard:
        case Lost():
            return _lost(heard, paid)
        case Answered():
            return _answered(heard, paid)
        case OnChain():
            return _on_chain(heard, paid)
        case _:
            assert_never(heard)


def confirm(said: OnChain, amount: MicroUSDC) -> Outcome:
    """How a charge stands that was assumed, by what the chain says: proven, void, or still assumed."""
    if said.used is None:
        return Outcome(Verdict.CHARGED, amount, None, None, f"the chain does not say: {said.reason}", 0, proven=False)
    if said.used:
        found = "the chain: the payment was taken"
        return Outcome(Verdict.CHARGED, amount, None, None, found, 0, said.transaction)
    return Outcome(Verdict.CHARGED, amount, None, None, "the chain: expired and never taken", 0, refunded=amount)


def _lost(heard: Lost, paid: Paid) -> Outcome:
    if heard.sent:
        return _doubt(paid, f"no answer came ({heard.reason})")
    if not paid.first:
        return _doubt(paid, f"not sent again ({heard.reason})", attempts=0)
    refusal = heard.refusal or Refusal(
        MERCHANT_UNREACHABLE,
        f"The merchant could not be reached: {heard.reason}. No payment left this machine and nothing was charged.",
        source="bridge",
    )
    return Outcome(Verdict.NOT_CHARGED, ZERO, None, refusal, f"never sent: {refusal.code}", attempts=0)


def _answered(heard: Answered, paid: Paid) -> Outcome:
    settlement, delivered = heard.settlement, heard.status in _OK
    reference = None if settlement is None else transaction_of(settlement)
    if settlement is not None and settlement.success and is_ours(settlement, paid):
        if delivered:
            return _charged(paid, _billed(heard.answer, paid, reference), None, "the merchant's receipt", reference)
        refusal = Refusal(
            PAID_AND_REFUSED,
            f"The merchant took the payment of {format_usdc(paid.amount)} USDC and answered with status "
            f"{heard.status} all the same. It was charged.",
            http_status=heard.status,
            details=_details(heard),
            source="bridge",
        )
        return _charged(paid, None, refusal, f"the merchant's receipt, with status {heard.status}", reference)
    if delivered:
        evidence = "delivered, and no receipt that can be believed"
        return _charged(paid, _billed(heard.answer, paid, None), None, evidence, reference)
    said = (settlement.error_reason if settlement is not None else None) or heard.said
    if said in NONCE_USED:
        return _charged(
            paid, None, _content_lost(paid), "the merchant says that the payment was taken before", reference
        )
    doubt = _doubt(paid, f"answered with status {heard.status}", details=_details(heard))
    return replace(doubt, reference=reference)


def _on_chain(heard: OnChain, paid: Paid) -> Outcome:
    if heard.used is None:
        return _doubt(paid, f"the chain does not say: {heard.reason}", attempts=0)
    if heard.used:
        found = _charged(paid, None, _content_lost(paid), "the chain: the payment was taken", heard.transaction)
        return replace(found, attempts=0, proven=True)
    refusal = Refusal(
        PAYMENT_NEVER_TAKEN,
        "The merchant never took the payment, and can take it no longer: the chain says so. Nothing was charged.",
        source="bridge",
    )
    return Outcome(Verdict.NOT_CHARGED, ZERO, None, refusal, "the chain: expired and never taken", attempts=0)


def _charged(
    paid: Paid, answer: Answer | None, refusal: Refusal | None, evidence: str, reference: str | None
) -> Outcome:
    return Outcome(Verdict.CHARGED, paid.amount, answer, refusal, evidence, reference=reference, proven=False)


def _doubt(paid: Paid, reason: str, *, attempts: int = 1, details: dict[str, object] | None = None) -> Outcome:
    refusal = Refusal(
        PAYMENT_IN_DOUBT,
        f"A payment of {format_usdc(paid.amount)} USDC was sent; {reason}. Whether it was taken is not known; it stays "
        "held and is never paid a second time.",
        details=details or {},
        source="bridge",
    )
    return Outcome(Verdict.IN_DOUBT, ZERO, None, refusal, reason, attempts=attempts)


def _content_lost(paid: Paid) -> Refusal:
    return Refusal(
        PAID_ANSWER_LOST,
        f"The merchant took the payment of {format_usdc(paid.amount)} USDC, and its answer was lost on the way. It "
        "was charged.",
        source="bridge",
    )


def _billed(answer: Answer, paid: Paid, reference: str | None) -> Answer:
    return replace(answer, billing=Billing(charged=True, amount=paid.amount, reference=reference, method="x402"))


def is_ours(settlement: Settlement, paid: Paid) -> bool:
    """Whether a receipt can be of this payment: it names no other payer, network or amount."""
    return (
        settlement.payer in {None, paid.payer}
        and settlement.network in {"", *paid.networks}
        and settlement.amount in {None, paid.units}
    )


def transaction_of(settlement: Settlement) -> str | None:
    """The chain's name for the transfer, where it is one."""
    return settlement.transaction.lower() if _TRANSACTION.fullmatch(settlement.transaction) else None


def _details(heard: Answered) -> dict[str, object]:
    said: dict[str, object] = {"status": heard.status}
    if heard.settlement is not None and heard.settlement.error_reason:
        said["payment_error"] = heard.settlement.error_reason
    if heard.status in _REDIRECTS:
        said["redirect"] = "not followed"
    if heard.words:
        said["merchant_says"] = heard.words
    return said
