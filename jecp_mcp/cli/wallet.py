"""``jecp-mcp wallet``: what can still be spent, and what is held."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import anyio
import click

from jecp_mcp.cli.examples import examples
from jecp_mcp.cli.options import Start, as_json, common_options, start_from
from jecp_mcp.settings.command_lines import CommandLine

if TYPE_CHECKING:
    from jecp_mcp.cli.rich_output import Column


@click.command(
    "wallet",
    epilog=examples("jecp-mcp wallet", "jecp-mcp wallet --json"),
)
@common_options
@as_json
def command(as_json: bool, **given: Any) -> None:
    """Show the balance, every limit with what is left of it and when it refills, and the money that is held. Free."""
    where = start_from(given)
    shown = anyio.run(read, where)
    if as_json:
        print(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        _print(shown, where.commands)


_UNTOLD: Final = "what the limits leave, as far as the wallet holds it"


async def read(given: Start) -> dict[str, Any]:
    """What ``jecp_wallet`` says, and where this wallet is kept; amounts are decimal text in USDC.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    from jecp_mcp.cli.assembly import build
    from jecp_mcp.cli.sandbox_settings import own_sandbox
    from jecp_mcp.cli.unmatched_patterns import unmatched_patterns
    from jecp_mcp.domain.purchases import LOCAL
    from jecp_mcp.tools.own.left_out import left_out_words

    # The books are of all Hubs together.
    async with build(replace(given, asked_hub=None)) as bridge:
        made = await bridge.wallet.overview(LOCAL)
        left_out = left_out_words(bridge.source.current)
        if left_out is not None:
            made["left_out"] = left_out
        made["unmatched_patterns"] = unmatched_patterns(given.settings, bridge.source.current)
    if given.asked_hub is not None:
        made["wallets"] = [one for one in made["wallets"] if one["hub"] == given.hub_argument["hub"]]
    made["hub"], made["ledger"], made["state_dir"] = given.hub, _place(given), str(given.state)
    if given.sandbox:
        made["sandbox_running"] = own_sandbox(given).lives()
    return made


def _place(given: Start) -> str:
    """Where the ledger is: a server without its password, or a file."""
    url = given.settings.ledger.url
    if url is None:
        return str(given.ledger)
    from jecp_mcp.mandate.postgres.connection import place

    return place(url.get_secret_value())


def _print(shown: Mapping[str, Any], commands: CommandLine) -> None:
    from rich.text import Text

    from jecp_mcp.cli import rich_output
    from jecp_mcp.cli.advice import for_person

    unknown = Text("not known: the Hub tells it with its answers", "dim")
    told: dict[str, Any] = {}
    for one in shown.get("wallets", [shown]):
        at = f" at {one['hub']}" if "wallets" in shown else ""
        balance: str | Text = unknown
        if one["balance_usdc"] is not None:
            balance = f"{one['balance_usdc']} as of {_instant(one['balance_at'])}"
        elif not one.get("account", True):
            balance = f"no account yet; `{commands.at_hub(one['hub']).line('register')}` makes one"
        free = one["free_calls_remaining"]
        told |= {f"balance{at}": balance}
        told |= {f"free calls left{at}": unknown if free is None else free, f"trust tier{at}": _tier(one) or unknown}
    told |= {"can be spent now": shown["can_spend_now_usdc"] or _UNTOLD}
    told |= {"charged": shown["charged_usdc"], "held": shown["held_usdc"]}
    told |= {"in doubt": shown["in_doubt_usdc"], "paid calls": shown["calls"]}
    told |= {"ask a person above": shown.get("approval_above_usdc") or "never"}
    told |= {"mandate ends": _instant(shown["expires_at"]) if "expires_at" in shown else "never"}
    told |= {"Hub": shown["hub"] or "a sandbox that has not run yet"}
    told |= {"not on sale here": for_person(shown.get("left_out", "")), "kept in": shown["ledger"]}
    rich_output.say("Wallet (USDC, UTC)", "bold")
    rich_output.show(rich_output.Facts(told))
    columns: list[Column] = [("limit", "left"), ("window", "left"), ("used", "right"), ("of", "right")]
    columns += [("left", "right"), ("refills from", "left")]
    limits = rich_output.Listing("\nLimits (USDC, UTC)", columns, _limit_rows(shown))
    holds: list[Column] = [("call", "left"), ("tool", "left"), ("state", "left"), ("held", "right")]
    held = [
        (one["call_id"], one["tool"], rich_output.state(one["state"]), one["held_usdc"]) for one in shown["open_holds"]
    ]
    more = f" and more: {commands.line('ledger')}" if shown.get("more_holds") else ""
    rich_output.show(limits, *([rich_output.Listing(f"\nHeld{more}", holds, held)] if held else []))
    about = f"`{commands.line('config')}` says where these limits come from. A host that is given others has its own: "
    rich_output.say(f"{about}--config FILE, or its variables set here, show those.", "dim", stderr=True)
    if not shown.get("sandbox_running", True):
        rich_output.say(
            f"\nThe sandbox Hub is not running. Whatever buys or looks up starts it, such as "
            f"`{commands.line('catalog')}`; `{commands.line('serve')}` does for a host."
        )
    for words in _warnings(shown, commands):
        rich_output.say(f"warning: {words}", rich_output.WARNING)


def _limit_rows(shown: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    if "per_call_usdc" in shown:
        yield "per_call_usdc", "each call", "", shown["per_call_usdc"], "", ""
    for one in shown["limits"]:
        resets = _instant(one["resets_at"]) if "resets_at" in one else ""
        window, used = one.get("window", "each call"), one.get("used_usdc", "")
        yield one["limit"], window, used, one["limit_usdc"], one.get("remaining_usdc", ""), resets


def _warnings(shown: Mapping[str, Any], commands: CommandLine) -> Iterator[str]:
    if "ledger_trouble" in shown:
        yield f"the ledger cannot be written: {shown['ledger_trouble']}"
    for one in shown.get("charged_too_much", ()):
        yield (
            f"for the call {one['call_id']} the payee took {one.get('charged_usdc', 'an unreadable amount')} where at "
            f"most {one['allowed_usdc']} was allowed; `{commands.line('reconcile')}` rules on it"
        )
    for text in shown["unmatched_patterns"]:
        yield f"{text} matches none of the actions on sale now"


def _tier(shown: Mapping[str, Any]) -> str | None:
    following = shown.get("next_tier")
    if following is None:
        return shown.get("trust_tier")
    return f"{shown['trust_tier']}; {following['tier']} after at most {following['calls_to_go_at_most']} more calls"


def _instant(text: str) -> str:
    """An RFC 3339 instant as people read it, in UTC to the second."""
    return text[:19].replace("T", " ")
