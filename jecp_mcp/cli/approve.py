"""``jecp-mcp approve``: a person's answer to what a host could not ask, given at a terminal."""

from __future__ import annotations

import getpass
import json
import sys
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import click

from jecp_mcp.cli.options import Start, as_json, common, start


@click.command("approve")
@click.argument("code", required=False)
@common
@as_json
def command(code: str | None, hub: str | None, config: Path | None, state_dir: Path | None, as_json: bool) -> None:
    """Approve one call under its CODE, once; without a code, list what waits for an answer.

    It asks at the terminal, and only there: no option answers for you. An approval is good for one call of exactly
    the shown payee, amount and arguments, until it expires.
    """
    given = start(hub, config, state_dir)
    if code is None:
        _list(anyio.run(waiting, given), json_wanted=as_json)
    else:
        tell(anyio.run(answer, given, code, True), json_wanted=as_json)


async def waiting(given: Start) -> list[dict[str, Any]]:
    """What waits for a person's answer, newest first, as JSON.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    from jecp_mcp.mandate.opening import open_configured
    from jecp_mcp.tools import pending

    ledger = open_configured(given.settings.ledger, given.ledger)
    try:
        return [pending.shown(slip) for slip in await pending.waiting(ledger)]
    finally:
        await ledger.close()


async def answer(given: Start, code: str, granted: bool) -> dict[str, Any]:
    """Answer what waits under a code; returns it as JSON.

    Raises:
        NotAnswered: there is no such question, or no person at a terminal.
        LedgerError: the answer cannot be kept.
    """
    from jecp_mcp.mandate.opening import open_configured
    from jecp_mcp.tools import pending

    ledger = open_configured(given.settings.ledger, given.ledger)
    try:
        slip = await pending.find(ledger, code.strip().upper())
        if granted and not await anyio.to_thread.run_sync(_confirmed, pending.shown(slip)):
            raise pending.NotAnswered("nothing was approved; the call waits until it is answered or expires")
        return pending.shown(await pending.answer(ledger, slip, granted, by=f"{user()} at a terminal"))
    finally:
        await ledger.close()


def _confirmed(shown: dict[str, Any]) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        from jecp_mcp.tools.pending import NotAnswered

        raise NotAnswered("an approval is given at a terminal, by a person; here is none, so nothing was approved")
    for name in ("because", "action", "payee", "at_most_usdc", "arguments", "expires_at"):
        click.echo(f"  {name.replace('_', ' ')}: {shown[name]}", err=True)
    return click.confirm("Approve this one call?", default=False, err=True)


def user() -> str:
    """The name of the system's user who runs this."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        # A user without a name, as in some containers.
        return "somebody"


def tell(shown: dict[str, Any], *, json_wanted: bool) -> None:
    """Print what was answered."""
    if json_wanted:
        print(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    if shown["state"] == "granted":
        print(f"Approved {shown['action']} for {shown['at_most_usdc']} USDC, once, until {shown['expires_at']}.")
        print("Tell the agent to make the same call again.")
    else:
        print(f"Refused {shown['action']}. Nothing is charged.")


def _list(shown: list[dict[str, Any]], *, json_wanted: bool) -> None:
    if json_wanted:
        print(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    from jecp_mcp.cli import tables

    if not shown:
        print("Nothing waits for an answer.")
        return
    columns = [("code", "left"), ("action", "left"), ("at most", "right"), ("because", "left"), ("until", "left")]
    rows = [(one["code"], one["action"], one["at_most_usdc"], one["because"], one["expires_at"][:19]) for one in shown]
    tables.console().print(tables.table("Waiting for an answer (USDC, UTC)", columns, rows))
