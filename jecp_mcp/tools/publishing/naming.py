"""Tool names: short, valid in every host, stable, and never two for one or one for two. Pure: no I/O.

A name is ``namespace_capability_action`` (``capability_action`` for a Hub's built-in), behind ``source__`` where its
source is called by a name, if that is within `NAME_LENGTH` and nothing was lost on the way; otherwise it ends in a hash
of the action's key. Both forms depend on the key alone, so an addition elsewhere in the catalog renames nothing. Only
ids outside the protocol's grammar, which has no underscore and no capital, can still meet; then the ids inside the
grammar keep the plain name. And a name once given is never given to another action while the process lives: hosts keep
tool lists, and a call paid for must buy what the name meant when it was read.

Hosts that take other lengths are given other names, which follow from the key and the length alone. Each of them leads
to the action, whoever uses it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from jecp_mcp.tool_names import HASH_LENGTHS, NAME_LENGTH, hashed_name, is_grammatical, plain_name

LONGEST_NAME: Final = 128
"""What the protocol itself allows (MCP, tools: names)."""

REMEMBERED: Final = 20_000
"""The most names of vanished actions kept from being given again."""

_BETWEEN_IDS: Final = "/.:"
_SLASHES: Final = str.maketrans(dict.fromkeys(_BETWEEN_IDS, "/"))


def split_version(text: str) -> tuple[str, str | None]:
    """A key or capability id without its version, and the version: ``docs/pdf@1.0.0:merge``, ``docs/pdf:merge@1.0``."""
    before, at, after = text.partition("@")
    version, colon, action = after.partition(":")
    return (f"{before}{colon}{action}", version) if at else (text, None)


def notations(text: str) -> Iterator[tuple[str, str | None]]:
    """What a text may name: each a tool name, an action's key or a capability id, and the version that goes with it.

    The key ``docs/pdf:merge`` is also written with any of ``/``, ``.`` and ``:`` between its ids; a version stands
    behind the capability or at the end, ``docs/pdf@1.0.0.merge`` or ``docs.pdf.merge@1.0.0``.
    """
    yield split_version(text)
    before, at, after = text.partition("@")
    named: list[tuple[str, str | None]] = [(before, after if at else None)]
    for joint in _BETWEEN_IDS if at else "":
        version_before, _, action = after.rpartition(joint)
        named.append((f"{before}:{action}", version_before))
    for plain, version in named:
        match plain.translate(_SLASHES).split("/"):
            case [capability]:
                yield capability, version
            case [first, second]:
                yield f"{first}:{second}", version
                yield f"{first}/{second}", version
            case [namespace, capability, action]:
                yield f"{namespace}/{capability}:{action}", version
            case _:
                pass


class Collision(NamedTuple):
    """Actions whose plain names are the same (hosts may fold case), and what each is called instead."""

    plain: str
    names: tuple[tuple[str, str], ...]


class Names:
    """The names of a catalog's actions, both ways.

    Attributes:
        collisions: actions whose plain names are the same.
        cut: keys that have no plain name: too long, or with characters that names may not have.
    """

    __slots__ = ("_by_key", "_by_name", "_given", "_lengths", "_others", "_sorted", "collisions", "cut")

    def __init__(self, lengths: Iterable[int] = ()) -> None:
        """Also know the names of other `lengths` than `NAME_LENGTH`."""
        self._lengths = sorted({*lengths} - {NAME_LENGTH})
        self._by_key: dict[str, str] = {}
        self._by_name: dict[str, str] = {}
        self._given: dict[str, str] = {}
        self._others: dict[int, dict[str, str]] | None = None
        self._sorted: list[str] | None = None
        self.collisions: tuple[Collision, ...] = ()
        self.cut: tuple[str, ...] = ()

    def assign(self, keys: Iterable[str]) -> None:
        """Name exactly these action keys; those named before keep their names."""
        plain = {key: plain_name(key) for key in keys}
        groups: dict[str, list[str]] = {}
        for key, name in plain.items():
            if name is not None:
                groups.setdefault(name.lower(), []).append(key)
        shared = {key for together in groups.values() if len(together) > 1 for key in together}
        by_key = {key: self._name(key, plain[key], alone=key not in shared) for key in sorted(plain)}
        self._by_key = by_key
        self._by_name = {name: key for key, name in by_key.items()}
        self.collisions = tuple(
            Collision(plain[together[0]] or together[0], tuple((key, by_key[key]) for key in sorted(together)))
            for together in groups.values()
            if len(together) > 1
        )
        self.cut = tuple(sorted(key for key, name in plain.items() if name is None))
        self._others = self._sorted = None
        self._forget()

    def name(self, key: str) -> str | None:
        """The name of an action key, or None when the catalog does not have it."""
        return self._by_key.get(key)

    def within(self, key: str, length: int) -> str | None:
        """The name of an action key for hosts that take so many characters, one of the lengths known from the start."""
        return self._other_names().get(length, {}).get(key) or self._by_key.get(key)

    def starting_with(self, start: str) -> Iterator[str]:
        """The usual names that begin so, in order."""
        if self._sorted is None:
            self._sorted = sorted(self._by_key.values())
        for place in range(bisect_left(self._sorted, start), len(self._sorted)):
            if not self._sorted[place].startswith(start):
                break
            yield self._sorted[place]

    def key(self, name: str) -> str | None:
        """The action key that a name of any length stands for, or None."""
        key = self._by_name.get(name)
        if key is None and self._lengths:
            self._other_names()
            key = self._by_name.get(name)
        return key

    def _other_names(self) -> dict[int, dict[str, str]]:
        """By length and key, the names that are not the usual ones; made when first asked for."""
        if self._others is None:
            self._others = {length: {} for length in self._lengths}
            for key, usual in sorted(self._by_key.items()):
                for length, names in self._others.items():
                    name = self._other(key, usual, length)
                    if name != usual:
                        names[key] = name
                        self._by_name[name] = key
        return self._others

    def _other(self, key: str, usual: str, length: int) -> str:
        if length >= NAME_LENGTH:
            whole = plain_name(key, length) if is_grammatical(key) and plain_name(key) is None else None
            return whole if whole is not None and self._take(whole, key) else usual
        if len(usual) <= length:
            return usual
        for digits in HASH_LENGTHS[:2]:
            hashed = hashed_name(key, digits, length)
            if self._take(hashed, key):
                return hashed
        raise AssertionError("two keys share 80 bits of SHA-256")

    def _name(self, key: str, plain: str | None, *, alone: bool) -> str:
        if (before := self._by_key.get(key)) is not None:
            return before
        if plain is not None and (alone or is_grammatical(key)) and self._take(plain, key):
            return plain
        for length in HASH_LENGTHS:
            hashed = hashed_name(key, length)
            if self._take(hashed, key):
                return hashed
        raise AssertionError("two keys share 160 bits of SHA-256")

    def _take(self, name: str, key: str) -> bool:
        return self._given.setdefault(name.lower(), key) == key

    def _forget(self) -> None:
        excess = len(self._given) - len(self._by_key) - REMEMBERED
        if excess <= 0:
            return
        gone = (name for name, key in self._given.items() if key not in self._by_key)
        for name in [name for name, _ in zip(gone, range(excess), strict=False)]:
            del self._given[name]
