"""``jecp_search`` and ``jecp_describe``: the catalog in the model's hands, a few hundred tokens at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from jecp_mcp import jsontext
from jecp_mcp.catalog.rows import is_ending, is_withdrawn
from jecp_mcp.catalog.search import Filter, Finder
from jecp_mcp.catalog.sources import AllOffers
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.purchases import Principal
from jecp_mcp.errors import MoneyError, ToolFault, WireError
from jecp_mcp.mandate.codes import DENIED_BY_POLICY
from jecp_mcp.money import MicroUSDC, format_usdc, parse_usdc
from jecp_mcp.tools.codes import INVALID_ARGUMENTS
from jecp_mcp.tools.own.definitions import DEFAULT_RESULTS, MAX_RESULTS
from jecp_mcp.tools.own.left_out import left_out_words, unlisted_words
from jecp_mcp.tools.own.lifting import in_short, said_once
from jecp_mcp.tools.own.lookup import REASON_LENGTH
from jecp_mcp.tools.own.outages import nothing_known, outage_notices
from jecp_mcp.tools.own.wallet import Wallet
from jecp_mcp.tools.publishing.cleaning import (
    clean,
    provider_of,
    provider_words,
    safe_text,
    title_of,
)
from jecp_mcp.tools.publishing.pricing import OWED_TO_AGENT, price_note, price_words
from jecp_mcp.tools.publishing.prompt_injection import find_injection
from jecp_mcp.tools.publishing.return_words import return_words
from jecp_mcp.tools.publishing.tool_registry import PublishedTool, ToolRegistry
from jecp_mcp.tools.schemas.concise_schema import concise
from jecp_mcp.tools.schemas.json_values import TooMany, Unreadable, Values
from jecp_mcp.tools.schemas.type_notation import is_described, type_notation
from jecp_mcp.wire.jecp.tiers import TIERS

_SUMMARY: Final = 140
_DESCRIPTION: Final = 600
_EXAMPLES: Final = 1
_EXAMPLE_LENGTH: Final = 1_500
_EXAMPLE_TEXT: Final = 40
_EXAMPLE_ITEMS: Final = 3
_MAX_EFFECTS: Final = 8
_MOST_ASIDE: Final = 3
_FEW: Final = 3
"""Of so many matches it is told which arguments they need; one of more is described before it is bought."""
_MOST_NEEDED: Final = 8
_NAME: Final = 40
_TITLE: Final = 80
_WORD: Final = re.compile(r"[^\W_]+")
_NO_NAME: Final = re.compile(r"[^A-Za-z0-9_-]")
"""What of an action's key stands as an underline in its tool's name."""
_SENTENCE: Final = re.compile(r"(?<=[^.\s]{2}[.!?])\s+(?=[^a-z\s])")
"""Where a sentence ends: behind more than an initial, and before no small letter."""
_SHORT: Final = 2
"""A word of so many letters says nothing of what is on sale."""
_ALL_LISTED: Final = "All of these are in your tool list, with their descriptions and arguments."
_SOME_LISTED: Final = "Those without a summary are in your tool list, with their descriptions and arguments."
_NO_MATCH: Final = (
    "No close match. Try other words; if those find none either, tell the user that it is not on sale here."
)
_ALL_ASIDE: Final = "What matches is set aside until its operator has looked into it: tell the user."
_NONE_WITHIN: Final = "No close match within these filters. Search without them to see whether there is any."
_NONE_ENDS: Final = "Nothing that matches is withdrawn or about to be."
_PAST_THE_END: Final = "There are no more matches."
_NOTHING_ON_SALE: Final = "Nothing is on sale here. Searching again finds no more: tell the user."
MOST_LEFT: Final = 12
"""The most parts of a schema that are named as left to the Hub."""


async def search(
    registry: ToolRegistry,
    finder: Finder,
    wallet: Wallet,
    offers: AllOffers,
    arguments: Mapping[str, Any],
    principal: Principal,
    held: Collection[str] = (),
    failed: Callable[[Offer], bool] = lambda _: False,
) -> dict[str, Any]:
    """The matches as ``jecp_search`` shows them; what failed lately, or the mandate denies, comes last.

    Args:
        held: the tools that stand in the asker's list; what is said of them there is not said again.
        failed: whether an action's provider failed a short while ago.

    Raises:
        ToolFault: ``INVALID_ARGUMENTS`` when the price is no amount; an outage's code when nothing is known because of
            it, which is not the same as that nothing is on sale.
    """
    most = _amount(arguments.get("max_price_usdc"))
    limit = min(int(arguments.get("limit", DEFAULT_RESULTS)), MAX_RESULTS)
    namespace = arguments.get("namespace") or None
    offset = arguments.get("offset", 0)
    await finder.prepare()
    among = Filter(
        namespace,
        tuple(arguments.get("tags", ())),
        most,
        withdrawn=arguments.get("withdrawn", False),
        least_rank=TIERS.index(arguments.get("tier") or TIERS[0]),
        streaming=arguments.get("streaming", False),
    )
    found = finder.search(arguments.get("query", ""), among, offset=offset, limit=limit)
    names = [(action, registry.name_of(action)) for action in found.actions]
    shown = [(action, name) for action, name in names if name is not None]
    entries: list[dict[str, Any]] = []
    for (action, name), allowed in zip(shown, await wallet.allowances(shown, principal), strict=True):
        # What stands in the way comes first, and nothing where nothing does, as mostly: that costs the model no tokens.
        # Who bills the operator says so in its description and before it is hired, not in each row of a list.
        head = {"tool": name, **{key: one for key, one in allowed.items() if one and one != OWED_TO_AGENT}}
        head |= {"failed_lately": True} if failed(action) else {}
        asked = bool(arguments.get("query"))
        if name in held:
            entries.append(head | _listed_entry(action, registry, why=asked))
        else:
            few = asked and len(shown) <= _FEW
            entries.append(head | _found_entry(action, name, registry, wallet.most(action, name), whole=asked, few=few))
    entries.sort(key=lambda entry: (DENIED_BY_POLICY in entry.get("blocked_by", ()), "failed_lately" in entry))
    aside = [_set_aside(registry, action) for action, name in names if name is None][:_MOST_ASIDE]
    answer: dict[str, Any] = {"results": entries, "total": found.total}
    if lifting := said_once(entries):
        answer |= in_short({"lifted_by": lifting})
    left_off = found.total - offset - len(found.hits)
    if left_off > 0:
        answer |= {"left_off": left_off, "next_offset": offset + len(found.hits)}
    if aside:
        answer["set_aside"] = aside
    if known := sum(entry["tool"] in held for entry in entries):
        answer["note"] = _ALL_LISTED if known == len(entries) else _SOME_LISTED
    outages, on_sale = offers.outages, offers.current.actions
    if outages and not on_sale:
        raise nothing_known(outages)
    if outages:
        answer["unreachable"] = outage_notices(outages)
    notes = {
        "left_out": left_out_words(offers.current),
        "not_listed": unlisted_words(len(registry.cards), registry.unlisted),
    }
    answer |= {name: words for name, words in notes.items() if words is not None}
    if not entries:
        answer["hint"] = _ALL_ASIDE if aside and on_sale else _hint(on_sale, arguments)
    return answer


def _hint(on_sale: object, arguments: Mapping[str, Any]) -> str:
    """Why there is nothing to show, and what to do."""
    if not on_sale:
        return _NOTHING_ON_SALE
    if arguments.get("offset"):
        return _PAST_THE_END
    if arguments.get("withdrawn"):
        return _NONE_ENDS
    filtered = any(arguments.get(name) for name in ("namespace", "tags", "max_price_usdc", "tier", "streaming"))
    return _NONE_WITHIN if filtered else _NO_MATCH


def description(
    on_shelf: PublishedTool,
    registry: ToolRegistry,
    left: Sequence[str] = (),
    *,
    allowed: Mapping[str, Any],
    most: MicroUSDC,
    brief: bool = False,
) -> dict[str, Any]:
    """One action as ``jecp_describe`` shows it.

    Args:
        on_shelf: the tool.
        registry: where its provider and what takes its place are known.
        left: what of its schema cannot be checked, beyond what its card says.
        allowed: whether it could be bought now, as `Wallet.allowance` says it.
        most: what would be held for a call, micro-USDC.
        brief: whether a model reads it, and not a program or a person: without what goes without saying.
    """
    action = on_shelf.action
    words = provider_words(action, _DESCRIPTION)
    made: dict[str, Any] = {"tool": on_shelf.name, **(in_short(allowed) if brief else allowed)}
    made |= _entry(action, on_shelf.name, registry, words)
    if not action.price.kind.exact:
        made["price"] = price_note(action, most) if brief else price_words(action, most)
    made |= _provider(action, on_shelf.name) | _identity(on_shelf, brief=brief)
    if action.streaming:
        made["streaming"] = True
    if words:
        made["providers_words"] = words
    effects = [safe_text(key, 40, one_line=True) for key, value in action.side_effects.items() if value is True]
    if effects:
        made["side_effects"] = effects[:_MAX_EFFECTS]
    if returns := return_words(action):
        made["returns"] = returns
    made |= _takes(on_shelf, brief=brief)
    left = [*on_shelf.card.left_to_hub, *left]
    if left:
        made["checked_by_hub_only"] = left[:MOST_LEFT] + (
            [f"{len(left) - MOST_LEFT} more"] if len(left) > MOST_LEFT else []
        )
    # What cannot be bought needs none, nor do arguments whose descriptions say what they are.
    needless = brief and (DENIED_BY_POLICY in allowed.get("blocked_by", ()) or is_described(action.input_schema))
    examples = [] if needless else _examples(action)
    if examples:
        made["examples"] = list(map(_shortened, examples)) if brief else examples
    return made


def _identity(on_shelf: PublishedTool, *, brief: bool) -> dict[str, Any]:
    """What it is at the Hub; for a model without what the tool's name says, or what can only be so."""
    action, made = on_shelf.action, dict[str, Any]()
    if not brief or _NO_NAME.sub("_", action.key) != on_shelf.name:
        made["action"] = clean(action.key, 200, one_line=True)
    if action.version:
        made["version"] = clean(action.version, 40, one_line=True)
        if is_withdrawn(action):
            made["versions_on_sale"] = []
        elif not brief:
            made["versions_on_sale"] = [made["version"]]
    return made


