"""From what was heard of a call that came with a payment to what is proven about its money. Pure: no I/O, no clock.

A signed authorization can be taken until it expires, and a Hub may charge the wallet instead of taking it. So a call is
free only where neither can have happened: nothing of the payment left; or it expired, the chain says at a final block
that it was never used, and the Hub, asked after that in a way that can spend nothing, knows of no sale
(`jecp_mcp.rails.jecp.outcome.knows_no_sale`). No Hub's word frees money of the signer's wallet, and none of its codes
but those that ask for money frees money of the wallet there.

==============================================================  ============================================
what was heard                                                  what follows
==============================================================  ============================================
nothing left, at the first attempt                              released
an answer that was paid by x402                                 charged, until the chain shows otherwise
an answer that was not, or that bills the wallet as well        in doubt, with its answer, until the chain speaks
a refusal that says it was charged, by x402                     charged, and refused, until the chain shows otherwise
a refusal that says it was charged, and not how                 that and the payment, until the chain shows otherwise
X402_SETTLEMENT_REUSED with this call's transaction             charged so, and its answer lost
any other refusal, the five of x402's too                       in doubt
silence, a cut, what is no JECP answer                          in doubt
the chain: used                                                 charged, and what the wallet is billed for as well;
                                                                a refusal is said to be one, silence to be lost
the chain: expired and never used, and the Hub knows no sale    released
the chain: expired and never used, and the wallet paid          charged what the wallet was
the chain: expired and never used, "not charged again"          in doubt: what was lost before may have been
the chain: expired and never used, and the Hub does not say     in doubt
charged: the chain, used                                        charged for good
charged: the chain, never used, and the Hub knows no sale       the payment came back
charged: the chain, never used, and the wallet paid             what the wallet was, the rest came back
charged: the chain, never used, and the Hub does not say        charged; for good when the Hub knows the id no more
==============================================================  ============================================
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, assert_never

from jecp_mcp.domain.answers import Answer, Billing
from jecp_mcp.domain.outcomes import UNREAD, Outcome, Verdict
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.money import ZERO, MicroUSDC, format_usdc
from jecp_mcp.rails.codes import PAID_AND_REFUSED, PAID_ANSWER_LOST, PAYMENT_NEVER_TAKEN
from jecp_mcp.rails.jecp.codes import HUB_UNREACHABLE
from jecp_mcp.rails.jecp.outcome import (
    Evidence,
    Lost,
    Replied,
    Unreadable,
    in_doubt,
    knows_no_sale,
    says_charged,
    shown,
    summary,
)
from jecp_mcp.rails.x402.outcome import OnChain, Paid, confirm, is_ours, transaction_of
from jecp_mcp.wire.jecp.envelope import billing_of
from jecp_mcp.wire.jecp.x402 import settled_before
from jecp_mcp.wire.x402.settlement import Settlement

METHOD: Final = "x402"
"""How a bill names what was paid so (JECP 06-x402-integration §5.1)."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of one attempt with a payment.

    Attributes:
        call_id: the call's.
        hold: what is held for it, micro-USDC.
        evidence: the Hub's answer, or why there is none.
        receipt: what it says became of the payment, if that can be read.
        harmless: whether the attempt could spend nothing, its payment having expired and its mandate allowing nothing,
            and came after any other was done with.
    """

    call_id: str
    hold: MicroUSDC
    evidence: Evidence
    receipt: Settlement | None = None
    harmless: bool = False


def conclude_payment(heard: Heard, paid: Paid) -> Outcome:
    """What is proven by the Hub's word alone."""
    match heard.evidence:
        case Replied(reply):
            if isinstance(reply, Answer):
                return _answered(reply, heard.receipt, paid)
            return _refused(reply, heard.call_id, paid)
        case Lost(sent=False, reason=reason) if paid.first:
            message = f"The Hub could not be reached with the payment: {reason}. It never left; nothing was charged."
            refusal = Refusal(HUB_UNREACHABLE, message, source="bridge")
            return Outcome(Verdict.NOT_CHARGED, ZERO, None, refusal, "the payment never left", 0)
        case Lost() | Unreadable():
            found = in_doubt([heard.evidence], heard.hold, replay=not paid.first)
            sent = not isinstance(heard.evidence, Lost) or heard.evidence.sent
            return _doubt(found, summary(heard.evidence), attempts=int(sent))
        case _:
            assert_never(heard.evidence)


