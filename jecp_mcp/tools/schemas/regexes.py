"""Foreign regular expressions as every engine reads them alike. Pure: no I/O.

Patterns reach hosts in JavaScript, whose validators set the ``u`` flag, in Python and in Rust; ours runs them in a
linear-time engine, which has no look-around and no back-references. What lies within this portable subset of ECMA-262
compiles everywhere and stays small. Two habits are rewritten into it: groups lose their names, and a character that is
no syntax loses its backslash. Whatever else a provider wrote is left to the provider to enforce. The scan is linear in
the pattern.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final, NamedTuple

from jecp_mcp.tools.publishing.cleaning import hides_something
from jecp_mcp.tools.publishing.prompt_injection import find_injection

PATTERN_LENGTH: Final = 512
"""The longest pattern published, in characters."""

MOST_STEPS: Final = 2_000
"""The most steps a pattern may come to once its counted repeats are written out."""

COMPILED_BYTES: Final = MOST_STEPS * 2_304
"""The most bytes that a pattern takes once compiled: a step takes what the widest class does, which is ``\\S``."""

_STRANGERS_A_STEP: Final = 2
"""How many characters or ranges beyond ASCII a class may list for one step."""

_GROUPS: Final = 12
"""How deep groups may nest."""

_SHORTHAND: Final = r"\\[dDwWsS]"
_NEEDLESS: Final = r"\\[ !\"#%&',:;<=>@_`~\-]"
_ONE: Final = rf"\\(?:[tnrfv]|x[0-9a-fA-F]{{2}}|u(?![dD][89a-fA-F])[0-9a-fA-F]{{4}}|[$()*+./?\[\\\]^{{|}}])|{_NEEDLESS}"
_MEMBER: Final = rf"(?P<set>{_SHORTHAND})|(?P<one>{_ONE}|[^\\\[\]\x00-\x1f])"
_TOKEN: Final = (
    rf"(?P<open>\((?:\?:|\?<[A-Za-z][A-Za-z0-9]{{0,31}}>|(?!\?)))|(?P<close>\))|(?P<bar>\|)"
    rf"|(?P<anchor>[\^$]|\\[bB])|(?P<class>\[)"
    rf"|(?P<repeat>(?:[*+?]|\{{(?P<least>\d{{1,4}})(?P<range>,(?P<most>\d{{1,4}})?)?\}})\??)"
    rf"|(?P<atom>\.|{_SHORTHAND}|{_ONE}|[^\\\[\](){{}}*+?.|^$\x00-\x1f])"
)
_DOUBLED: Final = ("&&", "--", "~~", "||")


class Portable(NamedTuple):
    """A pattern that every engine reads alike, and how many steps it comes to."""

    pattern: str
    steps: int


def portable(pattern: object) -> Portable | None:
    """A foreign pattern as every engine reads it, or None.

    None for one that does not show what it says, that some engine does not take or reads otherwise, or that compiles
    to something large.
    """
    if not isinstance(pattern, str) or len(pattern) > PATTERN_LENGTH or hides_something(pattern):
        return None
    if find_injection(pattern) is not None:
        return None
    scan = _Scan(pattern)
    while scan.at < len(pattern):
        if not scan.step() or scan.sizes[-1] > MOST_STEPS:
            return None
    if len(scan.sizes) != 1:
        return None
    written = "".join(scan.written)
    # Without a backslash a character may mean something beside its new neighbours.
    return Portable(written, scan.sizes[0]) if written == pattern else _if_stable(written)


def _if_stable(pattern: str) -> Portable | None:
    found = portable(pattern)
    return found if found is not None and found.pattern == pattern else None


class _Scan:
    """A pattern read token by token.

    Attributes:
        sizes: the steps of each open group, the whole pattern first.
        written: what was read, as every engine reads it.
    """

    __slots__ = ("_last", "_names", "_pattern", "at", "sizes", "written")

    def __init__(self, pattern: str) -> None:
        self.at = 0
        self.sizes = [0]
        self.written: list[str] = []
        self._pattern = pattern
        self._names: set[str] = set()
        # The steps of what a quantifier standing here would repeat; None where there is nothing to repeat.
        self._last: int | None = None

    def step(self) -> bool:
        """Read one token; False when it is not portable."""
        token = _compile(_TOKEN).match(self._pattern, self.at)
        if token is None:
            return False
        self.at = token.end()
        kind = token.lastgroup
        if kind == "class":
            return self._class()
        self.written.append("(" if kind == "open" and "<" in token[0] else _spell(token[0], in_class=False))
        match kind:
            case "open":
                return self._open(token["open"])
            case "close":
                return self._close()
            case "repeat":
                return self._repeat(token)
            case "atom":
                self._atom(1)
            case _:
                self._last = None
                self.sizes[-1] += 1
        return True

    def _atom(self, steps: int) -> None:
        self._last = steps
        self.sizes[-1] += steps

    def _class(self) -> bool:
        end = _class_end(self._pattern, self.at)
        if end is None:
            return False
        inside = self._pattern[self.at : end]
        written = _compile(r"\\.").sub(lambda escape: _spell(escape[0], in_class=True), inside)
        self.written += ("[", written)
        self.at = end
        strangers = sum(not one.isascii() for one in inside) + inside.count("\\u") + inside.count("\\x")
        self._atom(1 + strangers // _STRANGERS_A_STEP)
        return True

    def _open(self, opened: str) -> bool:
        named = opened.endswith(">")
        sound = len(self.sizes) <= _GROUPS and not (named and opened in self._names)
        self._names.add(opened)
        self.sizes.append(1)
        self._last = None
        return sound

    def _close(self) -> bool:
        if len(self.sizes) == 1:
            return False
        inside = self.sizes.pop()
        # What stands in an empty group cannot be repeated: engines differ on it.
        self._last = inside if inside > 1 else None
        self.sizes[-1] += self._last or 0
        return True

    def _repeat(self, token: re.Match[str]) -> bool:
        times = _times(token)
        if self._last is None or times is None:
            return False
        self.sizes[-1] += self._last * (times - 1)
        self._last = None
        return True


@cache
def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _spell(text: str, *, in_class: bool) -> str:
    """A token without a backslash that JavaScript's ``u`` flag refuses."""
    if _compile(_NEEDLESS).fullmatch(text) and not (in_class and text == r"\-"):
        return text[1]
    return text


