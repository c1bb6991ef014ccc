"""Finding actions by what they are for: by words, words that mean the same, words misspelt, and names nearly right.

Ranked by BM25 over fields (`jecp_mcp.catalog.ranking`). Where there is a model of what words mean
(`jecp_mcp.catalog.embeddings`), what an action is about counts as much as its words. Many providers sell the same: of
those the best known come first, and others make room for different actions (`jecp_mcp.catalog.diversity`).
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import nsmallest
from itertools import islice, takewhile
from typing import Any, Final, NamedTuple

import anyio
import anyio.to_thread

from jecp_mcp.catalog.contents import Catalog
from jecp_mcp.catalog.diversity import Diversity
from jecp_mcp.catalog.embeddings import Likeness, Model, Vectors
from jecp_mcp.catalog.postings import Builder, Postings
from jecp_mcp.catalog.queries import Reader, Request
from jecp_mcp.catalog.ranking import Ranking
from jecp_mcp.catalog.rows import is_ending, is_withdrawn, payee_of
from jecp_mcp.catalog.schema_words import enum_words, example_words, schema_words
from jecp_mcp.catalog.words import directed, read_thesaurus, terms
from jecp_mcp.domain.offers import Offer
from jecp_mcp.money import MicroUSDC

_FIELDS: Final = (
    ("name", 3.0, 0.3),
    ("title", 3.0, 0.3),
    ("tags", 1.5, 0.3),
    ("words", 1.5, 0.5),
    ("rest", 0.3, 0.6),
    ("values", 0.2, 0.3),
)
"""Each field with the weight of a word in it, and how much its length counts."""

_TEXT_LENGTH: Final = 1_000
_ABOUT: Final = 1_500
_QUERY_LENGTH: Final = 300
_PROPERTIES: Final = 24
_EXAMPLES: Final = 2
_NEAREST: Final = 5
_NEAR: Final = 0.45
_NEARLY: Final = 0.8
"""How like a query the name of an action is that was meant by it, from 0 to 1."""
_CANDIDATES: Final = 60
_POOL: Final = 200
_WRONG_WAY: Final = 0.5
"""What is left of an action that turns B into A, or A into C, where A into B is asked for."""
_SURELY: Final = 0.4
"""How like a query what an action is about is, where that alone would do; what is best is taken for no less."""
_ALSO_LIKE: Final = 0.6
"""How like a query, as a share of the likest, is an action that has none of its words."""
_AT_LEAST: Final = 0.75
"""How like it is at least, as a share of what would do alone."""
_UNKNOWN_PRICE: Final = -1
_WEAK: Final = 0.3
"""The share of the best score below which a match is a misfit."""
_WEAK_OF_BOTH: Final = 0.45
"""The same share of the best by words and meaning together, of which most misfits have half of one."""
_ENOUGH: Final = 0.45
"""The share of a query from which on it is taken to be understood."""
_CLOSE: Final = 0.15
"""How close the best match comes to a query of which less is."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A match; a higher score is better, within one search."""

    action: Offer
    score: float


class Page(NamedTuple):
    """Some of the matches of a query, best first, and how many there are in all."""

    hits: Sequence[Hit]
    total: int

    @property
    def actions(self) -> list[Offer]:
        """What was found."""
        return [hit.action for hit in self.hits]


@dataclass(frozen=True, slots=True)
class Filter:
    """What of the catalog is searched.

    Attributes:
        namespace: only this provider's.
        tags: only actions with all of them.
        max_price: only actions whose price, or base price when metered, is known and at most this, micro-USDC.
        withdrawn: only what is no longer sold, or not for ever.
        least_rank: only what needs a tier of this rank or a higher one.
        streaming: only what streams.
    """

    namespace: str | None = None
    tags: tuple[str, ...] = ()
    max_price: MicroUSDC | None = None
    withdrawn: bool = False
    least_rank: int = 0
    streaming: bool = False


EVERYTHING: Final = Filter()


