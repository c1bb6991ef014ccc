"""``jecp_prepare``: what a call would cost and what stands in its way, before anything is spent."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from jecp_mcp import jsontext
from jecp_mcp.calls.codes import APPROVAL_REQUIRED, LIMIT_REACHED
from jecp_mcp.calls.prepared import Preparation
from jecp_mcp.clock import iso, iso_seconds
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.quotes import QuoteKind
from jecp_mcp.jsontext import NOTHING
from jecp_mcp.mandate.records import MeterReading
from jecp_mcp.money import MicroUSDC, format_usdc
from jecp_mcp.settings.command_lines import CommandLine
from jecp_mcp.tools.codes import INVALID_ARGUMENTS, NOT_CHECKED_HERE
from jecp_mcp.tools.error_results import next_action_object
from jecp_mcp.tools.next_actions.alternatives import Alternatives
from jecp_mcp.tools.next_actions.builders import DO_NOT_INVENT, address_of, topup_amount
from jecp_mcp.tools.next_actions.case import at_hub_of
from jecp_mcp.tools.next_actions.catalog_lookups import cheaper_found
from jecp_mcp.tools.next_actions.human_approval import only_the_user
from jecp_mcp.tools.own.lifting import BALANCE_TOO_LOW, TIER_MISSING, lifted_by
from jecp_mcp.tools.publishing.cleaning import clean, provider_of, safe_text, unchecked_words
from jecp_mcp.tools.publishing.pricing import price_note
from jecp_mcp.tools.publishing.tool_registry import PublishedTool
from jecp_mcp.tools.question_log import QUESTIONS
from jecp_mcp.tools.schemas.arguments import Problem
from jecp_mcp.tools.types import NextAction

_questions = logging.getLogger(QUESTIONS)

MAX_ISSUES: Final = 8
_REASON: Final = 200
_KEYWORDS: Final = ("type", "enum", "const", "format", "minimum", "maximum", "minLength", "maxLength", "pattern")
_FRAGMENT: Final = 400
_KEY: Final = 80

Issue = dict[str, Any]


def invalid_arguments(found: PublishedTool, problems: Sequence[Problem]) -> dict[str, Any]:
    """What is wrong with the arguments; nothing is prepared."""
    issues = [_argument(problem, found.card.input_schema) for problem in problems[:MAX_ISSUES]]
    lacking = any(problem.lacking for problem in problems)
    step = NextAction(
        "revise_request",
        "agent",
        f"Mend the arguments as the issues say, then prepare the call again.{DO_NOT_INVENT if lacking else ''}",
        "bridge",
        tool="jecp_describe",
        arguments={"tool": found.name},
    )
    return {"tool": found.name, "issues": issues, "charged": "no", "next_action": next_action_object(step)}


def summary(
    found: PublishedTool,
    made: Preparation,
    balance: MicroUSDC | None,
    page: str | None,
    left: Sequence[str] = (),
    *,
    offers: Alternatives,
    can_ask: bool = False,
    allowed: Mapping[str, Any] = NOTHING,
) -> dict[str, Any]:
    """A prepared call as the model sees it; amounts are decimal text in USDC.

    Args:
        found: the tool it would call.
        made: what was prepared.
        balance: what the wallet holds, where that is known.
        page: where a person can answer in a browser, None where there is no such page.
        left: what could not be checked in these arguments, beyond what the tool's card says.
        offers: where something cheaper is looked for.
        can_ask: whether a person can be asked within the call that executes it.
        allowed: whether it could be bought now, as `Wallet.allowance` says it.
    """
    call, grant = made.call, made.grant
    free, lower = allowed.get("free_call"), allowed.get("no_approval_with")
    balance = balance if free is None and "paid_with" not in allowed else None
    low_balance = _low_balance(call.quote.least(call.hold), balance)
    issues = [*standing_issues(made, low_balance), *_missing_tier(found.action, allowed)]
    blocked = list(dict.fromkeys(one["code"] for one in issues if one["blocking"]))
    lifting = lifted_by(blocked, never_room=bool(_too_small(made)))
    issues += [*_deprecation(found.action), *_left_to_hub([*found.card.left_to_hub, *left])]
    told: dict[str, Any] = {
        "prepared_id": grant.grant_id,
        "tool": found.name,
        **({"blocked_by": blocked, "lifted_by": lifting} if blocked else {}),
        **({"no_approval_with": lower} if APPROVAL_REQUIRED in blocked and lower is not None else {}),
        "price_usdc": None if call.quote.kind is QuoteKind.UNKNOWN else format_usdc(call.quote.amount),
        **_bounds(found.action, call.quote.kind, call.hold),
        **({} if free is None else {"free_call": free}),
        **({"paid_with": allowed["paid_with"]} if "paid_with" in allowed else {}),
        "expires_at": iso_seconds(grant.expires_at),
        "provider": _provider_facts(found.action),
    }
    if issues:
        told["issues"] = issues
    told["charged"] = "no"
    tier = clean(found.action.tier, 20, one_line=True) if TIER_MISSING in blocked else None
    told["next_action"] = next_action_object(_next(found, made, balance, page, offers, can_ask=can_ask, tier=tier))
    return told


def _bounds(action: Offer, kind: QuoteKind, hold: MicroUSDC) -> dict[str, str]:
    """The most that it may come to, where that is not its price."""
    return {} if kind.exact else {"at_most_usdc": format_usdc(hold), "price": price_note(action, hold)}


def standing_issues(made: Preparation, low_balance: Sequence[Issue] = ()) -> list[Issue]:
    """What of the mandate and the wallet stands in the way of a prepared call now."""
    return [*_full_limits(made.full), *low_balance, *_approval(made)]


def _next(
    found: PublishedTool,
    made: Preparation,
    balance: MicroUSDC | None,
    page: str | None,
    offers: Alternatives,
    *,
    can_ask: bool,
    tier: str | None,
) -> NextAction:
    execute = ("jecp_execute", {"prepared_id": made.grant.grant_id})
    if tier is not None:
        return NextAction("earn_trust", "human", f"Tell the user: this needs trust tier {tier}. Stop here.", "bridge")
    if made.approval is not None and not can_ask:
        return ask_outside(made, page)
    if never := _too_small(made):
        return _cheaper(found.action, min(never), offers)
    if made.full:
        return wait_for_room(made, execute)
    least = made.call.quote.least(made.call.hold)
    if balance is not None and balance < least:
        return NextAction(
            "topup",
            "agent",
            "The wallet holds too little. Get a payment link for the user; when they have paid, execute this call.",
            "bridge",
            tool="jecp_topup",
            arguments={"amount_usd": topup_amount(least - balance), **at_hub_of(found.action)},
        )
    return execute_now(made, execute)


def _too_small(made: Preparation) -> list[MicroUSDC]:
    """The limits that would have no room for it if they were empty, micro-USDC."""
    return [one.meter.limit for one in made.full if one.meter.limit < made.call.hold]


def execute_now(made: Preparation, execute: tuple[str, Mapping[str, Any]]) -> NextAction:
    """Nothing stands in the way but a person's word, where one is needed, which is asked for within the call."""
    hint = "Execute it to buy it."
    if made.approval is not None:
        hint = "Execute it: the user is asked here whether to buy it, before anything is paid."
    return NextAction("execute", "agent", hint, "bridge", tool=execute[0], arguments=execute[1])


