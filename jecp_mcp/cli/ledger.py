"""``jecp-mcp ledger``: every paid call as the ledger knows it, and the books that prove it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import click

from jecp_mcp.cli.examples import examples
from jecp_mcp.cli.options import Start, as_json, common_options, start
from jecp_mcp.cli.saved_files import TargetPath

_ON_A_PAGE = 30
_MOST = 100_000
_BY = ("tool", "provider", "principal", "action", "day", "month")
_TASKS = ("verify", "export", "statement", "backup", "restore", "new", "prune", "trust_clock")
_FOR = {"head": "verify", "form": "export or --statement", "events": "export", "by": "statement"}
_FOR |= {"since": "statement", "until": "statement", "force": "backup or --restore or --export", "yes": "new"}


def _instant(_context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    from jecp_mcp.clock import parse_iso

    try:
        return None if value is None else parse_iso(value)
    except (ValueError, OverflowError) as exc:
        raise click.BadParameter(
            "an instant is like 2026-11-01 or 2026-11-01T09:30:00Z (UTC)", param=parameter
        ) from exc


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of the tasks, in the order of the help."""
    file, target = click.Path(path_type=Path), TargetPath(path_type=Path)
    for option in reversed(
        (
            click.option("--verify", is_flag=True, help="Prove that nothing was changed; print the chain's head."),
            click.option("--head", metavar="DIGEST", help="With --verify: a head kept from earlier must be in it."),
            click.option("--statement", is_flag=True, help="Add up what was spent."),
            click.option("--by", type=click.Choice(_BY), help="With --statement: a line for each. Default: tool."),
            click.option("--since", metavar="INSTANT", callback=_instant, help="With --statement: from then on."),
            click.option("--until", metavar="INSTANT", callback=_instant, help="With --statement: before then."),
            click.option(
                "--export",
                metavar="FILE",
                type=TargetPath(),
                help="Write every call to FILE.csv or FILE.json, or - (stdout).",
            ),
            click.option("--events", is_flag=True, help="With --export: every event of the chain instead."),
            click.option("--format", "form", type=click.Choice(("csv", "json")), help="For --export and --statement."),
            click.option("--backup", metavar="FILE", type=target, help="Copy the ledger, while others spend."),
            click.option("--restore", metavar="FILE", type=file, help="Put a backup in the ledger's place."),
            click.option("--new", is_flag=True, help="Begin a ledger in the place of one that is lost. Asks first."),
            click.option("--yes", is_flag=True, help="With --new: do not ask."),
            click.option(
                "--force", is_flag=True, help="With --backup, --restore, --export: though that loses something."
            ),
            click.option("--prune", is_flag=True, help="Drop old requests and answers (ledger.keep_bodies_days)."),
            click.option("--trust-clock", is_flag=True, help="The clock is right now, though the ledger was ahead."),
        )
    ):
        command = option(command)
    return command


@click.command(
    "ledger",
    epilog=examples(
        "jecp-mcp ledger",
        "jecp-mcp ledger --statement --by month",
        "jecp-mcp ledger --export calls.csv",
        "jecp-mcp ledger --verify",
        "jecp-mcp ledger --backup ~/ledger-copy.sqlite",
    ),
)
@common_options
@click.option("--limit", type=click.IntRange(1, _MOST), help=f"At most so many; default {_ON_A_PAGE}, with --json all.")
@as_json
@_options
def command(
    hub: str | None, config: Path | None, state_dir: Path | None, limit: int | None, as_json: bool, **asked: Any
) -> int:
    """Show the paid calls, latest first: what was held, charged, and what became of each.

    Amounts are USDC, instants UTC. The head that --verify prints, kept elsewhere, proves the books later. The exit
    status is 1 when something does not hold.
    """
    task = _task(asked)
    given = start(hub, config, state_dir)
    if task is not None:
        if limit is not None:
            raise click.UsageError(f"--limit does not go with {_option(task)}")
        if given.asked_hub is not None:
            raise click.UsageError(f"{_option(task)} is of all Hubs together; leave out --hub {hub}")
        return _perform(task, given, asked, as_json=as_json)
    shown = anyio.run(read, given, limit or (_MOST if as_json else _ON_A_PAGE))
    if as_json:
        print(json.dumps(shown, indent=2))
    else:
        _print(shown, given)
    return 0


