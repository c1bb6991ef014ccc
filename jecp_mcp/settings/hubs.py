"""``[[hubs]]``: further Hubs beside that of ``[hub]``, and what several Hubs must not be. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final
from urllib.parse import urlsplit

from jecp_mcp.settings.models import Credentials, Settings, is_loopback
from jecp_mcp.settings.patterns import EVERYTHING_NAMED
from jecp_mcp.source_names import FIRST, NAMED

_THIS_MACHINE: Final = "127.0.0.1"


def hub_fault(settings: Settings) -> tuple[str, str] | None:
    """The key and the reason of what does not fit together of several Hubs and the patterns that name them; or None."""
    return next(_faults(settings), None)


def _faults(settings: Settings) -> Iterator[tuple[str, str]]:
    urls, names = {_address(settings.hub.base_url): "hub.base_url"}, set[str]()
    for number, one in enumerate(settings.hubs):
        if one.name in names:
            yield f"hubs[{number}].name", f'"{one.name}" is the name of another of the [[hubs]] already'
        if (other := urls.get(_address(one.base_url))) is not None:
            yield f"hubs[{number}].base_url", f"{one.base_url} is the Hub of {other} already: one Hub has one wallet"
        names.add(one.name)
        urls[_address(one.base_url)] = f"hubs[{number}].base_url"
    known = (FIRST, *(one.name for one in settings.hubs))
    for key, pattern in _patterns(settings):
        where, mark, _ = pattern.partition(NAMED)
        if mark and pattern != EVERYTHING_NAMED and not any(fnmatchcase(name, where) for name in known):
            there = f"the Hubs here are called {', '.join(known)}" if settings.hubs else "there are no [[hubs]]"
            yield key, f'"{pattern}" names a Hub that is not here: {there}'


def _patterns(settings: Settings) -> Iterator[tuple[str, str]]:
    lists: dict[str, Sequence[str]] = {
        "mandate.allow": settings.mandate.allow,
        "mandate.deny": settings.mandate.deny,
        "mandate.limits": [one.match for one in settings.mandate.limits],
        "catalog.only": settings.catalog.only,
        "catalog.without": settings.catalog.without,
        "tools.pinned": settings.tools.pinned,
    }
    return ((key, pattern) for key, patterns in lists.items() for pattern in patterns)


def _address(url: str) -> str:
    """A Hub's origin; this machine by one name."""
    host = urlsplit(url).hostname or ""
    return url.replace(f"[{host}]" if ":" in host else host, _THIS_MACHINE) if is_loopback(url) else url


def shared_account(accounts: Mapping[str, Credentials]) -> tuple[str, str] | None:
    """Two Hubs, by what they are called here, that would be given the same agent id or key; None where none are.

    A key belongs to one Hub: another must not even see it.
    """
    seen: dict[str, str] = {}
    for name, one in accounts.items():
        for text in (one.agent_id, one.api_key.get_secret_value()):
            if (other := seen.setdefault(text, name)) != name:
                return other, name
    return None
