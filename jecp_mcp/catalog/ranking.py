"""How well documents answer what is asked: BM25F, with a coordination factor and a popularity prior. Pure: no I/O.

Each word of a query counts once, however many of its synonyms a document has, and a document that answers more of the
query comes before one that says some of it often.

What is in many documents is not added up document by document: those in which the words of a query weigh the same have
the same score, and where a market sells much of a kind, that is most of them.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from itertools import chain, repeat
from operator import add, mul
from typing import Final, NamedTuple

from jecp_mcp.catalog.embeddings import RARE
from jecp_mcp.catalog.postings import FULL_WEIGHT, Postings
from jecp_mcp.catalog.queries import Asked

_COMMON: Final = 1_500
"""A word in more documents than this is only looked up in those that the others have found."""
_ENOUGH: Final = 200
_SOUGHT: Final = 6
"""How many postings are gone through in the time that it takes to seek one."""
_MANY: Final = 0.25
"""The share of all documents from which on a term is scored by its row."""
_COORDINATION_POWER: Final = 1.5
"""How much the coordination factor counts: the share of a query, by what its words say, that a document answers."""
_POPULARITY: Final = 0.015
"""How much it counts that an action was called ten times as often."""


class _Word(NamedTuple):
    """A word of a query.

    Attributes:
        size: how many postings its terms have.
        weights: the terms that answer it, each with how much it says where it is.
        most: the most that one of them says.
    """

    size: int
    weights: Mapping[str, float]
    most: float


class _Known(dict[tuple[float, ...], float]):
    """What comes of numbers, by the numbers, each worked out once."""

    def __init__(self, work_out: Callable[[tuple[float, ...]], float]) -> None:
        super().__init__()
        self._work_out = work_out

    def __missing__(self, numbers: tuple[float, ...]) -> float:
        made = self[numbers] = self._work_out(numbers)
        return made


class _Common(NamedTuple):
    """A word of a query that many documents answer.

    Attributes:
        rows: of each of its terms that many documents have, what it says for each of its weights, and its row.
        rest: what its other terms say, by place.
    """

    rows: Sequence[tuple[float, bytes]]
    rest: Mapping[int, float]

    def everywhere(self, total: int) -> Iterable[float]:
        """What `most` makes of it: the most that one of the terms in many documents says of each place."""
        if not self.rows:
            return repeat(0.0, total)
        if len(self.rows) == 1:
            return self.rows[0][1]
        says = [each for each, _ in self.rows]
        known = _Known(lambda weights: max(map(mul, says, weights)))
        return map(known.__getitem__, zip(*(row for _, row in self.rows), strict=True))

    def most(self, found: float) -> float:
        """The most that one of these terms says, by what `everywhere` has of a place."""
        # A row as it is goes through no function of ours ten thousand times, but only once for all that are alike.
        return self.rows[0][0] * found if len(self.rows) == 1 else found

    def at(self, place: int) -> float:
        """The most that one of the terms says of this place."""
        return max(self.rest.get(place, 0.0), *(each * row[place] for each, row in self.rows), 0.0)


class Ranking:
    """Scores the documents of one index."""

    def __init__(self, postings: Postings, calls: Iterable[int]) -> None:
        """Score what is in `postings`, where `calls` says of each document how often others have used it."""
        self._postings = postings
        # Of two that fit alike, the better known.
        self._popularity_prior = array("d", (1 + _POPULARITY * math.log10(1 + times) for times in calls))

    def idf(self, term: str) -> float:
        """Inverse document frequency, how much a term tells of what is meant: in every third action hardly anything."""
        total = self._postings.total
        # That a word is rarer than what a few providers sell says nothing more.
        held = min(max(self._postings.count(term), total * RARE), total)
        return math.log(1 + (total - held + 0.5) / (held + 0.5))

    def closeness(self, best: float, asked: Iterable[Asked], unanswered: float) -> tuple[float, float]:
        """How close the best score comes to the whole query, and how much of the query anything answers; from 0 to 1.

        Args:
            best: the highest of the `scores`.
            asked, unanswered: as `jecp_mcp.catalog.queries.Request` has them.
        """
        known = sum(self._word(one).most for one in asked)
        whole = known + unanswered * self.idf("")
        return best / (whole * FULL_WEIGHT), known / whole

    def scores(self, asked: Iterable[Asked], *, sparing: bool = True) -> dict[int, float]:
        """Places with their scores, in no order. `sparing` looks common words up only where rarer ones were found."""
        words = sorted(map(self._word, asked), key=lambda word: word.size)
        # Added up as what each document answers is, so that all of it is exactly all.
        whole = reduce(add, (word.most for word in words), 0.0)
        said: dict[int, float] = {}
        covered: dict[int, float] = {}
        for at, word in enumerate(words):
            found_already = sparing and word.size > _COMMON and len(said) >= _ENOUGH
            if not found_already and word.size > _COMMON and any(map(self._in_many, word.weights)):
                return self._scored_by_rows(words[at:], said, covered, whole, sparing=sparing)
            for place, much in self._best_in(word, said if found_already else None).items():
                said[place] = said.get(place, 0.0) + much
                covered[place] = covered.get(place, 0.0) + word.most
        prior = self._popularity_prior
        return {
            place: much * (covered[place] / whole) ** _COORDINATION_POWER * prior[place] for place, much in said.items()
        }

    def _word(self, asked: Asked) -> _Word:
        weights = {term: asked.says * fit * self.idf(term) for term, fit in asked.answers.items()}
        return _Word(sum(map(self._postings.count, weights)), weights, max(weights.values()))

    def _in_many(self, term: str) -> bool:
        return self._postings.count(term) >= max(self._postings.total * _MANY, _ENOUGH)

    def _best_in(self, word: _Word, among: Mapping[int, float] | None) -> dict[int, float]:
        """The most that a term of this word says of each place, or only of those `among` them."""
        if among is not None and len(among) * len(word.weights) * _SOUGHT < word.size:
            # It is shorter to look each place up than to go through all the actions.
            weighed = (
                (place, max(each * self._postings.weight(term, place) for term, each in word.weights.items()))
                for place in among
            )
            return {place: much for place, much in weighed if much}
        found = self._best_anywhere(word.weights)
        return found if among is None else {place: much for place, much in found.items() if place in among}

    def _best_anywhere(self, weights: Mapping[str, float]) -> dict[int, float]:
        best: dict[int, float] = {}
        for term, each in weights.items():
            for place, weight in self._postings.of(term):
                much = each * weight
                if much > best.get(place, 0.0):
                    best[place] = much
        return best

    def _scored_by_rows(
        self,
        words: Sequence[_Word],
        said: Mapping[int, float],
        covered: Mapping[int, float],
        whole: float,
        *,
        sparing: bool,
    ) -> dict[int, float]:
        """The scores, after rarer words have `said` and `covered` so much of some places.

        `sparing` leaves out places that have neither one of those words nor the first of these.
        """
        common = list(map(self._common, words))
        mosts = [word.most for word in words]

        def score(of: Sequence[float], much: float = 0.0, answered: float = 0.0) -> float:
            if sparing and not much and not of[0]:
                return 0.0
            for most, best in zip(mosts, of, strict=True):
                if best:
                    much += best
                    answered += most
            coordination: float = (answered / whole) ** _COORDINATION_POWER
            return much * coordination

        prior = self._popularity_prior
        known = _Known(lambda found: score([word.most(one) for word, one in zip(common, found, strict=True)]))
        alike = zip(*(word.everywhere(self._postings.total) for word in common), strict=True)
        scores = dict(enumerate(map(mul, map(known.__getitem__, alike), prior)))
        for place in {*said, *chain.from_iterable(word.rest for word in common)}:
            best = [word.at(place) for word in common]
            scores[place] = score(best, said.get(place, 0.0), covered.get(place, 0.0)) * prior[place]
        return scores if all(known.values()) else {place: much for place, much in scores.items() if much}

    def _common(self, word: _Word) -> _Common:
        many = [(each, self._postings.row(term)) for term, each in word.weights.items() if self._in_many(term)]
        few = {term: each for term, each in word.weights.items() if not self._in_many(term)}
        return _Common(many, self._best_anywhere(few))
