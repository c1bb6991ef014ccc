"""A job's offer, written by who hires and read by who is hired. Pure: no I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from jecp_mcp.clock import UnixMs, iso
from jecp_mcp.errors import WireError
from jecp_mcp.jsontext import JSONObject, nothing
from jecp_mcp.money import MICRO_PER_USDC, MicroUSDC
from jecp_mcp.wire.ajp import values
from jecp_mcp.wire.values import mapping, preview, text

MAX_BYTES: Final = 1_048_576
"""The longest offer read, in bytes."""
MAX_MARKS: Final = 100_000
"""The most commas and brackets of an offer: each takes time before anybody has proven who sent it."""
FORMATS: Final = ("json", "text", "markdown", "html", "any")
"""What a result may be asked for as."""

_SIGNATURE: Final = re.compile(r"sha256:[a-f0-9]{64}|ed25519:[A-Za-z0-9+/=]+", re.ASCII)
_MOST_HEADERS: Final = 20
_MEMBERS: Final = frozenset(
    {
        "ajp", "job_id", "parent_job_id", "from", "to", "task", "context", "budget", "callback", "issued_at",
        "expires_at", "signature",
    }
)  # fmt: skip


class SenderType(StrEnum):
    """Who hires: a person signs with a shared secret, an agent or orchestrator with its key."""

    HUMAN = "human"
    AGENT = "agent"
    ORCHESTRATOR = "orchestrator"


@dataclass(frozen=True, slots=True)
class Sender:
    """Who hires.

    Attributes:
        provenance_id: of an agent or orchestrator.
        id: of a person, in the hired agent's own terms.
        declaration_url: where the sender's declaration is; None for the standard place of its id.
    """

    type: SenderType
    provenance_id: str | None = None
    id: str | None = None
    declaration_url: str | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """The work: `type` in the hired agent's own terms, what to do in words, and what to do it with."""

    type: str
    instruction: str
    input: Any = field(default_factory=nothing)
    output_format: str = "any"


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that the work may take: micro-USDC (on the wire USD), seconds, tokens of a language model."""

    max_usd: MicroUSDC
    max_seconds: Decimal
    max_llm_tokens: Decimal


@dataclass(frozen=True, slots=True)
class Callback:
    """Where a completed result is told to, and with which headers, unasked."""

    url: str
    headers: JSONObject = field(default_factory=nothing, repr=False)


@dataclass(frozen=True, slots=True)
class JobOffer:
    """One job.

    Attributes:
        job_id: the hirer's, kept by the hired: who knows it can read the result and acknowledge it.
        to: the hired agent's id.
        constraints: what the hired agent is asked to keep to, such as ``no:pii``.
        expires_at: when the offer can no longer be taken.
        signature: as it was read; ``""`` for one still to be signed.
    """

    job_id: str
    sender: Sender
    to: str
    task: Task
    budget: Budget
    issued_at: UnixMs
    expires_at: UnixMs
    constraints: tuple[str, ...] = ()
    memory: tuple[Any, ...] = ()
    parent_job_id: str | None = None
    callback: Callback | None = None
    signature: str = ""

    def message(self) -> dict[str, Any]:
        """As it stands on the wire, without a signature."""
        budget, callback = self.budget, self.callback
        return {
            "ajp": values.VERSION,
            "job_id": self.job_id,
            "parent_job_id": self.parent_job_id,
            "from": {
                "type": self.sender.type.value,
                "id": self.sender.id,
                "provenance_id": self.sender.provenance_id,
                "declaration_url": self.sender.declaration_url,
            },
            "to": {"provenance_id": self.to},
            "task": {
                "type": self.task.type,
                "instruction": self.task.instruction,
                "input": self.task.input,
                "output_format": self.task.output_format,
            },
            "context": {"credentials": {}, "memory": list(self.memory), "constraints": list(self.constraints)},
            "budget": {
                "max_usd": Decimal(budget.max_usd) / MICRO_PER_USDC,
                "max_seconds": budget.max_seconds,
                "max_llm_tokens": budget.max_llm_tokens,
            },
            "callback": None if callback is None else {"url": callback.url, "headers": dict(callback.headers)},
            "issued_at": iso(self.issued_at),
            "expires_at": iso(self.expires_at),
        }


def read_offer(raw: bytes) -> tuple[JobOffer, JSONObject]:
    """Read an offer by the protocol's schema, with the bounds of this package. Who signed it is not looked at.

    Returns:
        The offer, and the whole message as its signature covers it.

    Raises:
        WireError: it is none; the reason names the member.
    """
    body = values.message(raw, "the offer", MAX_BYTES, MAX_MARKS)
    unknown = sorted(body.keys() - _MEMBERS)
    if unknown:
        raise WireError(f"the offer has an unknown member {preview(unknown[0])}")
    values.version(body.get("ajp"))
    signature = body.get("signature")
    if not isinstance(signature, str) or _SIGNATURE.fullmatch(signature) is None:
        raise WireError(f"signature is {preview(signature)}, neither ed25519:<base64> nor sha256:<64 hex digits>")
    context = mapping(body.get("context") or {}, "context")
    if context.get("credentials"):
        # They would stand in the open with everybody who passes the offer on.
        raise WireError("context.credentials must be empty: an offer carries no secrets")
    memory = context.get("memory") or []
    if not isinstance(memory, list):
        raise WireError(f"context.memory is {preview(memory)}, no list")
    parent = body.get("parent_job_id")
    offer = JobOffer(
        job_id=values.job_id(body.get("job_id")),
        sender=_sender(mapping(body.get("from"), "from")),
        to=values.provenance_id(mapping(body.get("to"), "to").get("provenance_id"), "to.provenance_id"),
        task=_task(mapping(body.get("task"), "task")),
        budget=_budget(mapping(body.get("budget"), "budget")),
        issued_at=values.instant(body.get("issued_at"), "issued_at"),
        expires_at=values.instant(body.get("expires_at"), "expires_at"),
        constraints=values.texts(context.get("constraints"), "context.constraints"),
        memory=tuple(memory),
        parent_job_id=None if parent is None else values.job_id(parent),
        callback=_callback(body.get("callback")),
        signature=signature,
    )
    return offer, body


def _sender(body: JSONObject) -> Sender:
    kind = SenderType(values.one_of(body.get("type"), "from.type", tuple(SenderType)))
    found = body.get("provenance_id")
    if kind is not SenderType.HUMAN or found is not None:
        found = values.provenance_id(found, "from.provenance_id")
    return Sender(
        kind,
        found,
        values.optional_text(body.get("id"), "from.id"),
        values.optional_text(body.get("declaration_url"), "from.declaration_url", 2_048),
    )


def _task(body: JSONObject) -> Task:
    wanted = body.get("output_format")
    return Task(
        text(body.get("type"), "task.type", 100),
        text(body.get("instruction"), "task.instruction", values.MAX_INSTRUCTION),
        body.get("input", {}),
        "any" if wanted is None else values.one_of(wanted, "task.output_format", FORMATS),
    )


def _budget(body: JSONObject) -> Budget:
    seconds, tokens = body.get("max_seconds", 120), body.get("max_llm_tokens", 10_000)
    return Budget(
        values.usd(body.get("max_usd"), "budget.max_usd"),
        values.number(seconds, "budget.max_seconds", 1, values.MOST_SECONDS),
        values.number(tokens, "budget.max_llm_tokens", 1, values.MOST_TOKENS),
    )


def _callback(value: object) -> Callback | None:
    if value is None:
        return None
    body = mapping(value, "callback")
    headers = mapping(body.get("headers") or {}, "callback.headers")
    if len(headers) > _MOST_HEADERS:
        raise WireError(f"callback.headers has more than {_MOST_HEADERS} entries")
    for name, one in headers.items():
        text(name, "a header's name in callback.headers")
        text(one, "a header in callback.headers", 2_000)
    return Callback(text(body.get("url"), "callback.url", 2_048), headers)
