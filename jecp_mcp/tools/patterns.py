"""Which foreign regular expressions may be published: those every engine reads alike. Pure: no I/O.

Patterns reach hosts in JavaScript, Python and Rust, and ours runs them in a linear-time engine, which has no
look-around and no back-references. What lies within this portable subset of ECMA-262 compiles everywhere and stays
small; whatever else a provider wrote is left to the provider to enforce. The scan is linear in the pattern.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from jecp_mcp.tools.cleaning import hides_something
from jecp_mcp.tools.suspicion import orders

PATTERN_LENGTH: Final = 512
"""The longest pattern published, in characters."""

_EXPANSION: Final = 2_000
"""The most single-character steps a pattern may come to once its counted repeats are written out."""

_GROUPS: Final = 12
"""How deep groups may nest."""

_CATEGORIES: Final = "L|Lu|Ll|Lt|Lm|Lo|M|Mn|Mc|Me|N|Nd|Nl|No|P|Pc|Pd|Ps|Pe|Pi|Pf|Po|S|Sm|Sc|Sk|So|Z|Zs|Zl|Zp"
_SHORTHAND: Final = rf"\\(?:[dDwWsS]|[pP]\{{(?:{_CATEGORIES})\}})"
_ONE: Final = r"\\(?:[tnrfv]|x[0-9a-fA-F]{2}|u(?![dD][89a-fA-F])[0-9a-fA-F]{4}|[$()*+\-./?\[\\\]^{|}])"
_MEMBER: Final = rf"(?P<set>{_SHORTHAND})|(?P<one>{_ONE}|[^\\\[\]\x00-\x1f])"
_TOKEN: Final = (
    rf"(?P<open>\((?:\?:|\?<[A-Za-z][A-Za-z0-9]{{0,31}}>|(?!\?)))|(?P<close>\))|(?P<bar>\|)"
    rf"|(?P<anchor>[\^$]|\\[bB])|(?P<class>\[)"
    rf"|(?P<repeat>(?:[*+?]|\{{(?P<least>\d{{1,4}})(?P<range>,(?P<most>\d{{1,4}})?)?\}})\??)"
    rf"|(?P<atom>\.|{_SHORTHAND}|{_ONE}|[^\\\[\](){{}}*+?.|^$\x00-\x1f])"
)
_DOUBLED: Final = ("&&", "--", "~~", "||")


def portable(pattern: object) -> bool:
    """Whether a foreign pattern shows what it says, means it in every engine, and compiles to something small."""
    if not isinstance(pattern, str) or len(pattern) > PATTERN_LENGTH or hides_something(pattern):
        return False
    if orders(pattern) is not None:
        return False
    scan = _Scan(pattern)
    while scan.at < len(pattern):
        if not scan.step() or scan.sizes[-1] > _EXPANSION:
            return False
    return len(scan.sizes) == 1


class _Scan:
    """A pattern read token by token.

    Attributes:
        sizes: the expanded size of each open group, the whole pattern first.
    """

    __slots__ = ("_last", "_names", "_pattern", "at", "sizes")

    def __init__(self, pattern: str) -> None:
        self.at = 0
        self.sizes = [0]
        self._pattern = pattern
        self._names: set[str] = set()
        # The size of what a quantifier standing here would repeat; None where there is nothing to repeat.
        self._last: int | None = None

    def step(self) -> bool:
        """Read one token; False when it is not portable."""
        token = _compiled(_TOKEN).match(self._pattern, self.at)
        if token is None:
            return False
        self.at = token.end()
        match token.lastgroup:
            case "open":
                return self._open(token["open"])
            case "close":
                return self._close()
            case "repeat":
                return self._repeat(token)
            case "class":
                end = _class_end(self._pattern, self.at)
                self.at = end or 0
                self._atom()
                return end is not None
            case "atom":
                self._atom()
            case _:
                self._last = None
        return True

    def _atom(self) -> None:
        self._last = 1
        self.sizes[-1] += 1

    def _open(self, opened: str) -> bool:
        named = opened.endswith(">")
        sound = len(self.sizes) <= _GROUPS and not (named and opened in self._names)
        self._names.add(opened)
        self.sizes.append(0)
        self._last = None
        return sound

    def _close(self) -> bool:
        if len(self.sizes) == 1:
            return False
        self._last = self.sizes.pop() or 1
        self.sizes[-1] += self._last
        return True

    def _repeat(self, token: re.Match[str]) -> bool:
        times = _times(token)
        if self._last is None or times is None:
            return False
        self.sizes[-1] += self._last * (times - 1)
        self._last = None
        return True


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


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
            high = _compiled(_MEMBER).match(pattern, at + 1)
            if high is None or high["one"] is None or _point(high["one"]) < _point(low):
                return None
            at, low = high.end(), None
            continue
        member = _compiled(_MEMBER).match(pattern, at)
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
