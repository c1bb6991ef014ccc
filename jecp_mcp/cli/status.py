"""``jecp-mcp status``: what became of a call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
import click

from jecp_mcp.cli.advice import for_person
from jecp_mcp.cli.examples import examples
from jecp_mcp.cli.options import Start, as_json, common_options, start_from
from jecp_mcp.plurals import counted


@click.command(
    "status",
    epilog=examples("jecp-mcp status", "jecp-mcp status call_0123456789abcdef0123456789abcdef --json"),
)
@click.argument("call_id", required=False)
@common_options
@as_json
def command(call_id: str | None, as_json: bool, **given: Any) -> None:
    """Show what became of a call, and its answer; finish one whose answer was lost, without paying twice. Free.

    Without CALL_ID, show the latest calls. `jecp-mcp ledger` has all of them.
    """
    where = start_from(given)
    if call_id is None:
        from jecp_mcp.cli.own_tools import ask

        found = ask(where, "jecp_status", {}, from_books=True, as_json=as_json)
        if not as_json:
            _list(found)
        return
    show_call(where, call_id, as_json=as_json)


def show_call(where: Start, call_id: str, *, as_json: bool) -> None:
    """Show what became of one call.

    Raises:
        CallFailed: it cannot be told.
    """
    from jecp_mcp.cli.call import pay_and_show
    from jecp_mcp.cli.own_tools import CallFailed, why_or_where

    result = anyio.run(pay_and_show, where, "jecp_status", {"call_id": call_id}, None, as_json, False, _print)
    if result.is_error:
        raise CallFailed(anyio.run(why_or_where, where, result, call_id, "status", call_id))


def _list(found: Mapping[str, Any]) -> None:
    from jecp_mcp.cli import rich_output

    if "left_out" in found:
        rich_output.say(f"Nothing is on sale here: {for_person(found['left_out'])}", rich_output.WARNING)
    if not found["calls"]:
        rich_output.say("No call was made from here yet.")
        return
    columns: list[rich_output.Column] = [("call", "left"), ("when (UTC)", "left"), ("tool", "left"), ("state", "left")]
    columns += [("USDC", "right"), ("asked", "prose")]
    rows = [
        (
            one["call_id"],
            one["created_at"][:19].replace("T", " "),
            one["tool"],
            rich_output.state(one.get("state", "settled")),
            usdc_of(one),
            ", ".join(f"{name}: {text}" for name, text in one.get("asked", {}).items()),
        )
        for one in found["calls"]
    ]
    rich_output.show(rich_output.Listing("Latest calls, the newest first", columns, rows))
    total = found["total"]
    held = f", {total['held_usdc']} held" if "held_usdc" in total else ""
    rich_output.say(
        f"{total['charged_usdc']} USDC charged by the latest {counted(total['calls'], 'call')}{held}.", "dim"
    )


def _print(one: Mapping[str, Any]) -> None:
    from jecp_mcp.cli import rich_output

    told = {"call": one["call_id"], "tool": one["tool"], "state": rich_output.state(one["state"])}
    told |= {"when": one["created_at"], "charged": usdc_of(one), "held until proven": one.get("held_usdc")}
    told |= {"asked": ", ".join(f"{name}: {text}" for name, text in one.get("asked", {}).items()) or None}
    told |= {
        "listed price": one.get("listed_usdc"),
        "refunded": one.get("refunded_usdc"),
        "transaction": one.get("transaction_id"),
    }
    told |= {"found out by": one.get("settled_by"), "what happened": for_person(one.get("message", ""))}
    told |= {"look at it": for_person(one.get("warning", ""))}
    rich_output.show(rich_output.Facts(told))


def usdc_of(one: Mapping[str, Any]) -> str:
    """What a call cost, in USDC or in words."""
    if one.get("charged") == "no":
        return "free"
    return one.get("charged_usdc") or ("not known" if one.get("charged") == "unknown" else "unreadable")
