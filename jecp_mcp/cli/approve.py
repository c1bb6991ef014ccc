"""``jecp-mcp approve``: a person's answer to what a host could not ask, given at a terminal."""

from __future__ import annotations

import getpass
import json
import sys
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread
import click

from jecp_mcp.cli.examples import examples
from jecp_mcp.cli.options import Start, as_json, common_options, start
from jecp_mcp.cli.terminal import set_in
from jecp_mcp.errors import LedgerError
from jecp_mcp.settings.command_lines import CommandLine

ON_A_PAGE: Final = 10
"""How many questions are listed at once."""


@click.command(
    "approve",
    epilog=examples("jecp-mcp approve", "jecp-mcp approve K7QW-2MXB"),
)
@click.argument("code", required=False)
@click.option("--full", is_flag=True, help="With a code: show all arguments, however long, and then ask.")
@click.option("--page", type=click.IntRange(min=1), default=1, help="Without a code: which page to list.")
@common_options
@as_json
def command(
    code: str | None,
    full: bool,
    page: int,
    hub: str | None,
    config: Path | None,
    state_dir: Path | None,
    as_json: bool,
) -> None:
    """Approve one call under its CODE, once; without a code, list what waits for an answer, the oldest first.

    It asks at the terminal, and only there: no option answers for you. An approval is good for one call of exactly
    the shown payee, amount and arguments, until it expires. Nothing is approved that was not shown whole.
    """
    given = start(hub, config, state_dir)
    if code is not None:
        tell(anyio.run(answer, given, code, True, full), json_wanted=as_json)
    elif as_json:
        print(json.dumps(anyio.run(all_questions, given), indent=2, ensure_ascii=False))
    else:
        _list(*anyio.run(questions_page, given, page), given.commands)


async def questions_page(given: Start, page: int) -> tuple[list[dict[str, Any]], int, int]:
    """One page of what waits for a person's answer, oldest first; which page it is; and how many wait.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    from jecp_mcp.mandate.opening import open_configured
    from jecp_mcp.tools import approval_queue

    ledger = open_configured(given.settings.ledger, given.ledger)
    try:
        found, page = await approval_queue.open_questions(ledger, page, ON_A_PAGE)
        return [approval_queue.readable_question(grant) for grant in found.grants], page, found.total
    finally:
        await ledger.close()


async def all_questions(given: Start) -> list[dict[str, Any]]:
    """All that waits for a person's answer, oldest first.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    shown, page, total = await questions_page(given, 1)
    while page * ON_A_PAGE < total:
        more, page, total = await questions_page(given, page + 1)
        shown += more
    return shown


async def answer(given: Start, code: str, granted: bool, full: bool = False) -> dict[str, Any]:
    """Answer what waits under a code; returns it as JSON.

    Args:
        full: show arguments of any length before asking.

    Raises:
        NotAnswered: there is no such question, or no person at a terminal.
        LedgerError: the answer cannot be kept.
    """
    from jecp_mcp.mandate.opening import open_configured
    from jecp_mcp.tools import approval_queue

    ledger = open_configured(given.settings.ledger, given.ledger)
    try:
        try:
            grant = await approval_queue.find(ledger, code.strip().upper())
        except approval_queue.NothingWaits as exc:
            elsewhere = await _elsewhere(given, code, "approve" if granted else "deny")
            listing = given.commands.line("approve")
            raise approval_queue.NotAnswered(f"{exc}; `{listing}` lists those that do.{elsewhere}") from exc
        shown = approval_queue.readable_question(grant)
        if granted and not await anyio.to_thread.run_sync(_confirm, shown, full, given.commands):
            raise approval_queue.NotAnswered("nothing was approved; the call waits until it is answered or expires")
        return approval_queue.readable_question(
            await approval_queue.answer(ledger, grant, granted, by=f"{user()} at a terminal")
        )
    finally:
        await ledger.close()


async def _elsewhere(given: Start, code: str, command: str) -> str:
    """That the other books have a question, and the command that answers it there; empty where they have not."""
    from jecp_mcp.cli.other_books import where_else
    from jecp_mcp.mandate.opening import open_ledger
    from jecp_mcp.tools import approval_queue

    async def has(other: Start) -> bool:
        if not other.ledger.is_file():
            return False
        ledger = open_ledger(other.ledger)
        try:
            await approval_queue.find(ledger, code.strip().upper())
        except (approval_queue.NothingWaits, LedgerError):
            return False
        except approval_queue.NotAnswered:
            pass  # It was answered there, or ran out; that command says so.
        finally:
            await ledger.close()
        return True

    return await where_else(given, has, command, code)


def _confirm(shown: dict[str, Any], full: bool, commands: CommandLine) -> bool:
    from jecp_mcp.cli import rich_output
    from jecp_mcp.tools.approval_queue import SHORT, NotAnswered

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise NotAnswered("an approval is given at a terminal, by a person; here is none, so nothing was approved")
    if shown["arguments"] is None:
        refuse = commands.line("deny", shown["code"])
        raise NotAnswered(f"{shown['because']} Nothing was approved; `{refuse}` refuses it")
    length = len(shown["arguments"])
    if length > SHORT and not full:
        raise NotAnswered(
            f"its arguments come to {length:,} characters, so they were not shown and nothing was approved; "
            f"`{commands.line('approve', shown['code'], '--full')}` shows them all and asks"
        )
    # The longest first, so that the amount stands beside the question.
    amount = f"{'' if shown['exact'] else 'up to '}{shown['at_most_usdc']} USDC"
    click.echo(set_in("arguments", shown["arguments"]), err=True)
    facts = {"because": shown["because"], "action": shown["action"], "payee": shown["payee"], "amount": amount}
    rich_output.show(rich_output.Facts(facts | {"answer until": shown["expires_at"]}, indent=2), stderr=True)
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
    from jecp_mcp.cli import rich_output

    if shown["state"] == "granted":
        amount = f"{'' if shown['exact'] else 'up to '}{shown['at_most_usdc']} USDC"
        rich_output.say(f"Approved {shown['action']} for {amount}, once, until {shown['expires_at']}.", rich_output.OK)
        print("Tell the agent to make the same call again.")
    else:
        print(f"Refused {shown['action']}. Nothing is charged.")


def _list(shown: list[dict[str, Any]], page: int, total: int, commands: CommandLine) -> None:
    from jecp_mcp.cli import rich_output

    if not shown:
        print("Nothing waits for an answer.")
        return
    columns: list[rich_output.Column] = [("code", "left"), ("action", "left"), ("at most", "right"), ("until", "left")]
    columns.append(("because", "prose"))
    rows = [
        (one["code"], one["action"], one["at_most_usdc"], one["expires_at"][:19].replace("T", " "), one["because"])
        for one in shown
    ]
    rich_output.show(rich_output.Listing("Waiting for an answer, the oldest first (USDC, UTC)", columns, rows))
    first = (page - 1) * ON_A_PAGE + 1
    last = first + len(shown) - 1
    following = commands.line("approve", "--page", str(page + 1))
    more = f"; {total - last} more: {following}" if last < total else ""
    print(f"{first} to {last} of {total}{more}")
