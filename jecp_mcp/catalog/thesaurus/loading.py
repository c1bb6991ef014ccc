"""Reads the data files of the thesaurus and checks their form: a few milliseconds, so only for a search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from jecp_mcp.errors import PackageDamaged

TRADES: Final = (
    "general",
    "documents",
    "pictures",
    "sound",
    "language",
    "web",
    "software",
    "business",
    "money",
    "places",
    "life",
    "science",
)
"""The files of trades, without their ending."""

_HERE: Final = Path(__file__).parent
_IMPLIES: Final = " > "


class StopWords(NamedTuple):
    """Words of talk.

    Attributes:
        stop: those that say nothing of a task.
        weak: those that say little of it.
    """

    stop: Sequence[str]
    weak: Sequence[str]


class Synonyms(NamedTuple):
    """The lists of all trades.

    Attributes:
        alike: groups of words that mean nearly the same; ``a+b`` are words that do so together.
        implied: what is said, one way at a time, with what is asked for by it.
    """

    alike: Sequence[Sequence[str]]
    implied: Sequence[tuple[str, str]]


def load_stop_words(folder: Path = _HERE) -> StopWords:
    """The words of ``stop_words.toml``. Raises `PackageDamaged`."""
    file = _File(folder, "stop_words", ("stop", "weak"))
    return StopWords(*([word for line in file.lines(key) for word in line.split()] for key in ("stop", "weak")))


def load_apart(folder: Path = _HERE) -> list[list[str]]:
    """The words of ``stems.toml``, each with its forms after it. Raises `PackageDamaged`."""
    return [line.split() for line in _File(folder, "stems", ("apart",)).lines("apart")]


def load_synonyms(folder: Path = _HERE) -> Synonyms:
    """The lists of all trades. Raises `PackageDamaged`."""
    alike: list[list[str]] = []
    implied: list[tuple[str, str]] = []
    for trade in TRADES:
        file = _File(folder, trade, ("alike", "implied"))
        for line in file.lines("alike"):
            group = line.split()
            if len(group) == 1:
                raise file.damaged(f"alike: {line!r} is alone in its group")
            alike.append(group)
        for line in file.lines("implied"):
            said, _, meant = line.partition(_IMPLIES)
            ways = [way.strip() for way in said.split(",")]
            if not all(ways) or not meant.strip() or _IMPLIES in meant:
                raise file.damaged(f"implied: {line!r} is not of the form 'what is said, another way > what is meant'")
            implied += [(way, meant) for way in ways]
    return Synonyms(alike, implied)


class _File:
    """One data file: lists by their keys, each one string."""

    def __init__(self, folder: Path, name: str, keys: Sequence[str]) -> None:
        """Read ``<name>.toml`` of a folder; it must have these keys.

        Raises:
            PackageDamaged: it is missing, is no TOML, or has other keys or no text in them.
        """
        import tomllib

        self._path: Final = folder / f"{name}.toml"
        try:
            held = tomllib.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as exc:
            # What is no UTF-8 and what is no TOML are ValueErrors.
            raise self.damaged(str(exc)) from exc
        if held.keys() != set(keys) or not all(isinstance(text, str) and text.strip() for text in held.values()):
            raise self.damaged(f"it must hold {' and '.join(keys)}, each a text, and nothing else")
        self._lists: Final[dict[str, str]] = held

    def lines(self, key: str) -> list[str]:
        """The lines of a list, without headings."""
        return [line for line in self._lists[key].splitlines() if line.strip() and not line.startswith("#")]

    def damaged(self, reason: str) -> PackageDamaged:
        """The error that says what is wrong with this file."""
        return PackageDamaged(f"{self._path}, a file of jecp-mcp itself, cannot be used: {reason}; install it again")
