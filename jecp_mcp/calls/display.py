"""A call as the person who decides on it reads it: everything it says, and nothing that hides. Pure: no I/O.

Arguments are shown as JSON (RFC 8259 §7), in which whatever renders as nothing, reorders its neighbours or piles up on
them is written as an escape. Only encoded binary data is abbreviated: to a note in angle brackets, with which no
JSON value begins, so that no argument can pass for one. What remains is all there, or it is not shown at all.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import cache
from typing import Any, Final

from jecp_mcp.invisible import RANGES

MOST_SHOWN: Final = 100_000
"""The most characters of arguments that a person can be asked to read."""

MOST_DEPTH: Final = 64
"""How deep arguments may nest to be read."""

_INDENT: Final = "  "
_MOST_BITS: Final = 12_000
"""The longest integer, in bits: some 3 600 digits. Python itself writes none of more than 4 300."""

_PLAIN: Final = re.compile(r"[ !#-\[\]-~]*")
_MOST_MARKS: Final = 2
"""How many combining marks may sit on one letter: Vietnamese has two."""

_RIGHT_TO_LEFT: Final = frozenset({"R", "AL", "AN"})
LEFT_TO_RIGHT_MARK: Final = "\u200e"
_MARKED: Final = re.compile(
    r'(?<![^\s{\[])("(?:[^"\\\n]|\\.)*"|&quot;(?:[^"&\\\n]|\\(?:&quot;|.)|&(?!quot;))*&quot;)\u200e(?=[:,\s}\]<]|\Z)'
)
"""A string of JSON that a mark follows, as it stands in a text and in HTML."""

_MEMBER: Final = re.compile(rf'{_INDENT}("(?:[^"\\]|\\.)*"{LEFT_TO_RIGHT_MARK}?): (.*)')
"""The first line of a member of the outermost object."""

_LEAST_ENCODED: Final = 1_000
"""The shortest encoded data that is abbreviated, in characters."""
_ENDS: Final = 32
"""How much of its head and tail is shown, in characters."""
_SIGNS: Final = 56
"""How many of base64's 64 signs encoded data of an unknown type uses at least; words, numbers and hex use fewer."""
_ENCODED: Final = re.compile(
    r"(data:(?:[a-zA-Z0-9.+-]{1,40}/[a-zA-Z0-9.+-]{1,80})?(?:;charset=[a-zA-Z0-9-]{1,20})?;base64,)?"
    r"((?:[A-Za-z0-9+/\r\n]+|[A-Za-z0-9_\r\n-]+)={0,2}(?:\r?\n)?)"
)
_URL_SAFE: Final = str.maketrans("-_", "+/")
_LEAST_LINE: Final = 32
"""The shortest line that an encoder breaks its data into."""

_STRETCH: Final = 64
_LOWER: Final = bytes(ord("x") if 97 <= sign <= 122 else 32 for sign in range(256))  # noqa: PLR2004 - a to z
_MOST_LOWER: Final = 21
"""How many pairs of small letters a stretch of encoded data may have; of noise it has some 7, of words 24 or more."""
_PAGE: Final = 256
_FREQUENT: Final = b"etoinsrhl"
_IS_FREQUENT: Final = bytes(ord("x") if bytes([sign]).lower() in _FREQUENT else 32 for sign in range(256))
_MOST_FREQUENT: Final = 127
"""How many of the letters that make up two thirds of most languages a page may have; noise some 72, words 130."""
_MOST_OF_ONE: Final = 28
"""How many of one letter count: a picture repeats a sign for long, words do not."""
_LEAST_SIGNS: Final = 12
_TEXT: Final = 0.7
"""Which share of what was encoded is readable where it is text; of noise, less than a half is."""
_CONTROLS: Final = bytes({*range(32), 127} - set(b"\t\n\r"))
_ANYWHERE: Final = slice(None)
_SIGNATURES: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png", b"IHDR", slice(12, 16)),
    (b"\xff\xd8\xff", "image/jpeg", b"\xff\xd9", _ANYWHERE),
    (b"GIF87a", "image/gif", b"\x3b", slice(-16, None)),
    (b"GIF89a", "image/gif", b"\x3b", slice(-16, None)),
    (b"%PDF-", "application/pdf", b"%%EOF", slice(-1_024, None)),
    (b"PK\x03\x04", "application/zip", b"PK\x05\x06", _ANYWHERE),
    (b"\x1f\x8b", "application/gzip", b"\x08", slice(2, 3)),
    (b"ID3", "audio/mpeg", b"\0", slice(4, 5)),
    (b"OggS", "audio/ogg", b"\0", slice(4, 5)),
    (b"fLaC", "audio/flac", b"\0\0\x22", slice(5, 8)),
)
"""How data of a type begins, and a mark that is in it, too."""
_CONTAINERS: Final = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}