def note_question(offer: Offer, code: str, commands: CommandLine) -> None:
    """Tell whoever reads the server's own output, which no model does, how a question is answered."""
    _questions.warning(
        "%s waits for a person's answer: run %s", clean(offer.key, _KEY, one_line=True), commands.line("approve", code)
    )


def ask_outside(made: Preparation, page: str | None) -> NextAction:
    """A person's word, which may come after the price is held no more: it stands by itself."""
    assert made.approval is not None
    _, asked = made.approval
    return NextAction(
        "ask_human",
        "human",
        f"{only_the_user(asked.grant_id, page)} Stop until they say that they did; then execute it. After "
        f"{iso(made.grant.expires_at)} prepare it again first: at this price their approval stands until "
        f"{iso(asked.expires_at)}.",
        "bridge",
        url=address_of(asked.grant_id, page),
    )


def _cheaper(action: Offer, most: MicroUSDC, offers: Alternatives) -> NextAction:
    """What costs more than a whole limit never has room in it, whatever refills."""
    return cheaper_found(offers.within(most, action), format_usdc(most))


def wait_for_room(made: Preparation, execute: tuple[str, Mapping[str, Any]]) -> NextAction:
    """A full limit: wait if it has room again while the price is promised, else it is the operator's."""
    resets = [one.resets_at for one in made.full]
    latest = None if None in resets else max(at for at in resets if at is not None)
    if latest is None:
        hint = "Tell the user: a limit of the operator's is full, and does not refill by itself. Stop here."
        return NextAction("ask_operator", "operator", hint, "bridge")
    if latest >= made.grant.expires_at:
        hint = f"Tell the user that a limit of the operator's is full until {iso(latest)}. Prepare it again after that."
        return NextAction("retry_after", "human", hint, "bridge")
    wait = max(1, -(-(latest - made.grant.created_at) // 1000))
    hint = f"A limit of the operator's is full. Wait {wait} s for room in it, then execute this call."
    tool, arguments = execute
    return NextAction("retry_after", "agent", hint, "bridge", tool=tool, arguments=arguments, retry_after_seconds=wait)


def _full_limits(readings: Sequence[MeterReading]) -> list[Issue]:
    return [
        _issue(
            LIMIT_REACHED,
            f"The limit {one.meter.label} has {format_usdc(max(0, one.meter.limit - one.used))} USDC left"
            + (f"; it refills from {iso(one.resets_at)}." if one.resets_at is not None else "."),
            location="mandate",
        )
        for one in readings
    ]


def _low_balance(needed: MicroUSDC | None, balance: MicroUSDC | None) -> list[Issue]:
    if needed is None or balance is None or balance >= needed:
        return []
    text = f"The wallet was last known to hold {format_usdc(balance)} USDC, less than the price."
    return [_issue(BALANCE_TOO_LOW, text, location="wallet")]


def _missing_tier(action: Offer, allowed: Mapping[str, Any]) -> list[Issue]:
    known = TIER_MISSING in allowed.get("blocked_by", ())
    if not known and "tier_unknown" not in allowed:
        return []
    whose = "the agent's is lower" if known else "the Hub has not told the agent's yet"
    text = f"It needs trust tier {clean(action.tier, 20, one_line=True)}, and {whose}."
    return [_issue(TIER_MISSING, text, location="account", blocking=known)]


def _approval(made: Preparation) -> list[Issue]:
    return [] if made.approval is None else [_issue(APPROVAL_REQUIRED, made.approval[0], location="mandate")]


def _deprecation(action: Offer) -> list[Issue]:
    if action.deprecation is None or action.deprecation.status == "active":
        return []
    until = (
        f" until {safe_text(action.deprecation.sunset_at, 40, one_line=True)}" if action.deprecation.sunset_at else ""
    )
    text = f"The provider withdraws this action; it works{until}."
    return [_issue("CAPABILITY_DEPRECATED", text, location="catalog", blocking=False)]


def _left_to_hub(left: Sequence[str]) -> list[Issue]:
    """What of the arguments only the Hub will check, after it is asked to sell."""
    if not left:
        return []
    words = unchecked_words(list(dict.fromkeys(left)), MAX_ISSUES)
    return [_issue(NOT_CHECKED_HERE, words, location="arguments", blocking=False)]


def _argument(problem: Problem, schema: Mapping[str, Any]) -> Issue:
    issue = _issue(INVALID_ARGUMENTS, clean(problem.reason, _REASON, one_line=True), location=problem.pointer)
    expected = _schema_at(schema, problem.pointer) if problem.schema else {}
    if expected:
        issue["suggested_fix"] = f"Give {problem.pointer or 'an object'} as {jsontext.dumps(expected).decode()}."
    return issue


def _issue(code: str, message: str, *, location: str, blocking: bool = True) -> Issue:
    return {"location": location, "code": code, "blocking": blocking, "message": message}


def _schema_at(schema: Mapping[str, Any], pointer: str) -> dict[str, Any]:
    """What the schema says of the place a JSON pointer names, in a few words; nothing where it says it indirectly."""
    at: Any = schema
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        properties = at.get("properties") if isinstance(at, Mapping) else None
        if isinstance(properties, Mapping) and name in properties:
            at = properties[name]
        else:
            at = at.get("items") if isinstance(at, Mapping) and name.isdigit() else None
    if not isinstance(at, Mapping):
        return {}
    said = {key: jsontext.plain(at[key]) for key in _KEYWORDS if key in at}
    return said if len(jsontext.dumps(said)) <= _FRAGMENT else {key: said[key] for key in ("type",) if key in said}


def _provider_facts(action: Offer) -> dict[str, Any]:
    """What is known of the provider that bears on whether to buy."""
    told: dict[str, Any] = {"name": provider_of(action)}
    if action.version:
        told["version"] = clean(action.version, 40, one_line=True)
    if action.tier_rank:
        told["tier"] = clean(action.tier, 20, one_line=True)
    if action.timeout_ms is not None:
        told["timeout_seconds"] = action.timeout_ms // 1000
    effects = [safe_text(key, 40, one_line=True) for key, value in action.side_effects.items() if value is True]
    if effects:
        told["side_effects"] = effects[:MAX_ISSUES]
    return told