def _takes(on_shelf: PublishedTool, *, brief: bool) -> dict[str, Any]:
    """What it takes: for a model in fewer words than a schema needs, where they say all of it."""
    schema = on_shelf.card.input_schema
    if not brief:
        return {"input_schema": jsontext.plain(schema)}
    short = concise(schema, on_shelf.name)
    notation = type_notation(short)
    return {"input_schema": jsontext.plain(short)} if notation is None else {"arguments": notation}


def _set_aside(registry: ToolRegistry, action: Offer) -> dict[str, Any]:
    """A match that cannot be bought, without a word of its provider's."""
    why = registry.quarantined.get(action.key, "it cannot be published")
    return {
        "action": clean(action.key, 200, one_line=True),
        "provider": provider_of(action),
        "reason": clean(why, REASON_LENGTH, one_line=True),
    }


def _found_entry(
    action: Offer, name: str, registry: ToolRegistry, most: MicroUSDC, *, whole: bool, few: bool
) -> dict[str, Any]:
    """What is told of a match of which nothing stands in the asker's list.

    Args:
        action, name, registry, most: as `description` has them.
        whole: whether more is told than what it does in a sentence, and what it costs.
        few: whether there are so few matches that what each takes is told too.
    """
    summary = provider_words(action, _SUMMARY, one_line=True) or title_of(action)
    if not whole:
        summary = _SENTENCE.split(summary, maxsplit=1)[0]
    made = _entry(action, name, registry, summary)
    if not action.price.kind.exact:
        made["price"] = price_note(action, most)
    if whole:
        made |= _provider(action, name)
    made["summary"] = summary
    needed = action.input_schema.get("required")
    if few and isinstance(needed, list) and needed:
        made["needs"] = [clean(str(one), _NAME, one_line=True) for one in needed[:_MOST_NEEDED]]
    return made