def arguments(given: Mapping[str, Any], most: int, *, lines: bool = True) -> str | None:
    """All arguments as text of at most `most` characters; None where they do not fit, or nest too deep to be read.

    Args:
        given: the arguments, as they were parsed from JSON.
        most: how many characters can be shown. No more work is done than these take.
        lines: one value a line, indented; else all in one line.
    """
    parts: list[str] = []
    left = most
    try:
        for part in _value(given, most, 0, lines):
            left -= len(part)
            if left < 0:
                return None
            parts.append(part)
    except _Unreadable:
        return None
    return "".join(parts)


def members(text: str) -> list[tuple[str, str]] | None:
    """The members of what `arguments` wrote, each name and value as they stand there; None for any other text."""
    lines = text.split("\n")
    if lines[0] != "{" or lines[-1] != "}":
        return [] if text == "{}" else None
    found: list[tuple[str, list[str]]] = []
    for line in lines[1:-1]:
        if member := _MEMBER.fullmatch(line):
            found.append((member[1], [member[2]]))
        elif found and line.startswith(_INDENT):
            found[-1][1].append(line.removeprefix(_INDENT))
        else:
            return None
    return [(name, "\n".join(value).removesuffix(",")) for name, value in found]


def visible(text: str, escape: Callable[[str], str]) -> str:
    """`text` with what hides in it written out by `escape`, but for the marks behind `arguments`' own strings.

    Such a mark passes only where a string of JSON ends that runs from right to left: there it is needed.
    """
    if LEFT_TO_RIGHT_MARK not in text:
        return escape(text)
    parts: list[str] = []
    at = 0
    for found in _MARKED.finditer(text):
        if _turns(found[1]):
            parts += escape(text[at : found.end(1)]), LEFT_TO_RIGHT_MARK
            at = found.end()
    return "".join(parts) + escape(text[at:])


def words(text: str) -> str:
    """A name or a sentence, whole, in one line, with whatever hides in it written as an escape."""
    return "".join(_escaped(text, ""))


class _Unreadable(Exception):
    """There is no way to show a value that a person could read."""


def _value(value: object, most: int, depth: int, lines: bool) -> Iterator[str]:
    if isinstance(value, str):
        yield _text(value, most)
    elif value is None or isinstance(value, bool):
        yield {None: "null", True: "true", False: "false"}[value]
    elif isinstance(value, int):
        if value.bit_length() > _MOST_BITS:
            raise _Unreadable
        yield str(value)
    elif isinstance(value, float | Decimal):
        yield str(value)
    elif isinstance(value, Mapping):
        members = ((f"{_text(str(name), most)}: ", item) for name, item in value.items())
        yield from _group("{}", members, most, depth, lines)
    elif isinstance(value, list | tuple):
        yield from _group("[]", (("", item) for item in value), most, depth, lines)
    else:
        raise _Unreadable


def _group(brackets: str, members: Iterator[tuple[str, object]], most: int, depth: int, lines: bool) -> Iterator[str]:
    if depth >= MOST_DEPTH:
        raise _Unreadable
    yield brackets[0]
    inner = f"\n{_INDENT * (depth + 1)}" if lines else ""
    before = inner
    for name, item in members:
        yield before + name
        yield from _value(item, most, depth + 1, lines)
        before = f",{inner or ' '}"
    yield (f"\n{_INDENT * depth}" if lines and before != inner else "") + brackets[1]


def _text(text: str, most: int) -> str:
    note = _binary(text)
    if note is not None:
        return note
    if len(text) > most:
        raise _Unreadable
    shown = f'"{text if _PLAIN.fullmatch(text) else "".join(_escaped(text, _QUOTED))}"'
    # The mark ends what runs from right to left: else the values behind it could change places with it.
    return shown + LEFT_TO_RIGHT_MARK if not text.isascii() and _turns(text) else shown


