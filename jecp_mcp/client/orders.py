"""A call of a program, as it is to leave. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import WireError
from jecp_mcp.money import MicroUSDC, parse_usdc
from jecp_mcp.rails.jecp.payload import Payload
from jecp_mcp.rails.jecp.rail import JecpRail
from jecp_mcp.rails.jecp.stream import Listener
from jecp_mcp.wire.jecp.envelope import request_body
from jecp_mcp.wire.jecp.guide import AgentGuide
from jecp_mcp.wire.jecp.ids import split_capability

Amount = str | int | Decimal
"""An amount in USDC: decimal text, a whole number or a `Decimal`; never a float."""

RailOf = Callable[[str, Listener | None], JecpRail]
"""Makes the rail of one call, by its id and who hears the events of its stream."""


@dataclass(frozen=True, slots=True)
class Retry:
    """A call that is sent again under its id: after `wait_seconds`; `number` counts from 1."""

    request_id: str
    number: int
    wait_seconds: float


@dataclass(frozen=True, slots=True)
class Order:
    """A call that is to leave: `budget` in micro-USDC; `until` is the last instant for it."""

    call_id: str
    budget: MicroUSDC
    payload: Payload
    until: UnixMs


def payload_of(
    guide: AgentGuide, call_id: str, capability: str, action: str, arguments: Mapping[str, Any], seconds: float
) -> Payload:
    """What is sent of a call; one attempt may take `seconds`.

    Raises:
        ValueError: it cannot be written.
    """
    try:
        wanted = split_capability(capability)
        body = request_body(call_id, wanted.capability, action, wanted.version, arguments)
    except WireError as exc:
        raise ValueError(f"the call cannot be written as a request: {exc}") from exc
    # Which tier an action takes only the catalog says: where a workflow may need the proof, it is given.
    proof = guide.requires_provenance(wanted.capability, guide.provenance_required_tier or "")
    path = guide.paths["invoke" if "/" in wanted.capability else "invoke_legacy_alias"]
    return Payload(path, body, timeout_seconds=seconds, provenance=proof)


def budget_of(budget: Amount | None) -> MicroUSDC:
    """The most a call may cost, micro-USDC; without a word the most that a mandate can carry."""
    most = JecpRail.most_per_call
    return most if budget is None else min(parse_usdc(budget), most)


def most_of(budget: Amount | None) -> MicroUSDC | None:
    """The same for a call through a mandate: without a word, what the mandate allows."""
    return None if budget is None else budget_of(budget)


class Unwritten:
    """The journal of a program that keeps its own books."""

    async def sending(self) -> None:
        """Let it leave."""

    async def keep(self, *entries: Any) -> None:
        """Keep nothing."""
