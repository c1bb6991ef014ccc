"""``jecp-mcp refund``: asking for a call's money back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from jecp_mcp.cli.examples import examples
from jecp_mcp.cli.options import as_json, common_options, start_from


@click.command(
    "refund",
    epilog=examples(
        "jecp-mcp refund",
        "jecp-mcp refund call_0123456789abcdef0123456789abcdef --reason 'the PDF has no second page'",
    ),
)
@click.argument("call_id", required=False)
@click.option("--reason", metavar="TEXT", help="Why; a person at the provider reads it.")
@common_options
@as_json
def command(call_id: str | None, reason: str | None, as_json: bool, **given: Any) -> None:
    """Ask for the money of a charged call back; without CALL_ID, show what became of earlier requests. Free."""
    from jecp_mcp.cli.own_tools import ask

    if (call_id is None) != (reason is None):
        raise click.UsageError("a refund needs both a CALL_ID and a --reason", click.get_current_context())
    at = start_from(given)
    found = ask(at, "jecp_refund", {"call_id": call_id, "reason": reason}, as_json=as_json)
    if as_json:
        return
    from jecp_mcp.cli import rich_output

    if call_id is not None:
        rich_output.say("The refund is asked for. The provider answers within a day or so.", rich_output.OK)
        rich_output.show(rich_output.Facts({"call": call_id, **_words(found)}))
        rich_output.say(f"`{at.commands.line('refund')}` shows what became of it.", "dim", stderr=True)
    elif not found["refunds"]:
        rich_output.say("No refund was asked for.")
    else:
        columns: list[rich_output.Column] = [("refund", "left"), ("status", "left"), ("USDC back", "right")]
        columns += [("asked for", "left"), ("note", "prose")]
        rows = [
            (
                one["refund_id"] or "",
                one["status"],
                one.get("returns_usdc") or one.get("amount_usdc") or "",
                one.get("requested_at", ""),
                one.get("note", ""),
            )
            for one in found["refunds"]
        ]
        rich_output.show(rich_output.Listing("Refunds, amounts in USDC", columns, rows))
        if any(map(_kept, found["refunds"])):
            rich_output.say("The Hub keeps a part of what was paid as its fee.", "dim")


def _kept(one: Mapping[str, Any]) -> str | None:
    """What does not come back of what was paid, where that is known and is something."""
    from jecp_mcp.money import MicroUSDC, format_usdc, parse_usdc

    if "amount_usdc" not in one or "returns_usdc" not in one:
        return None
    kept = parse_usdc(one["amount_usdc"]) - parse_usdc(one["returns_usdc"])
    return f"{format_usdc(MicroUSDC(kept))}, its fee for a refund" if kept > 0 else None


def _words(one: Mapping[str, Any]) -> dict[str, Any]:
    told = {"refund": one.get("refund_id"), "status": one.get("status"), "asked for": one.get("requested_at")}
    told |= {"paid": one.get("amount_usdc"), "comes back": one.get("returns_usdc"), "the Hub keeps": _kept(one)}
    return told | {"expected by": one.get("estimated_resolution"), "note": one.get("note")}