def _listed_entry(action: Offer, registry: ToolRegistry, *, why: bool) -> dict[str, Any]:
    """What is told of a match that stands in the asker's list; `why` it matches its title says."""
    amount = action.price.amount
    made: dict[str, Any] = {"title": title_of(action)} if why else {}
    made["price_usdc"] = None if amount is None else format_usdc(amount)
    if amount is not None and action.price.metered:
        made["metered"] = True
    return made | _ending(action, registry)


def _entry(action: Offer, name: str, registry: ToolRegistry, words: str) -> dict[str, Any]:
    """What a match and a description say alike; the title only where it says more than the name and these `words`."""
    amount, title = action.price.amount, title_of(action)
    made: dict[str, Any] = {} if _plain_words(title) <= _plain_words(f"{name} {words}") else {"title": title}
    made["price_usdc"] = None if amount is None else format_usdc(amount)
    if amount is not None and action.price.metered:
        made["metered"] = True
    if action.tier_rank:
        made["tier"] = clean(action.tier, 20, one_line=True)
    made |= _ending(action, registry)
    if (warning := registry.warning(action)) is not None:
        made["caution"] = warning
    return made


def _provider(action: Offer, name: str) -> dict[str, Any]:
    """Who sells it, where the tool's name does not say so."""
    provider = provider_of(action)
    return {} if name.startswith(f"{provider}_") else {"provider": provider}


