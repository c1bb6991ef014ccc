"""From what was heard of a job to what is proven about its money. Pure: no I/O, no clock.

By AJP no money moves: a result that is acknowledged is owed to its agent, and the operator's limits count what is owed.
So nothing is owed before the acknowledgement, and an agent that was given no acknowledgement has no claim to more than
what the offer allowed.

====================================================  ==================================================
what was heard                                        what follows
====================================================  ==================================================
nothing left                                          released
the offer was refused, at its only attempt            released
its answer was lost, or no clear one                  the job is asked for; unknown there: in doubt
the job is worked on                                  pending; in doubt once it is late
it failed, expired or was rejected                    released: nothing was acknowledged
it is done, proven, and costs what is held or less    written down, acknowledged, charged what it cost
the acknowledgement's answer was lost                 in doubt, and acknowledged again later
it is done and costs more, or no amount               in doubt, with its result; never acknowledged
it is done, and nothing proves that its agent says so  in doubt, and its result is withheld
====================================================  ==================================================
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from jecp_mcp.domain.answers import Answer, Billing, Notice
from jecp_mcp.domain.outcomes import Outcome, Verdict
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import WireError
from jecp_mcp.money import ZERO, MicroUSDC, format_usdc
from jecp_mcp.rails.codes import (
    AGENT_BUSY,
    AGENT_KEY_MISSING,
    AGENT_REFUSED,
    AGENT_UNREACHABLE,
    INVALID_REQUEST,
    JOB_FAILED,
    JOB_IN_DOUBT,
    LEGACY_SIGNATURE,
    RESULT_UNVERIFIED,
)
from jecp_mcp.wire.ajp.report import BadCost, JobRefusal, JobReport
from jecp_mcp.wire.ajp.signatures import Coverage

REFUSED: Final = frozenset({400, 401, 402, 403, 404, 405, 406, 410, 411, 413, 414, 415, 422, 426, 429, 431, 451})
"""The statuses by which an agent has certainly not taken a job. All others leave it open."""

_UNAUTHORIZED: Final = 401
_TOO_MANY: Final = 429


def no_key(reason: str) -> Refusal:
    """There is nothing to sign an offer with."""
    return Refusal(AGENT_KEY_MISSING, f"Nobody can be hired: {reason}. Nothing was charged.", source="bridge")


def unwritable(cause: WireError | str) -> Refusal:
    """A job that cannot be offered as it is."""
    return Refusal(
        INVALID_REQUEST,
        f"The job cannot be offered: {cause}. Nothing was sent and nothing was charged.",
        source="bridge",
    )


def never_sent(reason: str, refusal: Refusal | None) -> Outcome:
    """Nothing of the offer left this machine."""
    told = refusal or Refusal(
        AGENT_UNREACHABLE,
        f"The agent could not be reached: {reason}. Nothing was sent and nothing was charged.",
        source="bridge",
    )
    return Outcome(Verdict.NOT_CHARGED, ZERO, None, told, f"never sent: {told.code}", attempts=0)


def refused(status: int, said: JobRefusal, retry_after: int | None, secret_env: str | None = None) -> Outcome:
    """The agent did not take the job.

    Args:
        secret_env: the variable with the secret that signed the offer; None where the key did.
    """
    busy = status == _TOO_MANY
    hint = ""
    if status == _UNAUTHORIZED and said.code is None:
        signed = (
            "It does not take the signature: the operator must see whether the declaration is found, with the key"
            if secret_env is None
            else f"It does not take the secret in {secret_env}: the operator must ask whoever runs the agent for it"
        )
        hint = f" {signed}. (An agent of ajp-protocol before 0.3 refuses every offer that is signed as a whole.)"
    elif said.code == LEGACY_SIGNATURE:
        hint = " It takes the signature for one of before version 0.3, which this program never makes."
    words = {"agent_says": said.words} if said.words else {}
    code = {"agent_code": said.code} if said.code else {}
    refusal = Refusal(
        AGENT_BUSY if busy else AGENT_REFUSED,
        f"The agent {'is busy and ' if busy else ''}did not take the job, with status {status}. Nothing was charged."
        f"{hint}",
        http_status=status,
        details={"status": status, **words, **code},
        retry_after_seconds=retry_after,
        source="bridge",
    )
    return Outcome(Verdict.NOT_CHARGED, ZERO, None, refusal, f"refused with status {status}")


def pending(evidence: str = "the agent works on it") -> Outcome:
    """The agent has the job."""
    return Outcome(Verdict.PENDING, ZERO, None, None, evidence, attempts=0)


def in_doubt(reason: str, hold: MicroUSDC, *, attempts: int = 0) -> Outcome:
    """Whether the agent has the job, or did it, is not known."""
    refusal = Refusal(
        JOB_IN_DOUBT,
        f"A job for at most {format_usdc(hold)} USDC was offered; {reason}. Nothing was acknowledged; what it may cost "
        "stays held, and it is never offered a second time.",
        source="bridge",
    )
    return Outcome(Verdict.IN_DOUBT, ZERO, None, refusal, reason, attempts=attempts)


def failed(report: JobReport) -> Outcome:
    """The agent says that it did not do the job."""
    words = {"agent_says": report.message} if report.message else {}
    refusal = Refusal(
        JOB_FAILED,
        f"The agent says that the job {_ENDS.get(report.status.value, 'failed')}. It was not acknowledged, and nothing "
        "was charged.",
        details={"status": report.status.value, **words},
        source="bridge",
    )
    evidence = f"the agent says {report.status.value}; not acknowledged"
    return Outcome(Verdict.NOT_CHARGED, ZERO, None, refusal, evidence, attempts=0)


_UNPROVEN: Final = {
    Coverage.LEGACY: "is signed as before version 0.3 of ajp-protocol, which covers next to nothing of it",
    Coverage.MISSING: "carries no signature",
}
_ENDS: Final = {"expired": "took longer than it may", "rejected": "was rejected"}


def unproven(found: Coverage, *, another: bool, hold: MicroUSDC) -> Outcome:
    """A result that nothing proves to be the hired agent's: it is withheld, and not acknowledged.

    Args:
        another: whether it names another agent, or none.
    """
    legacy = found is Coverage.LEGACY
    if found.proves_result and another:
        why = "names another agent, or none"
    else:
        why = _UNPROVEN.get(found, "is not signed by the key that the agent was hired with")
    refusal = Refusal(
        LEGACY_SIGNATURE if legacy else RESULT_UNVERIFIED,
        f"A result came that {why}. It is withheld and not acknowledged; {format_usdc(hold)} USDC stay held until the "
        "operator rules.",
        source="bridge",
    )
    return Outcome(Verdict.IN_DOUBT, ZERO, None, refusal, f"a result that {why}", attempts=0)


def cost_of(report: JobReport, hold: MicroUSDC) -> MicroUSDC | str:
    """What a result costs, micro-USDC: the hold where it does not say; or why it is not acknowledged."""
    if report.cost is None:
        return hold
    if isinstance(report.cost, BadCost):
        return "what it says it cost is no amount of money"
    if report.cost > hold:
        return f"it asks for {format_usdc(report.cost)} USDC, where at most {format_usdc(hold)} was offered"
    return report.cost


def answer_of(report: JobReport, covers: Coverage, hold: MicroUSDC) -> Answer:
    """What was delivered."""
    cost = cost_of(report, hold)
    notices: list[Notice] = []
    if isinstance(cost, str):
        notices.append(Notice("not_acknowledged", f"The job is not acknowledged: {cost}. The operator rules on it."))
    elif report.cost is None:
        notices.append(Notice("cost_unstated", "The agent does not say what the job cost; all that was held counts."))
    elif covers is Coverage.SIX_MEMBERS:
        notices.append(Notice("cost_unsigned", "The agent's signature covers the result, not what it says it cost."))
    asserted: dict[str, Any] = (
        {"constraints_asserted": list(report.constraints_asserted)} if report.constraints_asserted else {}
    )
    billing = Billing(method="ajp", raw={"covers": covers.value, **asserted})
    return Answer(report.job_id, report.output, billing, provider=report.agent, notices=tuple(notices))


def not_acknowledged(answer: Answer, reason: str) -> Outcome:
    """A proven result that costs more than was offered: it is delivered, and a person rules on its price."""
    return Outcome(Verdict.IN_DOUBT, ZERO, answer, None, f"not acknowledged: {reason}", attempts=0)


def acknowledged(answer: Answer, cost: MicroUSDC, evidence: str, *, stated: bool) -> Outcome:
    """The agent took the acknowledgement: what the job cost is owed to it."""
    billed = replace(answer, billing=replace(answer.billing, charged=True, amount=cost))
    said = f"acknowledged {format_usdc(cost)} USDC; {evidence}"
    return Outcome(Verdict.CHARGED, cost, billed, None, said, attempts=0, estimated=not stated)


def unheard(answer: Answer, reason: str) -> Outcome:
    """The acknowledgement may have arrived."""
    return Outcome(Verdict.IN_DOUBT, ZERO, answer, None, f"acknowledged, and not heard: {reason}", attempts=0)
