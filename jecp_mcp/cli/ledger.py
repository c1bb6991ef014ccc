"""``jecp-mcp ledger``: every paid call, as the ledger knows it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import click

from jecp_mcp.cli.options import Start, as_json, common, start

if TYPE_CHECKING:
    from jecp_mcp.mandate.ledger import CallRow

_ON_A_PAGE = 30
_MOST = 100_000


@click.command("ledger")
@common
@click.option("--limit", type=click.IntRange(1, _MOST), help=f"At most so many; default {_ON_A_PAGE}, with --json all.")
@as_json
def command(hub: str | None, config: Path | None, state_dir: Path | None, limit: int | None, as_json: bool) -> None:
    """Show the paid calls, latest first: what was held, charged, and what became of each."""
    given = start(hub, config, state_dir)
    shown = anyio.run(read, given, limit or (_MOST if as_json else _ON_A_PAGE))
    if as_json:
        print(json.dumps(shown, indent=2))
    else:
        _print(shown, given)


async def read(given: Start, limit: int = _MOST) -> list[dict[str, Any]]:
    """The latest calls as JSON; amounts are decimal text in USDC.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    from jecp_mcp.mandate.opening import open_configured

    ledger = open_configured(given.settings.ledger, given.ledger)
    try:
        return [_shown(row) for row in await ledger.rows(limit=limit)]
    finally:
        await ledger.close()


def _shown(row: CallRow) -> dict[str, Any]:
    from jecp_mcp.clock import iso
    from jecp_mcp.mandate.states import CHARGED, HOLDING
    from jecp_mcp.money import format_usdc

    return {
        "call_id": row.call_id,
        "tool": row.tool,
        "state": row.state.value,
        # Only what counts as spent: what was set aside for a call that has ended is free again.
        "held_usdc": format_usdc(row.held if row.state in HOLDING else 0),
        "charged_usdc": format_usdc(row.charged if row.state in CHARGED else 0),
        "reserved_usdc": format_usdc(row.held),
        "quoted_usdc": format_usdc(row.quoted),
        "transaction_id": row.transaction_id,
        "balance_after_usdc": None if row.balance_after is None else format_usdc(row.balance_after),
        "capability": row.capability,
        "action": row.action,
        "version": row.version,
        "principal": row.principal,
        "attempts": row.attempts,
        "evidence": row.evidence,
        "delivered": row.delivered,
        "created_at": iso(row.created_at),
        "ended_at": None if row.ended_at is None else iso(row.ended_at),
    }


def _print(shown: list[dict[str, Any]], given: Start) -> None:
    from jecp_mcp.cli import tables

    out = tables.console()
    if not shown:
        out.print(tables.facts({"no call yet": given.ledger}))
        return
    columns = [("when", "left"), ("tool", "left"), ("state", "left"), ("held", "right"), ("charged", "right")]
    columns += [("transaction", "left"), ("call", "left")]
    rows = [
        (
            one["created_at"][:19].replace("T", " "),
            one["tool"],
            tables.state(one["state"]),
            one["held_usdc"] if one["held_usdc"] != "0.00" else "",
            one["charged_usdc"] if one["charged_usdc"] != "0.00" else "",
            one["transaction_id"] or "",
            one["call_id"],
        )
        for one in shown
    ]
    out.print(tables.table("Ledger (USDC, UTC)", columns, rows))
