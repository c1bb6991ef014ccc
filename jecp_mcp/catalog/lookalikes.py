"""Names that look like other names. Pure: no I/O.

A Hub's ids are ASCII (JECP 01-protocol §3.3), so among them the look-alikes are digits for letters, letter pairs and
joints. Titles and descriptions are Unicode: there letters of other scripts stand for Latin ones (Unicode TR 39).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

POPULAR_CALLS: Final = 100
"""A provider with fewer calls is no name worth borrowing."""

POPULAR_FACTOR: Final = 10
"""How many times as often called the provider is that another one may be taken for."""

_SHORTEST: Final = 5
"""Shorter names differ by one letter too often to say anything."""

# Letters that most typefaces draw like the Latin one before them: Cyrillic, Greek, Armenian, and rarer Latin ones.
_TWINS: Final = (
    "aаαɑ bвьβ cсϲ dԁđ eеεҽ gɡց hнһηհ iіιıɩ jјϳ kкκ lӏʟł mм nողп oоοօøσ pрρ qԛգ rг sѕ tтτ uսυ vѵν wԝωա xхχ yуγ zᴢ"  # noqa: RUF001  # the twins themselves
)
_LIKE: Final = {ord(twin): group[0] for group in _TWINS.split() for twin in group[1:]}
_JOINTS: Final = re.compile(r"[-_. ]+")
_LATIN: Final = re.compile(r"[A-Za-z\u00c0-\u024f]")
_LATIN_LIKE: Final = re.compile("[\u0370-\u03ff\u0400-\u052f\u0530-\u058f]")
_WORD: Final = re.compile(r"[^\W\d_]+")


def skeleton(text: str) -> str:
    """What a text looks like: compatibility forms, marks and case folded, foreign twins of Latin letters replaced."""
    if text.isascii():
        return text.casefold()
    folded = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in folded if not unicodedata.combining(letter)).translate(_LIKE)


def id_skeleton(text: str) -> str:
    """What an id looks like at a glance: as `skeleton`, with digits and letter pairs for the letters they pass for."""
    plain = _JOINTS.sub("", skeleton(text))
    return plain.replace("0", "o").replace("1", "l").replace("rn", "m").replace("vv", "w")


def mixes_scripts(text: str) -> bool:
    """Whether one word mixes Latin letters with Greek, Cyrillic or Armenian ones, as no language does."""
    if text.isascii() or not _LATIN_LIKE.search(text):
        return False
    return any(_LATIN.search(word) and _LATIN_LIKE.search(word) for word in _WORD.findall(text))


def near_popular(calls: Mapping[str, int]) -> dict[str, str]:
    """Names one letter away from a far better known one, with that one.

    Args:
        calls: how often each name's actions were called, by the Hub's count.
    """
    famous = {name for name, count in calls.items() if count >= POPULAR_CALLS and len(name) >= _SHORTEST}
    by_form: dict[str, list[str]] = {}
    for name in sorted(famous, key=lambda one: (-calls[one], one)):
        for form in _forms(name):
            by_form.setdefault(form, []).append(name)
    found: dict[str, str] = {}
    for name, count in calls.items():
        if len(name) < _SHORTEST:
            continue
        others = (other for form in _forms(name) for other in by_form.get(form, ()))
        better = [other for other in others if other != name and calls[other] >= POPULAR_FACTOR * max(count, 1)]
        close = [other for other in better if _one_apart(name, other)]
        if close:
            found[name] = max(close, key=lambda other: (calls[other], other))
    return found


def _forms(name: str) -> Iterable[str]:
    """The name, and the name with each letter left out: two names one edit apart share one of these."""
    yield name
    for at in range(len(name)):
        yield name[:at] + name[at + 1 :]


def _one_apart(one: str, other: str) -> bool:
    """Whether one letter added, left out, replaced, or swapped with its neighbour makes one of the other."""
    short, long = sorted((one, other), key=len)
    if len(long) - len(short) > 1:
        return False
    at = next((place for place, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    if len(short) < len(long):
        return short[at:] == long[at + 1 :]
    swapped = long[at + 1 : at + 2] + long[at : at + 1] + long[at + 2 :]
    return short[at + 1 :] == long[at + 1 :] or short[at:] == swapped
