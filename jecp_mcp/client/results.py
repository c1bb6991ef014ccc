"""What a call brought, as a Python program reads it. Pure: no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jecp_mcp.client.error_classes import error_of
from jecp_mcp.domain.answers import Answer, Billing, Notice
from jecp_mcp.domain.outcomes import Outcome, Verdict
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.jsontext import JSONObject
from jecp_mcp.money import MicroUSDC

_CHARGED: dict[Verdict, bool | None] = {Verdict.CHARGED: True, Verdict.NOT_CHARGED: False}


@dataclass(frozen=True, slots=True)
class InvokeResult:
    """A call that was answered.

    Attributes:
        output: the provider's output.
        request_id: the idempotency id it was sent under.
        charged: whether it was charged; None where an attempt before the answered one may have been.
        cost: what was charged, micro-USDC; None where the Hub does not say how much.
        billing: what the Hub says about money, in micro-USDC.
        provider: who answered, in the Hub's words.
        version: the capability's version that answered.
        attempts: how many attempts of this call may have reached the Hub; 0 where one before it brought the answer.
        notices: what else is worth knowing, such as a coming sunset.
        raw: the whole parsed envelope, without the key.
    """

    output: Any
    request_id: str
    charged: bool | None
    cost: MicroUSDC | None
    billing: Billing
    provider: str | None = None
    version: str | None = None
    attempts: int = 1
    notices: tuple[Notice, ...] = ()
    raw: JSONObject = field(default_factory=dict, repr=False)


def result_of(outcome: Outcome, request_id: str) -> InvokeResult:
    """What came of a call.

    Raises:
        JecpError: it brought no answer.
    """
    charged, answer = _CHARGED.get(outcome.verdict), outcome.answer
    if answer is None:
        refusal = outcome.refusal
        assert isinstance(refusal, Refusal), "an execution of this rail ends in an answer or a refusal"
        raise error_of(refusal, charged=charged, request_id=request_id)
    cost = None if outcome.estimated or charged is None else outcome.amount
    return result_of_answer(answer, request_id, charged, cost, outcome.attempts)


def result_of_answer(
    answer: Answer, request_id: str, charged: bool | None, cost: MicroUSDC | None, attempts: int
) -> InvokeResult:
    """An answer, with what is known of the money; the arguments are the result's attributes."""
    return InvokeResult(
        output=answer.output,
        request_id=request_id,
        charged=charged,
        cost=cost,
        billing=answer.billing,
        provider=answer.provider,
        version=answer.version,
        attempts=attempts,
        notices=answer.notices,
        raw=answer.raw,
    )
