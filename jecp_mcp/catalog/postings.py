"""An inverted index in a few flat arrays: which documents hold a term, and how much it says about each. Pure: no I/O.

BM25F: a term's occurrences in several fields are weighed, added, and only then saturated, so that a word in a title and
in a description is one word said twice (Robertson, Zaragoza: The Probabilistic Relevance Framework, 2009). What does
not depend on a query is worked out while indexing, in 255 steps.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final

_K: Final = 1.2
FULL_WEIGHT: Final = 255
"""What a term weighs in a document that it says everything about."""
_MOST_PREFIXED: Final = 12
_MOST_LIKE: Final = 24
_LONG: Final = 8


class Postings:
    """Terms with the documents that hold them.

    Attributes:
        total: how many documents there are.
        terms: every term, in order.
        starts: where each term's postings begin, and where the last one's end.
        documents: the documents of each posting, in order within a term.
        weights: how much the term says about the document, from 1 to 255.
    """

    def __init__(
        self, total: int, terms: Sequence[str], starts: array[int], documents: array[int], weights: bytes
    ) -> None:
        self.total: Final = total
        self.terms: Final = terms
        self.starts: Final = starts
        self.documents: Final = documents
        self.weights: Final = weights
        self._places = {term: place for place, term in enumerate(terms)}
        self._rows: dict[str, bytes] = {}
        self._grams: dict[str, array[int]] = {}
        for place, term in enumerate(terms):
            for gram in _grams(term):
                self._grams.setdefault(gram, array("I")).append(place)

    def __contains__(self, term: str) -> bool:
        return term in self._places

    def count(self, term: str) -> int:
        """In how many documents a term is."""
        place = self._places.get(term)
        return 0 if place is None else self.starts[place + 1] - self.starts[place]

    def of(self, term: str) -> Iterator[tuple[int, int]]:
        """A term's documents, in order, each with its weight."""
        place = self._places.get(term)
        if place is None:
            return iter(())
        start, end = self.starts[place], self.starts[place + 1]
        return zip(self.documents[start:end], self.weights[start:end], strict=True)

    def weight(self, term: str, document: int) -> int:
        """How much a term says about one document; 0 when it is not there."""
        place = self._places.get(term)
        if place is None:
            return 0
        end = self.starts[place + 1]
        at = bisect_left(self.documents, document, self.starts[place], end)
        return self.weights[at] if at < end and self.documents[at] == document else 0

    def row(self, term: str) -> bytes:
        """The weight of a term in each document, 0 where it is not. It is kept: only for terms in many documents."""
        known = self._rows.get(term)
        if known is None:
            made = bytearray(self.total)
            for document, weight in self.of(term):
                made[document] = weight
            known = self._rows[term] = bytes(made)
        return known

    def beginning(self, prefix: str) -> list[str]:
        """Terms that begin so, the shortest first."""
        at = bisect_left(self.terms, prefix)
        found = []
        while at < len(self.terms) and self.terms[at].startswith(prefix):
            found.append(self.terms[at])
            at += 1
        return sorted(found, key=len)[:_MOST_PREFIXED]

    def like(self, term: str) -> list[tuple[str, float]]:
        """Terms spelt nearly so, nearest first, with how near from 0 to 1."""
        shared: dict[int, int] = {}
        for gram in _grams(term):
            for place in self._grams.get(gram, ()):
                shared[place] = shared.get(place, 0) + 1
        likely = sorted(shared, key=lambda place: (-shared[place] / (len(self.terms[place]) + len(term)), place))
        most = 1 if len(term) < _LONG else 2
        near = []
        for place in likely[:_MOST_LIKE]:
            other = self.terms[place]
            if abs(len(other) - len(term)) <= most:
                slips = _slips(term, other)
                if slips <= most:
                    near.append((other, 1 - slips / (len(term) + 1)))
        return sorted(near, key=lambda one: (-one[1], one[0]))


class Builder:
    """Makes `Postings` of documents given one by one."""

    def __init__(self, weights: Sequence[float], evenness: Sequence[float]) -> None:
        """Take for each field how much a word in it weighs, and how much the length of the field takes from that."""
        self._weights = weights
        self._evenness = evenness
        self._documents: list[tuple[tuple[str, ...], ...]] = []
        self._total = [0] * len(weights)

    def add(self, fields: Iterable[Sequence[str]]) -> None:
        """The next document, as the terms of each field."""
        document = tuple(tuple(field) for field in fields)
        self._documents.append(document)
        for place, field in enumerate(document):
            self._total[place] += len(field)

    def built(self) -> Postings:
        """The index of everything added."""
        usual = [max(total / max(len(self._documents), 1), 1.0) for total in self._total]
        found: dict[str, tuple[array[int], bytearray]] = {}
        for number, document in enumerate(self._documents):
            said: dict[str, float] = {}
            for weight, even, mean, field in zip(self._weights, self._evenness, usual, document, strict=True):
                each = weight / (1 - even + even * len(field) / mean)
                for term in field:
                    said[term] = said.get(term, 0.0) + each
            for term, much in said.items():
                posted = found.get(term)
                if posted is None:
                    posted = found[term] = (array("I"), bytearray())
                posted[0].append(number)
                posted[1].append(max(1, round(much / (_K + much) * FULL_WEIGHT)))
        terms = sorted(found)
        starts, documents, weights = array("I", [0]), array("I"), bytearray()
        for term in terms:
            documents += found[term][0]
            weights += found[term][1]
            starts.append(len(documents))
        return Postings(len(self._documents), terms, starts, documents, bytes(weights))


def _slips(one: str, other: str) -> int:
    """How many letters must be put in, left out, changed or swapped with their neighbour to make one the other."""
    before, last = [0] * (len(other) + 1), list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        line = [row]
        for column, theirs in enumerate(other, 1):
            least = min(last[column] + 1, line[-1] + 1, last[column - 1] + (letter != theirs))
            if row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == theirs:
                least = min(least, before[column - 2] + 1)
            line.append(least)
        before, last = last, line
    return last[-1]


def _grams(term: str) -> set[str]:
    """Pairs of letters; pairs survive a misspelling that triples do not."""
    return {a + b for a, b in pairwise(f"^{term}$")}
