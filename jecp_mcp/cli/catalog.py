"""``jecp-mcp catalog``: what the Hub sells, at what price."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import click

from jecp_mcp.cli.options import Start, as_json, common, start

if TYPE_CHECKING:
    from jecp_mcp.cli.assembly import Bridge
    from jecp_mcp.wire.forms import Action

_MOST = 100_000


@click.command("catalog")
@click.argument("query", required=False, default="")
@common
@click.option("--limit", type=click.IntRange(1, _MOST), help="At most so many.")
@as_json
def command(
    query: str, hub: str | None, config: Path | None, state_dir: Path | None, limit: int | None, as_json: bool
) -> None:
    """Show what the Hub sells; with QUERY only what matches it, best first."""
    given = start(hub, config, state_dir)
    shown = anyio.run(read, given, query, limit or _MOST)
    if as_json:
        print(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        _print(shown, given)


async def read(given: Start, query: str, limit: int) -> list[dict[str, Any]]:
    """The catalog as JSON; prices are decimal text in USDC.

    Raises:
        HubError: the Hub cannot be reached.
    """
    from jecp_mcp.cli.assembly import build

    async with build(given) as bridge:
        await bridge.source.refresh()
        if query:
            found = bridge.finder.search(query, limit=limit)
        else:
            found = sorted(bridge.source.current.actions.values(), key=lambda action: action.key)[:limit]
        return [_shown(bridge, action) for action in found]


def _shown(bridge: Bridge, action: Action) -> dict[str, Any]:
    from jecp_mcp.money import format_usdc
    from jecp_mcp.tools.cleaning import clean, provider_of

    name = bridge.registry.name_of(action)
    price = action.price
    return {
        "tool": name,
        "action": action.key,
        "version": action.version,
        "provider": provider_of(action),
        "title": clean(action.title, 80, one_line=True),
        "description": clean(action.description, 300, one_line=True),
        "price_usdc": None if price.amount is None else format_usdc(price.amount),
        "price_kind": "unknown" if price.amount is None else "exact" if price.exact else "metered",
        "trust_tier": clean(action.trust_tier_required, 20, one_line=True),
        "allowed": name is not None and bridge.policy.permits(action, name),
        "streaming": action.streaming,
        "sunset_at": None if action.deprecation is None else action.deprecation.sunset_at,
    }


def _print(shown: list[dict[str, Any]], given: Start) -> None:
    from jecp_mcp.cli import tables

    def price(one: dict[str, Any]) -> str:
        amount = one["price_usdc"]
        return "unknown" if amount is None else f"from {amount}" if one["price_kind"] == "metered" else str(amount)

    rows = [
        (one["tool"] or f"({one['action']})", price(one), one["trust_tier"], one["title"] or one["description"])
        for one in shown
    ]
    columns = [("tool", "left"), ("USDC", "right"), ("tier", "left"), ("what it does", "left")]
    found = "1 action" if len(shown) == 1 else f"{len(shown)} actions"
    tables.console().print(tables.table(f"{found} at {given.settings.hub.base_url}", columns, rows))
