"""The steps a refusal can lead to: who acts, the ready call, and what is said. Pure: no I/O.

Every hint is ours, because a hint from a stranger is an instruction from a stranger. No step ever has the agent widen
what the operator allowed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from jecp_mcp.calls.ports import CallEnd, Charge
from jecp_mcp.calls.refusals import CLOCK_WRONG
from jecp_mcp.clock import UnixMs, parse_iso
from jecp_mcp.money import MICRO_PER_USDC
from jecp_mcp.tools.forms import Actor, NextAction
from jecp_mcp.tools.links import LinkPolicy
from jecp_mcp.wire.forms import NOTHING, TIERS, Action, Refusal
from jecp_mcp.wire.next_actions import HubAction

TOPUPS_USD: Final = (5, 20, 100)
"""The amounts a Hub sells, in whole USD (JECP 01-protocol, top-up)."""

MAX_ARGUMENTS: Final = 4_000
"""The longest arguments, in characters of JSON, that an error repeats as a ready call."""

_MAX_QUERY = 80
_MAX_FOREIGN = 600
_LONGEST_WAIT = 86_400
_WORD = re.compile(r"[^\W_]+")

Source = Literal["hub", "bridge"]


@dataclass(frozen=True, slots=True)
class Context:
    """Where a refusal was met.

    Attributes:
        tool: the tool the model called, and `arguments` what it gave; the same call again is these two. The arguments
            are None where they are not at hand.
        own: the names of our own tools that are published now.
        links: which of the Hub's links may be shown.
        now: the wall clock.
        target: the published name of the action to be bought, None when there is none.
        successor: the published name of the action that takes its place, if the catalog has one.
    """

    tool: str
    arguments: Mapping[str, Any] | None
    own: frozenset[str]
    links: LinkPolicy
    now: UnixMs
    target: str | None = None
    action: Action | None = None
    successor: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One refusal, with everything that bears on the next step."""

    end: CallEnd
    refusal: Refusal
    context: Context
    said: HubAction | None
    type: str
    source: Source

    @property
    def wait(self) -> int | None:
        """How long to wait as the Hub said, in seconds, within a day."""
        seconds = self.refusal.retry_after_seconds
        if seconds is None and self.said is not None:
            seconds = self.said.retry_after_seconds
        return None if seconds is None else min(max(seconds, 0), _LONGEST_WAIT)


def _step(
    case: Case,
    actor: Actor,
    hint: str,
    *,
    call: tuple[str, Mapping[str, Any]] | None = None,
    type_: str | None = None,
    wait: int | None = None,
    url: str | None = None,
    extra: Mapping[str, Any] = NOTHING,
) -> NextAction:
    """A next step of the case's own type unless `type_` says otherwise."""
    tool, arguments = call if call is not None else (None, None)
    return NextAction(
        type=case.context.links.words(type_ or case.type, 40),
        actor=actor,
        hint=hint,
        # A type that is not the Hub's own is our conclusion, whatever else the Hub said.
        source=case.source if type_ in (None, case.type) else "bridge",
        tool=tool,
        arguments=arguments,
        retry_after_seconds=wait,
        url=url,
        extra=extra,
    )


def topup(case: Case) -> NextAction:
    """A payment link, which a person must open; the agent can only fetch it."""
    if "jecp_topup" not in case.context.own:
        return _step(case, "human", "Tell the user that the wallet needs money.", url=_link(case))
    amount = _topup_amount(case)
    return _step(
        case,
        "agent",
        "Call this: it returns a payment link. Give the link to the user, who must pay; then repeat the call.",
        call=("jecp_topup", {"amount_usd": amount}),
    )


def _topup_amount(case: Case) -> int:
    """The smallest amount on sale that pays for the call."""
    offered = case.said.allowed_amounts_usd if case.said is not None else ()
    amounts = [amount for amount in TOPUPS_USD if amount in offered] or list(TOPUPS_USD)
    action = case.context.action or case.end.action
    price = action.price.amount if action is not None and action.price.amount is not None else 0
    return next((amount for amount in amounts if amount * MICRO_PER_USDC >= price), amounts[-1])


def register(case: Case) -> NextAction:
    """An account by the agent itself where there is none; credentials that do not work are the operator's."""
    if "jecp_register" in case.context.own:
        return _step(
            case,
            "agent",
            "Call this once: it makes an agent account at the Hub and keeps its key here. Then repeat the call.",
            call=("jecp_register", {}),
        )
    return _step(
        case, "operator", "Tell the user: the operator must check JECP_AGENT_ID and JECP_API_KEY, then restart."
    )


