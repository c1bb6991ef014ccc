"""How a job ended, and the report of it that is signed once. Pure: no I/O."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from jecp_mcp import jsontext
from jecp_mcp.ajp_server.store import StoredJob
from jecp_mcp.ajp_server.work import Job, Work
from jecp_mcp.clock import UnixMs, iso
from jecp_mcp.errors import MoneyError, WireError
from jecp_mcp.money import MICRO_PER_USDC, ZERO, MicroUSDC, format_usdc, parse_usdc
from jecp_mcp.wire.ajp.offer import JobOffer
from jecp_mcp.wire.ajp.report import JobStatus, write_report
from jecp_mcp.wire.ajp.signatures import Signer
from jecp_mcp.wire.ajp.values import VERSION

_log = logging.getLogger(__name__)

_TEXT_FORMATS: Final = frozenset({"text", "markdown", "html"})
_LONGEST_WORDS: Final = 500


@dataclass(frozen=True, slots=True)
class Ended:
    """How a job ended; only a completed one has an output and costs something.

    Attributes:
        cost: micro-USDC.
        message: why it is not completed, for the hirer.
    """

    status: JobStatus
    output: Any = None
    cost: MicroUSDC = ZERO
    llm_tokens: int = 0
    constraints_asserted: Sequence[str] = ()
    message: str | None = None


def failed(message: str) -> Ended:
    """A job that failed, and why, for the hirer."""
    return Ended(JobStatus.FAILED, message=message[:_LONGEST_WORDS] or "the agent could not do it")


def expired(message: str) -> Ended:
    """A job whose time was over, and which."""
    return Ended(JobStatus.EXPIRED, message=message)


def ended_with(job: Job, work: Work) -> Ended:
    """How a job ends with the work that was done: failed where it takes more than the hirer offered."""
    try:
        cost = parse_usdc(work.cost_usd)
    except MoneyError as exc:
        return failed(f"the agent's price for the work cannot be billed: {exc}; nothing is owed")
    if cost > job.max_usd:
        asked, offered = format_usdc(cost), format_usdc(job.max_usd)
        return failed(f"the work would cost ${asked}, more than the ${offered} that was offered; nothing is owed")
    if work.llm_tokens < 0:
        return failed("the agent cannot say how many tokens the work took; nothing is owed")
    if job.max_llm_tokens is not None and work.llm_tokens > job.max_llm_tokens:
        return failed(f"the work took {work.llm_tokens} tokens where {job.max_llm_tokens} were allowed")
    if job.output_format in _TEXT_FORMATS and not isinstance(work.output, str):
        return failed(f"the agent gave no {job.output_format}")
    return Ended(JobStatus.COMPLETED, work.output, cost, work.llm_tokens, tuple(work.constraints_asserted))


def job_of(offer: JobOffer, stored: StoredJob, most_seconds: float) -> Job:
    """The job of an offer, as its worker is given it."""
    return Job(
        job_id=offer.job_id,
        sender=offer.sender.provenance_id,
        task_type=offer.task.type,
        instruction=offer.task.instruction,
        input=jsontext.plain(offer.task.input),
        output_format=offer.task.output_format,
        memory=jsontext.plain(list(offer.memory)),
        constraints=offer.constraints,
        max_usd=offer.budget.max_usd,
        max_seconds=min(float(offer.budget.max_seconds), most_seconds),
        max_llm_tokens=int(offer.budget.max_llm_tokens),
        parent_job_id=offer.parent_job_id,
        accepted_at=stored.accepted_at,
        attempt=stored.attempts,
    )


def result(stored: StoredJob, ended: Ended, agent: str, at: UnixMs, signer: Signer) -> bytes:
    """The signed report of a job that has ended.

    Args:
        stored: the job, begun.
        agent: the id of who signs.
        at: when it ended.

    Raises:
        WireError: its output has no canonical form.
    """
    assert not ended.status.open, "only what has ended is signed"
    assert stored.began_at is not None, "a job ends after it began"
    seconds = Decimal(max(0, at - stored.began_at)) / 1000
    message: dict[str, Any] = {
        "job_id": stored.job_id,
        "status": ended.status.value,
        "output": ended.output,
        "constraints_asserted": list(ended.constraints_asserted),
        "usage": {
            "llm_tokens": ended.llm_tokens,
            "duration_seconds": seconds,
            "cost_usd": Decimal(ended.cost) / MICRO_PER_USDC,
        },
        "started_at": iso(stored.began_at),
        "updated_at": iso(at),
        "completed_at": iso(at),
        "agent": {"provenance_id": agent},
    }
    if ended.message is not None:
        message["message"] = ended.message
    return write_report(message, signer)


def signed_ending(
    stored: StoredJob, ended: Ended, agent: str, at: UnixMs, signer: Signer, most: int
) -> tuple[Ended, bytes]:
    """How a job ended and the signed report of it: failed, where its result cannot be written or is too long.

    Args:
        most: the longest report, in bytes.
    """
    try:
        signed = result(stored, ended, agent, at, signer)
    except WireError as exc:
        ended = failed(f"the agent's result cannot be sent: {exc}; nothing is owed")
    except Exception:  # noqa: BLE001 - an output may be somebody else's code
        _log.exception("a job's result could not be written")
        ended = failed("the agent's result cannot be sent; nothing is owed")
    else:
        if len(signed) <= most:
            return ended, signed
        ended = failed(f"the agent's result is longer than {most} bytes; nothing is owed")
    return ended, result(stored, ended, agent, at, signer)


def open_report(stored: StoredJob, agent: str) -> bytes:
    """Where a job stands that has not ended. It is not signed: it says nothing that lasts."""
    return jsontext.dumps(
        {
            "ajp": VERSION,
            "job_id": stored.job_id,
            "status": stored.status.value,
            "started_at": None if stored.began_at is None else iso(stored.began_at),
            "agent": {"provenance_id": agent},
        }
    )
