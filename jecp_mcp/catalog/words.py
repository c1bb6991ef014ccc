"""Words as search sees them: cut, folded, stemmed, and with others that mean nearly the same.

The only I/O is that the files of the thesaurus are read, when they are first needed. Whatever needs them raises
`PackageDamaged` where they cannot be used.
Words of other languages than English are found as they are written, and scripts without blanks by pairs of characters.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import cache, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from jecp_mcp.catalog.thesaurus.loading import load_apart, load_stop_words, load_synonyms

if TYPE_CHECKING:
    from snowballstemmer.english_stemmer import EnglishStemmer  # type: ignore[import-untyped]

_WORD: Final = re.compile(r"[^\W_]+")
_UNSPACED: Final = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
_LONGEST: Final = 40
_BRITISH: Final = re.compile(r"(?<=..[a-z])(?:is(?=(?:e|ed|er|ers|es|ing|ation|ations)$)|ys(?=(?:e|ed|er|ers|ing)$))")
_OUR: Final = re.compile(r"(?<=[a-z]{3})our(?=(?:s|ed|ing|ful)?$)")
_INTO: Final = frozenset({"to", "into", "as", "2"})
_OUT_OF: Final = "from"
_FURTHER: Final = 2
_LITTLE: Final = 0.25
_BETWEEN: Final = 3
"""How many other words may stand between two of a phrase: "what does it really mean"."""
_SHORTEST_STEM: Final = 4


class _Talk(NamedTuple):
    """Words of talk: those that say nothing of a task, and those that say little of it."""

    stop: frozenset[str]
    weak: frozenset[str]


@cache
def _talk() -> _Talk:
    stop, weak = load_stop_words()
    return _Talk(frozenset(stop), frozenset(weak))


@cache
def _apart() -> Mapping[str, str]:
    """The stems of words that a stemmer takes for forms of others."""
    return {word: forms[0] for forms in load_apart() for word in forms}


def terms(text: str) -> list[str]:
    """The stems of a text's words, in order; of a script without blanks, its characters and pairs of them."""
    found: list[str] = []
    for word in _WORD.findall(_folded(text)):
        if word.isascii():
            found.append(stem(word[:_LONGEST]))
        else:
            found.extend(_foreign(word))
    return found


def wanted(query: str) -> dict[str, float]:
    """The stems of a query's words that say something, in order, each with how much it says, from 0 to 1.

    Where nothing says much, what there is says all.
    """
    stop, weak = _talk()
    words = [word for word in _WORD.findall(_folded(query)) if word not in stop]
    found: dict[str, float] = {}
    for word in words or _WORD.findall(_folded(query)):
        worth = _LITTLE if word in weak or word.isdecimal() else 1.0
        for term in terms(word):
            found[term] = max(worth, found.get(term, 0.0))
    return found if 1.0 in found.values() else dict.fromkeys(found, 1.0)


def joined(query: str) -> list[tuple[tuple[str, str], str]]:
    """Neighbours in a query with what they are when written as one word, such as "web site"; as stems."""
    words = [word for word in _WORD.findall(_folded(query)) if word.isascii()]
    pairs = (pair for pair in pairwise(words) if _talk().stop.isdisjoint(pair))
    return [((stem(a), stem(b)), stem(a + b)) for a, b in pairs]


def names(query: str) -> set[str]:
    """The stems of a query's words that name somebody or something: those with a capital within a text, and figures."""
    words = _WORD.findall(query)
    return {
        stem(word.casefold())
        for at, word in enumerate(words)
        if word.isascii() and (word.isdecimal() or (at and word[0].isupper() and not word.isupper()))
    }


def directed(text: str) -> list[tuple[str, str]]:
    """What a text says is turned into what, as in "PDF to Word", as stems: which way round makes all the difference."""
    words = _WORD.findall(_folded(text))
    stop = _talk().stop
    found = []
    for at, word in enumerate(words):
        if word in _INTO or word == _OUT_OF:
            before = [one for one in words[:at] if one not in stop][-_FURTHER:]
            after = [one for one in words[at + 1 :] if one not in stop][:_FURTHER]
            pairs = [(stem(one), stem(other)) for one in before for other in after]
            found += [(other, one) for one, other in pairs] if word == _OUT_OF else pairs
    return [(source, target) for source, target in found if source != target]