def _plain_words(text: str) -> frozenset[str]:
    """The words of a text that say something, in small letters."""
    return frozenset(word for word in _WORD.findall(text.casefold()) if len(word) > _SHORT)


def _ending(action: Offer, registry: ToolRegistry) -> dict[str, Any]:
    """When it is sold no more, and what takes its place; nothing of what stays."""
    end = action.deprecation
    if end is None or not is_ending(action):
        return {}
    made: dict[str, Any] = {"withdrawn": True} if is_withdrawn(action) else {}
    made["withdrawn_at"] = safe_text(end.sunset_at, _NAME, one_line=True) or "not said"
    named = registry.successor(action) or safe_text(end.successor, _TITLE, one_line=True)
    return made | {"replaced_by": named or "none named"}


def _examples(action: Offer) -> list[Any]:
    """The provider's first examples that are short enough to be worth their tokens."""
    shown: list[Any] = []
    for example in action.examples:
        try:
            text = jsontext.dumps(example)
            if len(text) <= _EXAMPLE_LENGTH and find_injection(text.decode()) is None:
                shown.append(Values().read_suggestion(example))
        except (WireError, Unreadable, TooMany):
            continue
        if len(shown) >= _EXAMPLES:
            break
    return shown


def _shortened(value: Any) -> Any:
    """An example with its long texts and lists cut: how they look is said by how they begin."""
    match value:
        case str() if len(value) > _EXAMPLE_TEXT:
            return f"{value[:_EXAMPLE_TEXT]}…"
        case Mapping():
            return {name: _shortened(one) for name, one in value.items()}
        case list():
            return list(map(_shortened, value[:_EXAMPLE_ITEMS])) + ["…"] * (len(value) > _EXAMPLE_ITEMS)
    return value


def _amount(text: object) -> MicroUSDC | None:
    if text is None:
        return None
    try:
        return parse_usdc(text)
    except MoneyError as exc:
        raise ToolFault(INVALID_ARGUMENTS, f"max_price_usdc: {exc}. Nothing was charged.") from exc
