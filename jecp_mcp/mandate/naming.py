"""By which names the mandate's patterns know an offer, and a stored call of it once they are others. Pure: no I/O.

A row keeps the names of its time, and behind them what was bought whatever that is called: its source, and the key
that it has there. So an operator who gives a source or a payee another name neither empties a limit nor opens
what is denied.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Self

from jecp_mcp.domain.offers import Offer
from jecp_mcp.mandate.records import CallRow
from jecp_mcp.settings import Settings
from jecp_mcp.settings.patterns import ids_of, matches
from jecp_mcp.source_names import NAMED, NAMED_TOOL, split_source
from jecp_mcp.tool_names import is_grammatical, usual_name

_IDENTITY: Final = '["'
"""How the identity of what was bought begins behind the names in a row; no name does."""

_BOUND: Final = "\n"
"""What stands between a pattern and the naming that it is meant by."""


@dataclass(frozen=True, slots=True)
class Naming:
    """What the operator calls sources and payees now.

    Attributes:
        sources: the address and the name of each source of which there may be several; ``""`` for the first.
        payees: the source, the key there and the key by its name of what each payee sells that the operator named.
    """

    sources: tuple[tuple[str, str], ...] = ()
    payees: tuple[tuple[str, str, str], ...] = ()

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Read what the settings call sources and payees."""
        payees = settings.named_payees
        # Of one that has two names nobody can tell which is meant.
        times = Counter((source, key) for source, key, _ in payees)
        return cls(
            tuple(sorted(settings.named_sources)),
            tuple(sorted(one for one in payees if times[one[:2]] == 1)),
        )

    def names(self, stored: tuple[str, ...]) -> tuple[str, ...]:
        """The names now of a call that is stored under others; those of its time where its source has none here."""
        return _names_now(self, stored)

    def row(self, row: CallRow) -> CallRow:
        """A stored call with its offer and its tool as they are called now."""
        then, now = row.names[:1], self.names(row.names)[:1]
        return row if then == now else replace(row, offer=now[0], tool=usual_name(now[0]))

    def bind(self, pattern: str) -> str:
        """A pattern with as much of this as decides on what it means, for a meter: see `fits`."""
        return _bound(self, pattern)


AS_STORED: Final = Naming()
"""Whatever is stored is called what it was called then."""


def names_of(offer: Offer, tool: str) -> tuple[str, ...]:
    """What a pattern is matched against: the offer's key, its capability, and the tool's name.

    Also the name that a server's tool has, whoever buys. Where these begin with the name of a source, also without it:
    a pattern that names none means every one.
    """
    return _all_names(offer.key, offer.source_name, tool)


def stored_names(offer: Offer, tool: str) -> tuple[str, ...]:
    """The names that a row keeps, and behind them what was bought, whatever that is called later."""
    return (*names_of(offer, tool), _identity(offer.source, offer.own_key))


@lru_cache(maxsize=8_192)
def fits(bound: str, stored: tuple[str, ...]) -> bool:
    """Whether a pattern, as `Naming.bind` gives it, fits one of a stored call's names as they are now."""
    pattern, mark, naming = bound.partition(_BOUND)
    return matches(pattern, (_read(naming) if mark else AS_STORED).names(stored))


def pattern_of(bound: str) -> str:
    """The operator's pattern, from what `Naming.bind` gave."""
    return bound.partition(_BOUND)[0]


@lru_cache(maxsize=8_192)
def _all_names(key: str, source_name: str, tool: str) -> tuple[str, ...]:
    names = _names(key, source_name, tool)
    if not is_grammatical(key) or (usual := usual_name(key)) == tool:
        return names
    return (*names, *_tools(source_name, usual))


@lru_cache(maxsize=8_192)
def _identity(source: str, own_key: str) -> str:
    return json.dumps([source, own_key], separators=(",", ":"))


@lru_cache(maxsize=8_192)
def _names_now(naming: Naming, stored: tuple[str, ...]) -> tuple[str, ...]:
    if not stored or not stored[-1].startswith(_IDENTITY):
        return stored
    *names, identity = stored
    source, known = json.loads(identity)
    called, key = split_source(names[0])
    called = dict(naming.sources).get(source, called)
    key = next((one for at, there, one in naming.payees if (at, there) == (source, known)), key)
    full = f"{called}{NAMED}{key}" if called else key
    return tuple(names) if full == names[0] else _names(full, called, usual_name(full))


@lru_cache(maxsize=1_024)
def _bound(naming: Naming, pattern: str) -> str:
    named = NAMED in pattern or NAMED_TOOL in pattern
    # Of what has no source in it, a tool's name that ends in a hash is another under another name of its source.
    tool = len(naming.sources) > 1 and not any(mark in pattern for mark in "/:")
    sources = naming.sources if named or tool else ()
    payees = tuple(one for one in naming.payees if matches(pattern, _names(one[2], "", usual_name(one[2]))))
    return pattern if not sources and not payees else f"{pattern}{_BOUND}{json.dumps([sources, payees])}"


@lru_cache(maxsize=1_024)
def _read(naming: str) -> Naming:
    sources, payees = json.loads(naming)
    return Naming(tuple(map(tuple, sources)), tuple(map(tuple, payees)))


def _names(key: str, source_name: str, tool: str) -> tuple[str, ...]:
    return (*ids_of(key), *_tools(source_name, tool))


def _tools(source_name: str, tool: str) -> tuple[str, ...]:
    return (tool, tool.removeprefix(f"{source_name}{NAMED_TOOL}")) if source_name else (tool,)
