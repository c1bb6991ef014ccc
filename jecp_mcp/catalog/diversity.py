"""Which of what was found to show: the best, and not ten times the same. Pure: no I/O.

Maximal marginal relevance (Carbonell, Goldstein: The Use of MMR, 1998): one is chosen after the other, and each counts
the less the more its name and title say what those of one before it have said.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heapify, heappop, heapreplace, nlargest, nsmallest
from typing import Final

_POOL: Final = 200
_MMR_LAMBDA: Final = 0.5
"""What it takes from an offer that its name and title say nothing that those of one before it don't."""


class Diversity:
    """Chooses among documents by their scores and their names."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self._named, self._named_from = array("I"), array("I", [0])
        self._withdrawn = bytearray()
        self._idf = array("f")

    def add(self, terms: Iterable[str], *, withdrawn: bool) -> None:
        """The next document, as the terms of its name and title; what is `withdrawn` comes after all else."""
        self._named.extend(self._known.setdefault(term, len(self._known)) for term in terms)
        self._named_from.append(len(self._named))
        self._withdrawn.append(withdrawn)

    def weigh(self, idf: Callable[[str], float]) -> None:
        """Take how much each term tells, when all documents are added."""
        self._idf = array("f", map(idf, self._known))
        self._known = {}

    def is_withdrawn(self, place: int) -> bool:
        """Whether it comes after all else."""
        return bool(self._withdrawn[place])

    def choose(self, scores: Mapping[int, float], limit: int) -> list[tuple[int, float]]:
        """The best, one after the other, each with what is left of its score."""
        pool = self._best(scores, max(_POOL, limit))
        named = {place: self._names_in(place) for place in pool}
        says = {place: sum(map(self._idf.__getitem__, terms)) for place, terms in named.items()}
        likest = dict.fromkeys(pool, 0.0)
        compared = dict.fromkeys(pool, 0)
        chosen: list[tuple[int, float]] = []
        # A score only falls with what is chosen, so whatever leads when compared with all of that is the next.
        queue = [(self._withdrawn[place], -scores[place], place) for place in pool]
        heapify(queue)
        while queue and len(chosen) < limit:
            withdrawn, score, place = queue[0]
            if compared[place] == len(chosen):
                chosen.append((place, -score))
                heappop(queue)
                continue
            mine, mine_says = named[place], says[place]
            for other, _ in chosen[compared[place] :]:
                both = named[other] & mine
                if both:
                    shared = sum(map(self._idf.__getitem__, both)) / min(says[other], mine_says)
                    likest[place] = max(likest[place], shared)
            compared[place] = len(chosen)
            heapreplace(queue, (withdrawn, -scores[place] * (1 - _MMR_LAMBDA * likest[place]), place))
        return chosen

    def _best(self, scores: Mapping[int, float], most: int) -> Sequence[int]:
        """The places of the best scores, in no order; of equal ones, the first."""
        withdrawn = self._withdrawn
        offered = (
            {place: score for place, score in scores.items() if not withdrawn[place]} if any(withdrawn) else scores
        )
        if len(offered) < most:
            return nsmallest(most, scores, key=lambda place: (withdrawn[place], -scores[place], place))
        # Only numbers are compared, not places by a function: of ten thousand, in a tenth of the time.
        least = nlargest(most, offered.values())[-1]
        better = [place for place, score in offered.items() if score > least]
        return better + nsmallest(most - len(better), [place for place, score in offered.items() if score == least])

    def _names_in(self, place: int) -> frozenset[int]:
        start, end = self._named_from[place], self._named_from[place + 1]
        return frozenset(self._named[start:end])
