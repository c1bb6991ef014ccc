"""``jecp-mcp search``: what is on sale for a purpose, best match first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from jecp_mcp.cli.examples import examples
from jecp_mcp.cli.options import as_json, common_options, start_from
from jecp_mcp.plurals import counted
from jecp_mcp.settings.command_lines import CommandLine
from jecp_mcp.wire.jecp.tiers import TIERS


@click.command(
    "search",
    epilog=examples("jecp-mcp search 'invoice pdf'", "jecp-mcp search csv --max-price 0.05 --json"),
)
@click.argument("query")
@click.option("--namespace", metavar="NAME", help="One provider only.")
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="With this tag; may be given several times.")
@click.option("--max-price", metavar="USDC", help="Such as 0.05.")
@click.option("--withdrawn", is_flag=True, help="Only what is, or will be, sold no more.")
@click.option("--tier", type=click.Choice(TIERS[1:]), help="Only what needs this trust tier or a higher one.")
@click.option("--streaming", is_flag=True, help="Only what streams its progress.")
@click.option("--limit", type=click.IntRange(1, 20), help="At most so many. Default: 8.")
@click.option("--offset", type=click.IntRange(0, 1000), help="Pass over so many of the best.")
@common_options
@as_json
def command(
    query: str,
    *,
    namespace: str | None,
    tags: tuple[str, ...],
    max_price: str | None,
    withdrawn: bool,
    tier: str | None,
    streaming: bool,
    limit: int | None,
    offset: int | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Find what is on sale by what it is for, best match first. Free.

    `jecp-mcp catalog` lists everything.
    """
    from jecp_mcp.cli.own_tools import ask

    asked: dict[str, Any] = {"query": query, "namespace": namespace, "tags": list(tags), "max_price_usdc": max_price}
    asked |= {"withdrawn": withdrawn, "tier": tier, "streaming": streaming, "limit": limit, "offset": offset}
    at = start_from(given)
    found = ask(at, "jecp_search", asked, catalog=True, as_json=as_json)
    if not as_json:
        _print(query, found, at.commands)


def _print(query: str, found: Mapping[str, Any], commands: CommandLine) -> None:
    from jecp_mcp.cli import rich_output
    from jecp_mcp.cli.advice import for_person
    from jecp_mcp.cli.offer_words import ending, price_of, purpose

    columns: list[rich_output.Column] = [("tool", "left"), ("USDC", "right"), ("what it does", "prose")]
    columns.append(("note", "prose"))
    rows = [
        (
            one["tool"],
            price_of(one),
            " ".join(filter(None, (one.get("caution"), purpose(one["summary"], one["tool"])))),
            ending(one) or ", ".join(one.get("blocked_by", ())).replace("_", " ").lower(),
        )
        for one in found["results"]
    ]
    if rows:
        how_many = counted(len(rows), "action")
        more = f" of {found['total']}" if found.get("left_off") else ""
        rich_output.show(rich_output.Listing(f"{how_many}{more} for {query!r}, best first", columns, rows))
        rates = " and by what it is metered" if any(one.get("metered") for one in found["results"]) else ""
        what = f"`{commands.line('describe', 'TOOL')}` shows what one of them takes{rates}."
        rich_output.say(what, "dim", stderr=True)
    else:
        rich_output.say(for_person(found.get("hint", "Nothing matches.")))
    for one in found.get("unreachable", ()):
        as_of = f", as of {one['known_at']}" if one["known_at"] else ""
        known = f"{counted(one['known_offers'], 'action')} of it known{as_of}"
        rich_output.say(f"{one['code']}: {one['source']} gives no catalog now; {known}", rich_output.WARNING)
    if "left_out" in found:
        rich_output.say(for_person(found["left_out"]))
    for one in found.get("set_aside", ()):
        rich_output.say(f"set aside: {one['action']}: {for_person(one['reason'])}", rich_output.WARNING)
