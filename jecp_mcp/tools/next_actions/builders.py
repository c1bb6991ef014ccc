"""The steps a refusal can lead to: who acts, the ready call, and what is said. Pure: no I/O.

Every hint is ours, because a hint from a stranger is an instruction from a stranger. No step ever has the agent widen
what the operator allowed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from jecp_mcp.calls.codes import APPROVAL_SPENT, CALL_IN_PROGRESS, CLOCK_WRONG, SHUTTING_DOWN
from jecp_mcp.calls.ports import Charge
from jecp_mcp.clock import parse_iso
from jecp_mcp.jsontext import NOTHING
from jecp_mcp.money import MICRO_PER_USDC
from jecp_mcp.rails.codes import ACCOUNT_CHANGED, TOO_LATE_TO_SEND
from jecp_mcp.rails.jecp.codes import HUB_UNREACHABLE
from jecp_mcp.tools.next_actions.case import Case, Context, action_of, at_hub_of, named_hub
from jecp_mcp.tools.types import Actor, NextAction

TOPUPS_USD: Final = (5, 20, 100)
"""The amounts a Hub sells, in whole USD (JECP 03-errors §4.3)."""

MAX_ARGUMENTS: Final = 4_000
"""The longest arguments, in characters of JSON, that an error repeats as a ready call."""

LACKING: Final = "lacking"
"""Marks an issue with the arguments that takes more than was given."""

DO_NOT_INVENT: Final = " What you do not have, ask the user for: do not invent it."
"""Follows what to do about arguments that lack something: a model makes up what it was not given."""

_MAX_FOREIGN = 600
_WORTH_WAITING = 7_200
"""How long an agent may be told to wait, in seconds: enough for an hour's window, not for a day's."""


def next_action(
    case: Case,
    actor: Actor,
    hint: str,
    *,
    call: tuple[str, Mapping[str, Any]] | None = None,
    type_: str | None = None,
    wait: int | None = None,
    url: str | None = None,
    alternatives: Sequence[Mapping[str, Any]] = (),
    extra: Mapping[str, Any] = NOTHING,
) -> NextAction:
    """A next step of the case's own type unless `type_` says otherwise."""
    tool, arguments = call if call is not None else (None, None)
    return NextAction(
        type=case.context.links.safe_text(type_ or case.type, 40),
        actor=actor,
        hint=hint,
        # A type that is not the Hub's own is our conclusion, whatever else the Hub said.
        source=case.source if type_ in (None, case.type) else "bridge",
        tool=tool,
        arguments=arguments,
        retry_after_seconds=wait,
        url=url,
        alternatives=alternatives,
        extra=extra,
    )


def topup(case: Case) -> NextAction:
    """A payment link, which a person must open; the agent can only fetch it."""
    if "jecp_topup" not in case.context.own:
        return next_action(
            case, "human", "Tell the user that the wallet needs money. Stop until it has some.", url=_link(case)
        )
    amount = _amount_for(case)
    return next_action(
        case,
        "agent",
        "Call this: it returns a payment link. Give the link to the user, who must pay; then repeat the call.",
        call=("jecp_topup", {"amount_usd": amount, **at_hub_of(action_of(case))}),
    )


def _amount_for(case: Case) -> int:
    """The smallest amount on sale that pays for the call."""
    offered = case.said.allowed_amounts_usd if case.said is not None else ()
    action = action_of(case)
    price = action.price.amount if action is not None and action.price.amount is not None else 0
    return topup_amount(price, [amount for amount in TOPUPS_USD if amount in offered] or TOPUPS_USD)


def topup_amount(needed: int, amounts: Sequence[int] = TOPUPS_USD) -> int:
    """The smallest amount on sale, in whole USD, that pays for `needed` micro-USDC; else the largest."""
    return next((amount for amount in amounts if amount * MICRO_PER_USDC >= needed), amounts[-1])


def register(case: Case) -> NextAction:
    """An account by the agent itself where there is none; credentials that do not work are the operator's."""
    if "jecp_register" in case.context.own:
        return next_action(
            case,
            "agent",
            "Call this once: it makes an agent account at the Hub and keeps its key here. Then repeat the call.",
            call=("jecp_register", at_hub_of(action_of(case)) or named_hub(case)),
        )
    return next_action(
        case,
        "operator",
        "Tell the user: the operator must check the agent's credentials, then restart the server. Stop here.",
    )


def retry(case: Case) -> NextAction:
    """The same call, after a wait."""
    wait = case.wait
    if wait is None:
        wait = _DEFAULT_WAITS.get(case.refusal.code, 15)
    return next_action(
        case,
        "agent",
        (f"Wait {wait} s, then repeat this call unchanged" if wait else "Repeat this call unchanged")
        # Nobody knows when it is back: a model would wait for ever.
        + ("; if it fails again, tell the user and stop." if case.refusal.code == HUB_UNREACHABLE else "."),
        call=same_call(case.context),
        wait=wait,
        type_="retry_after",
    )


