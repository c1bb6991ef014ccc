"""What a Hub's answers, and their absence, prove about money. Pure: no I/O, clock or randomness.

One call is one id and one or more attempts. A success under the id is definitive whichever attempt fetched it, unless
it says that what it bills was not charged: after a lost attempt that may mean "not again". A refusal is definitive only
when every attempt that can have reached the Hub got one: until then whoever charged the lost attempt may still hold the
money.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from jecp_mcp.domain.answers import Answer, Billing
from jecp_mcp.domain.outcomes import UNREAD, Outcome, Verdict
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.jsontext import NOTHING
from jecp_mcp.money import ZERO, MicroUSDC, format_usdc
from jecp_mcp.rails.jecp.codes import HUB_LOST_ANSWER, HUB_MISBEHAVED, HUB_UNREACHABLE
from jecp_mcp.wire.jecp.codes import Proof
from jecp_mcp.wire.jecp.envelope import billing_of, bills
from jecp_mcp.wire.jecp.errors import charge_proof

_PAYMENT_REQUIRED: Final = 402
_WANTS_MONEY: Final = frozenset({"INSUFFICIENT_BUDGET", "INSUFFICIENT_BALANCE", "PAYMENT_REQUIRED"})


@dataclass(frozen=True, slots=True)
class Replied:
    """The Hub answered in its protocol."""

    reply: Answer | Refusal


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something answered, but not in the protocol: it proves nothing."""

    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """No whole answer arrived.

    Attributes:
        sent: False proves that no byte left.
        again: False where the same request would end the same way, such as with an answer longer than is read.
    """

    sent: bool
    reason: str
    again: bool = True


Evidence = Replied | Unreadable | Lost


def shown(evidence: Evidence, *, replay: bool) -> Verdict:
    """What one attempt alone proves about its own charge (JECP 03-errors §3; JECP ADR-0001 for replays).

    Args:
        evidence: what became of the attempt.
        replay: whether an attempt before it may have reached the Hub.
    """
    match evidence:
        case Replied(reply):
            if isinstance(reply, Refusal):
                return _shown_by_refusal(reply)
            return _shown_by_answer(reply, replay=replay)
        case Lost(sent=False):
            return Verdict.NOT_CHARGED
        case Unreadable() | Lost():
            return Verdict.IN_DOUBT
        case _:
            assert_never(evidence)


def answering(call_id: str, evidence: Evidence) -> Evidence:
    """The evidence, if it is about this call: what answers another id proves nothing about this one."""
    if isinstance(evidence, Replied) and evidence.reply.id not in (None, call_id):
        status = evidence.reply.http_status if isinstance(evidence.reply, Refusal) else None
        return Unreadable(status or 200, "the answer is for another call")
    return evidence


def doubtful(attempts: Sequence[Evidence], *, replay: bool) -> bool:
    """Whether some attempt may have been charged without our knowing."""
    # Read one by one as first attempts: those before the first doubtful one are all settled, so none is running.
    return replay or any(shown(one, replay=False) is not Verdict.NOT_CHARGED for one in attempts)


def knows_no_sale(evidence: Evidence) -> bool:
    """Whether a Hub said that nothing is in its books under a call's id: by asking for money, with status 402.

    A Hub looks the id up before it works on a call (JECP ADR-0001 Decision), so that what was sold under it is answered
    again, whatever the mandate allows now, and it asks for money only where nothing was. That proves nothing while an
    earlier attempt may still be worked on. What comes before the look-up proves nothing at all: who asks, in what shape
    and how often. Nor does what a gateway, or another part of the Hub, says of itself.
    """
    if not (isinstance(evidence, Replied) and isinstance(evidence.reply, Refusal)):
        return False
    refusal = evidence.reply
    asks = refusal.code in _WANTS_MONEY and refusal.http_status == _PAYMENT_REQUIRED and "jecp" in refusal.raw
    return asks and not bills(refusal.raw)


def conclude(
    attempts: Sequence[Evidence], *, replay: bool, budget: MicroUSDC, allowed: MicroUSDC | None = None
) -> Outcome:
    """Fold the attempts of one call into what is proven.

    Args:
        attempts: what happened, oldest first; at least one.
        replay: whether an attempt before these may have reached the Hub.
        budget: what was reserved, micro-USDC; what counts at least when nothing says readably how much was charged.
        allowed: what the mandate of every attempt, the earlier ones too, let the Hub charge; None for the budget.
    """
    count = sum(not isinstance(one, Lost) or one.sent for one in attempts)
    for index, one in reversed(list(enumerate(attempts))):
        if isinstance(one, Replied) and isinstance(one.reply, Answer):
            again = doubtful(attempts[:index], replay=replay)
            return _success(one.reply, _shown_by_answer(one.reply, replay=again), budget, count)
        if isinstance(one, Replied) and isinstance(one.reply, Refusal) and says_charged(one.reply) is True:
            return _charged_refusal(one.reply, budget, count)
    if not doubtful(attempts, replay=replay):
        refusal = _last_refusal(attempts) or _unreachable(attempts[-1])
        evidence = "nothing left this machine" if refusal.source == "bridge" else f"refused: {refusal.code}"
        return Outcome(Verdict.NOT_CHARGED, ZERO, None, refusal, evidence, count)
    if allowed == ZERO and knows_no_sale(attempts[-1]):
        # None could be charged (JECP 02-authentication §4.3), and none was: only both together are a proof.
        asked = _only_asked() if replay else _last_refusal(attempts)
        return Outcome(Verdict.NOT_CHARGED, ZERO, None, asked, f"allowed nothing; {summary(attempts[-1])}", count)
    refusal = in_doubt(attempts, budget, replay=replay)
    return Outcome(Verdict.IN_DOUBT, ZERO, None, refusal, f"not proven: {summary(attempts[-1])}", count)