class Index:
    """A search index over actions."""

    def __init__(self, actions: Iterable[Offer] | Mapping[str, Offer], model: Model | None = None) -> None:
        """Index these actions; those of a mapping are read again when they are found, and not kept.

        Args:
            actions: what to find.
            model: what words mean; without it, only words are compared.
        """
        given = actions if isinstance(actions, Mapping) else {action.key: action for action in actions}
        self._actions: Mapping[str, Offer] = given
        self._keys = tuple(given)
        self._prices, self._calls = array("q"), array("q")
        self._diversity = Diversity()
        self._tags: list[tuple[str, ...]] = []
        self._ending, self._streams, self._ranks = bytearray(), bytearray(), array("q")
        self._targets: list[frozenset[str]] = []
        """What each action turns things into, as terms."""
        builder = Builder([weight for _, weight, _ in _FIELDS], [even for _, _, even in _FIELDS])
        tagged: dict[tuple[str, ...], tuple[str, ...]] = {}
        shared = Counter(key.rpartition(":")[0] for key in given)
        providers: set[str] = set()
        others: set[str] = set()
        about: list[str] = []
        for action in given.values():
            if model is not None:
                about.append(_about(action))
            fields, provider = _fields(action, alone=shared[action.capability] == 1), terms(action.payee)
            providers.update(provider)
            others.update(*fields)
            builder.add((*fields[:-2], fields[-2] + provider, fields[-1]))
            amount = action.price.amount
            self._prices.append(_UNKNOWN_PRICE if amount is None else amount)
            self._calls.append(action.total_calls or 0)
            self._ending.append(is_ending(action))
            self._streams.append(action.streaming)
            self._ranks.append(action.tier_rank)
            self._tags.append(tagged.setdefault(action.tags, action.tags))
            self._targets.append(_targets({*fields[0], *fields[1]}))
            self._diversity.add({*fields[0], *fields[1]}, withdrawn=is_withdrawn(action))
        self._postings: Postings = builder.built()
        self._vectors = None if model is None else Vectors(model, about)
        self._ranking = Ranking(self._postings, self._calls)
        self._diversity.weigh(self._ranking.idf)
        self._reader = Reader(self._postings, names=providers - others)

    def search(
        self, query: str, among: Filter = EVERYTHING, *, offset: int = 0, limit: int = 10, weak: bool = False
    ) -> Page:
        """The best matches, best first; without words, all actions, the most called first.

        What is no longer sold is found, but never before what is. What matches far worse than the best is left out,
        also where the best costs too much; and so is everything where nothing comes close.

        Args:
            among: what is searched.
            offset: how many of the best to pass over.
            limit: how many to return.
            weak: go by words alone and keep what matches badly, for whoever judges it by other means.
        """
        said, wanted = query[:_QUERY_LENGTH], offset + limit
        request = self._reader.read(said)
        if request.asked:
            scores = self._scores(said, request, among, weak=weak)
            chosen = self._diversity.choose(scores, wanted)
            return self._page(chosen, len(scores), offset)
        if terms(query) and not weak:
            scores = self._surely(said, among)
            return self._page(self._diversity.choose(scores, wanted), len(scores), offset)
        passing = filter(self._passes(among), range(len(self._keys)))
        order = sorted(passing, key=lambda at: (self._diversity.is_withdrawn(at), -self._calls[at], at))
        return self._page([(place, 0.0) for place in order[:wanted]], len(order), offset)

    def _page(self, chosen: Sequence[tuple[int, float]], total: int, offset: int) -> Page:
        return Page([Hit(self._actions[self._keys[place]], score) for place, score in chosen[offset:]], total)

    def _scores(self, said: str, request: Request, among: Filter, *, weak: bool) -> dict[int, float]:
        """The matches that are no misfits, with their scores."""
        scores = self._ranking.scores(request.asked, sparing=among == EVERYTHING)
        whoever = replace(among, max_price=None)
        if whoever != EVERYTHING:
            passes = self._passes(whoever)
            scores = {place: score for place, score in scores.items() if passes(place)}
        for place in {place for way in request.wrong for place, _ in self._postings.of(way)} & scores.keys():
            scores[place] *= _WRONG_WAY
        for place in self._elsewhere(request.targets, scores):
            scores[place] *= _WRONG_WAY
        best = max(scores.values(), default=0.0)
        closeness, answered = self._ranking.closeness(best, request.asked, request.unanswered)
        close = weak or answered >= _ENOUGH or closeness >= _CLOSE
        least = 0.0 if weak else best * _WEAK
        if not close:
            scores = {}
        elif min(scores.values(), default=least) < least:
            scores = {place: score for place, score in scores.items() if score >= least}
        passes = self._passes(among)
        if self._vectors is not None and not weak:
            if not scores:
                return self._surely(said, among)
            scores = _blended(scores, self._vectors.likeness(said), passes)
        if among.max_price is not None:
            scores = {place: score for place, score in scores.items() if passes(place)}
        return scores

    def _elsewhere(self, targets: frozenset[str], found: Iterable[int]) -> list[int]:
        """Which of these places lead to something else, where others turn things into what is asked for."""
        if not targets or not any(map(targets.intersection, map(self._targets.__getitem__, found))):
            return []
        naming = {place for term in targets for place, _ in self._postings.of(term)}
        return [
            place
            for place in found
            if place not in naming or (self._targets[place] and targets.isdisjoint(self._targets[place]))
        ]

    def _passes(self, among: Filter) -> Callable[[int], bool]:
        namespace, asked, most = among.namespace, frozenset(among.tags), among.max_price

        def passes(place: int) -> bool:
            return (
                (namespace is None or payee_of(self._keys[place]) == namespace)
                and asked.issubset(self._tags[place])
                and (most is None or _UNKNOWN_PRICE < self._prices[place] <= most)
                and (not among.withdrawn or bool(self._ending[place]))
                and (not among.streaming or bool(self._streams[place]))
                and self._ranks[place] >= among.least_rank
            )

        return passes

    def nearest(self, text: str, *, limit: int = _NEAREST, least: float = _NEAR) -> list[str]:
        """The action keys that look most like `text`, a key or a tool name nearly right.

        Args:
            limit: how many to return.
            least: how like it they must look, from 0 to 1.
        """
        from difflib import SequenceMatcher

        sought = _squeezed(text[:_QUERY_LENGTH])
        if not sought:
            return []
        found = self._ranking.scores(self._reader.read_name(text[:_QUERY_LENGTH]))
        near: list[tuple[float, str]] = []
        matcher = SequenceMatcher(None, b=sought, autojunk=False)
        for place in nsmallest(_CANDIDATES, found, key=lambda place: (-found[place], place)):
            key = self._keys[place]
            matcher.set_seq1(_squeezed(key))
            ratio = matcher.ratio()
            matcher.set_seq1(_squeezed(key.rpartition(":")[2]))
            own = matcher.ratio()
            if max(ratio, own) >= least:
                near.append((max(ratio, own * 0.95), key))
        return [key for _, key in sorted(near, key=lambda one: (-one[0], one[1]))[:limit]]

    def _surely(self, query: str, among: Filter) -> dict[int, float]:
        """What is surely about the same as a query to which no word leads."""
        if self._vectors is None:
            return {}
        likeness = self._vectors.likeness(query)
        near = takewhile(lambda place: likeness.of[place] >= _SURELY, likeness.places())
        return {place: likeness.of[place] for place in islice(filter(self._passes(among), near), _POOL)}


