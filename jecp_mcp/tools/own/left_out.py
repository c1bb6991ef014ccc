"""What is on sale and not on show: left out by the operator's settings, or beyond what a list holds. Pure: no I/O."""

from __future__ import annotations

from typing import Final

from jecp_mcp.catalog.contents import Catalog
from jecp_mcp.plurals import are, counted
from jecp_mcp.tools.publishing.cleaning import clean
from jecp_mcp.tools.publishing.naming import Names, notations

_KEY: Final = 80


def left_out_words(catalog: Catalog) -> str | None:
    """How many actions the operator's settings leave out, and which settings, in a sentence; None where none are."""
    counts = {setting: len(catalog.left_out[setting]) for setting in sorted(catalog.left_out)}
    total = sum(counts.values())
    if not total:
        return None
    several = f"{counted(total, 'action')} of the Hub {are(total)}"
    if len(counts) == 1:
        return f"{several} left out by the operator's setting {next(iter(counts))}."
    *first, last = (f"{setting} ({count:,})" for setting, count in counts.items())
    return f"{several} left out by the operator's settings {', '.join(first)} and {last}."


def left_out_message(catalog: Catalog, tool: str) -> str | None:
    """That an action which a tool name or key means is left out, and by which setting; None when it means no such one.

    Args:
        tool: any notation of an action.
    """
    settings = {key: setting for setting, keys in catalog.left_out.items() for key in keys}
    key = _meant(settings, tool)
    if key is None:
        return None
    shown = clean(key, _KEY, one_line=True)
    return (
        f"{shown} exists at the Hub, but is left out here by the operator's setting {settings[key]}. "
        "Nothing was charged."
    )


def unlisted_words(listed: int, unlisted: int) -> str | None:
    """That a tool list holds a part of the actions only; None where it holds all."""
    if not unlisted:
        return None
    return (
        f"Your tool list holds {listed:,} of {listed + unlisted:,} actions: "
        "find the others with jecp_search, buy them with jecp_call."
    )


def _meant(settings: dict[str, str], tool: str) -> str | None:
    """The key of the action, or of one of the capability's actions."""
    if not settings:
        return None
    wanted = dict.fromkeys(plain for plain, _ in notations(tool))
    exact = next((plain for plain in wanted if plain in settings), None)
    if exact is not None:
        return exact
    capability = next((key for key in settings if key.rpartition(":")[0] in wanted), None)
    if capability is not None:
        return capability
    names = Names()
    names.assign(settings)
    return next((key for plain in wanted if (key := names.key(plain)) is not None), None)