def _folded(text: str) -> str:
    text = text.casefold()
    if text.isascii():
        return text
    # Marks of the Japanese and Indian scripts are letters' halves; Latin accents are dropped.
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if not "\u0300" <= letter <= "\u036f")


def _foreign(word: str) -> list[str]:
    found: list[str] = []
    for run in _UNSPACED.findall(word):
        found += [run[at : at + 2] for at in range(len(run) - 1)] or [run]
        found += list(run) if len(run) > 1 else []
    return found + [rest[:_LONGEST] for rest in _UNSPACED.split(word) if rest]


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """A word without its ending, the same for British and American spelling."""
    apart = _apart()
    if word in apart:
        return apart[word]
    word = _OUR.sub("or", _BRITISH.sub(lambda met: met[0][:-1] + "z", word))
    made: str = _stemmer().stemWord(word)
    # So that "verify" and "verification", "summary" and "summarise" become the same.
    return made[:-1] if made.endswith("i") and len(made) > _SHORTEST_STEM else made


@cache
def _stemmer() -> EnglishStemmer:
    from snowballstemmer.english_stemmer import EnglishStemmer

    return EnglishStemmer()


class _Together(NamedTuple):
    """Stems that say something when all of them are there, and the stems that mean it.

    With a word among them that says nothing by itself they are a phrase, which must stand in the query as such.
    """

    parts: frozenset[str]
    meaning: frozenset[str]
    phrase: tuple[str, ...] = ()


def _together(said: str, meaning: Collection[str]) -> _Together:
    phrase = tuple(terms(said))
    plain = _talk().stop.isdisjoint(_WORD.findall(_folded(said)))
    return _Together(frozenset(phrase), frozenset(meaning), () if plain else phrase)


class _Meanings:
    """The thesaurus, in stems.

    Attributes:
        alike: by stem, those that mean nearly the same.
        together: what several stems mean together, by the one of them that is in the fewest such lines.
        said: every stem of what may be said.
    """

    def __init__(self) -> None:
        alike, implied = load_synonyms()
        single: dict[str, set[str]] = {}
        together: list[_Together] = []
        for members in alike:
            plain = {stem(word) for word in members if "+" not in word}
            several = [_together(word, plain) for word in members if "+" in word]
            for word in plain:
                single.setdefault(word, set()).update(plain.union(*(one.parts for one in several)) - {word})
            together += several
        together += [_together(said, terms(meant)) for said, meant in implied]
        common = Counter(part for one in together for part in one.parts)
        self.alike: Mapping[str, frozenset[str]] = {word: frozenset(others) for word, others in single.items()}
        self.together: dict[str, list[_Together]] = {}
        for one in together:
            rarest = min(sorted(one.parts), key=common.__getitem__)
            self.together.setdefault(rarest, []).append(one)
        self.said: Collection[str] = self.alike.keys() | common.keys()


@cache
def _meanings() -> _Meanings:
    return _Meanings()


def read_thesaurus() -> None:
    """Read it now, so that the first query does not wait for it: a tenth of a second."""
    _meanings()


def synonyms(term: str) -> frozenset[str]:
    """Stems that mean nearly the same as this one."""
    return _meanings().alike.get(term, frozenset())


def is_known(term: str) -> bool:
    """Whether this is the stem of a word in the thesaurus, and so no misspelt one."""
    return term in _meanings().said


def meant_together(query: str) -> list[tuple[frozenset[str], frozenset[str]]]:
    """Sets of a query's stems that together mean something else, with the stems that mean it."""
    said = terms(query)
    words = frozenset(said)
    found = (one for word in words for one in _meanings().together.get(word, ()) if one.parts <= words)
    return [(one.parts, one.meaning) for one in found if _stands(one.phrase, said)]


def _stands(phrase: Sequence[str], said: Sequence[str]) -> bool:
    """Whether a phrase is said, its words in order and with little between them."""
    ahead: Collection[int] = range(len(said))
    for word in phrase:
        here = [place for place in ahead if said[place] == word]
        if not here:
            return False
        ahead = {after for place in here for after in range(place + 1, min(place + _BETWEEN + 2, len(said)))}
    return True