def _task(asked: dict[str, Any]) -> str | None:
    """Which one of the tasks was asked for; None for the list."""
    tasks = [name for name in _TASKS if asked[name]]
    if len(tasks) > 1:
        raise click.UsageError(f"{_option(tasks[0])} and {_option(tasks[1])} do not go together")
    task = tasks[0] if tasks else None
    for name, task_words in _FOR.items():
        if asked[name] and task not in task_words.replace("--", "").split(" or "):
            raise click.UsageError(f"--{'format' if name == 'form' else name} goes with --{task_words}")
    return task


def _option(task: str) -> str:
    return f"--{task.replace('_', '-')}"


def _perform(task: str, given: Start, asked: dict[str, Any], *, as_json: bool) -> int:
    from jecp_mcp.cli import ledger_tasks

    if task == "verify":
        return anyio.run(ledger_tasks.verify, given, asked["head"], as_json)
    if task == "statement":
        form = "json" if as_json else asked["form"] or "table"
        return anyio.run(ledger_tasks.statement, given, asked["by"] or "tool", asked["since"], asked["until"], form)
    if task == "export":
        form = "json" if as_json else asked["form"]
        writing = partial(ledger_tasks.export, overwrite=asked["force"])
        return anyio.run(writing, given, asked["export"], form, asked["events"])
    if task == "prune":
        return anyio.run(ledger_tasks.prune, given, as_json)
    if task == "trust_clock":
        return anyio.run(ledger_tasks.trust_clock, given, as_json)
    return _replace(task, given, asked, as_json=as_json)


def _replace(task: str, given: Start, asked: dict[str, Any], *, as_json: bool) -> int:
    from jecp_mcp.cli import ledger_backup

    if task == "backup":
        return ledger_backup.backup(given, asked["backup"], force=asked["force"], as_json=as_json)
    if task == "new":
        return ledger_backup.begin_anew(given, unasked=asked["yes"], as_json=as_json)
    return ledger_backup.restore(given, asked["restore"], force=asked["force"], as_json=as_json)


async def read(given: Start, limit: int = _MOST) -> list[dict[str, Any]]:
    """The latest calls as JSON; amounts are decimal text in USDC.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    from jecp_mcp.cli.call_rows import call_json
    from jecp_mcp.mandate.opening import open_configured

    ledger = open_configured(given.settings.ledger, given.ledger)
    try:
        if given.asked_hub is None:
            return [call_json(row) for row in await ledger.rows(limit=limit)]
        url = given.settings.every_hub[given.asked_hub].base_url
        rows = await ledger.rows(limit=_MOST)
        return [call_json(row) for row in rows if row.source == url][:limit]
    finally:
        await ledger.close()


def _print(calls: list[dict[str, Any]], given: Start) -> None:
    from jecp_mcp.cli import rich_output
    from jecp_mcp.mandate.states import FREE

    if not calls:
        rich_output.show(rich_output.Facts({"no call yet": given.ledger}))
        return
    columns: list[rich_output.Column] = [("call", "left"), ("when", "left"), ("tool", "left"), ("state", "left")]
    columns += [("held", "right"), ("charged", "right"), ("transaction", "spare")]
    rows = [
        (
            one["call_id"],
            one["created_at"][:19].replace("T", " "),
            one["tool"],
            # As the model's list has it: what was answered for nothing was a purchase.
            rich_output.state("free" if one["answer"] and one["state"] in FREE else one["state"]),
            one["held_usdc"] if one["held_usdc"] != "0.00" else "",
            _charge(one),
            one["transaction_id"] or "",
        )
        for one in calls
    ]
    rich_output.show(rich_output.Listing("Ledger (USDC, UTC)", columns, rows))


def _charge(one: dict[str, Any]) -> str:
    if one["amount_unreadable"]:
        return "unreadable"
    if one["charged_usdc"] != "0.00":
        return str(one["charged_usdc"])
    # What holds money has not ended yet.
    return "free" if one["held_usdc"] == "0.00" else ""
