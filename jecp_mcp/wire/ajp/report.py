"""What a hired agent says: that it took a job, where it stands, its result, and why not. Pure: no I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from jecp_mcp import jsontext
from jecp_mcp.errors import MoneyError, WireError
from jecp_mcp.jsontext import JSONObject
from jecp_mcp.money import MicroUSDC, parse_charge
from jecp_mcp.wire.ajp import values
from jecp_mcp.wire.ajp.canonical import MAX_DEPTH, double
from jecp_mcp.wire.ajp.signatures import Signer, seal
from jecp_mcp.wire.values import mapping

LEGACY_SIGNATURE: Final = "LEGACY_SIGNATURE"
"""An agent's code for an offer that is signed as before ajp-protocol 0.3."""

_MOST_REFUSAL: Final = 65_536
_MOST_SHOWN: Final = 500
_MOST_WAIT: Final = 86_400


class JobStatus(StrEnum):
    """Where a job stands."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    REJECTED = "rejected"

    @property
    def open(self) -> bool:
        """Whether it is still to be worked on."""
        return self in {JobStatus.ACCEPTED, JobStatus.RUNNING}


class BadCost:
    """In the place of a cost that is no amount of money, such as a negative one."""


BAD_COST: Final = BadCost()


@dataclass(frozen=True, slots=True)
class JobReport:
    """Where a job stands, and its result once it is completed.

    Attributes:
        agent: the id of whoever says so; None where it does not say, which a result must.
        cost: what the work cost, micro-USDC rounded up; None where it does not say, `BAD_COST` for no amount.
        message: its own words: progress, or why it failed.
        body: the whole message, as its signature covers it.
        size: the bytes it came in.
    """

    job_id: str
    status: JobStatus
    agent: str | None
    output: Any = None
    cost: MicroUSDC | BadCost | None = None
    llm_tokens: Decimal | None = None
    duration_seconds: Decimal | None = None
    constraints_asserted: tuple[str, ...] = ()
    completed_at: str | None = None
    message: str | None = None
    body: JSONObject = field(default_factory=dict, repr=False)
    size: int = 0


@dataclass(frozen=True, slots=True)
class JobRefusal:
    """Why an agent did not take a job, in its words; each is None where it does not say, or not readably."""

    error: str | None = None
    code: str | None = None
    reason: str | None = None
    retry_after_seconds: int | None = None

    @property
    def words(self) -> str | None:
        """What to show of it."""
        found = [one for one in (self.error, self.reason) if one is not None]
        return ": ".join(dict.fromkeys(found)) or None


def read_report(raw: bytes, most: int) -> JobReport:
    """Read where a job stands. Whether it is true is `jecp_mcp.wire.ajp.signatures.coverage`.

    Args:
        most: the longest report taken, in bytes.

    Raises:
        WireError: it is none.
    """
    body = values.message(raw, "the report", most)
    if "ajp" in body:
        values.version(body["ajp"])
    status = JobStatus(values.one_of(body.get("status"), "status", tuple(JobStatus)))
    agent = body.get("agent")
    usage = body.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    return JobReport(
        job_id=values.job_id(body.get("job_id")),
        status=status,
        agent=None
        if agent is None
        else values.provenance_id(mapping(agent, "agent").get("provenance_id"), "agent.provenance_id"),
        output=body.get("output"),
        cost=_cost(usage.get("cost_usd")),
        llm_tokens=_measure(usage.get("llm_tokens")),
        duration_seconds=_measure(usage.get("duration_seconds")),
        constraints_asserted=values.texts(body.get("constraints_asserted"), "constraints_asserted"),
        completed_at=values.optional_text(body.get("completed_at"), "completed_at"),
        message=_words(body.get("message")),
        body=body,
        size=len(raw),
    )


def write_report(message: JSONObject, signer: Signer) -> bytes:
    """The bytes of a report that is signed as a whole, which whoever asks for the job is given unchanged.

    Raises:
        WireError: it is none, or has no canonical form.
    """
    raw = seal({"ajp": values.VERSION, **message}, signer)
    read_report(raw, len(raw))
    return raw


def read_refusal(raw: bytes) -> JobRefusal:
    """Read why a job was not taken. Whatever cannot be read is left out: the status has said enough."""
    try:
        body = jsontext.loads(raw, max_bytes=_MOST_REFUSAL, max_depth=MAX_DEPTH)
    except WireError:
        return JobRefusal()
    if not isinstance(body, Mapping):
        return JobRefusal()
    errors, error = body.get("errors"), _words(body.get("error"))
    told = "; ".join(one for one in errors if isinstance(one, str)) if isinstance(errors, list) else ""
    wait = body.get("retry_after")
    known = isinstance(wait, (int, Decimal)) and not isinstance(wait, bool) and 0 <= wait <= _MOST_WAIT
    return JobRefusal(
        error,
        _words(body.get("code")),
        _words(body.get("reason")) or _words(told),
        math.ceil(wait) if known and wait is not None else None,
    )


def is_settled(raw: bytes, job_id: str) -> bool:
    """Whether the answer to an acknowledgement says that it was taken, for this job."""
    try:
        body = jsontext.loads(raw, max_bytes=_MOST_REFUSAL, max_depth=MAX_DEPTH)
    except WireError:
        return False
    return isinstance(body, Mapping) and body.get("settled") is True and body.get("job_id", job_id) == job_id


def _cost(value: object) -> MicroUSDC | BadCost | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        return BAD_COST
    try:
        # What is signed is the double; further digits in the text are nobody's word.
        return parse_charge(double(value))
    except (MoneyError, WireError):
        return BAD_COST


def _measure(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        return None
    found = Decimal(value)
    return found if found >= 0 else None


def _words(value: object) -> str | None:
    return value[:_MOST_SHOWN] if isinstance(value, str) and value else None