def _times(token: re.Match[str]) -> int | None:
    """How many copies a quantifier writes out, or None when its bounds are the wrong way round."""
    if token["least"] is None:
        return 1
    least = int(token["least"])
    if token["range"] is None:
        return max(least, 1)
    if token["most"] is None:
        return least + 1
    most = int(token["most"])
    return max(most, 1) if least <= most else None


def _class_end(pattern: str, at: int) -> int | None:
    """Where the character class that was just opened ends, or None when it is not portable."""
    if pattern.startswith("^", at):
        at += 1
    start = at
    # The character a range could start from; None after a set, after a range and at the start.
    low: str | None = None
    while not pattern.startswith("]", at):
        if pattern.startswith(_DOUBLED, at):
            return None
        if low is not None and pattern.startswith("-", at) and not pattern.startswith("-]", at):
            high = _compile(_MEMBER).match(pattern, at + 1)
            if high is None or high["one"] is None or _point(high["one"]) < _point(low):
                return None
            at, low = high.end(), None
            continue
        member = _compile(_MEMBER).match(pattern, at)
        if member is None or (member["one"] == "-" and at != start and not pattern.startswith("-]", at)):
            return None
        at, low = member.end(), member["one"]
    return at + 1 if at > start else None


def _point(one: str) -> int:
    if not one.startswith("\\"):
        return ord(one)
    if one[1] in {"x", "u"}:
        return int(one.lstrip("\\xu"), 16)
    return ord({"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v"}.get(one[1], one[1]))
