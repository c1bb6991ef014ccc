"""The operator's patterns that match nothing of the catalog as it is now: a typo in a deny is silent otherwise."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Final

from jecp_mcp.catalog.contents import Catalog
from jecp_mcp.catalog.filter import BUILT_IN
from jecp_mcp.catalog.rows import payee_of
from jecp_mcp.catalog.sources import AllOffers
from jecp_mcp.cli.options import Start
from jecp_mcp.clock import SystemClock
from jecp_mcp.http import Http
from jecp_mcp.rails.jecp.catalog_source import CatalogSource
from jecp_mcp.settings import Settings
from jecp_mcp.settings.patterns import EVERYTHING_NAMED, Over, can_match, ids_of, matches
from jecp_mcp.source_names import NAMED_TOOL
from jecp_mcp.tools.publishing.naming import Names

log = logging.getLogger(__name__)

_MOST_NEAR: Final = 3


def remembered_catalog(given: Start) -> Catalog:
    """The catalog of the last fetch, of all Hubs; empty where there was none, or one of another Hub or filter."""
    return AllOffers([remembered_offers(given, name) for name in given.settings.every_hub]).current


def remembered_offers(given: Start, hub: str) -> CatalogSource:
    """What was fetched last of one Hub, by its name as in `Settings.every_hub`."""
    url = given.settings.every_hub[hub].base_url
    return CatalogSource(Http(url), url, given.catalog(hub), given.settings.catalog, SystemClock(), called=hub)


def unmatched_patterns(settings: Settings, catalog: Catalog) -> list[str]:
    """Each pattern, namespace and tag that fits no action, as its setting and itself; none before a first fetch."""
    if catalog.fetched_at is None:
        return []
    names = _Names(catalog)
    mandate, chosen = settings.mandate, settings.catalog
    found = [f"mandate.allow: {pattern}" for pattern in mandate.allow if not names.fit(pattern)]
    found += [f"mandate.deny: {pattern}" for pattern in mandate.deny if not names.fit(pattern)]
    found += [f"mandate.limits: {one.match}" for one in mandate.limits if not names.fit(one.match)]
    found += [f"catalog.only: {pattern}" for pattern in chosen.only if not names.fit(pattern)]
    found += [f"catalog.namespaces: {name}" for name in chosen.namespaces if not names.hold_namespace(name)]
    found += [f"catalog.tags: {tag}" for tag in chosen.tags if not names.hold_tag(tag)]
    found += [f"catalog.without: {pattern}" for pattern in chosen.without if pattern not in catalog.excluded]
    found += [f"tools.pinned: {pattern}" for pattern in settings.tools.pinned if not names.fit(pattern)]
    return list(dict.fromkeys(found))


def unmatched_words(text: str, catalog: Catalog) -> str:
    """That a pattern, as `unmatched_patterns` gives it, matches nothing, and the nearest names where it is a name."""
    from difflib import get_close_matches

    setting, _, name = text.partition(": ")
    known: Iterable[str] = ()
    if setting == "catalog.namespaces":
        known = namespaces(catalog)
    elif setting == "catalog.tags":
        known = {tag for action in catalog.actions.values() for tag in action.tags}
    near = get_close_matches(name, [one for one in known if one != name], n=_MOST_NEAR)
    said = f"; the nearest there {'is' if len(near) == 1 else 'are'} {' and '.join(near)}" if near else ""
    return f"{text} matches none of the actions on sale now{said}"


def namespaces(catalog: Catalog) -> set[str]:
    """The namespaces of all actions that the source has, be they left out or not."""
    return {payee_of(key) or BUILT_IN for keys in (catalog.actions, *catalog.left_out.values()) for key in keys}


class PatternNotices:
    """Says once of each pattern that it matches nothing."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._said: set[str] = set()

    def look(self, catalog: Catalog) -> None:
        """Compare the patterns with a catalog."""
        for text in unmatched_patterns(self._settings, catalog):
            if text not in self._said:
                self._said.add(text)
                log.warning("%s", unmatched_words(text, catalog))


class _Names:
    """All that a pattern may be meant to match; tools are named only when a pattern could mean one."""

    def __init__(self, catalog: Catalog) -> None:
        self._keys = catalog.actions
        self._namespaces = namespaces(catalog)
        self._tools: list[tuple[str, ...]] | None = None

    def fit(self, pattern: str) -> bool:
        return (
            pattern in {"*", EVERYTHING_NAMED}
            or any(matches(pattern, ids) for ids in self._ids())
            or (can_match(pattern, Over.TOOLS) and any(matches(pattern, names) for names in self._tool_names()))
        )

    def hold_namespace(self, name: str) -> bool:
        return name in self._namespaces

    def hold_tag(self, tag: str) -> bool:
        return any(tag in action.tags for action in self._keys.values())

    def _ids(self) -> Iterator[tuple[str, ...]]:
        return (ids_of(key) for key in self._keys)

    def _tool_names(self) -> list[tuple[str, ...]]:
        if self._tools is None:
            names = Names()
            names.assign(self._keys)
            self._tools = [(name, name.partition(NAMED_TOOL)[2] or name) for name in names.starting_with("")]
        return self._tools
