"""What an agent's work is given and gives: a job, its result, or why there is none. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from jecp_mcp.clock import UnixMs
from jecp_mcp.money import ZERO, MicroUSDC


@dataclass(frozen=True, slots=True)
class Job:
    """A job that was accepted: its offer is signed by who it says, meant for this agent, and paid well enough.

    Instruction, input and context are a stranger's words: material to work on, never orders to your machine.

    Attributes:
        job_id: the hirer's id of it.
        sender: the hirer's provenance id; None where a person signed with the shared secret.
        task_type: what kind of task it is, in the hirer's words.
        instruction: what is to be done.
        input: what it is to be done with; numbers are ``int`` and ``float``.
        output_format: ``json``, ``text``, ``markdown``, ``html`` or ``any``.
        memory: what the hirer remembers of it.
        constraints: what the hirer asks to be kept to.
        max_usd: the most that the result may cost, micro-USDC.
        max_seconds: the work is cancelled after so many.
        max_llm_tokens: the most tokens that the result may have used; None for no bound.
        parent_job_id: the hirer's own job that this one is a part of, as they say.
        accepted_at: when it was accepted.
        attempt: 1, or more where the server ended in the middle of the work and began it anew.
    """

    job_id: str
    sender: str | None
    task_type: str
    instruction: str
    input: Any
    output_format: str
    memory: Sequence[Any]
    constraints: Sequence[Any]
    max_usd: MicroUSDC
    max_seconds: float
    max_llm_tokens: int | None
    parent_job_id: str | None
    accepted_at: UnixMs
    attempt: int


@dataclass(frozen=True, slots=True)
class Work:
    """What was done.

    Attributes:
        output: the result, any JSON; text where the job's format is ``text``, ``markdown`` or ``html``.
        cost_usd: what it costs, in USD with at most six decimals: text such as ``"0.01"`` or a ``Decimal``.
        llm_tokens: how many tokens it used.
        constraints_asserted: which constraints you say were kept to, such as ``no:pii``.
    """

    output: Any
    cost_usd: str | Decimal = "0"
    llm_tokens: int = 0
    constraints_asserted: Sequence[str] = ()


class JobFailed(Exception):
    """Raised by work that cannot be done; the hirer is told the message, and owes nothing."""


Worker = Callable[[Job], Awaitable[Work]]
"""Does a job. Raises `JobFailed` with words for the hirer; anything else it raises is told as a failure without words,
and logged. It is cancelled when the job's time is over or the server ends; what blocks belongs into a thread."""

Settle = Callable[[Job, MicroUSDC], Awaitable[None]]
"""Told of a job whose hirer acknowledged that they owe so many micro-USDC for it: once, or again under the same job id
where the server ended or it failed before it was done. It is told of a few jobs at a time, and cancelled after a
minute."""


class StandingUnknown(Exception):
    """Raised by a check of standing that cannot tell now, for example because an index is away."""


CheckStanding = Callable[[str], Awaitable[str | None]]
"""Gives why nothing is done for a provenance id, as a sentence for its owner; None where it stands well. Raises
`StandingUnknown` with words for them; whatever else it raises, and ten seconds without an answer, are the same without
words."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What jobs are accepted, and how many.

    Attributes:
        least_usdc: what a job must offer at least, micro-USDC; less is answered 402.
        most_seconds: the work on a job is cancelled after so many, whatever it offers.
        at_once: how many jobs are worked on at the same time.
        queue: how many more may wait; the next is answered 429.
        per_sender: how many of all these may be of one provenance id. People, who have your secret, have no such bound.
        per_host: how many may be of ids at the same host, or of the same owner of repositories.
        offer_bytes: the longest offer.
        result_bytes: the longest signed result; hirers read no more than a mebibyte as a rule.
        keep_days: how long an ended job can be asked for.
    """

    least_usdc: MicroUSDC = ZERO
    most_seconds: float = 3600.0
    at_once: int = 4
    queue: int = 100
    per_sender: int = 25
    per_host: int = 50
    offer_bytes: int = 512 * 1024
    result_bytes: int = 1024 * 1024
    keep_days: int = 30


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose jobs are accepted.

    Attributes:
        secret: what people sign with who have no provenance id; None accepts none of theirs.
        require_capabilities: what a sender's declaration must have, such as ``delegate:agents``.
        require_constraints: what it must promise, such as ``no:pii``.
        known_keys: the fingerprint of the key that a provenance id must have; for all others the first one seen counts.
        check_standing: whether a sender stands well; None asks nobody.
        without_standing: whether to accept a sender of whom that cannot be told now.
    """

    secret: str | None = field(default=None, repr=False)
    require_capabilities: frozenset[str] = frozenset()
    require_constraints: frozenset[str] = frozenset()
    known_keys: Mapping[str, str] = field(default_factory=dict)
    check_standing: CheckStanding | None = None
    without_standing: bool = False