def with_chain(heard: Heard, said: OnChain, paid: Paid) -> Outcome:
    """What is proven by the Hub's word, which leaves the call in doubt, and the chain's."""
    found = conclude_payment(heard, paid)
    if found.verdict is not Verdict.IN_DOUBT or said.used is None:
        return replace(found, evidence=f"{found.evidence}; the chain does not say: {said.reason}")
    wallet, verdict = _billed_to_wallet(found.answer, paid)
    if said.used:
        lost = None if found.answer is not None else _no_result(heard, paid)
        amount = MicroUSDC(paid.amount + wallet)
        evidence = "the chain: the payment was taken" + (", and the wallet is billed as well" if wallet else "")
        return _charged(amount, found.answer, lost, evidence, said.transaction, found.attempts)
    if found.answer is not None and verdict is not Verdict.IN_DOUBT:
        if wallet:
            reference = found.answer.billing.reference
            evidence = "answered, charged to the wallet; the chain: the payment expired and was never taken"
            return _charged(wallet, found.answer, None, evidence, reference, found.attempts)
        evidence = "answered, not charged; the chain: the payment expired and was never taken"
        return Outcome(Verdict.NOT_CHARGED, ZERO, found.answer, None, evidence, found.attempts)
    if heard.harmless and knows_no_sale(heard.evidence):
        refusal = Refusal(
            PAYMENT_NEVER_TAKEN,
            "The Hub never took the payment, and can take it no longer: the chain says so, and the Hub knows of no "
            "sale. Nothing was charged.",
            source="bridge",
        )
        evidence = f"the chain: expired and never taken; {summary(heard.evidence)}"
        return Outcome(Verdict.NOT_CHARGED, ZERO, None, refusal, evidence, found.attempts)
    return replace(found, evidence=f"{found.evidence}; the chain: the payment expired and was never taken")


def never_taken(heard: Heard, paid: Paid) -> Outcome:
    """How a charge stands that was assumed, once the chain says that the payment expired and was never taken.

    That says nothing of the wallet at the Hub, from which an attempt whose answer was lost may have been paid.

    Args:
        heard: what the Hub said after that, asked for what can spend nothing.
        paid: the payment.
    """
    void = confirm(OnChain(False), paid.amount)
    answer = heard.evidence.reply if isinstance(heard.evidence, Replied) else None
    if isinstance(answer, Answer):
        wallet, verdict = _billed_to_wallet(answer, paid)
        if answer.billing.method == METHOD or verdict is Verdict.NOT_CHARGED:
            return void
        if verdict is Verdict.CHARGED:
            evidence = f"{void.evidence}; the Hub's bill is its wallet's"
            left = MicroUSDC(max(paid.amount - wallet, 0))
            return replace(void, amount=MicroUSDC(max(paid.amount, wallet)), refunded=left, evidence=evidence)
    elif heard.harmless and knows_no_sale(heard.evidence):
        return replace(void, evidence=f"{void.evidence}; {summary(heard.evidence)}")
    evidence = f"{void.evidence}; whether the wallet at the Hub paid instead is not known"
    sent = not isinstance(heard.evidence, Lost) or heard.evidence.sent
    return replace(void, refunded=ZERO, proven=False, evidence=evidence, attempts=int(sent))


