"""``jecp-mcp register``: an agent account at the Hub."""

from __future__ import annotations

from typing import Any

import click

from jecp_mcp.cli.examples import examples
from jecp_mcp.cli.options import as_json, common_options, sandbox_asked, start_from


@click.command(
    "register",
    epilog=examples("jecp-mcp register", "jecp-mcp register --name 'my laptop'"),
)
@click.option("--name", metavar="TEXT", help="What the Hub calls the account. Default: jecp-mcp.")
@common_options
@as_json
def command(name: str | None, as_json: bool, **given: Any) -> None:
    """Make an agent account at the Hub, once. Its key is kept in the state folder and never shown. Free."""
    from jecp_mcp.cli.own_tools import ask

    if sandbox_asked():
        raise click.UsageError("the sandbox brings its own account; leave out --sandbox", click.get_current_context())
    where = start_from(given)
    made = ask(where, "jecp_register", {"name": name, **where.hub_argument}, as_json=as_json)
    if as_json:
        return
    from jecp_mcp.cli import rich_output

    told = {"agent": made["agent_id"], "Hub": made.get("hub"), "key kept in": made["credentials"]}
    told |= {"free calls": made.get("free_calls_remaining")}
    rich_output.say("There is an account now.", rich_output.OK)
    rich_output.show(rich_output.Facts(told))
