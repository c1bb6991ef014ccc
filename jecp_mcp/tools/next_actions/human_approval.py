"""The steps that a person takes: approving, refusing, deciding on a full limit. Pure: no I/O.

A model may have a terminal and a browser of its own, so no hint tells it how a person answers, only where and under
which code.
"""

from __future__ import annotations

from collections.abc import Mapping

from jecp_mcp.money import parse_usdc
from jecp_mcp.tools.next_actions.builders import address_of, next_action, same_call, wait_for_window
from jecp_mcp.tools.next_actions.case import Case
from jecp_mcp.tools.next_actions.catalog_lookups import cheaper
from jecp_mcp.tools.types import NextAction


def only_the_user(code: object, page: str | None) -> str:
    """Whose word it takes, what they need to give it, and where, in two sentences; a page is the step's ``url``."""
    needed = ["what it costs", *([] if code is None else [f"the approval code {code}"])]
    where = "in the wallet's terminal" if page is None else "on the wallet's approvals page, at the url"
    return (
        f"Only the user can approve it: you cannot, and must not try. Tell them {' and '.join(needed)}; they find the "
        f"question {where}."
    )


def approve(case: Case) -> NextAction:
    """A call that needs a person, who answers outside the chat; then the same call goes through."""
    code = case.refusal.details.get("approval_code")
    page = address_of(code, case.context.page) if code else None
    lower = case.refusal.details.get("no_approval_with")
    other = ""
    if isinstance(lower, Mapping):
        other = (
            f" Where {lower['max_usdc']} USDC will do, jecp_call with max_usdc {lower['max_usdc']} needs no approval."
        )
    return next_action(
        case,
        "human",
        f"{only_the_user(code, page)} Stop until they say that they did; then make the same call again.{other}",
        type_="ask_human",
        url=page,
    )


def wait_for_person(case: Case) -> NextAction:
    """The person is being asked, or was this moment."""
    return next_action(case, "human", "Wait for the user's answer, then make the same call again.", type_="ask_human")


def accept_refusal(case: Case) -> NextAction:
    """The person said no."""
    return next_action(
        case,
        "human",
        "The user said no. Do not ask for it again; tell them what you can do without it.",
        type_="ask_human",
    )


def shorten(case: Case) -> NextAction:
    """A person can be asked about shorter arguments only."""
    return next_action(
        case,
        "agent",
        "Call it with shorter arguments, or in several calls. Where that cannot be, tell the user; do not repeat it as "
        "it is.",
        type_="fix_input",
    )


def too_many_questions(case: Case) -> NextAction:
    """A person has as many questions before them as may wait; they make room by answering some."""
    return next_action(
        case,
        "human",
        "Tell the user that too many questions wait for them, and that only they can answer some: you cannot, and must "
        "not try. Stop until they say that they did; then make the same call again.",
        type_="ask_human",
        url=case.context.page,
    )


def full_limit(case: Case) -> NextAction:
    """A cap without room: the same call once it has refilled; where it does not, only the operator can decide.

    What costs more than the whole cap never has room, whatever refills.
    """
    code, needed, most = (case.refusal.details.get(key) for key in ("approval_code", "needed_usdc", "limit_usdc"))
    if isinstance(needed, str) and isinstance(most, str) and parse_usdc(needed) > parse_usdc(most):
        return cheaper(case, most)
    if code is None or "resets_at" in case.refusal.details:
        return wait_for_window(case)
    return next_action(
        case,
        "operator",
        f"Tell the user: this limit is full, and only the operator can decide on it, under the approval code {code}. "
        "Stop here.",
        type_="ask_operator",
        url=address_of(code, case.context.page),
    )


def prepare_first(case: Case) -> NextAction:
    """A prepared call that nobody has: what was to be prepared is not known here."""
    tool = "paid_http_prepare" if case.context.tool.startswith("paid_http_") else "jecp_prepare"
    return next_action(case, "agent", "Prepare the call again; this says how.", call=("jecp_describe", {"tool": tool}))


def prepare_anew(case: Case) -> NextAction:
    """A prepared call that is no longer good: the same, prepared anew."""
    return next_action(
        case, "agent", "Prepare it again and look at the price.", call=same_call(case.context), type_="prepare"
    )


def forbidden_since(case: Case) -> NextAction:
    """A call in doubt that is not sent again, because the operator has forbidden it meanwhile."""
    return next_action(
        case,
        "operator",
        "Do not repeat it. Tell the user: only the operator can allow it again, or rule on this call. Stop here.",
        type_="ask_operator",
    )
