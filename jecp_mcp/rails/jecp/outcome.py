"""What a Hub's answers, and their absence, prove about money. Pure: no I/O, clock or randomness.

One call is one id and one or more attempts. A success under the id is definitive whichever attempt fetched it. A
refusal is definitive only when no other attempt can have reached the Hub without a definitive answer of its own:
until then whoever charged the lost attempt may still hold the money.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, assert_never

from jecp_mcp.money import ZERO, MicroUSDC, format_usdc
from jecp_mcp.rails.base import Outcome, Verdict
from jecp_mcp.wire.codes import Proof, Retry, lookup
from jecp_mcp.wire.errors import charge_proof
from jecp_mcp.wire.forms import Answer, Refusal

HUB_UNREACHABLE: Final = "HUB_UNREACHABLE"
HUB_LOST_ANSWER: Final = "HUB_LOST_ANSWER"
HUB_MISBEHAVED: Final = "HUB_MISBEHAVED"

MAX_REPLAYS: Final = 3
"""The most attempts after the first one."""

MAX_UNSENT: Final = 3
"""The most attempts of which no byte left."""

LONGEST_WAIT_SECONDS: Final = 5
"""The longest Retry-After that is waited for inside a call; a longer one is passed on."""

_BACKOFF_SECONDS: Final = (0.2, 0.6, 1.8)


@dataclass(frozen=True, slots=True)
class Replied:
    """The Hub answered in its protocol."""

    reply: Answer | Refusal


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something answered, but not in the protocol: it proves nothing."""

    status: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """No whole answer arrived. `sent` False proves that no byte left."""

    sent: bool
    reason: str


Evidence = Replied | Unreadable | Lost


def _proof(evidence: Evidence, *, replay: bool) -> Proof:
    """What one attempt without a success proves."""
    match evidence:
        case Replied(Refusal() as refusal):
            said = charge_proof(refusal, replay=replay)
            # No payment authorisation ever goes with a request of this rail.
            return Proof.NO if said is Proof.PAYMENT else said
        case Replied():
            return Proof.UNKNOWN
        case Lost(sent=False):
            return Proof.NO
        case Unreadable() | Lost():
            return Proof.UNKNOWN
        case _:
            assert_never(evidence)


def doubtful(attempts: Sequence[Evidence], *, replay: bool) -> bool:
    """Whether some attempt may have been charged without our knowing."""
    return replay or any(_proof(one, replay=index > 0) is not Proof.NO for index, one in enumerate(attempts))


def next_wait(attempts: Sequence[Evidence], *, replay: bool, jitter: float) -> float | None:
    """How long to wait before the identical request is worth sending again, in seconds; None when it is not.

    Args:
        attempts: what happened so far, oldest first; at least one.
        replay: whether an attempt before these may have reached the Hub.
        jitter: a random number from 0 to 1.
    """
    last = attempts[-1]
    if isinstance(last, Lost) and not last.sent:
        unsent = sum(isinstance(one, Lost) and not one.sent for one in attempts)
        return _backoff(unsent, jitter) if unsent < MAX_UNSENT else None
    sent = sum(not (isinstance(one, Lost) and not one.sent) for one in attempts)
    if sent > MAX_REPLAYS:
        return None
    if isinstance(last, Replied):
        if isinstance(last.reply, Answer):
            return None
        return _wait_after(last.reply, sent, jitter, doubt=doubtful(attempts, replay=replay))
    return _backoff(sent, jitter)


def _wait_after(refusal: Refusal, sent: int, jitter: float, *, doubt: bool) -> float | None:
    entry = lookup(refusal.code)
    if entry is None or entry.charge is Proof.FIRST_CALL:
        return None
    asked = refusal.retry_after_seconds
    if asked is not None and asked > LONGEST_WAIT_SECONDS:
        return None
    if entry.retry is Retry.AFTER_WAIT:
        return asked + jitter / 2 if asked is not None else _backoff(sent, jitter)
    if entry.retry is not Retry.SAME_ID:
        return None
    # An uncharged failure of the provider is worth one more try; to find out about money, all of them.
    if entry.charge is Proof.NO and not doubt and sent > 1:
        return None
    return max(_backoff(sent, jitter), asked or 0)


