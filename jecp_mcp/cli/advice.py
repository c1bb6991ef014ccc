"""What is written for a model, as the person at the terminal reads it, and what they can do. Pure: words only.

The hints of the error object are for models, which have tools and no terminal. People get commands, which no model is
to read: it could run them. Whoever sits at the terminal is the user that a model speaks of, and the operator.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from jecp_mcp.calls import codes as call_codes
from jecp_mcp.mandate import codes as mandate_codes
from jecp_mcp.rails import codes as rail_codes
from jecp_mcp.rails.jecp import codes as hub_codes
from jecp_mcp.settings.command_lines import PLAIN, CommandLine
from jecp_mcp.settings.credentials import variables_of
from jecp_mcp.source_names import FIRST
from jecp_mcp.tools import codes as tool_codes
from jecp_mcp.wire.jecp.codes import Retry, lookup
from jecp_mcp.wire.jecp.ids import valid_call_id

_CODE: Final = re.compile("[0-9A-Z]{4}-[0-9A-Z]{4}")
_NAME: Final = re.compile("(?!jecp_|paid_http_)[A-Za-z0-9_.:/@-]{1,200}")
_HUB: Final = re.compile("[a-z][a-z0-9]{0,11}")
_COMMAND: Final = re.compile("`([^`]+)`")
_AGAIN: Final = "Give the same command again{later}."
_CATALOG: Final = "`catalog` lists what there is."
_LEDGER: Final = "`doctor --ledger` says how to mend it."

_RAISE: Final = "To allow more, raise your setting {setting}: `config` shows where it is set, and the settings file."
_LIMIT: Final = re.compile(r"(limits\[.+\]\.)?[a-z_]+_usdc", re.DOTALL)

_OF_YOU: Final = {"has": "have", "does": "do", "is": "are", "was": "were"}


def _you(you: str, verb: str | None) -> str:
    """What somebody does, said to them."""
    return you if verb is None else f"{you} {_OF_YOU.get(verb, verb[:-1])}"


_QUOTED: Final = re.compile('("[^"]*")')
_THEIRS: Final = "The Hub says: "
_PERSONAL: Final[Sequence[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]]] = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r": tell the user(?=\.|$)", ""),
        (r" Tell the user\.", ""),
        (r"\btell the user that ", ""),
        (r" outside the chat\b", ""),
        (r"\bin the chat\b", "here"),
        (r"\b(another \w+|a \w+|those are)( of)? the operator's\b", r"\1\2 yours"),
        (r"\b(?:the|its) (?:operator|user)'s\b", "your"),
        (r"\bThe (?:operator|user)'s\b", "Your"),
        (r"\bthe user (?:is|was) being\b", "you were being"),
        (r"\b(?:the|its) (?:operator|user)(?: (?!this\b)([a-z]+s))?\b", lambda found: _you("you", found[1])),
        (r"\b(?:The|Its) (?:operator|user)(?: (?!this\b)([a-z]+s))?\b", lambda found: _you("You", found[1])),
    )
)
"""The turns of phrase of our texts for models, and what they are to the person who is both user and operator."""

_ACCOUNT: Final = "`doctor` says which credentials were sent, and what mends them."

_BY_CODE: Final[Mapping[str, str]] = MappingProxyType(
    {
        tool_codes.ACTION_LEFT_OUT: "Your settings under [catalog] say what of the Hub is shown and sold here.",
        call_codes.ACCOUNT_NOT_HERE: "Give the command again with the credentials of that account.",
        call_codes.APPROVAL_REQUIRED: "`approve {approval_code}` shows it and asks you; then give this command again.",
        tool_codes.CALL_NOT_FOUND: "`ledger` lists the calls.",
        call_codes.CALL_WRITTEN_OFF: "`reconcile` takes your ruling on it.",
        call_codes.CLOCK_WRONG: "Set this machine's clock.",
        hub_codes.CREDENTIALS_MISSING: (
            "`register` makes one; or set {id_variable} and {key_variable} to those of yours."
        ),
        mandate_codes.DENIED_BY_POLICY: "Your settings mandate.allow and mandate.deny say what may be bought.",
        rail_codes.CONTROL_PLANE_KEY_MISSING: "Set JECP_402FLOW_BOOTSTRAP_KEY; `doctor` says where else it may be.",
        rail_codes.CONTROL_PLANE_REFUSED: "`doctor` shows its refusal word for word.",
        rail_codes.PAYMENT_DENIED: "Its policy is yours to change at the control plane, under [flow402] base_url.",
        call_codes.LEDGER_DAMAGED: _LEDGER,
        call_codes.LEDGER_UNAVAILABLE: _LEDGER,
        call_codes.LIMIT_REACHED: "`approve {approval_code}` lets this one call past it. " + _RAISE,
        mandate_codes.MANDATE_EXPIRED: "Your setting mandate.expires_at says until when anything may be bought.",
        rail_codes.MERCHANT_NOT_LISTED: (
            'Add its origin to your setting paid_http.merchants, as in merchants = ["https://api.example.com"].'
        ),
        call_codes.NOT_SHOWABLE: "Give it shorter arguments, or several commands.",
        mandate_codes.PER_CALL_LIMIT: _RAISE,
        mandate_codes.PRICE_UNKNOWN: "Your setting mandate.unknown_price says up to what an unknown price may be paid.",
        tool_codes.TOOL_QUARANTINED: "`catalog --changes` shows what is held, and why.",
        hub_codes.PAYMENT_METHOD_OFF: "Your setting hub.payment says what calls are paid with.",
        call_codes.TOO_MANY_QUESTIONS: "`approve` lists them.",
        rail_codes.WALLET_MISSING: (
            "`x402 key` makes one. On this machine only play money pays: give this command again with --sandbox."
        ),
    }
)
"""By what we refuse with, where that says more than the kind of the next step. Between backticks stands a command."""

_BY_TYPE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ask_user": "The earlier payment stands; the same command again buys it anew.",
        "check_status": "`status {call_id}`{later} says what became of it, and pays nothing.",
        "discover": _CATALOG,
        "earn_trust": "It needs trust tier {required}, and this account has {current}; completed calls earn it.",
        "fix_input": "`describe {described}` shows what it takes.",
        "find_cheaper": "`catalog` lists what costs less.",
        "prepare": "Prepare it again.",
        "retry_after": _AGAIN,
        "retry_or_alternative": _AGAIN,
        "see_manifest": _CATALOG,
        "set_clock": "Set this machine's clock.",
        "topup": "`topup {amount}` gives a payment link.",
        "topup_url": "`topup {amount}` gives a payment link.",
        "try_alternative_provider": _CATALOG,
        "upgrade_client": "Update jecp-mcp.",
        "use_successor": _CATALOG,
    }
)


def advice(shown: Mapping[str, Any], commands: CommandLine = PLAIN) -> str:
    """What to do about a refused call, or with a result that has a next step; empty where nothing is to be said.

    Args:
        shown: the error object, or another result of a tool, as programs read it.
        commands: how they are written.
    """
    error, step = shown.get("error") or {}, shown.get("next_action") or {}
    wait = step.get("retry_after_seconds")
    arguments = step.get("arguments") or {}
    amount, described, hub = arguments.get("amount_usd", 5), arguments.get("tool"), arguments.get("hub", FIRST)
    if "hub" in arguments and _HUB.fullmatch(str(hub)):
        commands = commands.at_hub(hub)
    id_variable, key_variable, *_ = variables_of("" if hub == FIRST else str(hub))
    details = dict(error.get("details") or {})
    if not _CODE.fullmatch(str(details.get("approval_code"))):
        # A stranger's, which is no part of a command.
        details.pop("approval_code", None)
    known = {
        **details,
        "later": f" in {wait} s" if wait else "",
        "amount": amount,
        "id_variable": id_variable,
        "key_variable": key_variable,
    }
    call_id = arguments.get("call_id")
    if step.get("tool") == "jecp_status" and valid_call_id(call_id):
        known["call_id"] = call_id
    limit = str(details.get("cap", details.get("limit")))
    if _LIMIT.fullmatch(limit):
        known["setting"] = f"mandate.{limit}"
    if step.get("tool") == "jecp_describe" and _NAME.fullmatch(str(described)):
        known["described"] = described
    todo = _COMMAND.sub(
        lambda found: f"`{commands.line(*shlex.split(found[1]))}`",
        _template(error.get("code"), step.get("type"), known),
    )
    return " ".join(one for one in (_near(step), todo, step.get("url")) if one)


def for_person(text: str) -> str:
    """One of our texts for a model as whoever sits at the terminal reads it; what it quotes stays as it is."""
    if text.startswith(_THEIRS):
        return text
    parts = _QUOTED.split(text)
    for pattern, words in _PERSONAL:
        parts[::2] = [pattern.sub(words, part) for part in parts[::2]]
    return "".join(parts)


def problems(shown: Mapping[str, Any]) -> str:
    """All that is wrong with the arguments, as one sentence; empty where that is not the matter, or is not our word."""
    error = shown.get("error") or {}
    issues = (error.get("details") or {}).get("issues") if error.get("code") == tool_codes.INVALID_ARGUMENTS else None
    listed = issues if isinstance(issues, list) else []
    told = [one for one in listed if isinstance(one, Mapping) and {"pointer", "reason"} <= one.keys()]
    return "; ".join(f"{one['pointer'] or 'the arguments'}: {one['reason']}" for one in told)


def _template(code: str | None, kind: str | None, known: Mapping[str, Any]) -> str:
    """The first text that fits and of which everything is known."""
    hubs = lookup(code or "")
    account = _ACCOUNT if hubs is not None and hubs.retry is Retry.CREDENTIALS else None
    for text in (_BY_CODE.get(code or ""), account, _BY_TYPE.get(kind or "")):
        try:
            if text is not None:
                return text.format_map(known)
        except KeyError:
            continue
    return ""


def _near(step: Mapping[str, Any]) -> str:
    names = [one["tool"] for one in step.get("alternatives") or ()]
    if step.get("type") in {"try_alternative_provider", "retry_or_alternative", "earn_trust"}:
        return f"These do the same: {', '.join(names)}." if names else ""
    if step.get("type") == "find_cheaper":
        return f"These do the same for less: {', '.join(names)}." if names else ""
    if step.get("type") == "use_successor" and step.get("tool") == "jecp_describe":
        return f"{step['arguments']['tool']} takes its place."
    return f"Did you mean {' or '.join(names)}?" if names else ""
