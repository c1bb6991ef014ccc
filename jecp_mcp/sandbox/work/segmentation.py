"""Words and sentences of running text. Pure: no I/O. Every pattern here is linear in the text's length."""

from __future__ import annotations

import re
from itertools import pairwise

_WORD = re.compile("[^\\W_]+(?:['\u2019-][^\\W_]+)*")
# Begun only where a run begins, and never given back (possessive): else a long run of dots costs its square.
_STOP = re.compile(
    "(?<![.!?\u2026])[.!?\u2026]++[\"'\u201d\u2019)\\]]*+(?=\\s++[^a-z])"
    "|[\u3002\uff01\uff1f]++[\u300d\u300f\u201d]*+|\\n[ \\t]*+\\n\\s*+"
)
_ABBREVIATION = re.compile(
    r"(?<![\w.])(?:[^\W\d_]|mrs?|ms|dr|prof|st|sr|jr|vs|etc|no|fig|al|e\.g|i\.e|cf|approx|inc|ltd|co|corp|vol|pp?|eds?)\Z",
    re.IGNORECASE,
)
_LONGEST_ABBREVIATION = 6

STOPWORDS = frozenset(
    """a about above after again against all also am an and any are as at be because been before being below between
    both but by can cannot could did do does doing down during each even few for from further had has have having he
    her here hers herself him himself his how however i if in into is it its itself just like may me might more most
    much must my myself no nor not now of off on once one only or other our ours out over own same shall she should
    so some such than that the their theirs them themselves then there these they this those through to too under
    until up upon us very was we were what when where which while who whom why will with would yet you your yours
    within without among two three it's don't can't won't isn't aren't wasn't doesn't didn't that's there's i'm
    you're we're they're""".split()  # noqa: SIM905  # a word list reads best as one
)
"""English words that carry little meaning of their own."""

SAMPLE = (
    "The old lock at Marsh End was built for barges that no longer come. Its gates leak, and the keeper patches them "
    "each spring with oak and tar. Last year the council proposed to fill the lock in and sell the land. The keeper "
    "objected, because the lock still holds the water that feeds the reed beds upstream. Without the lock the reed "
    "beds would dry within two summers. A survey by the water board agreed with the keeper. The council has now "
    "postponed the sale, and the gates are to be replaced with steel."
)
"""What the examples read."""


def words(text: str) -> list[str]:
    """The words of a text as written; hyphens and apostrophes inside a word belong to it."""
    return _WORD.findall(text)


def sentences(text: str) -> list[str]:
    """The sentences of a text in order, white space folded.

    A full stop after a known abbreviation, an initial or a number's group does not end one; an empty line does.
    """
    stops = [stop for stop in _STOP.finditer(text) if not (stop[0][0] == "." and _abbreviates(text, stop.start()))]
    parts = (" ".join(text[start:end].split()) for start, end in pairwise([0, *(s.end() for s in stops), len(text)]))
    return [part for part in parts if _WORD.search(part)]


def _abbreviates(text: str, end: int) -> bool:
    return _ABBREVIATION.search(text, max(0, end - _LONGEST_ABBREVIATION), end) is not None
