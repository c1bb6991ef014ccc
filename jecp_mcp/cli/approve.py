"""``jecp-mcp approve``: a person's answer to what a host could not ask, given at a terminal."""

from __future__ import annotations

import getpass
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import click

from jecp_mcp.cli.options import Start, as_json, common, start
from jecp_mcp.errors import JecpMcpError

if TYPE_CHECKING:
    from jecp_mcp.mandate.ledger import Ledger
    from jecp_mcp.mandate.slips import Slip

_SHOWN = 1_000


class NotAnswered(JecpMcpError):
    """Nothing was approved or refused; its message says why."""


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
    from jecp_mcp.clock import SystemClock
    from jecp_mcp.mandate.opening import open_configured
    from jecp_mcp.mandate.slips import SlipKind, SlipState

    ledger, now = open_configured(given.settings.ledger, given.ledger), SystemClock().now()
    try:
        asked = [
            slip
            for kind in (SlipKind.APPROVAL, SlipKind.LIMIT)
            for slip in await ledger.slips(kind, states=frozenset({SlipState.ASKED}))
            if slip.expires_at > now
        ]
        return [_shown(slip) for slip in sorted(asked, key=lambda slip: slip.created_at, reverse=True)]
    finally:
        await ledger.close()


async def answer(given: Start, code: str, granted: bool) -> dict[str, Any]:
    """Answer what waits under a code; returns it as JSON.

    Raises:
        NotAnswered: there is no such question, or no person at a terminal.
        LedgerError: the answer cannot be kept.
    """
    from jecp_mcp.mandate.opening import open_configured
    from jecp_mcp.mandate.slips import SlipRef

    ledger = open_configured(given.settings.ledger, given.ledger)
    try:
        slip = await _find(ledger, code.strip().upper())
        if granted and not await anyio.to_thread.run_sync(_confirmed, _shown(slip)):
            raise NotAnswered("nothing was approved; the call waits until it is answered or expires")
        how = "approved" if granted else "refused"
        answered = await ledger.answer_slip(
            SlipRef(slip.kind, slip.slip_id), granted, f"{how} by {user()} at a terminal"
        )
        if answered is None:
            raise NotAnswered(f"{slip.slip_id} was answered or ran out meanwhile; nothing was changed")
        return _shown(answered)
    finally:
        await ledger.close()


async def _find(ledger: Ledger, code: str) -> Slip:
    from jecp_mcp.clock import SystemClock, iso
    from jecp_mcp.mandate.slips import SlipKind, SlipRef, SlipState

    for kind in (SlipKind.APPROVAL, SlipKind.LIMIT):
        slip = await ledger.slip(SlipRef(kind, code))
        if slip is None:
            continue
        if slip.state is not SlipState.ASKED:
            raise NotAnswered(f"{code} is {slip.state.value} already ({slip.note or 'no note'}); nothing was changed")
        if slip.expires_at <= SystemClock().now():
            raise NotAnswered(f"{code} ran out at {iso(slip.expires_at)}; let the agent ask again")
        return slip
    raise NotAnswered(f"no call waits under the code {code}; `jecp-mcp approve` lists those that do")


def _confirmed(shown: dict[str, Any]) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise NotAnswered("an approval is given at a terminal, by a person; here is none, so nothing was approved")
    for name in ("because", "action", "payee", "at_most_usdc", "arguments", "expires_at"):
        click.echo(f"  {name.replace('_', ' ')}: {shown[name]}", err=True)
    return click.confirm("Approve this one call?", default=False, err=True)


def _shown(slip: Slip) -> dict[str, Any]:
    from jecp_mcp.calls.approval import Asked
    from jecp_mcp.clock import iso
    from jecp_mcp.money import format_usdc
    from jecp_mcp.tools.cleaning import clean

    asked = Asked.read(slip)
    return {
        "code": slip.slip_id,
        "for": slip.kind.value,
        "state": slip.state.value,
        "because": clean(asked.because, _SHOWN, one_line=True),
        "action": clean(asked.action, _SHOWN, one_line=True),
        "payee": clean(asked.payee, _SHOWN, one_line=True) or "the Hub",
        "at_most_usdc": format_usdc(asked.amount),
        "exact": asked.exact,
        "arguments": clean(asked.arguments, _SHOWN, one_line=True),
        "principal": slip.principal,
        "asked_at": iso(slip.created_at),
        "expires_at": iso(slip.expires_at),
        "note": slip.note,
    }


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
