"""``jecp-mcp budget``: every limit, and what is left of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import click

from jecp_mcp.cli.options import Start, as_json, common_options, start

LOCAL = "local"
"""The principal every process of this user spends as."""


@click.command("budget")
@common_options
@as_json
def command(hub: str | None, config: Path | None, state_dir: Path | None, as_json: bool) -> None:
    """Show every limit of the mandate, what is used, and when it refills."""
    shown = anyio.run(read, start(hub, config, state_dir))
    if as_json:
        print(json.dumps(shown, indent=2))
    else:
        _print(shown)


async def read(given: Start) -> dict[str, Any]:
    """The budget as JSON; amounts are decimal text in USDC.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    from jecp_mcp.cli.unmatched_patterns import remembered_catalog, unmatched_patterns
    from jecp_mcp.clock import iso
    from jecp_mcp.mandate.caps import standing_meters
    from jecp_mcp.mandate.opening import open_configured
    from jecp_mcp.mandate.policy import Policy
    from jecp_mcp.money import format_usdc

    mandate = given.settings.mandate
    policy = Policy.from_settings(mandate)
    ledger = open_configured(given.settings.ledger, given.ledger)
    try:
        readings = await ledger.readings(standing_meters(policy, principal=LOCAL, session=ledger.session))
        totals = await ledger.totals()
    finally:
        await ledger.close()
    return {
        "windows": [
            {
                "label": one.meter.label,
                "window": one.meter.window.value,
                "used_usdc": format_usdc(one.used),
                "limit_usdc": format_usdc(one.meter.limit),
                "remaining_usdc": format_usdc(max(0, one.meter.limit - one.used)),
                "resets_at": None if one.resets_at is None or not one.used else iso(one.resets_at),
            }
            for one in readings
        ],
        "per_call": [
            {"label": caps.label("per_call_usdc"), "limit_usdc": format_usdc(caps.per_call)}
            for caps in policy.caps
            if caps.per_call is not None
        ],
        "totals": {
            "charged_usdc": format_usdc(totals.charged),
            "held_usdc": format_usdc(totals.held),
            "in_doubt_usdc": format_usdc(totals.in_doubt),
            "calls": totals.calls,
        },
        "approve_above_usdc": None if policy.approve_above is None else format_usdc(policy.approve_above),
        "expires_at": None if policy.expires_at is None else iso(policy.expires_at),
        "unmatched_patterns": unmatched_patterns(given.settings, remembered_catalog(given)),
        "hub": given.settings.hub.base_url,
        "state_dir": str(given.state),
        "ledger": _place(given),
    }


def _place(given: Start) -> str:
    """Where the ledger is: a server without its password, or a file."""
    url = given.settings.ledger.url
    if url is None:
        return str(given.ledger)
    from jecp_mcp.mandate.postgres.connection import place

    return place(url.get_secret_value())


def _print(shown: dict[str, Any]) -> None:
    from jecp_mcp.cli import rich_output

    columns = [("limit", "left"), ("used", "right"), ("of", "right"), ("left", "right"), ("refills from", "left")]
    rows = [
        (one["label"], one["used_usdc"], one["limit_usdc"], one["remaining_usdc"], one["resets_at"] or "")
        for one in shown["windows"]
    ]
    rows += [(one["label"], "", one["limit_usdc"], "", "") for one in shown["per_call"]]
    out = rich_output.console()
    out.print(rich_output.table("Budget (USDC)", columns, rows))
    totals = shown["totals"]
    told = {"charged": totals["charged_usdc"], "held": totals["held_usdc"], "in doubt": totals["in_doubt_usdc"]}
    told |= {"calls": totals["calls"], "ask a person above": shown["approve_above_usdc"] or "never"}
    told |= {"mandate ends": shown["expires_at"] or "never", "hub": shown["hub"], "kept in": shown["ledger"]}
    out.print(rich_output.facts(told))
    for text in shown["unmatched_patterns"]:
        out.print(f"{rich_output.plain(text)} matches none of the actions on sale now")