def again(case: Case) -> NextAction:
    """The same call, after a wait."""
    wait = case.wait
    if wait is None:
        wait = _DEFAULT_WAITS.get(case.refusal.code, 15)
    return _step(
        case,
        "agent",
        f"Wait {wait} s, then repeat this call unchanged.",
        call=_same_call(case.context),
        wait=wait,
        type_="retry_after",
    )


def limit(case: Case) -> NextAction:
    """A window cap without room: the same call once it has refilled, if it ever does."""
    resets_at = case.refusal.details.get("resets_at")
    if not isinstance(resets_at, str):
        return past_limit(case)
    try:
        wait = max(1, -(-(parse_iso(resets_at) - case.context.now) // 1000))
    except ValueError:
        return operator(case)
    return _step(
        case,
        "agent",
        f"Wait {wait} s for room in this limit, then repeat this call; or tell the user and stop.",
        call=_same_call(case.context),
        wait=wait,
        type_="retry_after",
    )


def past_limit(case: Case) -> NextAction:
    """A limit that does not refill in time: the operator alone decides, under a code."""
    code = case.refusal.details.get("approval_code")
    if code is None:
        return operator(case)
    return _step(
        case,
        "operator",
        "Tell the user: this limit is full, and only the operator can decide on it, "
        f"with `jecp-mcp approve {code}`. Stop here.",
        type_="ask_operator",
    )


def cheaper(case: Case) -> NextAction:
    """A price above the cap for one call: something that costs less."""
    most = case.refusal.details.get("limit")
    query: dict[str, Any] = {"query": _query(case)}
    if isinstance(most, str):
        query["max_price_usdc"] = most
    if "jecp_search" not in case.context.own:
        return operator(case)
    return _step(
        case,
        "agent",
        "Search for an action within the limit, or tell the user what this one costs.",
        call=("jecp_search", query),
        type_="find_cheaper",
    )


def search(case: Case) -> NextAction:
    """A look into the catalog."""
    if "jecp_search" not in case.context.own:
        return operator(case)
    return _step(case, "agent", _SEARCH_HINTS.get(case.type, _FIND), call=("jecp_search", {"query": _query(case)}))


def describe(case: Case) -> NextAction:
    """The schema of the action that was called, to mend the arguments by."""
    target = case.context.target
    if target is None or "jecp_describe" not in case.context.own:
        return search(case)
    return _step(
        case,
        "agent",
        "Read the input schema, mend the arguments, then call again.",
        call=("jecp_describe", {"tool": target}),
    )


def gone_action(case: Case) -> NextAction:
    """The Hub no longer has the action: its catalog knows the ones beside it, its old schema helps nobody."""
    return search(case)


def successor(case: Case) -> NextAction:
    """What takes the place of a withdrawn action."""
    if case.context.successor is None or "jecp_describe" not in case.context.own:
        return _step(
            case,
            "agent",
            "This action was withdrawn. Search for one that does the same.",
            call=("jecp_search", {"query": _query(case)}),
            type_="use_successor",
        )
    return _step(
        case,
        "agent",
        "This action was withdrawn. Read its successor, then call that instead.",
        call=("jecp_describe", {"tool": case.context.successor}),
        type_="use_successor",
    )


def check_status(case: Case) -> NextAction:
    """The status of this very call, which never pays twice. The only step while the charge is not known."""
    arguments = {"call_id": case.end.call_id} if case.end.call_id else {}
    wait = case.wait
    if wait is None:
        wait = 5 if case.refusal.code == "CALL_IN_PROGRESS" else 15
    return _step(
        case,
        "agent",
        f"Do not repeat the call. Wait {wait} s, then ask for its status, which finishes it without paying twice.",
        call=("jecp_status", arguments),
        wait=wait,
        type_="check_status",
    )


def list_calls(case: Case) -> NextAction:
    """The latest calls, for one whose id is wrong."""
    return _step(case, "agent", "List the latest calls, with their ids.", call=("jecp_status", {}))


def trust(case: Case) -> NextAction:
    """A tier that only time and completed calls earn."""
    need = case.refusal.details.get("required") or (case.said.required_tier if case.said else None)
    tier = f"trust tier {need}" if need in TIERS else "a higher trust tier"
    return _step(case, "human", f"Tell the user: this needs {tier}, earned by completed calls over time.")


def approve(case: Case) -> NextAction:
    """A call that needs a person, who answers in a terminal; then the same call goes through."""
    code = case.refusal.details.get("approval_code")
    how = f"they approve it with `jecp-mcp approve {code}` in a terminal" if code else "they approve it"
    return _step(
        case,
        "human",
        f"Tell the user what it costs and that {how}. Stop until they say so; then make the same call again.",
    )


def wait_for_person(case: Case) -> NextAction:
    """The person is being asked, or was this moment."""
    return _step(case, "human", "Wait for the user's answer, then make the same call again.")


def refused_by_person(case: Case) -> NextAction:
    """The person said no."""
    return _step(case, "human", "The user said no. Do not ask for it again; tell them what you can do without it.")


def prepare(case: Case) -> NextAction:
    """A prepared call that is no longer good: the same, prepared anew."""
    return _step(case, "agent", "Prepare it again and look at the price.", call=_same_call(case.context))


def mandate(case: Case) -> NextAction:
    """Something the operator's mandate does not allow."""
    return _step(case, "operator", "Tell the user: only the operator can change what may be spent. Stop here.")


def dearer(case: Case) -> NextAction:
    """The Hub-side mandate is what was reserved at the listed price: the Hub asks for more than it listed."""
    return _step(
        case,
        "operator",
        "The Hub's price is above the listed one. Tell the user: only the operator can change what may be spent.",
    )


def ledger(case: Case) -> NextAction:
    """A ledger that cannot be written."""
    return _step(
        case,
        "operator",
        "Tell the user: the operator must mend the spending ledger (see the server's log). Nothing can be bought now.",
        type_="mend_ledger",
    )


def buy_again(case: Case) -> NextAction:
    """A call that is over. What was paid for is bought again only when a person says so."""
    if case.end.charge is Charge.NO:
        return _step(
            case,
            "agent",
            "The earlier call is over and was free of charge. Repeat this call to have its result.",
            call=_same_call(case.context),
            type_="retry_after",
            wait=0,
        )
    return _step(case, "human", "Ask the user whether to buy this again; the earlier payment stands.", type_="ask_user")


def operator(case: Case) -> NextAction:
    """Nothing that an agent or its user can mend."""
    return _step(case, "operator", "Tell the user that the operator must look into this. Stop here.")


def upgrade(case: Case) -> NextAction:
    """A protocol this version is too old for."""
    return _step(case, "operator", "Tell the user: the operator should update jecp-mcp. Stop here.")


def clock(case: Case) -> NextAction:
    """A refused signature: with a clock that is off, or for a reason that only the operator can find."""
    if case.refusal.code == CLOCK_WRONG or case.refusal.details.get("subcause") == "clock_skew":
        return _step(
            case, "operator", "Tell the user: the operator must set this machine's clock. Stop here.", type_="set_clock"
        )
    return operator(case)


def foreign(case: Case) -> NextAction:
    """A type this version cannot act on: passed on whole, cleaned, for a person to read."""
    links = case.context.links
    extra: Mapping[str, Any] = NOTHING
    if case.said is not None:
        extra = links.data({key: item for key, item in case.said.raw.items() if key != "type"}, _MAX_FOREIGN)
    url = _link(case)
    if url is not None:
        return _step(case, "human", "Show the user this step of the Hub's. It needs a person.", url=url, extra=extra)
    return _step(case, "operator", "Show the user this step of the Hub's. It needs the operator.", extra=extra)


def _link(case: Case) -> str | None:
    """The first link of the Hub's step that may be shown."""
    if case.said is None:
        return None
    return next(filter(None, map(case.context.links.shown, (case.said.url, case.said.ui))), None)


def _same_call(context: Context) -> tuple[str, Mapping[str, Any]] | None:
    """The call that was refused, ready to be made again; None when its arguments are lost or too long to repeat."""
    if context.arguments is None:
        return None
    try:
        # What is no JSON or no Unicode must not be sent back: it would end the connection.
        length = len(json.dumps(context.arguments, ensure_ascii=False, allow_nan=False).encode())
    except (TypeError, ValueError, RecursionError):
        return None
    return (context.tool, context.arguments) if length <= MAX_ARGUMENTS else None


def _query(case: Case) -> str:
    """What to search for: the words of the action's title, or of the name that was called."""
    action = case.context.action or case.end.action
    if action is not None:
        text = f"{action.capability.rpartition('/')[2]} {action.title or action.action}"
    else:
        asked = (case.context.arguments or {}).get("tool") if case.context.tool in case.context.own else None
        text = asked if isinstance(asked, str) else case.context.tool
    words = dict.fromkeys(_WORD.findall(case.context.links.words(text, 200).lower()))
    query = ""
    for word in words:
        if len(query) + len(word) >= _MAX_QUERY:
            break
        query = f"{query} {word}".strip()
    return query or "any"


_FIND = "Search the catalog, then call what fits."
_SEARCH_HINTS: Final[Mapping[str, str]] = {
    "try_alternative_provider": "Search for another provider's action that does the same.",
    "retry_or_alternative": "Search for another action that does the same.",
    "see_manifest": "The catalog has changed. Search for what is there now.",
}

_DEFAULT_WAITS: Final[Mapping[str, int]] = {"RATE_LIMITED": 60, "SHUTTING_DOWN": 5, "HUB_UNREACHABLE": 15}
