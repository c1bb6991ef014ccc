"""``jecp-mcp topup``: a payment link for the wallet."""

from __future__ import annotations

from typing import Any

import click

from jecp_mcp.cli.examples import examples
from jecp_mcp.cli.options import as_json, common_options, start_from


class _Amount(click.ParamType[int]):
    """An amount that a Hub sells, in whole USD."""

    name = "amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """As click's."""
        from jecp_mcp.tools.next_actions.builders import TOPUPS_USD

        text = str(value).removeprefix("$")
        if text not in map(str, TOPUPS_USD):
            self.fail(f"a wallet is filled with {', '.join(map(str, TOPUPS_USD))} USD at a time", param, ctx)
        return int(text)


@click.command("topup", epilog=examples("jecp-mcp topup 20"))
@click.argument("amount", type=_Amount())
@common_options
@as_json
def command(amount: int, as_json: bool, **given: Any) -> None:
    """Get a link at which a person pays AMOUNT (5, 20 or 100 USD) into the wallet. The link itself charges nothing."""
    from jecp_mcp.cli.advice import for_person
    from jecp_mcp.cli.own_tools import ask

    where = start_from(given)
    made = ask(where, "jecp_topup", {"amount_usd": amount, **where.hub_argument}, as_json=as_json)
    if not as_json:
        note = for_person(made["note"])
        click.echo(f"Open this page and pay there; nothing is charged before that. {note}", err=True)
        print(made["next_action"].get("url", ""))
        if where.sandbox:
            from jecp_mcp.sandbox.open_links import LINK_SECONDS

            again = where.commands.line("topup", str(amount))
            click.echo(
                f"The sandbox runs for {LINK_SECONDS // 60} minutes more, so that you can; after that run `{again}` "
                "once more.",
                err=True,
            )
