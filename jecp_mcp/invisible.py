"""Characters that show nothing, reorder their neighbours or command a terminal. Pure: no I/O.

Controls, bidirectional controls (UAX #9), tags and annotations are never wanted. Joiners, selectors and a few
others are wanted by some scripts and emoji, and hide a message elsewhere: they stay where their neighbours need them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache
from typing import Final

_ALWAYS: Final = (
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # C0 but tab and line ends, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # Bidi_Control
    "\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # other format characters
    "\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\U00016fe4\U0001d159"  # fillers and blanks that count as letters
    "\ud800-\uf8ff\ufdd0-\ufdef\ufff0-\ufff8\ufffe\uffff"  # lone surrogates, private use, what is no character
    "\U000e0000-\U000e00ff\U000e01f0-\U0010ffff"  # tags, what is ignorable and unassigned, private use
)
_SOMETIMES: Final = "\xad\u034f\u180b-\u180f\u200b-\u200d\ufe00-\ufe0f\U000e0100-\U000e01ef"
RANGES: Final = _ALWAYS + _SOMETIMES
"""Every character that shows nothing by itself, reorders its neighbours or commands, as a pattern's ranges."""

_LONGEST_NEEDED: Final = 8
"""The longest run of them, in characters, of which a script or an emoji may need a part."""

# In Braille, blank cells stand between others.
_BRAILLE: Final = "\u2800*+[\u2801-\u28ff][\u2800-\u28ff]*+"
# The three flags that Unicode spells with tags (UTS #51): England, Scotland, Wales.
_REGIONS: Final = "|".join("".join(chr(0xE0000 + ord(letter)) for letter in one) for one in ("eng", "sct", "wls"))
_FLAG: Final = f"\U0001f3f4\U000e0067\U000e0062(?:{_REGIONS})\U000e007f"

_WHOLE: Final = f"(?P<whole>{_FLAG}|{_BRAILLE})"

# Letters whose shape a joiner changes: Hebrew to Arabic Extended, Brahmic scripts, Mongolian, presentation forms.
_JOINED: Final = (
    "\u0590\u08ff", "\u0900\u0dff", "\u0f00\u109f", "\u1780\u18af", "\u1900\u1cff", "\ua800\uabff", "\ufb1d\ufdff",
    "\ufe70\ufefc", "\U00010a00\U00011fff", "\U0001e900\U0001e95f",
)  # fmt: skip
_WITHOUT_BLANKS: Final = ("\u0e00\u109f", "\u1780\u17ff", "\u1950\u1aaf")
_MONGOLIAN: Final = ("\u1800\u180a", "\u1810\u18af")
_IDEOGRAPHS: Final = ("\u3400\u9fff", "\uf900\ufaff", "\U00020000\U0003ffff")
_KEYCAP: Final = "0123456789#*"
_MORE_EMOJI: Final = "\u203c\u2049\u3030"


@cache
def _in_text() -> re.Pattern[str]:
    return re.compile(f"{_WHOLE}|[{RANGES}]+")


@cache
def _on_lines() -> re.Pattern[str]:
    return re.compile(f"{_WHOLE}|[{RANGES}\r\u2028\u2029]+")


@cache
def _on_one_line() -> re.Pattern[str]:
    return re.compile(f"{_WHOLE}|[{RANGES}\t\n\r\u2028\u2029]+")


def hides(text: str) -> bool:
    """Whether `text` holds something that `strip` takes away."""
    if text.isascii() and text.isprintable():
        return False
    return any(None in _judged(found) for found in _in_text().finditer(text))


def strip(text: str) -> str:
    """`text` without its invisible characters, but for those that a script or an emoji needs where they stand."""
    if text.isascii() and text.isprintable():
        return text
    return _in_text().sub(lambda found: "".join(filter(None, _judged(found))), text)


def escape(text: str, *, one_line: bool = False) -> str:
    r"""`text` with every invisible character written out as JSON does, such as ``\u202e``.

    What was JSON stays the same JSON. A carriage return is written out too, and with `one_line` every line end and tab.
    """
    if text.isascii() and text.isprintable():
        return text

    def written(found: re.Match[str]) -> str:
        kept = _judged(found, _written_out)
        if kept == [None]:
            return _written_out(found[0])
        return "".join(one or _written_out(letter) for one, letter in zip(kept, found[0], strict=True))

    return (_on_one_line() if one_line else _on_lines()).sub(written, text)


def _written_out(letters: str) -> str:
    return "\\u" + letters.encode("utf-16-be", "surrogatepass").hex(",", 2).replace(",", "\\u")


def _judged(found: re.Match[str], instead: Callable[[str], str] | None = None) -> list[str | None]:
    """The characters of a run, None for each that is not wanted; a run that nobody needs is one None.

    What stands `instead` of one that is not wanted, if anything, is the neighbour of the next.
    """
    run, start, end = found[0], found.start(), found.end()
    if found.lastgroup is not None:
        return list(run)
    if len(run) > _LONGEST_NEEDED:
        return [None]
    before = found.string[start - 1] if start else ""
    # None of a run is a letter or a picture to the one before it.
    after = (*[""] * (len(run) - 1), found.string[end : end + 1])
    judged: list[str | None] = []
    for letter, behind in zip(run, after, strict=True):
        # What is taken away is nobody's neighbour, so that what is left needs no second look.
        judged.append(letter if _needed(letter, before, behind) else None)
        before = judged[-1] or (before if instead is None else instead(letter)[-1])
    return judged


def _needed(letter: str, before: str, after: str) -> bool:  # noqa: PLR0911 - one line a kind of character
    if not before:
        return False
    if letter == "\u200d" and _pictures(after):
        return before == "\ufe0f" or _pictures(before)
    if letter in "\u200c\u200d\u034f":
        return _within(before, _JOINED) and unicodedata.category(before) != "Cf"
    if letter in "\ufe0e\ufe0f":
        return _pictures(before) or before in _MORE_EMOJI or (before in _KEYCAP and after == "\u20e3")
    if "\ufe00" <= letter <= "\ufe0d":
        return not before.isascii() and unicodedata.category(before) in {"Lo", "Sm"}
    if letter >= "\U000e0100":
        return letter <= "\U000e01ef" and _within(before, _IDEOGRAPHS)
    if "\u180b" <= letter <= "\u180f":
        return letter != "\u180e" and _within(before, _MONGOLIAN)
    if letter == "\u200b":
        return _within(before, _WITHOUT_BLANKS)
    return letter == "\xad" and before.isalpha() and after.isalpha()


def _within(letter: str, ranges: tuple[str, ...]) -> bool:
    return any(one[0] <= letter <= one[1] for one in ranges)


def _pictures(letter: str) -> bool:
    """Whether an emoji may begin or end so: symbols, arrows, skin tones."""
    return bool(letter) and unicodedata.category(letter) in {"So", "Sm", "Sk"} and not letter.isascii()
