"""What the person at the terminal can do about a refused call. Pure: words only.

The hints of the error object are for models, which have tools and no terminal. People get commands, which no model is
to read: it could run them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from jecp_mcp.calls import codes as call_codes
from jecp_mcp.mandate import codes as mandate_codes
from jecp_mcp.rails import codes as rail_codes
from jecp_mcp.rails.jecp import codes as hub_codes
from jecp_mcp.settings.command_lines import PLAIN, CommandLine
from jecp_mcp.tools import codes as tool_codes

_CODE: Final = re.compile("[0-9A-Z]{4}-[0-9A-Z]{4}")
_COMMAND: Final = re.compile("`([^`]+)`")
_AGAIN: Final = "Give the same command again{later}; what was paid for is not paid for twice."
_CATALOG: Final = "`catalog` lists what there is."
_LEDGER: Final = "`doctor --ledger` says how to mend it."

_BY_CODE: Final[Mapping[str, str]] = MappingProxyType(
    {
        call_codes.ACCOUNT_NOT_HERE: "Give the command again with the credentials of that account.",
        call_codes.APPROVAL_REQUIRED: "`approve {approval_code}` shows it and asks you; then give this command again.",
        tool_codes.CALL_NOT_FOUND: "`ledger` lists the calls.",
        call_codes.CALL_WRITTEN_OFF: "`reconcile` takes your ruling on it.",
        call_codes.CLOCK_WRONG: "Set this machine's clock.",
        hub_codes.CREDENTIALS_MISSING: (
            "`register` makes one; or set JECP_AGENT_ID and JECP_API_KEY to those of yours."
        ),
        mandate_codes.DENIED_BY_POLICY: "Your settings mandate.allow and mandate.deny say what may be bought.",
        call_codes.LEDGER_DAMAGED: _LEDGER,
        call_codes.LEDGER_UNAVAILABLE: _LEDGER,
        call_codes.LIMIT_REACHED: "`approve {approval_code}` lets this one call past it; your settings have the limit.",
        mandate_codes.MANDATE_EXPIRED: "Your setting mandate.expires_at says until when anything may be bought.",
        rail_codes.MERCHANT_NOT_LISTED: (
            'Add its origin to your setting paid_http.merchants, as in merchants = ["https://api.example.com"].'
        ),
        call_codes.NOT_SHOWABLE: "Give it shorter arguments, or several commands.",
        mandate_codes.PER_CALL_LIMIT: "Your settings have the limit.",
        mandate_codes.PRICE_UNKNOWN: "Your setting mandate.unknown_price says up to what an unknown price may be paid.",
        tool_codes.TOOL_QUARANTINED: "`catalog --changes` shows what is held, and why.",
        call_codes.TOO_MANY_QUESTIONS: "`approve` lists them.",
        rail_codes.WALLET_MISSING: "`x402 key` makes one.",
    }
)
"""By what we refuse with, where that says more than the kind of the next step. Between backticks stands a command."""

_BY_TYPE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ask_user": "The earlier payment stands; the same command again buys it anew.",
        "check_status": _AGAIN,
        "discover": _CATALOG,
        "earn_trust": "It needs trust tier {required}, and this account has {current}; completed calls earn it.",
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
    amount = (step.get("arguments") or {}).get("amount_usd", 5)
    details = dict(error.get("details") or {})
    if not _CODE.fullmatch(str(details.get("approval_code"))):
        # A stranger's, which is no part of a command.
        details.pop("approval_code", None)
    known = {
        **details,
        "later": f" in {wait} s" if wait else "",
        "amount": amount,
    }
    todo = _COMMAND.sub(
        lambda found: f"`{commands.line(*shlex.split(found[1]))}`",
        _template(error.get("code"), step.get("type"), known),
    )
    return " ".join(one for one in (_near(step), todo, step.get("url")) if one)


def problems(shown: Mapping[str, Any]) -> str:
    """All that is wrong with the arguments, as one sentence; empty where that is not the matter, or is not our word."""
    error = shown.get("error") or {}
    issues = (error.get("details") or {}).get("issues") if error.get("code") == tool_codes.INVALID_ARGUMENTS else None
    listed = issues if isinstance(issues, list) else []
    told = [one for one in listed if isinstance(one, Mapping) and {"pointer", "reason"} <= one.keys()]
    return "; ".join(f"{one['pointer'] or 'the arguments'}: {one['reason']}" for one in told)


def _template(code: str | None, kind: str | None, known: Mapping[str, Any]) -> str:
    """The first text that fits and of which everything is known."""
    for text in (_BY_CODE.get(code or ""), _BY_TYPE.get(kind or "")):
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
    if step.get("type") == "use_successor" and step.get("tool") == "jecp_describe":
        return f"{step['arguments']['tool']} takes its place."
    return f"Did you mean {' or '.join(names)}?" if names else ""
