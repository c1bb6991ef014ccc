"""Characters that show nothing, reorder their neighbours or command a terminal. Pure: no I/O.

Controls, bidirectional controls (UAX #9), tags and annotations are never wanted. Joiners, selectors and a few
others are wanted by some scripts and emoji, and hide a message elsewhere: they stay where their neighbours need them.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Final

_ALWAYS: Final = (
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # C0 but tab and line ends, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # Bidi_Control
    "\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # other format characters
    "\ud800-\udfff\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"  # lone surrogates, tags, what is ignorable and unassigned
)
_SOMETIMES: Final = "\xad\u034f\u180b-\u180f\u200b-\u200d\ufe00-\ufe0f\U000e0100-\U000e01ef"
# The three flags that Unicode spells with tags (UTS #51): England, Scotland, Wales.
_REGIONS: Final = "|".join("".join(chr(0xE0000 + ord(letter)) for letter in one) for one in ("eng", "sct", "wls"))
_FLAG: Final = f"\U0001f3f4\U000e0067\U000e0062(?:{_REGIONS})\U000e007f"

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
    return re.compile(f"{_FLAG}|[{_ALWAYS}{_SOMETIMES}]")


@cache
def _on_lines() -> re.Pattern[str]:
    return re.compile(f"{_FLAG}|[{_ALWAYS}{_SOMETIMES}\r\u2028\u2029]")


@cache
def _on_one_line() -> re.Pattern[str]:
    return re.compile(f"{_FLAG}|[{_ALWAYS}{_SOMETIMES}\t\n\r\u2028\u2029]")


def hides(text: str) -> bool:
    """Whether `text` holds something that `strip` takes away."""
    return not (text.isascii() and text.isprintable()) and any(map(_unwanted, _in_text().finditer(text)))


def strip(text: str) -> str:
    """`text` without its invisible characters, but for those that a script or an emoji needs where they stand."""
    if text.isascii() and text.isprintable():
        return text
    return _in_text().sub(lambda found: "" if _unwanted(found) else found[0], text)


def escape(text: str, *, one_line: bool = False) -> str:
    r"""`text` with every invisible character written out as JSON does, such as ``\u202e``.

    What was JSON stays the same JSON. A carriage return is written out too, and with `one_line` every line end and tab.
    """
    if text.isascii() and text.isprintable():
        return text
    pattern = _on_one_line() if one_line else _on_lines()
    return pattern.sub(lambda found: _written_out(found[0]) if _unwanted(found) else found[0], text)


def _written_out(letter: str) -> str:
    units = letter.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at] << 8 | units[at + 1]:04x}" for at in range(0, len(units), 2))


def _unwanted(found: re.Match[str]) -> bool:
    letter, at = found[0], found.start()
    if len(letter) > 1:
        return False
    before = found.string[at - 1] if at else ""
    after = found.string[at + 1 : at + 2]
    return not _needed(letter, before, after)


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
