"""What to turn to when an action cannot be had: others that do the same, and names nearly right.

Ranked by what is known here: the same task first, then the price, then the trust tier; a provider that failed a short
while ago comes last.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from jecp_mcp.catalog.search import EVERYTHING, Filter, Finder
from jecp_mcp.catalog.words import directed, synonyms, terms, wanted
from jecp_mcp.clock import Clock
from jecp_mcp.domain.offers import Offer
from jecp_mcp.money import MicroUSDC, format_usdc
from jecp_mcp.tools.publishing.cleaning import clean, title_of
from jecp_mcp.tools.publishing.naming import split_version
from jecp_mcp.tools.publishing.tool_registry import ToolRegistry
from jecp_mcp.wire.jecp.tiers import TIERS

SHOWN: Final = 3
"""How many alternatives an error names."""

FAILURE_SECONDS: Final = 600.0
"""How long a provider's failure counts against it."""

_CANDIDATES: Final = 24
_LEAST_ALIKE: Final = 0.7
_STEPS: Final = 5
_MOST_FAILURES: Final = 256
_WORD: Final = re.compile(r"[^\W_]{3,}")
_STOP: Final = frozenset({"and", "for", "from", "into", "the", "with"})


def brief(action: Offer, name: str) -> dict[str, Any]:
    """One action in a line: its tool, title and price, and the tier where it needs one."""
    return {"tool": name, "title": title_of(action), **_terms(action)}


class Alternatives:
    """Looks for other actions in the catalog, and remembers which providers failed. One per process."""

    def __init__(
        self, registry: ToolRegistry, finder: Finder, clock: Clock, permits: Callable[[Offer, str], bool]
    ) -> None:
        """Look in `registry` with `finder`, for what `permits` lets be bought under its tool's name."""
        self._registry = registry
        self._finder = finder
        self._clock = clock
        self._permits = permits
        self._failed: dict[str, float] = {}
        self._failed_actions: dict[str, float] = {}

    @property
    def none_known(self) -> bool:
        """Whether the catalog is empty, so that searching it is of no use."""
        return self._registry.empty

    def note_failure(self, action: Offer) -> None:
        """Remember that an action's provider failed just now."""
        for failed, one in self._both(action):
            if len(failed) >= _MOST_FAILURES:
                failed.clear()
            failed[one] = self._clock.monotonic()

    def note_success(self, action: Offer) -> None:
        """Forget that an action's provider failed: it has just answered."""
        for failed, one in self._both(action):
            failed.pop(one, None)

    def failed_lately(self, action: Offer) -> bool:
        """Whether this very action failed a short while ago, and was not had since."""
        return self._is_recent(self._failed_actions.get(action.key))

    def _both(self, action: Offer) -> tuple[tuple[dict[str, float], str], ...]:
        return (self._failed, action.payee), (self._failed_actions, action.key)

    def same_task(self, action: Offer, *, highest_tier: str | None = None) -> Sequence[Mapping[str, Any]]:
        """Actions that do the same, best first: of other providers or, with `highest_tier`, of any within that tier."""
        ranked: list[tuple[tuple[bool, int, int, int], Offer]] = []
        for alike, amount, other in self._rivals(action):
            tier = other.tier_rank
            if other.payee == action.payee if highest_tier is None else tier > _rank(highest_tier):
                continue
            # Likeness in steps: a little more of it outweighs no price.
            failed = self._is_recent(self._failed.get(other.payee))
            ranked.append(((failed, -round(alike * _STEPS), amount, tier), other))
        return self._entries(other for _, other in sorted(ranked, key=lambda one: one[0]))

    def within(self, most: MicroUSDC, action: Offer) -> Sequence[Mapping[str, Any]]:
        """What does the same as `action` at no more than `most`, of any provider, the likest first."""
        rivals = sorted(self._rivals(action, Filter(max_price=most)), key=lambda one: -one[0])
        return self._entries(other for _, _, other in rivals)

    def _rivals(self, action: Offer, among: Filter = EVERYTHING) -> list[tuple[float, MicroUSDC, Offer]]:
        """What is sold and does the same: how alike, its price, and the action.

        Words lead to them and not what they are about: a row of misfits is likest to something, too.
        """
        task = " ".join(sorted(_task(action)))
        if not task:
            return []
        found: list[tuple[float, MicroUSDC, Offer]] = []
        for other in self._finder.search(task, among, limit=_CANDIDATES, weak=True).actions:
            alike, amount = _likeness(action, other), other.price.amount
            # Rivals share words and inputs; what only shares words is another step with the same material.
            if other.key == action.key or alike < _LEAST_ALIKE or amount is None or not _is_sold(other):
                continue
            if not _does_another_thing(action, other):
                found.append((alike, amount, other))
        return found

    def by_name(self, texts: Iterable[str], action: Offer) -> Sequence[Mapping[str, Any]]:
        """The actions that `texts` mean, as keys or capability ids, but for `action` itself."""
        # A Hub may name a version that is sold no more; what is shown is what would be bought.
        found = (self._registry.find(split_version(text)[0]) for text in texts)
        return self._entries(one for one in found if one is not None and one.key != action.key)

    def finds(self, query: str, besides: Offer | None = None) -> bool:
        """Whether a search finds anything that can be bought, `besides` what cannot."""
        found = self._finder.search(query, limit=_CANDIDATES).actions
        unfit = None if besides is None else besides.key
        return bool(self._entries(one for one in found if one.key != unfit and _is_sold(one)))

    def nearest(self, text: str, action: Offer | None = None) -> Sequence[Mapping[str, Any]]:
        """Actions on sale whose names look most like `text`; those of `action`'s own capability come first."""
        found = list(filter(_is_sold, self._finder.nearest(text, limit=SHOWN * 2)))
        if action is not None:
            found = [one for one in found if one.key != action.key]
            found = sorted(found, key=lambda one: one.capability != action.capability)
        return self._entries(found)

    def _entries(self, actions: Iterable[Offer]) -> Sequence[Mapping[str, Any]]:
        made: list[Mapping[str, Any]] = []
        for action in actions:
            name = self._registry.name_of(action)
            if name is not None and self._permits(action, name):
                made.append({"tool": name, **_terms(action)})
            if len(made) == SHOWN:
                break
        return made

    def _is_recent(self, at: float | None) -> bool:
        return at is not None and self._clock.monotonic() - at < FAILURE_SECONDS


