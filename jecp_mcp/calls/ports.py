"""What a paid call needs from above and gives back: ports that `server/` and `cli/` implement, and the call's end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from jecp_mcp.money import ZERO, MicroUSDC
from jecp_mcp.rails.base import Progress
from jecp_mcp.wire.forms import Action, Answer, Refusal


class Charge(StrEnum):
    """Whether money moved, as far as it is proven."""

    NO = "no"
    YES = "yes"
    UNKNOWN = "unknown"


class Presence(Protocol):
    """Whether the caller is still there to take the answer."""

    async def listening(self) -> bool:
        """False when whatever is answered now reaches nobody."""
        ...


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling, and how to reach them while the call runs.

    Attributes:
        principal: whose budget it is; ``local`` for every host of this user on stdio and loopback.
        progress: where to report progress, or None.
        presence: tells whether the caller has left without a word; None where leaving cancels the call's handler.
        person_consents: whether a person at a terminal has approved this very call (the CLI only).
    """

    principal: str = "local"
    progress: Progress | None = None
    presence: Presence | None = None
    person_consents: bool = False

    async def listening(self) -> bool:
        """Whether an answer given now reaches the caller, as far as it can be told."""
        return self.presence is None or await self.presence.listening()


@dataclass(frozen=True, slots=True)
class Purchase:
    """What the model wants to buy: a tool's catalog entry and the arguments."""

    tool: str
    action: Action
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CallEnd:
    """How a paid call ended. Exactly one of `answer` and `refusal` is set.

    Attributes:
        call_id: the ledger's id; None when nothing was reserved.
        charge: whether money moved.
        amount: what was charged, micro-USDC.
        held: what stays held while `charge` is unknown, micro-USDC.
        reserved: what was set aside for the call, micro-USDC; a metered one is charged less.
        stored: whether this is the kept answer of an earlier call, delivered now at no further cost.
    """

    charge: Charge
    call_id: str | None = None
    action: Action | None = None
    answer: Answer | None = None
    refusal: Refusal | None = None
    amount: MicroUSDC = ZERO
    held: MicroUSDC = ZERO
    reserved: MicroUSDC = ZERO
    transaction_id: str | None = None
    balance_after: MicroUSDC | None = None
    stored: bool = False