def _shown_by_answer(answer: Answer, *, replay: bool) -> Verdict:
    billing = answer.billing
    if billing.charged is not False:
        return Verdict.CHARGED
    billed = bool(billing.amount) or billing.reference is not None
    return Verdict.IN_DOUBT if replay and billed else Verdict.NOT_CHARGED


def _shown_by_refusal(refusal: Refusal) -> Verdict:
    said = says_charged(refusal)
    if said is True:
        return Verdict.CHARGED
    if bills(refusal.raw):
        # Whatever the code says, or another part of it, the Hub may have taken what it bills.
        return Verdict.IN_DOUBT
    if said is False:
        return Verdict.NOT_CHARGED
    match charge_proof(refusal):
        case Proof.NO | Proof.PAYMENT:
            # What goes with a payment is judged elsewhere (`jecp_mcp.rails.jecp.x402_outcome`).
            return Verdict.NOT_CHARGED
        case Proof.UNKNOWN | Proof.FIRST_CALL:
            return Verdict.IN_DOUBT
        case other:
            assert_never(other)


def says_charged(refusal: Refusal) -> bool | None:
    """What a failed envelope says of the charge in so many words; a code is weaker than that."""
    billing = refusal.raw.get("billing")
    said = billing.get("charged") if isinstance(billing, Mapping) else None
    return said if isinstance(said, bool) else None


def refused_by_hub(ended: Outcome) -> bool:
    """Whether a call ended, without a doubt, with a refusal of the Hub's own, which may ask for a payment."""
    refused = ended.refusal is not None and ended.refusal.source == "payee"
    return refused and ended.verdict is Verdict.NOT_CHARGED and ended.answer is None


def _success(answer: Answer, verdict: Verdict, budget: MicroUSDC, count: int) -> Outcome:
    billing = answer.billing
    if verdict is not Verdict.CHARGED:
        doubt = " again, it says; what was lost before may have been" if verdict is Verdict.IN_DOUBT else ""
        return Outcome(verdict, ZERO, answer, None, f"answered, not charged{doubt}", count, billing.reference)
    amount, estimated = _counted(billing, budget)
    evidence = f"answered, charged{UNREAD if estimated else ''}"
    return Outcome(Verdict.CHARGED, amount, answer, None, evidence, count, billing.reference, estimated)


def _charged_refusal(refusal: Refusal, budget: MicroUSDC, count: int) -> Outcome:
    billing = billing_of(refusal.raw)
    amount, estimated = _counted(billing, budget)
    evidence = f"refused, and yet charged: {refusal.code}{UNREAD if estimated else ''}"
    return Outcome(Verdict.CHARGED, amount, None, refusal, evidence, count, billing.reference, estimated)


def _counted(billing: Billing, budget: MicroUSDC) -> tuple[MicroUSDC, bool]:
    """What a charge counts as, and whether that is not the Hub's own figure."""
    return (max(budget, billing.at_least), True) if billing.amount is None else (billing.amount, False)


def _last_refusal(attempts: Sequence[Evidence]) -> Refusal | None:
    replies = (one.reply for one in reversed(attempts) if isinstance(one, Replied))
    return next((reply for reply in replies if isinstance(reply, Refusal)), None)


def _unreachable(last: Evidence) -> Refusal:
    assert isinstance(last, Lost), "what was answered is no refusal, and so not without doubt"
    return Refusal(
        HUB_UNREACHABLE,
        f"The Hub could not be reached: {last.reason}. Nothing was sent and nothing was charged.",
        source="bridge",
    )


def _only_asked() -> Refusal:
    return Refusal(
        HUB_UNREACHABLE,
        "The Hub was only asked what this call costs, and its answer was lost: it knows of no sale. Nothing was bought "
        "and nothing was charged.",
        source="bridge",
    )


def in_doubt(attempts: Sequence[Evidence], budget: MicroUSDC, *, replay: bool) -> Refusal:
    """The words for a call in doubt: those of the last attempt that left it so."""
    money = f"Whether it was charged is not known, so {format_usdc(budget)} USDC stay held."
    doubts = [one for one in attempts if shown(one, replay=replay) is Verdict.IN_DOUBT]
    # That the id is known says less than what became of the attempt that made it known, where there is one.
    telling = [one for one in doubts if not _repeats(one)] or (doubts if len(attempts) == 1 and not replay else [])
    last = telling[-1] if telling else None
    match last:
        case Replied(Refusal() as refusal):
            return refusal
        case Unreadable(status, reason):
            return Refusal(
                HUB_MISBEHAVED,
                f"What came back from the Hub is not a JECP answer: {reason}. {money}",
                http_status=status,
                details={"http_status": status},
                source="bridge",
            )
        case _:
            reason = last.reason if isinstance(last, Lost) else "an earlier attempt was not answered"
            heard = _last_refusal(attempts)
            return Refusal(
                HUB_LOST_ANSWER,
                f"The call was sent and its answer was lost: {reason}. {money}",
                details=NOTHING if heard is None else {"last_answer": heard.code},
                source="bridge",
            )


def _repeats(evidence: Evidence) -> bool:
    """Whether it only says that the id is known."""
    return (
        isinstance(evidence, Replied)
        and isinstance(evidence.reply, Refusal)
        and charge_proof(evidence.reply) is Proof.FIRST_CALL
    )


def summary(evidence: Evidence) -> str:
    """What was heard last, in short; of an answer there is nothing to say."""
    if isinstance(evidence, Replied):
        assert isinstance(evidence.reply, Refusal), "an answer leaves no doubt"
        return f"the Hub last answered {evidence.reply.code}"
    return evidence.reason