def _task(action: Offer) -> frozenset[str]:
    """The words for what an action does, without its provider's name."""
    text = f"{action.capability.rpartition('/')[2]} {action.action} {action.title} {' '.join(action.tags)}"
    return frozenset(_WORD.findall(text.casefold())) - _STOP


def _inputs(action: Offer) -> frozenset[str]:
    """The names of what an action takes."""
    properties = action.input_schema.get("properties")
    return frozenset(properties) if isinstance(properties, Mapping) else frozenset()


def _likeness(action: Offer, other: Offer) -> float:
    """How much two actions do, and take, the same, from 0 to 1."""
    return (_dice(_task(action), _task(other)) + _dice(_inputs(action), _inputs(other))) / 2


def _does_another_thing(action: Offer, other: Offer) -> bool:
    """Whether two actions that are much alike turn one thing into different ones, or each names what the other has not.

    So do "Holidays in Spain" and "Holidays in Poland", and "PDF to HTML" and "HTML to PDF".
    """
    ways, others = _ways(action), _ways(other)
    if ways and others and ways.isdisjoint(others):
        return True
    return _names_more(action, other) and _names_more(other, action)


def _ways(action: Offer) -> frozenset[tuple[str, str]]:
    """What an action turns into what."""
    return frozenset((*directed(action.action), *directed(action.title)))


def _names_more(action: Offer, other: Offer) -> bool:
    """Whether the title of the one has a word for which the other has none in all that it says."""
    text = f"{other.capability} {other.action} {other.title} {other.description} {' '.join(other.tags)}"
    said = frozenset((*terms(text), *terms(" ".join(_inputs(other)))))
    named = wanted(action.title or action.action)
    return any(word not in said and said.isdisjoint(synonyms(word)) for word in named)


def _dice(one: frozenset[str], other: frozenset[str]) -> float:
    """How much two sets have in common, from 0 to 1 (Dice's coefficient); half where both say nothing."""
    both = len(one) + len(other)
    return 2 * len(one & other) / both if both else 0.5


def _terms(action: Offer) -> dict[str, Any]:
    amount = action.price.amount
    terms: dict[str, Any] = {"price_usdc": None if amount is None else format_usdc(amount)}
    if action.tier_rank:
        terms["tier"] = clean(action.tier, 20, one_line=True)
    return terms


def _rank(tier: str) -> int:
    # A tier nobody knows is one nobody has.
    return TIERS.index(tier) if tier in TIERS else len(TIERS)


def _is_sold(action: Offer) -> bool:
    return action.deprecation is None or action.deprecation.status != "sunset"