def _backoff(sent: int, jitter: float) -> float:
    return _BACKOFF_SECONDS[min(sent, len(_BACKOFF_SECONDS)) - 1] * (0.5 + jitter)


def conclude(attempts: Sequence[Evidence], *, replay: bool, budget: MicroUSDC) -> Outcome:
    """Fold the attempts of one call into what is proven.

    Args:
        attempts: what happened, oldest first; at least one.
        replay: whether an attempt before these may have reached the Hub.
        budget: what was reserved, micro-USDC; charged when a success does not say how much.
    """
    last, count = attempts[-1], len(attempts)
    if isinstance(last, Replied) and isinstance(last.reply, Answer):
        return _success(last.reply, budget, count)
    if not doubtful(attempts, replay=replay):
        refusal = last.reply if isinstance(last, Replied) and isinstance(last.reply, Refusal) else _unreachable(last)
        evidence = f"refused: {refusal.code}" if refusal.source == "hub" else "nothing left this machine"
        return Outcome(Verdict.NOT_CHARGED, ZERO, None, refusal, evidence, count)
    refusal = _in_doubt(attempts, replay=replay, budget=budget)
    return Outcome(Verdict.IN_DOUBT, ZERO, None, refusal, f"not proven: {_summary(last)}", count)


def _success(answer: Answer, budget: MicroUSDC, count: int) -> Outcome:
    billing = answer.billing
    if billing.charged is False:
        return Outcome(Verdict.NOT_CHARGED, ZERO, answer, None, "answered, not charged", count, billing.transaction_id)
    amount = budget if billing.amount is None else billing.amount
    evidence = "answered, charged" if billing.amount is not None else "answered without an amount; the hold counts"
    return Outcome(Verdict.CHARGED, amount, answer, None, evidence, count, billing.transaction_id)


def _unreachable(last: Evidence) -> Refusal:
    reason = last.reason if isinstance(last, Lost) else "the Hub could not be reached"
    return Refusal(
        HUB_UNREACHABLE,
        f"The Hub could not be reached: {reason}. Nothing was sent and nothing was charged. Try again in a while.",
        source="bridge",
    )


def _in_doubt(attempts: Sequence[Evidence], *, replay: bool, budget: MicroUSDC) -> Refusal:
    last = attempts[-1]
    if isinstance(last, Replied) and isinstance(last.reply, Refusal):
        unproven_itself = charge_proof(last.reply, replay=replay or len(attempts) > 1) is Proof.UNKNOWN
        if unproven_itself and not replay:
            return last.reply
    money = f"Whether it was charged is not known, so {format_usdc(budget)} USDC stay held."
    step = "Ask for the call's status instead of repeating it."
    if isinstance(last, Unreadable):
        http = {"http_status": last.status} if last.status is not None else {}
        return Refusal(
            HUB_MISBEHAVED,
            f"What came back from the Hub is no JECP answer: {last.reason}. {money} {step}",
            http_status=last.status,
            details=http,
            source="bridge",
        )
    refusal = Refusal(
        HUB_LOST_ANSWER,
        f"The call was sent and its answer was lost: {_summary(last)}. {money} {step}",
        source="bridge",
    )
    if isinstance(last, Replied) and isinstance(last.reply, Refusal):
        return replace(refusal, details={"last_answer": last.reply.code})
    return refusal


def _summary(evidence: Evidence) -> str:
    match evidence:
        case Replied(Refusal() as refusal):
            return f"the Hub last answered {refusal.code}"
        case Unreadable(reason=reason) | Lost(reason=reason):
            return reason
        case Replied():
            return "answered"
        case _:
            assert_never(evidence)
