"""The steps that lead to another action, or to what an action takes: search, describe, what does the same. Pure.

They look into the catalog in memory and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from jecp_mcp.domain.offers import Offer
from jecp_mcp.jsontext import NOTHING
from jecp_mcp.money import parse_usdc
from jecp_mcp.tools.codes import INVALID_ARGUMENTS
from jecp_mcp.tools.next_actions.builders import (
    DO_NOT_INVENT,
    LACKING,
    ask_operator,
    next_action,
    other_merchant,
    retry,
)
from jecp_mcp.tools.next_actions.case import Case, action_of
from jecp_mcp.tools.publishing.naming import split_version
from jecp_mcp.tools.types import NextAction
from jecp_mcp.wire.jecp.tiers import TIER_CALLS, TIERS

_MAX_QUERY: Final = 80
_ARTICLES: Final = frozenset({"a", "an", "the"})
_WORD: Final = re.compile(r"[^\W_]+")


def within_call_limit(case: Case) -> NextAction:
    """A price above the cap for one call: something that costs less."""
    most = case.refusal.details.get("limit")
    return cheaper(case, most if isinstance(most, str) else None)


def within_maximum(case: Case) -> NextAction:
    """A price above what the agent itself gave as the most: something that costs less, where that can be searched."""
    most = case.refusal.details.get("max_usdc")
    if case.context.target is None:
        return other_merchant(case)
    return cheaper(case, most if isinstance(most, str) else None)


def cheaper(case: Case, most: str | None) -> NextAction:
    """Something that costs at most `most` USDC, as decimal text; the least there is where it is None."""
    query: dict[str, Any] = {"query": _query(case)}
    if most is not None:
        query["max_price_usdc"] = most
    if "jecp_search" not in case.context.own:
        return ask_operator(case)
    offers, action = case.context.offers, action_of(case)
    if most is not None and offers is not None and action is not None:
        return cheaper_found(offers.within(parse_usdc(most), action), most)
    return next_action(
        case,
        "agent",
        "Search for an action within the limit, or tell the user what this one costs.",
        call=("jecp_search", query),
        type_="find_cheaper",
    )


def cheaper_found(others: Sequence[Mapping[str, Any]], most: str) -> NextAction:
    """What comes of there being these `others` that do the same for at most `most` USDC, decimal text."""
    if not others:
        return NextAction(
            "stop",
            "human",
            f"Nothing on sale here does the same for at most {most} USDC; searching again finds no more. Tell the user "
            "what this one costs, and stop here.",
            "bridge",
        )
    return NextAction(
        "find_cheaper",
        "agent",
        f"These do the same for at most {most} USDC: read one and call it, or tell the user what this one costs.",
        "bridge",
        tool="jecp_describe",
        arguments={"tool": others[0]["tool"]},
        alternatives=others,
    )


def beside_held(case: Case) -> NextAction:
    """Another action than one that is set aside, which the operator may look at and approve."""
    return search(
        case, _FIND, f"Or tell the user: {_HELD}", f"Nothing else like it is on sale here. Tell the user: {_HELD}"
    )


def search(case: Case, hint: str | None = None, also: str = "", none: str | None = None) -> NextAction:
    """A look into the catalog, where it finds something; else the names nearly right, or an end.

    Args:
        hint: why to search, where the type does not say it; `also` is what may be done instead.
        none: what to do where nothing else like it is on sale.
    """
    offers = case.context.offers
    if offers is not None and offers.none_known:
        return next_action(
            case,
            "operator",
            "Tell the user that nothing is on sale here, which only the operator can change. Stop here.",
            type_="ask_operator",
        )
    if "jecp_search" not in case.context.own:
        return ask_operator(case)
    near = offers.nearest(_called_name(case), action_of(case)) if offers is not None and case.type in _BY_NAME else ()
    said = f"{hint or _SEARCH_HINTS.get(case.type, _FIND)} {also}".rstrip()
    if offers is None or offers.finds(_query(case), action_of(case)):
        return next_action(case, "agent", said, call=("jecp_search", {"query": _query(case)}), alternatives=near)
    if not near:
        return next_action(case, "human", none or _NONE_LIKE_IT, type_="stop")
    return next_action(
        case,
        "agent",
        f"These have names like it; searching finds no more. Read one that fits, then call it. {also}".rstrip(),
        call=("jecp_describe", {"tool": near[0]["tool"]}),
        alternatives=near,
    )


def wait_for_source(case: Case) -> NextAction:
    """Who sells it is away: the same call after a wait; and what is known here by nearly that name."""
    step, offers = retry(case), case.context.offers
    name = _called_name(case)
    if step.tool is None or offers is None or action_of(case) is not None or name in case.context.own:
        return step
    return replace(step, alternatives=offers.nearest(name))


def alternative(case: Case) -> NextAction:
    """Another action that does the same: the one the Hub names, or the best of other providers."""
    action, offers = action_of(case), case.context.offers
    if action is None or offers is None or "jecp_describe" not in case.context.own:
        return search(case)
    others = [*offers.by_name(_hub_suggestions(case), action), *offers.same_task(action)]
    others = [one for number, one in enumerate(others) if one not in others[:number]]
    if not others:
        step = search(case)
        # Where nobody else does it, a provider that says when it is back is worth waiting for.
        return retry(case) if step.type == "stop" and case.wait is not None else step
    return next_action(
        case,
        "agent",
        "Another action does the same: read it, then call it instead.",
        call=("jecp_describe", {"tool": others[0]["tool"]}),
        alternatives=others,
    )


def _hub_suggestions(case: Case) -> Sequence[str]:
    """What the Hub itself says to use instead."""
    if case.said is None:
        return ()
    fallback = case.said.fallback or NOTHING
    said = (case.said.alternative, fallback.get("capability"), fallback.get("alternative"))
    return [one for one in said if isinstance(one, str)]


def describe(case: Case) -> NextAction:
    """The schema of the action that was called, to mend the arguments by."""
    target = case.context.target
    if target is None or "jecp_describe" not in case.context.own:
        return search(case)
    ours = case.refusal.code == INVALID_ARGUMENTS and case.refusal.source == "bridge"
    issues = case.refusal.details.get("issues") if ours else None
    hint = "Read the input schema, mend the arguments, then call again."
    if issues:
        hint = "Mend the arguments as the issues say, then call again. This shows the input schema."
        hint += DO_NOT_INVENT if any(one.get(LACKING) for one in issues) else ""
    return next_action(case, "agent", hint, call=("jecp_describe", {"tool": target}))


def sold_version(case: Case) -> NextAction:
    """The version that is sold, in the place of one that is not."""
    tool = case.refusal.details.get("tool")
    if not isinstance(tool, str) or "jecp_describe" not in case.context.own:
        return search(case)
    return next_action(
        case,
        "agent",
        "Read the version there is, then call it without naming a version if it will do; or tell the user.",
        call=("jecp_describe", {"tool": tool}),
    )


def gone_action(case: Case) -> NextAction:
    """The Hub no longer has the action: its catalog knows the ones beside it, its old schema helps nobody."""
    return search(case)


def successor(case: Case) -> NextAction:
    """What takes the place of a withdrawn action: what is named, or else what does the same."""
    offers, action = case.context.offers, action_of(case)
    named = case.context.successor
    if named is not None and "jecp_describe" in case.context.own:
        return next_action(
            case,
            "agent",
            "This action was withdrawn. Read its successor, then call that instead.",
            call=("jecp_describe", {"tool": named}),
            type_="use_successor",
        )
    found = replace(alternative(case), type="use_successor")
    if found.actor == "agent":
        return replace(found, hint=f"This action was withdrawn. {found.hint}")
    if offers is None or action is None or not _follows_itself(case, action):
        return replace(
            found, hint="This action was withdrawn, and nothing like it is on sale here. Tell the user; stop."
        )
    return replace(
        found,
        hint="This version was withdrawn, and the newer one is not known here yet. Tell the user to ask again later; "
        "until then stop here.",
    )


def _follows_itself(case: Case, action: Offer) -> bool:
    """Whether what takes the place of a withdrawn action is a newer version of it, under the same name."""
    named = case.refusal.details.get("successor")
    if named is None and action.deprecation is not None:
        named = action.deprecation.successor
    return isinstance(named, str) and split_version(named)[0] in {action.capability, action.key}


def earn_trust(case: Case) -> NextAction:
    """A tier that only time and completed calls earn; meanwhile what can be had at the present one."""
    said, action, offers = case.said, action_of(case), case.context.offers
    need = case.refusal.details.get("required") or (said.required_tier if said else None)
    now = case.refusal.details.get("current") or (said.current_tier if said else None)
    tier = "a higher trust tier"
    if need in TIERS:
        tier = f"trust tier {need}, which takes {TIER_CALLS[need]} completed calls"
        if now in TIERS:
            tier += f" (at most {TIER_CALLS[need] - TIER_CALLS[now]} more)"
    others = (
        offers.same_task(action, highest_tier=now) if action is not None and offers is not None and now in TIERS else ()
    )
    if others and "jecp_describe" in case.context.own:
        return next_action(
            case,
            "agent",
            f"This needs {tier}. Another action can be had now: read it, then call it instead, or tell the user.",
            call=("jecp_describe", {"tool": others[0]["tool"]}),
            alternatives=others,
        )
    return next_action(case, "human", f"Tell the user: this needs {tier}. Stop here.")


def _called_name(case: Case) -> str:
    """The name that was called, also through one of our own tools."""
    asked = (case.context.arguments or {}).get("tool") if case.context.tool in case.context.own else None
    return asked if isinstance(asked, str) else case.context.tool


def _query(case: Case) -> str:
    """What to search for: the words of the action's title, or of the name that was called."""
    action = action_of(case)
    text = _called_name(case)
    if action is not None:
        text = f"{action.capability.rpartition('/')[2]} {action.title or action.action}"
    found = _WORD.findall(case.context.links.words(text, 200).lower())
    words = dict.fromkeys(word for word in found if word not in _ARTICLES)
    query = ""
    for word in words:
        if len(query) + len(word) >= _MAX_QUERY:
            break
        query = f"{query} {word}".strip()
    return query or "any"


_BY_NAME: Final = frozenset({"discover", "see_manifest"})
"""The types that say that a name was wrong; whatever else sends the agent searching, names help nobody."""

_NONE_LIKE_IT: Final = "Nothing like it is on sale here; searching again finds no more. Tell the user, and stop here."
_HELD: Final = "only the operator can look at this one and approve it."
_FIND: Final = "Search the catalog, then call what fits."
_SEARCH_HINTS: Final[Mapping[str, str]] = {
    "try_alternative_provider": "Search for another provider's action that does the same.",
    "retry_or_alternative": "Search for another action that does the same.",
    "see_manifest": "The catalog has changed. Search for what is there now.",
}
