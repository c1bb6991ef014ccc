"""What was kept of the catalog: its last fetch, what was seen of its actions first, and patterns that match nothing."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import anyio

from jecp_mcp.catalog import pinfile
from jecp_mcp.catalog.contents import Catalog
from jecp_mcp.catalog.pins import FILE as PINS
from jecp_mcp.catalog.rows import on_sale
from jecp_mcp.catalog.snapshot import is_whole
from jecp_mcp.catalog.sources import AllOffers, OfferSource
from jecp_mcp.cli.advice import for_person
from jecp_mcp.cli.checks.hub_answers import about
from jecp_mcp.cli.options import Start
from jecp_mcp.cli.unmatched_patterns import remembered_offers, unmatched_patterns, unmatched_words
from jecp_mcp.clock import SystemClock, iso
from jecp_mcp.damaged_files import set_aside_command
from jecp_mcp.errors import PayeeError, PinsUnusable
from jecp_mcp.http import Http
from jecp_mcp.mandate.repair.diagnose import Finding, Level
from jecp_mcp.plurals import counted
from jecp_mcp.rails.jecp.catalog_source import CatalogSource
from jecp_mcp.tools.own.left_out import left_out_words
from jecp_mcp.tools.publishing.tool_registry import MOST_DIRECT

_FETCH_SECONDS: Final = 20.0


async def catalog_findings(given: Start, *, answers: Collection[str]) -> list[Finding]:
    """The catalog of the last fetch, and what the operator's settings make of it.

    Args:
        given: what the command starts from.
        answers: the Hubs that do, by name as in `Settings.every_hub`. Of these a catalog of which nothing is remembered
            for these settings is fetched.
    """
    kept = {name: remembered_offers(given, name) for name in given.settings.every_hub}
    known: dict[str, OfferSource] = {**kept}
    for name, source in kept.items():
        if name in answers and source.current.fetched_at is None and given.settings.catalog.scope():
            known[name] = await _fetched(given, name)
    found = list(_settings_findings(given, AllOffers(list(known.values())).current))
    for name in given.hubs:
        told = _file_findings(given.catalog(name), kept[name].current)
        found += [replace(one, about=about(one.about, name)) for one in told]
    return found


async def _fetched(given: Start, name: str) -> CatalogSource:
    """A Hub's catalog as it is now, remembered nowhere; empty where it could not be had."""
    hub = given.settings.every_hub[name].base_url
    async with Http(hub) as http:
        source = CatalogSource(http, hub, None, given.settings.catalog, SystemClock(), called=name)
        with suppress(PayeeError), anyio.move_on_after(_FETCH_SECONDS):
            await source.refresh()
        return source


def _settings_findings(given: Start, known: Catalog) -> Iterator[Finding]:
    """What the patterns, the filter and the mode make of a catalog."""
    for text in unmatched_patterns(given.settings, known):
        money = "nothing is denied, limited or let in by it"
        mend = f"correct it, or take it out; {given.commands.line('catalog')} lists what there is"
        yield Finding(Level.WARNING, "settings", unmatched_words(text, known), money, mend)
    left_out = None if (said := left_out_words(known)) is None else for_person(said)
    if left_out is not None and not known.actions:
        mend = "take out or change what leaves them out, in the settings' section [catalog]"
        yield Finding(Level.WARNING, "catalog", f"nothing is on sale: {left_out}", "nothing can be bought", mend)
    elif left_out is not None:
        yield Finding(Level.OK, "catalog", left_out)
    sold = len(on_sale(known.actions)) if given.settings.tools.mode == "direct" else 0
    if sold > MOST_DIRECT:
        what = f"tools.mode is direct, and a tool list holds {MOST_DIRECT:,} of the {sold:,} actions on sale"
        money = "nothing: the others are found with jecp_search and bought with jecp_call"
        mend = 'set tools.mode to "auto" or "search", or choose with catalog.only'
        yield Finding(Level.WARNING, "settings", what, money, mend)


def _file_findings(path: Path, known: Catalog) -> Iterator[Finding]:
    """What is remembered, and why nothing is."""
    if known.fetched_at is not None:
        what = f"{counted(len(known.actions), 'action')}, as of {iso(known.fetched_at)}"
        yield Finding(Level.OK, "catalog", what)
    elif path.exists() and is_whole(path):
        yield Finding(Level.OK, "catalog", f"{path} is of another Hub or filter; the next start fetches this one's")
    elif path.exists():
        what = f"{path} is damaged"
        mend = shlex.join(["rm", "-r" if path.is_dir() else "-f", str(path)])
        yield Finding(Level.WARNING, "catalog", what, "nothing: the next start fetches it anew", mend)
    else:
        yield Finding(Level.OK, "catalog", "not fetched yet; the first start does")


def pins_findings(given: Start) -> Iterator[Finding]:
    """Whether what was seen of each action first can be read and written."""
    path = given.state / PINS
    try:
        count = pinfile.check(path)
    except PinsUnusable as exc:
        money = (
            "no action is sold; once the file is out of the way, all that is on offer counts as first seen, also what "
            f"was changed since: look at it then, with {given.commands.line('catalog')}"
        )
        yield Finding(Level.FAULT, "pins", str(exc), money, set_aside_command(path))
        return
    seen = "nothing was seen yet" if count is None else f"{counted(count, 'pin')} of actions and merchants"
    yield Finding(Level.OK, "pins", seen)
