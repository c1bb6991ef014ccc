"""What was kept of the catalog: its last fetch, what was seen of its actions first, and patterns that match nothing."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from jecp_mcp.catalog import pinfile
from jecp_mcp.catalog.pins import FILE as PINS
from jecp_mcp.catalog.snapshot import is_whole
from jecp_mcp.cli.options import Start
from jecp_mcp.cli.unmatched_patterns import remembered_catalog, unmatched_patterns
from jecp_mcp.clock import iso
from jecp_mcp.errors import PinsUnusable
from jecp_mcp.mandate.repair.diagnose import Finding, Level


def catalog_findings(given: Start) -> Iterator[Finding]:
    """The catalog of the last fetch, and the operator's patterns against it."""
    path, known = given.catalog, remembered_catalog(given)
    for text in unmatched_patterns(given.settings, known):
        money = "nothing is denied, limited or let in by it"
        mend = f"correct it, or take it out; {given.commands.line('catalog')} lists what there is"
        yield Finding(Level.WARNING, "settings", f"{text} matches none of the actions on sale now", money, mend)
    if known.fetched_at is not None:
        what = f"{len(known.actions)} actions, as of {iso(known.fetched_at)}"
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
            "no action is sold; without the file all that is on offer counts as first seen, also what was changed "
            f"since: look at it with {given.commands.line('catalog')}"
        )
        yield Finding(Level.FAULT, "pins", str(exc), money, _set_aside(path))
        return
    yield Finding(
        Level.OK, "pins", "nothing was seen yet" if count is None else f"{count} actions and merchants are known"
    )


def _set_aside(path: Path) -> str:
    """The command that moves the file out of the way with what belongs to it, over nothing that is there."""
    number = 1
    while (kept := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    # SQLite would play a journal that is left behind into the next file of that name.
    journal = path.with_name(f"{path.name}-journal")
    moves = [(path, kept), *([(journal, kept.with_name(f"{kept.name}-journal"))] if journal.exists() else [])]
    return " && ".join(shlex.join(["mv", str(old), str(new)]) for old, new in moves)
