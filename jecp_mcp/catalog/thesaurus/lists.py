"""The lists of all trades, read line by line. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from jecp_mcp.catalog.thesaurus import (
    business,
    documents,
    general,
    language,
    life,
    money,
    pictures,
    places,
    science,
    software,
    sound,
    web,
)

TRADES: Final = (general, documents, pictures, sound, language, web, software, business, money, places, life, science)


def alike() -> Iterator[list[str]]:
    """Groups of words that mean nearly the same; ``a+b`` are words that do so together."""
    for trade in TRADES:
        for line in _lines(trade.ALIKE):
            yield line.split()


def implied() -> Iterator[tuple[str, str]]:
    """What is said, one way at a time, with what is asked for by it."""
    for trade in TRADES:
        for line in _lines(trade.IMPLIED):
            said, _, meant = line.partition(" > ")
            for way in said.split(","):
                yield way.strip(), meant


def _lines(text: str) -> Iterator[str]:
    return (line for line in text.splitlines() if line and not line.startswith("#"))
