"""What the arguments of a hire may say, and what the ledger keeps of one: the offer's bytes, unsigned. Pure: no I/O.

No signature is kept: it follows from the offer and the key, and the same of both give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from jecp_mcp import jsontext
from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import MoneyError, WireError
from jecp_mcp.money import MicroUSDC, parse_usdc
from jecp_mcp.rails.stored_form import MOST_BYTES, read_form, write_form
from jecp_mcp.settings.ajp import AgentSettings
from jecp_mcp.wire.ajp.offer import FORMATS
from jecp_mcp.wire.ajp.values import MAX_INSTRUCTION

_FORM: Final = 1

SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["instruction"],
    "properties": {
        "instruction": {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_INSTRUCTION,
            "description": "What to do, in words: it sees nothing else of this conversation. No secrets.",
        },
        "input": {"type": "object", "description": "What to work on. No secrets."},
        "output_format": {"type": "string", "enum": list(FORMATS), "description": "Of its result."},
        "max_usdc": {"type": "string", "description": 'Most it may cost, such as "0.05"; only lowers the limit.'},
        "max_seconds": {"type": "integer", "minimum": 1, "description": "Only lowers the limit."},
        "parent_job_id": {
            "type": "string",
            "pattern": "^[A-Za-z0-9_-][A-Za-z0-9._~-]{7,127}$",
            "description": "The job that this one is a part of.",
        },
    },
}
"""The arguments of a hire."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most that one job may take: micro-USDC, seconds; and the job that it is a part of, None for none."""

    usdc: MicroUSDC
    seconds: int
    parent: str | None = None

    @property
    def terms(self) -> str:
        """What a person agrees to with the price."""
        return f"for at most {self.seconds} s" + ("" if self.parent is None else f", as a part of {self.parent}")


_BESIDE: Final = frozenset({"max_usdc", "max_seconds", "parent_job_id"})
"""What does not say what is to be done: a job's bounds, and what it is a part of."""
_UNSAID: Final = {"input": {}, "output_format": "any"}
"""What an argument is that is not given."""


def job_of(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is to be done, in as few words as it can be said."""
    return {
        name: value
        for name, value in arguments.items()
        if name not in _BESIDE and (name not in _UNSAID or value != _UNSAID[name])
    }


def bounds_of(agent: AgentSettings, arguments: Mapping[str, Any]) -> Bounds:
    """What the arguments leave of an agent's limits: they can only lower them.

    Raises:
        WireError: ``max_usdc`` is no amount.
    """
    wanted, seconds = arguments.get("max_usdc"), arguments.get("max_seconds")
    try:
        most = agent.max_usdc if wanted is None else min(agent.max_usdc, parse_usdc(wanted))
    except MoneyError as exc:
        raise WireError(f"max_usdc: {exc}") from exc
    within = agent.max_seconds if seconds is None else min(agent.max_seconds, int(seconds))
    return Bounds(MicroUSDC(most), within, arguments.get("parent_job_id"))


@dataclass(frozen=True, slots=True)
class Payload:
    """One hire.

    Attributes:
        agent: the name in the settings.
        agent_id: whom the result must name.
        key: what the result must be signed with, as its declaration had it.
        endpoint: where the job is offered and asked for.
        offer: the unsigned offer in its canonical form, as text.
        pin: the key and endpoint under which the agent is hired.
        agreed: whether a person agreed to them where others were hired before.
        expires_at: when the offer can no longer be taken, Unix ms.
        seconds: how long the job may take.
    """

    agent: str
    agent_id: str
    key: str
    endpoint: str
    pin: str
    agreed: bool
    offer: str
    expires_at: UnixMs
    seconds: int

    @property
    def message(self) -> Mapping[str, Any]:
        """The unsigned offer.

        Raises:
            WireError: it cannot be read.
        """
        found = jsontext.loads(self.offer, max_bytes=MOST_BYTES, max_marks=None)
        if not isinstance(found, Mapping):
            raise WireError("the stored offer is no object")
        return found

    def pack(self) -> bytes:
        """As the ledger keeps it."""
        return write_form(_FORM, asdict(self))

    @classmethod
    def unpack(cls, stored: bytes) -> Self:
        """Read what `pack` wrote.

        Raises:
            WireError: it is something else.
        """
        found = read_form(_FORM, stored, "what is stored of the job")
        try:
            return cls(**found)
        except TypeError as exc:
            raise WireError("what is stored of the job cannot be read; the ledger is not what was written") from exc


def job_id_of(call_id: str) -> str:
    """A job's id: as random as the call's, for whoever knows it may read the result and acknowledge it."""
    return f"job_{call_id.removeprefix('call_')}"