class Finder:
    """Search over whatever the current catalog is; its index is built when first asked after a change."""

    def __init__(self, current: Callable[[], Catalog], model: Callable[[], Model | None] | None = None) -> None:
        """Search in whatever is current.

        Args:
            current: gives the catalog in use, such as ``lambda: source.current``.
            model: gives what words mean, when that is first needed; without it, only words are compared.
        """
        self._current = current
        self._model = model
        self._indexed: tuple[Catalog, Index] | None = None
        self._building = anyio.Lock()

    def search(
        self, query: str, among: Filter = EVERYTHING, *, offset: int = 0, limit: int = 10, weak: bool = False
    ) -> Page:
        """As `Index.search`."""
        found = self._index().search(query, among, offset=offset, limit=limit, weak=weak)
        if found.total or among != EVERYTHING:
            return found
        # A name that is nearly right has words that nothing has.
        near = self.nearest(query, limit=limit, least=_NEARLY)
        return Page([Hit(action, 0.0) for action in near], len(near))

    def nearest(self, text: str, *, limit: int = _NEAREST, least: float = _NEAR) -> list[Offer]:
        """As `Index.nearest`: the actions."""
        catalog = self._current()
        found = (catalog.get(key) for key in self._index().nearest(text, limit=limit, least=least))
        return [action for action in found if action is not None]

    async def prepare(self) -> None:
        """Build the index of the current catalog in a thread, if there is none yet: a second for 10,000 actions."""
        async with self._building:
            catalog = self._current()
            if self._built(catalog) is None:
                self._indexed = (catalog, await anyio.to_thread.run_sync(self._indexing, catalog))

    def _built(self, catalog: Catalog) -> Index | None:
        if self._indexed is None or self._indexed[0].actions is not catalog.actions:
            return None
        return self._indexed[1]

    def _indexing(self, catalog: Catalog) -> Index:
        read_thesaurus()
        return Index(catalog.actions, None if self._model is None else self._model())

    def _index(self) -> Index:
        catalog = self._current()
        index = self._built(catalog)
        if index is None:
            index = self._indexing(catalog)
            self._indexed = (catalog, index)
        return index