_QUOTED: Final = '"\\'


def _escaped(text: str, also: str) -> Iterator[str]:
    """Each character, or its escape; `also` names visible ones to escape too."""
    marks = _MOST_MARKS
    for character in text:
        # A mark at the start, or behind an escape, would sit on what is not its own.
        marks = marks + 1 if not character.isascii() and unicodedata.category(character) in {"Mn", "Me"} else 0
        if character in also or marks > _MOST_MARKS or not _visible(character):
            marks = _MOST_MARKS
            yield json.dumps(character)[1:-1]
        else:
            yield character


def _visible(character: str) -> bool:
    # The ideographic space is the one blank besides the ASCII one that people type.
    return (character.isprintable() or character == "\u3000") and _hidden().match(character) is None


@cache
def _hidden() -> re.Pattern[str]:
    """What renders as nothing though Python counts it as printable, a blank or a selector, wherever it stands."""
    return re.compile(f"[{RANGES}]")


def _turns(text: str) -> bool:
    return any(unicodedata.bidirectional(character) in _RIGHT_TO_LEFT for character in text)


def _binary(text: str) -> str | None:
    """What stands for encoded binary data: its type, size, digest, head and tail; None for any other text."""
    if len(text) < _LEAST_ENCODED or not text.isascii():
        return None
    match = _ENCODED.fullmatch(text)
    if match is None or not _even(match[2]):
        return None
    signs = match[2].replace("\r", "").replace("\n", "")
    try:
        data = base64.b64decode(signs.translate(_URL_SAFE) + "=" * (-len(signs) % 4), validate=True)
    except binascii.Error:
        return None
    # A signature is a few signs that anybody can write, and all that follows them may be a message.
    if len(set(signs)) < _SIGNS or _readable(data) or _wordy(signs.encode("ascii")):
        return None
    kind = _kind(data)
    head = (match[1] or "") + signs[:_ENDS]
    return (
        f"<binary data, {kind or 'unknown type'}, {len(data):,} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}, "
        f"base64 from {head} to {signs[-_ENDS:]}>"
    )


def _even(text: str) -> bool:
    """Whether lines, where there are some, are as long as each other, but for the last: so an encoder breaks them."""
    first, *others = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    if not others:
        return True
    return (
        len(first) >= _LEAST_LINE
        and all(len(line) == len(first) for line in others[:-1])
        and 0 < len(others[-1]) <= len(first)
    )


def _wordy(signs: bytes) -> bool:
    """Whether the signs themselves read as words anywhere, in small letters, capitals or both."""
    lower, frequent = signs.translate(_LOWER), signs.translate(_IS_FREQUENT)
    for at in range(0, len(signs), _STRETCH // 2):
        if lower.count(b"xx", at, at + _STRETCH) > _MOST_LOWER and len(set(signs[at : at + _STRETCH])) >= _LEAST_SIGNS:
            return True
    for at in range(0, len(signs), _PAGE // 2):
        if frequent.count(b"x", at, at + _PAGE) > _MOST_FREQUENT:
            page = signs[at : at + _PAGE].lower()
            if sum(min(page.count(letter), _MOST_OF_ONE) for letter in _FREQUENT) > _MOST_FREQUENT:
                return True
    return False


def _kind(data: bytes) -> str | None:
    """What the data begins, and goes on, like."""
    if data.startswith(b"RIFF"):
        return _CONTAINERS.get(data[8:12])
    if data[4:8] == b"ftyp":
        return "video/mp4"
    for signature, kind, mark, place in _SIGNATURES:
        if data.startswith(signature) and mark in data[place]:
            return kind
    return None


def _readable(data: bytes) -> bool:
    """Whether it is mostly text after all, which is shown as it stands; without NUL, UTF-16 of ASCII is too."""
    bare = data.replace(b"\0", b"")
    text = bare.decode("utf-8", "replace")
    unread = text.count("\ufffd") + len(bare) - len(bare.translate(None, _CONTROLS))
    return len(text) - unread > _TEXT * len(text)
