"""What a person is asked before money is spent, and which answer is a yes. Pure: no I/O.

The form has one field, which nothing fills by itself: the amount, to be typed. A host that accepts for the person,
with defaults, first choices or nothing at all, therefore does not approve.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from jecp_mcp.calls import display
from jecp_mcp.calls.ports import Decision, Question, Reply
from jecp_mcp.errors import MoneyError
from jecp_mcp.money import format_usdc, parse_usdc

FIELD: Final = "amount_to_approve"

MOST_SHOWN: Final = 2_000
"""The most characters of action, payee and arguments that are put to a person in a host's form."""

TOO_LONG: Final = "its input is too long to be shown whole in the chat"

_FREE_WORD: Final = "approve"
_LONGEST: Final = 40
_TYPED: Final = re.compile(r"\$?\s*([0-9]+(?:[.,][0-9]+)?)\s*(?:USDC|USD|\$)?", re.IGNORECASE)


def wording(question: Question) -> str | None:
    """The question in a few short sentences: what, from whom, for how much, why it is asked, and with which input.

    None where it does not fit into a form: it is never shown in part.
    """
    what, payee = display.words(question.action), display.words(question.payee) or "the Hub"
    given = display.arguments(question.arguments, MOST_SHOWN - len(what) - len(payee), lines=False)
    if given is None:
        return None
    amount = f"{'' if question.kind.exact else 'at most '}{format_usdc(question.amount)} USDC"
    return (
        f"Buy {what} from {payee} for {amount}? {display.words(question.because)} To approve, type {_word(question)}; "
        f"otherwise nothing is bought. Its input: {given}"
    )


def form(question: Question) -> dict[str, Any]:
    """The schema of the answer: flat, as elicitation asks, and without a default."""
    field = {
        "type": "string",
        "title": f"Type {_word(question)} to approve",
        "description": "Leave it empty, or decline, to refuse.",
        "maxLength": _LONGEST,
    }
    return {"type": "object", "properties": {FIELD: field}, "required": [FIELD]}


def judge(question: Question, action: str, content: Mapping[str, Any] | None) -> Reply:
    """What an answer means. An acceptance counts only if the person typed what the form asks for."""
    if action == "decline":
        return Reply(Decision.DECLINED)
    if action != "accept":
        return Reply(Decision.CANCELLED, "the question was dismissed")
    typed = (content or {}).get(FIELD)
    if isinstance(typed, str) and len(typed) <= _LONGEST and _matches(typed, question):
        return Reply(Decision.ACCEPTED)
    return Reply(Decision.CANCELLED, "the amount to approve was not typed")


def _word(question: Question) -> str:
    return format_usdc(question.amount) if question.amount else _FREE_WORD


def _matches(typed: str, question: Question) -> bool:
    text = typed.strip()
    if not question.amount:
        return text.casefold() == _FREE_WORD
    amount = _TYPED.fullmatch(text)
    try:
        return amount is not None and parse_usdc(amount[1].replace(",", ".")) == question.amount
    except MoneyError:
        return False
