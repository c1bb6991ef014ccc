"""``jecp-mcp ledger --backup``, ``--restore`` and ``--new``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from jecp_mcp.cli.options import Start
from jecp_mcp.errors import LedgerDamaged, LedgerUnavailable
from jecp_mcp.plurals import counted

if TYPE_CHECKING:
    from jecp_mcp.mandate.repair.backup import Copy, Missing


_LOST: Final = """\
Nothing can be read or saved of {ledger}. A backup knows more, even an old one: {restore}

With a new ledger, no earlier call is known:
- What was spent in the windows under way is not known. So that nothing is spent twice, each limit counts as used up:
  one call is written off for it, and nothing is bought until you rule on that call with what was spent in truth.
- A call that was open is not found out about any more, and an answer that was paid for and not delivered is lost.
- Approvals and prepared calls have to be made again.

What is there is moved aside, and kept."""


def _file_only(given: Start) -> None:
    if given.settings.ledger.url is not None:
        raise LedgerUnavailable("the ledger is in PostgreSQL: back it up with pg_dump, and put it back with pg_restore")


def backup(given: Start, target: Path, *, force: bool, as_json: bool) -> int:
    """Copy the ledger and say what is in the copy; the exit status is 1 when its audit found something."""
    from jecp_mcp.mandate.repair.backup import back_up

    _file_only(given)
    try:
        copy = back_up(given.ledger, target, force=force)
    except LedgerDamaged as exc:
        raise LedgerDamaged(f"{exc}; see `{given.commands.line('doctor', '--ledger')}`") from exc
    findings = copy.report.findings
    if as_json:
        print(json.dumps({"backup": str(copy.path), **_copy(copy)}, indent=2))
    else:
        told = "audited and whole" if not findings else f"kept though {findings[0]}"
        print(f"{copy.path}: {counted(copy.report.calls, 'call')}, {told}.")
        print(f"head: {copy.report.head}")
        print(f"To put it back: {given.commands.line('ledger', '--restore', str(copy.path))}")
    return 1 if findings else 0


def restore(given: Start, source: Path, *, force: bool, as_json: bool) -> int:
    """Put a backup in the ledger's place and say which spending is not in it."""
    from jecp_mcp.clock import SystemClock, iso
    from jecp_mcp.mandate.repair.backup import restore as put_back

    _file_only(given)
    done = put_back(given.ledger, source, force=force)
    copy, aside = done.copy, done.aside
    if as_json:
        missing = None if done.missing is None else _missing(done.missing)
        kept = None if aside is None else str(aside)
        told = {"ledger": str(given.ledger), "replaced": kept, **_copy(copy), "not_in_it": missing}
        print(json.dumps(told, indent=2))
        return 1 if copy.report.findings else 0
    print(f"{given.ledger} holds what is in {copy.path} now: {counted(copy.report.calls, 'call')}.")
    if aside is not None:
        print(f"What it replaced is kept as {aside}.")
    since = "the beginning" if copy.last_at is None else iso(copy.last_at)
    if done.missing is None:
        print(
            f"What was spent between {since} and now ({iso(SystemClock().now())}) is not in it, and counts towards no "
            "limit: compare with the statements of who was paid before much more is bought."
        )
    elif done.missing.calls:
        lost = _missing(done.missing)
        print(
            f"Not in it: {counted(lost['calls'], 'call')} from {lost['from']} to {lost['to']}, which counted for "
            f"{lost['counted_usdc']} USDC; that much can be spent once more within the limits."
        )
    else:
        print("Nothing that the replaced ledger knew is missing in it.")
    for finding in copy.report.findings:
        print(f"does not hold: {finding}")
    return 1 if copy.report.findings else 0


def begin_anew(given: Start, *, unasked: bool, as_json: bool) -> int:
    """Begin a new ledger in the place of one of which nothing can be saved, once a person has agreed to what is lost.

    Raises:
        NotLost: nothing has to be given up.
    """
    from jecp_mcp.clock import SystemClock
    from jecp_mcp.domain.purchases import LOCAL
    from jecp_mcp.mandate.caps import standing_meters
    from jecp_mcp.mandate.naming import Naming
    from jecp_mcp.mandate.policy import Policy
    from jecp_mcp.mandate.repair import new_ledger
    from jecp_mcp.money import format_usdc

    _file_only(given)
    clock, commands = SystemClock(), given.commands
    try:
        new_ledger.check_lost(given.ledger, clock)
        if not unasked and not _confirm(given):
            click.echo("Nothing was changed.", err=True)
            return 1
        policy = Policy.from_settings(given.settings.mandate, Naming.from_settings(given.settings))
        meters = standing_meters(policy, principal=LOCAL, session="")
        begun = new_ledger.begin_anew(given.ledger, meters, clock)
    except new_ledger.NotLost as exc:
        raise new_ledger.NotLost(f"{exc}; see `{commands.line('doctor', '--ledger')}`") from exc
    amount, aside = format_usdc(begun.written_off), begun.aside
    if as_json:
        kept = None if aside is None else str(aside)
        print(json.dumps({"ledger": str(given.ledger), "kept": kept, "written_off_usdc": amount}, indent=2))
        return 0
    if aside is not None:
        print(f"What was there is kept as {aside}.")
    print(f"{given.ledger} is a new ledger, in which {amount} USDC count as spent: each limit is used up.")
    print(f"Ask whoever was paid what was spent, and rule by that: {commands.line('reconcile')}")
    return 0


def _confirm(given: Start) -> bool:
    """Tell a person what is lost with the ledger that was, and ask whether to begin a new one.

    Raises:
        click.UsageError: there is nobody to ask.
    """
    restore = given.commands.line("ledger", "--restore", "BACKUP")
    click.echo(_LOST.format(ledger=given.ledger, restore=restore), err=True)
    if not sys.stdin.isatty():
        context = click.get_current_context()
        raise click.UsageError("there is no terminal to ask at; give --yes to begin a new ledger unasked", context)
    return click.confirm("Begin a new ledger?", default=False, err=True)


def _copy(copy: Copy) -> dict[str, Any]:
    from jecp_mcp.clock import iso

    return {
        "calls": copy.report.calls,
        "events": copy.report.events,
        "head": copy.report.head,
        "last_change": None if copy.last_at is None else iso(copy.last_at),
        "findings": list(copy.report.findings),
    }


def _missing(missing: Missing) -> dict[str, Any]:
    from jecp_mcp.clock import iso
    from jecp_mcp.money import format_usdc

    return {
        "calls": missing.calls,
        "counted_usdc": format_usdc(missing.counts),
        "from": None if missing.first is None else iso(missing.first),
        "to": None if missing.last is None else iso(missing.last),
    }
