"""What a model asks for, as a purchase; and what is wrong with what it asks, as a refusal. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from jecp_mcp.domain.purchases import Purchase
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import MoneyError, PayeeError, ToolFault
from jecp_mcp.money import MicroUSDC, parse_usdc
from jecp_mcp.plurals import counted
from jecp_mcp.tools.codes import INVALID_ARGUMENTS
from jecp_mcp.tools.next_actions.builders import LACKING
from jecp_mcp.tools.publishing.tool_registry import PublishedTool
from jecp_mcp.tools.schemas.arguments import Problem

_PROBLEMS: Final = 8


def purchase_of(found: PublishedTool, arguments: Mapping[str, Any], bounds: Mapping[str, Any]) -> Purchase:
    """A purchase of a tool's action within what was asked beside its arguments.

    Raises:
        ToolFault: the most that it may cost is no amount.
    """
    return Purchase(found.name, found.action, arguments, most_of(bounds), bounds.get("label", ""))


def most_of(bounds: Mapping[str, Any]) -> MicroUSDC | None:
    """The most that a purchase may cost, as the model bounds it, micro-USDC.

    Raises:
        ToolFault: it is no amount.
    """
    try:
        return None if "max_usdc" not in bounds else parse_usdc(bounds["max_usdc"])
    except MoneyError as exc:
        raise ToolFault(INVALID_ARGUMENTS, f"max_usdc: {exc}. Nothing was charged.") from exc


def not_for_own(tool: str, given: Sequence[str]) -> Refusal:
    """What is said of a purchase, said of a tool that buys nothing by itself."""
    return invalid_arguments(tool, [Problem(f"/{one}", "means nothing where nothing is bought") for one in given])


def refusal_of(fault: ToolFault | PayeeError) -> Refusal:
    """A fault as the refusal that tells of it."""
    wait = fault.retry_after_seconds if isinstance(fault, ToolFault) else None
    details = fault.details if isinstance(fault, ToolFault) else {}
    return Refusal(fault.code, fault.message, retry_after_seconds=wait, source="bridge", details=details)


def invalid_arguments(name: str, problems: Sequence[Problem]) -> Refusal:
    """Arguments that do not fit the schema: all that is wrong with them, by JSON pointer."""
    issues = [
        {"pointer": one.pointer, "reason": one.reason} | ({LACKING: True} if one.lacking else {})
        for one in problems[:_PROBLEMS]
    ]
    many = counted(len(problems), "problem")
    return Refusal(
        INVALID_ARGUMENTS,
        f"The arguments of {name} do not fit its schema ({many}). Nothing was charged.",
        details={"issues": issues},
        source="bridge",
    )
