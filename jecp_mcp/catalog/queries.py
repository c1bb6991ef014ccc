"""What a query asks for: each of its words, with whatever in the index answers it. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import chain, islice
from typing import Final, NamedTuple

from jecp_mcp.catalog.postings import Postings
from jecp_mcp.catalog.words import directed, is_known, joined, meant_together, names, synonyms, terms, wanted

_MOST_TERMS: Final = 16
_SYNONYM: Final = 0.55
_MEANT: Final = 0.85
_HALF: Final = 0.5
_PREFIX: Final = 0.75
_SHORTEST_PREFIX: Final = 3
_SHORTEST_MISSPELT: Final = 4
_MOST_SPELLINGS: Final = 3


class Asked(NamedTuple):
    """One word of a query.

    Attributes:
        answers: terms of the index that answer it, with how well they do, from 0 to 1.
        says: how much the word says of the task, from 0 to 1.
    """

    answers: Mapping[str, float]
    says: float


class Request(NamedTuple):
    """A query as it was understood.

    Attributes:
        asked: its words that something in the index answers.
        wrong: the terms of what turns things the wrong way round.
        targets: the terms of what things are to be turned into; none where the query asks for nothing of the kind.
        unanswered: how much its other words say, each from 0 to 1, added up; names decide what is done to whom, and
            not what is done.
    """

    asked: list[Asked]
    wrong: set[str]
    targets: frozenset[str]
    unanswered: float


class Reader:
    """Reads queries in the words of one index."""

    def __init__(self, postings: Postings, *, names: Collection[str]) -> None:
        """Read for `postings`, where `names` are terms that only name somebody: no word is one of them misspelt."""
        self._postings = postings
        self._names = names

    def read(self, query: str) -> Request:
        """What is asked for; words that nothing in the index answers are only counted."""
        said = dict(islice(wanted(query).items(), _MOST_TERMS))
        answers = {term: self._answers(term) for term in said}
        for parts, one in joined(query):
            if one in self._postings:
                for part in answers.keys() & parts:
                    answers[part][one] = 1.0
        lacking = {term: 0.0 if found else 1.0 for term, found in answers.items()}
        for several, meaning in meant_together(query):
            # Of several words for a thing most will do; with half of them or less it may be another thing.
            share = sum(map(self._postings.__contains__, meaning)) / max(len(meaning), 1)
            share = 1.0 if share > _HALF else share
            for part in several & answers.keys():
                said[part] = 1.0
                for other in filter(self._postings.__contains__, meaning - {part}):
                    answers[part][other] = max(_MEANT * share, answers[part].get(other, 0.0))
                lacking[part] = min(lacking[part], 1 - share)
        asked = [Asked(found, said[term]) for term, found in answers.items() if found]
        ways = _ways(query, answers)
        known = {way: fit for way, fit in ways.items() if way in self._postings}
        wrong = {">".join(reversed(way.split(">"))) for way in ways} - ways.keys()
        named = names(query)
        unanswered = sum(said[term] * much for term, much in lacking.items() if term not in named)
        targets = frozenset(chain.from_iterable(answers.get(target, ()) for _, target in directed(query)))
        return Request([*asked, Asked(known, 1.0)] if known else asked, wrong, targets, unanswered)

    def read_name(self, name: str) -> list[Asked]:
        """The parts of a name as they are written, or nearly so."""
        found = [self._spelt(term) for term in dict.fromkeys(terms(name))]
        return [Asked(answers, 1.0) for answers in found if answers]

    def _answers(self, term: str) -> dict[str, float]:
        alike = {other: _SYNONYM for other in synonyms(term) if other in self._postings}
        # A word of the thesaurus is not a misspelt one.
        known = term in self._postings or is_known(term)
        return alike | ({term: 1.0} if term in self._postings else {} if known else self._spelt(term))

    def _spelt(self, term: str) -> dict[str, float]:
        """A term as the index knows it: itself, terms that begin so, or terms spelt nearly so."""
        if term in self._postings:
            return {term: 1.0}
        if len(term) >= _SHORTEST_PREFIX:
            begun = self._postings.beginning(term)
            if begun:
                return dict.fromkeys(begun, _PREFIX)
        if len(term) >= _SHORTEST_MISSPELT:
            near = [one for one in self._postings.like(term) if one[0] not in self._names]
            return dict(near[:_MOST_SPELLINGS])
        return {}


def _ways(query: str, answers: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """What the query wants turned into what, as terms, with how well each says so."""
    return {
        f"{one}>{other}": min(fit, fits)
        for source, target in directed(query)
        for one, fit in answers.get(source, {}).items()
        for other, fits in answers.get(target, {}).items()
    }
