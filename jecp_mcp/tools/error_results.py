"""The one shape of a failed call: the same object as text, as structured content and in ``_meta``. Pure: no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from jecp_mcp import jsontext
from jecp_mcp.calls.codes import CALL_IN_PROGRESS
from jecp_mcp.calls.ports import CallEnd, Charge
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.tools.next_actions.case import Context
from jecp_mcp.tools.next_actions.selection import choose, money_sentence
from jecp_mcp.tools.publishing.links import LinkPolicy
from jecp_mcp.tools.types import NextAction, Text, ToolResult

META_ERROR: Final = "jecp-mcp/error"

_MESSAGE = 400
_CODE = 100
_DETAILS = 1_000
_ABOUT_CALLS: Final = frozenset({"jecp_refund", "jecp_status"})
_ASKED: Final = "Asking charged nothing."
"""What is said of the money by tools about a call, which may well have been charged."""
_CLAUSES: Final = re.compile(r"(?<=[.!?;])\s+")
_OF_THE_CHARGE: Final = re.compile(r"\b(?:(?:un)?charge[ds]?|(?:un)?billed)\b", re.IGNORECASE)


def error_result(end: CallEnd, context: Context) -> ToolResult:
    """The result for a refused call. `end` carries a refusal."""
    made = as_result(error_object(end, context))
    running = end.refusal is not None and end.refusal.code == CALL_IN_PROGRESS
    return replace(made, goes_on=end.call_id) if running else made


def as_result(found: Mapping[str, Any]) -> ToolResult:
    """An error object as a tool result."""
    return ToolResult(
        (Text(jsontext.dumps(found).decode()),), structured=found, is_error=True, meta={META_ERROR: found}
    )


def error_object(end: CallEnd, context: Context) -> dict[str, Any]:
    """What a model, and a program, read about a refused call."""
    refusal, links = end.refusal, context.links
    assert refusal is not None
    asked = end.charge is Charge.NO and context.tool in _ABOUT_CALLS
    made: dict[str, Any] = {
        "status": "failed",
        "error": _error(refusal, end, links, _ASKED if asked else money_sentence(end)),
        "charged": end.charge.value,
    }
    if end.call_id is not None:
        made["call_id"] = end.call_id
    step = choose(end, context)
    if step is not None:
        made["next_action"] = next_action_object(step)
    return made


def next_action_object(step: NextAction) -> dict[str, Any]:
    """A next action as JSON; what the Hub said beyond our shape stands under ``hub``."""
    made: dict[str, Any] = {"type": step.type, "actor": step.actor}
    if step.tool is not None:
        made["tool"] = step.tool
        made["arguments"] = jsontext.plain(step.arguments or {})
    if step.alternatives:
        made["alternatives"] = [dict(one) for one in step.alternatives]
    if step.retry_after_seconds is not None:
        made["retry_after_seconds"] = step.retry_after_seconds
    if step.url is not None:
        made["url"] = step.url
    made["hint"] = step.hint
    if step.extra:
        made["hub"] = dict(step.extra)
    made["source"] = step.source
    return made


def message_of(end: CallEnd, links: LinkPolicy) -> str:
    """The words of a refusal: ours as they are but for what they quote, a payee's without orders to the model.

    What a payee says of a charge that is not known to be none is no proof, and is left out: `money_sentence` says it.
    """
    refusal = end.refusal
    assert refusal is not None
    if refusal.source == "bridge":
        return links.words(refusal.message, _MESSAGE)
    told = links.safe_text(refusal.message, _MESSAGE)
    if end.charge is Charge.NO:
        return told
    kept = " ".join(one for one in _CLAUSES.split(told) if not _OF_THE_CHARGE.search(one))
    return kept.rstrip(";") or "It was refused."


def _error(refusal: Refusal, end: CallEnd, links: LinkPolicy, money: str) -> dict[str, Any]:
    message = message_of(end, links)
    theirs = refusal.source == "payee"
    if theirs:
        # It may coach the model to spend more: whose words they are must show.
        message = f"The Hub says: {message}"
    # Our own messages say what became of the money; a Hub's word on that is no proof.
    if theirs or (end.charge is not Charge.UNKNOWN and "charged" not in message):
        message = f"{message}{'' if message.endswith(('.', '!', '?', '…')) else '.'} {money}"
    made: dict[str, Any] = {"code": links.safe_text(refusal.code, _CODE), "message": message}
    if refusal.details:
        details = links.data(refusal.details, _DETAILS)
        if details:
            made["details"] = details
    documentation = links.allowed_url(refusal.documentation_url)
    if documentation is not None:
        made["documentation_url"] = documentation
    return made