def _answered(answer: Answer, receipt: Settlement | None, paid: Paid) -> Outcome:
    billing = answer.billing
    taken = receipt is not None and receipt.success and is_ours(receipt, paid)
    if billing.method == METHOD or (taken and not _is_wallets(billing)):
        transaction = transaction_of(receipt) if taken and receipt is not None else None
        reference = billing.reference or transaction
        # The token moves exactly what was signed, whatever the bill says.
        told = Billing(charged=True, amount=paid.amount, reference=reference, method=METHOD, raw=billing.raw)
        evidence = "answered, with the Hub's receipt for the payment" if taken else "answered, and billed by x402"
        return replace(_charged(paid.amount, replace(answer, billing=told), None, evidence, reference, 1), proven=False)
    evidence = "answered, and not paid by the payment that was sent, which can be taken still"
    return Outcome(Verdict.IN_DOUBT, ZERO, answer, None, evidence)


def _refused(refusal: Refusal, call_id: str, paid: Paid) -> Outcome:
    if says_charged(refusal) is True:
        billing = billing_of(refusal.raw)
        # What it does not say to have taken by x402 it may have taken from the wallet, and take the payment too.
        wallet = ZERO if billing.method == METHOD else _amount(billing, paid)
        evidence = f"refused, and yet charged: {refusal.code}{UNREAD if wallet else ''}"
        charged = _charged(MicroUSDC(paid.amount + wallet), None, refusal, evidence, billing.reference, 1)
        return replace(charged, proven=False, estimated=bool(wallet))
    transaction = settled_before(refusal, call_id)
    if transaction is not None:
        evidence = f"the Hub says that the payment was taken for this call ({refusal.code})"
        return replace(_charged(paid.amount, None, _answer_lost(paid), evidence, transaction, 1), proven=False)
    return _doubt(refusal, f"the Hub answered {refusal.code}", attempts=1)


def _is_wallets(billing: Billing) -> bool:
    """Whether a bill says, by its method or by what is left there, that the wallet at the Hub paid."""
    named = billing.method is not None or billing.balance_after is not None
    return billing.charged is not False and billing.method != METHOD and named


def _billed_to_wallet(answer: Answer | None, paid: Paid) -> tuple[MicroUSDC, Verdict]:
    """What an answer that was not paid by x402 bills the wallet for, and whether that is proven.

    An attempt before it may have been charged, so that "not charged" beside a bill may mean "not again".
    """
    if answer is None:
        return ZERO, Verdict.NOT_CHARGED
    verdict = shown(Replied(answer), replay=True)
    return (ZERO if verdict is Verdict.NOT_CHARGED else _amount(answer.billing, paid)), verdict


def _amount(billing: Billing, paid: Paid) -> MicroUSDC:
    return billing.amount if billing.amount is not None else MicroUSDC(max(paid.amount, billing.at_least))


def _charged(
    amount: MicroUSDC, answer: Answer | None, refusal: Refusal | None, evidence: str, reference: str | None, count: int
) -> Outcome:
    return Outcome(Verdict.CHARGED, amount, answer, refusal, evidence, count, reference)


def _doubt(refusal: Refusal, reason: str, *, attempts: int) -> Outcome:
    return Outcome(Verdict.IN_DOUBT, ZERO, None, refusal, f"a payment was sent: {reason}", attempts)


def _no_result(heard: Heard, paid: Paid) -> Refusal:
    """What a caller is told of a payment that was taken and bought nothing."""
    match heard.evidence:
        case Replied(Refusal(code=code)) if not heard.harmless:
            return Refusal(
                PAID_AND_REFUSED,
                f"The Hub took the payment of {format_usdc(paid.amount)} USDC and gives no result: it answers with "
                f"{code}. It was charged.",
                source="bridge",
            )
        case _:
            return _answer_lost(paid)


def _answer_lost(paid: Paid) -> Refusal:
    return Refusal(
        PAID_ANSWER_LOST,
        f"The Hub took the payment of {format_usdc(paid.amount)} USDC, and its answer was lost on the way. It was "
        "charged.",
        source="bridge",
    )
