"""From what a control plane said, or did not say, to what is proven about the money. Pure: no I/O, no clock.

A call is one idempotency key, and a key has one durable decision. So a decision is believed whichever attempt brought
it; a message that the request itself is refused proves something of that one attempt alone.

=======================================================  ===============================================================
what was heard                                           what follows
=======================================================  ===============================================================
nothing left, at the first attempt                       released
nothing left, later                                      in doubt, as it was
allow                                                    charged what the receipt says; provisional until it is final
paid_fulfillment_failed                                  charged so, and refused
deny, preflight_failed                                   released
executing                                                pending: the same key is asked again
inconclusive, execution_failed                           in doubt
a refusal of the request, at the only attempt            released
the same with 409: its key is known already              in doubt
a refusal of the request, later                          in doubt
any other answer, silence, a cut                         in doubt
the receipt of a charge: confirmed                       charged for good, whatever was said to have come back
the receipt of a charge: refunded                        all of it came back
the receipt of a charge: void, expired, reconciled       all of it came back so far, and looked at again
the receipt of a charge: void, expired, else             charged, and looked at again
the receipt of a charge: provisional, or not to be read  charged, and looked at again
a receipt below the cheapest way to pay                  charged what was held
a later receipt above what was charged                   charged that
=======================================================  ===============================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, assert_never

from jecp_mcp.domain.answers import Answer, Billing
from jecp_mcp.domain.outcomes import UNHEARD, UNREAD, Outcome, Verdict
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.jsontext import JSONObject
from jecp_mcp.money import ZERO, MicroUSDC, format_usdc
from jecp_mcp.rails.codes import (
    CONTROL_PLANE_UNREACHABLE,
    PAID_AND_REFUSED,
    PAYMENT_IN_DOUBT,
)
from jecp_mcp.rails.flow402.refusals import denied, impossible, refused_request
from jecp_mcp.rails.paid_http.lost import Lost
from jecp_mcp.wire.flow402.decision import (
    Allowed,
    Decision,
    Denied,
    Executing,
    ExecutionFailed,
    Inconclusive,
    PaidAndFailed,
    PreflightFailed,
)
from jecp_mcp.wire.flow402.receipt import Receipt, ReceiptStatus

_KEY_IN_USE: Final = 409
"""The key is known there: somebody on the way may have sent the request twice, and it may be paid."""
_FINAL: Final = frozenset({ReceiptStatus.CONFIRMED, ReceiptStatus.REFUNDED})
_UNSEEN: Final = frozenset({ReceiptStatus.VOID, ReceiptStatus.EXPIRED_UNCONFIRMED})
_RECONCILED: Final = frozenset({"none", "resolved", "refunded"})
"""Where nobody works on finding out whether a payment that was not seen on its chain was made."""
_WHOLE: Final = MicroUSDC(10**15)
"""More than any charge: what came back of one is at most all of it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The request that something was heard of.

    Attributes:
        hold: the most that it may cost, micro-USDC.
        least: what it costs by the cheapest way to pay, micro-USDC.
        tokens: the symbols and addresses of what it can be paid with.
        first: whether nothing of it can have left before that was not refused as a request.
        attempts: how many attempts may have reached the control plane this time.
    """

    hold: MicroUSDC
    tokens: Sequence[str]
    first: bool
    attempts: int = 1
    least: MicroUSDC = ZERO


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision came; `answer` is what the merchant answered, where it was paid."""

    decision: Decision
    answer: Answer | None = None
    words: str = ""


@dataclass(frozen=True, slots=True)
class RequestRefused:
    """The request itself was refused, in the control plane's words."""

    status: int
    said: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """Something answered that is neither."""

    status: int
    reason: str


Evidence = Lost | Decided | RequestRefused | Unclear


def conclude(heard: Evidence, asked: Asked) -> Outcome:
    """What is proven. Of whatever is open, when to look again is left to whoever has a clock."""
    match heard:
        case Lost():
            return _lost(heard, asked)
        case Decided(decision):
            return _decided(decision, heard, asked)
        case RequestRefused(status, said):
            if asked.first and status != _KEY_IN_USE:
                found = f"the control plane refused the request with status {status}"
                return _free(refused_request(status, said), found, asked.attempts)
            return _doubt(asked, f"the control plane answered with status {status}", {"control_plane_says": said})
        case Unclear(status, reason):
            return _doubt(asked, f"the control plane answered with status {status}, and no decision ({reason})")
        case _:
            assert_never(heard)


def confirm(receipt: Receipt, asked: Asked) -> Outcome:
    """How a charge stands that is in the books, by its receipt."""
    amount, note = _amount(receipt, asked)
    return Outcome(
        Verdict.CHARGED,
        amount,
        None,
        None,
        f"the receipt is {_status(receipt)}{note}",
        0,
        estimated=bool(note),
        proven=receipt.status in _FINAL,
        refunded=_WHOLE if _came_back(receipt) else ZERO,
    )


def unconfirmed(hold: MicroUSDC, reason: str) -> Outcome:
    """A charge whose receipt cannot be read now."""
    evidence = f"the receipt cannot be read: {reason}{UNHEARD}"
    return Outcome(Verdict.CHARGED, hold, None, None, evidence, 0, proven=False)