def _blended(scores: Mapping[int, float], likeness: Likeness, passes: Callable[[int], bool]) -> dict[int, float]:
    """Places by their words and by what they are about, each measured by the best."""
    near = list(islice(filter(passes, likeness.places()), _POOL))
    likest = likeness.of[near[0]] if near else 0.0
    best, most = max(scores.values(), default=1.0), max(likest, _SURELY)
    near = [place for place in near if likeness.of[place] > max(likest * _ALSO_LIKE, _SURELY * _AT_LEAST)]
    both = {place: scores.get(place, 0.0) / best + max(likeness.of[place], 0.0) / most for place in {*scores, *near}}
    enough = max(both.values(), default=0.0) * _WEAK_OF_BOTH
    return {place: score for place, score in both.items() if score >= enough}


def _about(action: Offer) -> str:
    """What an action says of itself, for a reader."""
    name = action.action.replace("-", " ").replace("_", " ")
    said = f"{name}. {action.title}. {action.description[:_TEXT_LENGTH]} {' '.join(action.tags)}"
    return said[:_ABOUT]


def _fields(action: Offer, *, alone: bool) -> tuple[list[str], ...]:
    """The terms of each of `_FIELDS`. A capability's name says little of one action among several."""
    name = action.capability.rpartition("/")[2]
    return (
        _terms(f"{action.action} {name if alone else ''}"[:_TEXT_LENGTH]),
        _terms(action.title[:_TEXT_LENGTH]),
        terms(" ".join(action.tags)[:_TEXT_LENGTH]),
        terms(action.description[:_TEXT_LENGTH]),
        terms(
            f"{name} {action.capability_name} {action.capability_description[:_TEXT_LENGTH]} "
            f"{' '.join(_properties(action.input_schema))}"
        ),
        terms(" ".join(_values(action))[:_TEXT_LENGTH]),
    )


def _values(action: Offer) -> list[str]:
    """What comes back, what can be chosen, and what it is given in its examples."""
    examples = [word for one in action.examples[:_EXAMPLES] for word in example_words(one)]
    return [*schema_words(action.output_schema), *enum_words(action.input_schema), *examples]


def _targets(terms_of_names: Iterable[str]) -> frozenset[str]:
    """What is turned into, of the terms that `_terms` made."""
    return frozenset(target for _, way, target in (term.partition(">") for term in terms_of_names) if way)


def _terms(text: str) -> list[str]:
    """A name's terms, and what it turns into what."""
    return terms(text) + [f"{source}>{target}" for source, target in directed(text)]


def _properties(schema: Mapping[str, Any]) -> list[str]:
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return []
    return [name for name, _ in zip(properties, range(_PROPERTIES), strict=False) if isinstance(name, str)]


def _squeezed(text: str) -> str:
    """An id without its joints, so that a tool name and a key can be compared."""
    return "".join(letter for letter in text.casefold() if letter.isalnum())