def wait_for_window(case: Case) -> NextAction:
    """A window cap without room: the same call once it has refilled, if it ever does."""
    resets_at = case.refusal.details.get("resets_at")
    if not isinstance(resets_at, str):
        return ask_operator(case)
    try:
        wait = max(1, -(-(parse_iso(resets_at) - case.context.now) // 1000))
    except ValueError:
        return ask_operator(case)
    if wait > _WORTH_WAITING:
        return next_action(
            case,
            "human",
            f"Tell the user that this limit has room again at {resets_at}{_past_the_limit(case)}. Stop until then.",
            wait=wait,
            type_="retry_after",
        )
    return next_action(
        case,
        "agent",
        f"Wait {wait} s for room in this limit, then repeat this call; or tell the user and stop.",
        call=same_call(case.context),
        wait=wait,
        type_="retry_after",
    )


def _past_the_limit(case: Case) -> str:
    code = case.refusal.details.get("approval_code")
    return f", or sooner if the operator lets this call past it, under the approval code {code}" if code else ""


def address_of(code: object, page: str | None) -> str | None:
    """Where a browser opens what waits under a code, or all that waits; None where there is no page."""
    return f"{page}/{code}" if page is not None and code is not None else page


def check_status(case: Case) -> NextAction:
    """The status of this very call, which never pays twice. The only step while the charge is not known."""
    arguments = {"call_id": case.end.call_id} if case.end.call_id else {}
    wait = case.wait
    if wait is None:
        wait = 5 if case.refusal.code == CALL_IN_PROGRESS else 15
    return next_action(
        case,
        "agent",
        f"Do not repeat the call. Wait {wait} s, then ask for its status, which finishes it without paying twice.",
        call=("jecp_status", arguments),
        wait=wait,
        type_="check_status",
    )


def list_calls(case: Case) -> NextAction:
    """The latest calls, for one whose id is wrong."""
    return next_action(case, "agent", "List the latest calls, with their ids.", call=("jecp_status", {}))


def status_of_call(case: Case) -> NextAction:
    """The status of a call that the request was about, which says what became of its money."""
    call_id = (case.context.arguments or {}).get("call_id")
    given = {"call_id": call_id} if isinstance(call_id, str) else {}
    return next_action(case, "agent", "Read what became of this call.", call=("jecp_status", given))


def call_of_file(case: Case) -> NextAction:
    """The call that a file came with: its status, or the list of calls where none was named."""
    return status_of_call(case) if "call_id" in (case.context.arguments or {}) else list_calls(case)


def without_refund(case: Case) -> NextAction:
    """A charged call whose money cannot be asked back here."""
    return next_action(
        case, "human", "Tell the user that this server cannot ask for this money back. Stop here.", type_="ask_human"
    )


def outside_mandate(case: Case) -> NextAction:
    """Something the operator's mandate does not allow."""
    return next_action(case, "operator", "Tell the user: only the operator can change what may be spent. Stop here.")


def renew_mandate(case: Case) -> NextAction:
    """A mandate whose time is over."""
    return next_action(
        case,
        "operator",
        "Tell the user: the permission to spend has ended, and only the operator can renew it. Stop here.",
    )


def other_action(case: Case) -> NextAction:
    """One action that the operator's mandate leaves out; others it does not."""
    return next_action(
        case, "operator", "Only the operator can allow this action. Use another one, or tell the user and stop."
    )


def other_merchant(case: Case) -> NextAction:
    """A merchant that is not paid as things are."""
    return next_action(case, "agent", "Use another merchant, or tell the user and stop. Do not repeat this call.")


def governed_denial(case: Case) -> NextAction:
    """A payment that a control plane's policy forbids, or that a person must review there."""
    hint = "Tell the user: only the operator can change the control plane's policy. Do not repeat this call."
    if "review_event_id" in case.refusal.details:
        hint = "Tell the user: the operator must review this at the control plane. Prepare it again once it is allowed."
    return next_action(case, "operator", hint)


def listed_merchant(case: Case) -> NextAction:
    """A merchant that the operator has not listed."""
    hint = "Only the operator can add a merchant. Use one that is listed, or tell the user and stop."
    return next_action(case, "agent", f"{hint} Do not repeat this call.")


def other_agent(case: Case) -> NextAction:
    """An agent that did not take a job, or did not do it."""
    others = "use another agent, or tell the user and stop."
    mend = "Mend the job as the details say, but offer more only if the user agrees; or "
    return next_action(case, "agent", mend + others if "agent_says" in case.refusal.details else others.capitalize())


def revise_request(case: Case) -> NextAction:
    """A request that its merchant will not take as it is."""
    return next_action(case, "agent", "Mend the request as the details say, and prepare it again.")


def prepare_once_more(case: Case) -> NextAction:
    """A payment that was never taken: the same request may be priced and paid again."""
    return next_action(
        case, "agent", "Make the call again, prepared anew where it was prepared, if it is still wanted."
    )


def above_listed_price(case: Case) -> NextAction:
    """The Hub-side mandate is what was reserved at the listed price: the Hub asks for more than it listed."""
    return next_action(
        case,
        "operator",
        "The Hub asks more than its listed price, and nothing above that was allowed. Tell the user and stop.",
    )


def mend_ledger(case: Case) -> NextAction:
    """A ledger that cannot be written."""
    return next_action(
        case,
        "operator",
        "Tell the user: nothing can be bought before the operator has mended the spending ledger. Stop here.",
        type_="mend_ledger",
    )


def ask_for_ruling(case: Case) -> NextAction:
    """A call that can never be proven."""
    return next_action(
        case,
        "operator",
        "Tell the user: only the operator can rule on this call, outside the chat. Stop here.",
        type_="ask_operator",
    )


def buy_again(case: Case) -> NextAction:
    """A call that is over. What was paid for is bought again only when a person says so."""
    if case.end.charge is Charge.NO:
        return next_action(
            case,
            "agent",
            "The earlier call is over and was free of charge. Repeat this call to have its result.",
            call=same_call(case.context),
            type_="retry_after",
            wait=0,
        )
    return next_action(
        case, "human", "The earlier payment stands. Ask the user whether to buy this again.", type_="ask_user"
    )


def ask_operator(case: Case) -> NextAction:
    """Nothing that an agent or its user can mend."""
    return next_action(case, "operator", "Tell the user that the operator must look into this. Stop here.")


def upgrade(case: Case) -> NextAction:
    """A protocol this version is too old for."""
    return next_action(case, "operator", "Tell the user: the operator should update jecp-mcp. Stop here.")


def check_clock(case: Case) -> NextAction:
    """A refused signature: with a clock that is off, or for a reason that only the operator can find."""
    if case.refusal.code == CLOCK_WRONG or case.refusal.details.get("subcause") == "clock_skew":
        return next_action(
            case, "operator", "Tell the user: the operator must set this machine's clock. Stop here.", type_="set_clock"
        )
    return upgrade(case) if case.type == "upgrade_client" else ask_operator(case)


def other_account(case: Case) -> NextAction:
    """A call in doubt that only another account's server can find out about."""
    return next_action(
        case,
        "operator",
        "Do not buy it again. Tell the user: the operator must run a server with the account that paid. Stop here.",
    )


def operators_payment(case: Case) -> NextAction:
    """A step of a payment by signature, which is never a model's to take."""
    return next_action(
        case,
        "operator",
        "What is paid with, and who signs, is the operator's setting here (hub.payment). Tell the user that the "
        "operator must look into this. Stop here.",
    )


def review(case: Case) -> NextAction:
    """A purchase that the Hub wants a person to look at."""
    return next_action(
        case, "human", "Tell the user what this call is for and what it costs. Stop until they have decided."
    )


def foreign(case: Case) -> NextAction:
    """A type this version cannot act on: passed on whole, cleaned, for a person to read."""
    links = case.context.links
    extra: Mapping[str, Any] = NOTHING
    if case.said is not None:
        extra = links.data({key: item for key, item in case.said.raw.items() if key != "type"}, _MAX_FOREIGN)
    url = _link(case)
    if url is not None:
        return next_action(
            case, "human", "Show the user this step of the Hub's. It needs a person.", url=url, extra=extra
        )
    return next_action(case, "operator", "Show the user this step of the Hub's. It needs the operator.", extra=extra)


def _link(case: Case) -> str | None:
    """The first link of the Hub's step that may be shown."""
    if case.said is None:
        return None
    return next(filter(None, map(case.context.links.allowed_url, (case.said.url, case.said.ui))), None)


def same_call(context: Context) -> tuple[str, Mapping[str, Any]] | None:
    """The call that was refused, ready to be made again; None when its arguments are lost or too long to repeat."""
    if context.arguments is None:
        return None
    try:
        # What is no JSON or no Unicode must not be sent back: it would end the connection.
        length = len(json.dumps(context.arguments, ensure_ascii=False, allow_nan=False).encode())
    except (TypeError, ValueError, RecursionError):
        return None
    return (context.tool, context.arguments) if length <= MAX_ARGUMENTS else None


_DEFAULT_WAITS: Final[Mapping[str, int]] = {
    "RATE_LIMITED": 60,
    SHUTTING_DOWN: 5,
    HUB_UNREACHABLE: 15,
    ACCOUNT_CHANGED: 0,
    TOO_LATE_TO_SEND: 0,
    APPROVAL_SPENT: 0,
}