def _decided(decision: Decision, heard: Decided, asked: Asked) -> Outcome:
    match decision:
        case Allowed():
            return _charged(decision, heard.answer, None, asked)
        case PaidAndFailed():
            return _charged(decision, None, _failed(decision, heard, asked), asked)
        case Denied(code, reason, event):
            return _free(denied(code, reason, event), f"denied: {code}", asked.attempts)
        case PreflightFailed(code, reason):
            return _free(impossible(code, reason), f"not tried: {code}", asked.attempts)
        case Executing():
            evidence = "the control plane is paying it"
            return Outcome(Verdict.PENDING, ZERO, None, None, evidence, attempts=asked.attempts)
        case Inconclusive() | ExecutionFailed():
            return _unproven(decision, heard, asked)
        case _:
            assert_never(decision)


def _failed(decision: PaidAndFailed, heard: Decided, asked: Asked) -> Refusal:
    amount, _ = _amount(decision.receipt, asked)
    status = decision.response.status
    back = " By its receipt all of it came back." if _came_back(decision.receipt) else ""
    return Refusal(
        PAID_AND_REFUSED,
        f"The merchant took the payment of {format_usdc(amount)} USDC and did not do its work: it answered with status "
        f"{status}. It was charged.{back}",
        http_status=status,
        details=_details(decision.code, decision.reason, status=status, merchant_says=heard.words),
        source="bridge",
    )


def _unproven(decision: Inconclusive | ExecutionFailed, heard: Decided, asked: Asked) -> Outcome:
    if isinstance(decision, Inconclusive):
        details = _details(decision.code, decision.reason)
        return _doubt(asked, "the merchant was lost while it was being paid", details)
    status = decision.response.status
    details = _details(decision.code, decision.reason, status=status, merchant_says=heard.words)
    return _doubt(asked, f"the merchant answered with status {status}, and no receipt was made", details)


def _charged(
    decision: Allowed | PaidAndFailed, answer: Answer | None, refusal: Refusal | None, asked: Asked
) -> Outcome:
    receipt = decision.receipt
    amount, note = _amount(receipt, asked)
    billing = Billing(charged=True, amount=amount, reference=receipt.receipt_id, method="402flow")
    return Outcome(
        Verdict.CHARGED,
        amount,
        None if answer is None else replace(answer, billing=billing),
        refusal,
        f"the control plane's receipt, {_status(receipt)}{note}",
        attempts=asked.attempts,
        reference=receipt.receipt_id,
        estimated=bool(note),
        # A receipt is a proof that the money was ordered to move; whether it did, the final one says.
        proven=receipt.status in _FINAL,
        refunded=amount if _came_back(receipt) else ZERO,
    )


def _amount(receipt: Receipt, asked: Asked) -> tuple[MicroUSDC, str]:
    """What a receipt says was paid, micro-USDC, and how its evidence ends.

    In a token not agreed to, or below every price, that is what was held.
    """
    if receipt.money.asset.lower() not in {one.lower() for one in asked.tokens}:
        return asked.hold, UNREAD
    said = receipt.money.micro
    if said < asked.least:
        return asked.hold, f"; it says {format_usdc(said)} USDC, less than the merchant takes{UNREAD}"
    return said, ""


def _came_back(receipt: Receipt) -> bool:
    """Whether a charge does not stand, as far as is known: of what is still being reconciled that is not known."""
    if receipt.status is ReceiptStatus.REFUNDED:
        return True
    return receipt.status in _UNSEEN and receipt.reconciliation in _RECONCILED


def _status(receipt: Receipt) -> str:
    if receipt.status in _UNSEEN and receipt.reconciliation not in _RECONCILED:
        return f"{receipt.status.value} (reconciliation {receipt.reconciliation})"
    return receipt.status.value


def _lost(heard: Lost, asked: Asked) -> Outcome:
    if heard.sent:
        return _doubt(asked, f"no answer came ({heard.reason})")
    if not asked.first:
        return _doubt(replace(asked, attempts=asked.attempts - 1), f"not asked again ({heard.reason})")
    refusal = heard.refusal or Refusal(
        CONTROL_PLANE_UNREACHABLE,
        f"The 402flow control plane could not be reached: {heard.reason}. It was asked to pay nothing, and nothing was "
        "charged.",
        source="bridge",
    )
    return _free(refusal, f"never sent: {refusal.code}", asked.attempts - 1)


def _free(refusal: Refusal, evidence: str, attempts: int) -> Outcome:
    return Outcome(Verdict.NOT_CHARGED, ZERO, None, refusal, evidence, attempts=attempts)


def _doubt(asked: Asked, reason: str, details: JSONObject | None = None) -> Outcome:
    refusal = Refusal(
        PAYMENT_IN_DOUBT,
        f"The 402flow control plane was asked to pay at most {format_usdc(asked.hold)} USDC; {reason}. Whether it was "
        "paid is not known; it stays held and is never paid a second time.",
        details=details or {},
        source="bridge",
    )
    return Outcome(Verdict.IN_DOUBT, ZERO, None, refusal, reason, attempts=asked.attempts)


def _details(code: str, reason: str, **more: object) -> JSONObject:
    said = {"reason_code": code, "control_plane_says": reason, **more}
    return {name: value for name, value in said.items() if value != ""}
