"""What ``jecp-mcp ledger`` does with the whole of the books: prove them, add them up, write them out, tidy them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from jecp_mcp.cli.call_rows import call_json, excess_in_words
from jecp_mcp.cli.csv_output import CsvRows
from jecp_mcp.cli.options import Start
from jecp_mcp.cli.saved_files import new_text_file
from jecp_mcp.errors import LedgerDamaged, LedgerUnavailable
from jecp_mcp.plurals import are, counted

if TYPE_CHECKING:
    from jecp_mcp.mandate.postgres.ledger import PostgresLedger
    from jecp_mcp.mandate.records import EventRow
    from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
    from jecp_mcp.mandate.statement import Line, Statement

_PAGE = 1_000
_DAY_MS = 86_400_000
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


@asynccontextmanager
async def open_ledger(given: Start) -> AsyncIterator[SqliteLedger | PostgresLedger]:
    """The ledger that is there, open until the end; no file is begun.

    Raises:
        LedgerUnavailable: there is none.
    """
    from jecp_mcp.mandate.opening import open_configured

    if given.settings.ledger.url is None and not given.ledger.exists():
        raise LedgerUnavailable(
            f"there is no ledger at {given.ledger}: nothing was bought from here yet, or it is gone; "
            f"`{given.commands.line('doctor', '--ledger')}` tells which"
        )
    ledger = open_configured(given.settings.ledger, given.ledger)
    try:
        yield ledger
    finally:
        await ledger.close()


async def verify(given: Start, head: str | None, json_wanted: bool) -> int:
    """Audit the ledger and say what was found; the exit status is 1 when something does not hold."""
    if head is not None and not _DIGEST.fullmatch(head):
        raise click.UsageError("--head takes the 64 hexadecimal digits that an earlier --verify printed")
    async with open_ledger(given) as ledger:
        report = await ledger.audit(head)
        findings = list(report.findings)
        if isinstance(ledger.fault, LedgerDamaged):
            findings.append(str(ledger.fault))
        too_much = [excess_in_words(row) for row in await ledger.excessive()]
    if report.anchored is False:
        findings.append(f"the digest {head} is not in the chain: what was written up to it was replaced since")
    if json_wanted:
        told = {"holds": not findings, "events": report.events, "calls": report.calls, "head": report.head}
        told |= {"anchored": report.anchored, "findings": findings, "charged_too_much": too_much}
        print(json.dumps(told, indent=2))
        return 1 if findings else 0
    from jecp_mcp.cli import rich_output

    for finding in findings:
        rich_output.say(f"does not hold: {finding}", rich_output.FAULT)
    for words in too_much:
        ruled = f"`{given.commands.line('reconcile')}` rules on it"
        rich_output.say(f"look at it: {words}; {ruled}", rich_output.WARNING)
    if not findings:
        what = f"{counted(report.calls, 'call')} and {counted(report.events, 'event')}, every digest and every meter"
        rich_output.say(f"Everything holds: {what}.", rich_output.OK)
        if report.anchored:
            print("The given head is in the chain: nothing up to it was rewritten.")
    print(f"head: {report.head}")
    if findings:
        look = given.commands.line("doctor", "--ledger")
        print(f"Look with `{look}`, and compare with the statements of who was paid.")
    else:
        later = given.commands.line("ledger", "--verify", "--head", "DIGEST")
        print(f"Keep the head elsewhere; later `{later}` proves that this much stands.")
    return 1 if findings else 0


async def statement(given: Start, by: str, since: Any, until: Any, form: str) -> int:
    """Add up the calls and print the sums as a table, CSV or JSON."""
    from jecp_mcp.mandate.statement import By, StatementBuilder

    adding = StatementBuilder(By(by), since, until)
    async with open_ledger(given) as ledger:
        after = 0
        while page := await ledger.pages(after=after, limit=_PAGE):
            adding.add(page)
            after = page[-1].number
    made = adding.statement()
    rows = [{by: key, **_sums(line)} for key, line in made.lines.items()]
    total = {by: "total", **_sums(made.total)}
    if form == "json":
        print(json.dumps({"by": by, "lines": rows, "total": _sums(made.total)}, indent=2))
    elif form == "csv":
        written = CsvRows(sys.stdout)
        written.write(total)
        for row in (*rows, total):
            written.write(row.values())
    else:
        _print_statement(by, made, [*rows, total])
    return 0


def _sums(line: Line) -> dict[str, Any]:
    from jecp_mcp.money import format_usdc

    return {
        "calls": line.calls,
        "charged_usdc": format_usdc(line.charged),
        "refunded_usdc": format_usdc(line.refunded),
        "net_usdc": format_usdc(line.net),
        "held_usdc": format_usdc(line.held),
        "in_doubt_usdc": format_usdc(line.in_doubt),
        "uncharged_calls": line.uncharged,
    }


def _print_statement(by: str, made: Statement, rows: list[dict[str, Any]]) -> None:
    from jecp_mcp.cli import rich_output

    columns: list[rich_output.Column] = [(by, "left"), ("calls", "right"), ("charged", "right"), ("refunded", "right")]
    columns += [("net", "right"), ("held", "right"), ("in doubt", "right"), ("uncharged", "right")]
    # A column of noughts takes no room; what is paid to nobody else is the Hub's.
    cells = [[key or "the Hub itself", str(calls), *map(_cell, sums)] for key, calls, *sums in map(dict.values, rows)]
    rich_output.show(rich_output.Listing("Statement (USDC, UTC)", columns, cells))
    if made.total.held:
        print("held: counts as spent, though nobody knows yet whether it was charged; in doubt is a part of it.")


def _cell(amount: str | int) -> str:
    return "" if amount in {"0.00", 0} else str(amount)


async def export(given: Start, target: str, form: str | None, events: bool, *, overwrite: bool) -> int:
    """Write every call, or every event, to a file or stdout, page by page."""
    suffix = Path(target).suffix.lower().removeprefix(".")
    form = form or (suffix if suffix in {"csv", "json"} else None)
    if form is None:
        raise click.UsageError("name a file that ends in .csv or .json, or say --format csv or json")
    written = 0
    async with open_ledger(given) as ledger:
        with _output(target, overwrite=overwrite) as out:
            write = _Csv(out) if form == "csv" else _Json(out)
            after = 0
            read: Callable[..., Any] = ledger.events if events else ledger.pages
            show: Callable[[Any], dict[str, Any]] = _event if events else call_json
            while page := await read(after=after, limit=_PAGE):
                for row in page:
                    write.row(show(row))
                after, written = page[-1].number, written + len(page)
            write.end()
    if target != "-":
        print(f"{counted(written, 'event' if events else 'call')} {are(written)} in {target}.")
    return 0


async def prune(given: Start, json_wanted: bool) -> int:
    """Drop the requests and answers of calls that ended long ago."""
    from jecp_mcp.clock import SystemClock, UnixMs, iso

    days = given.settings.ledger.keep_bodies_days
    before = UnixMs(SystemClock().now() - days * _DAY_MS)
    async with open_ledger(given) as ledger:
        dropped = await ledger.prune(before)
    if json_wanted:
        print(json.dumps({"pruned_calls": dropped, "ended_before": iso(before), "keep_bodies_days": days}, indent=2))
    else:
        print(f"{counted(dropped, 'call')} that ended before {iso(before)} lost request and answer; the rows stay.")
    return 0


async def trust_clock(given: Start, json_wanted: bool) -> int:
    """Go by the clock as it is, by the operator's word, where the ledger was written later than it shows."""
    async with open_ledger(given) as ledger:
        told = await ledger.trust_clock()
    if json_wanted:
        print(json.dumps({"was_ahead": told is not None, "evidence": told}, indent=2))
    elif told is None:
        print("The ledger was not written later than the clock shows, so nothing is to be done.")
    else:
        print(f"Taken for right, and every limit is counted anew: {told}.")
    return 0


class _Csv:
    """Rows as CSV; the first one names the columns."""

    def __init__(self, out: TextIO) -> None:
        self._rows = CsvRows(out)
        self._begun = False

    def row(self, row: Mapping[str, Any]) -> None:
        if not self._begun:
            self._rows.write(row)
            self._begun = True
        self._rows.write(row.values())

    def end(self) -> None:
        """Nothing follows the last row."""


class _Json:
    """Rows as one JSON array, one a line."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._before = "[\n"

    def row(self, row: Mapping[str, Any]) -> None:
        self._out.write(self._before + json.dumps(row))
        self._before = ",\n"

    def end(self) -> None:
        self._out.write("[]\n" if self._before == "[\n" else "\n]\n")


def _event(row: EventRow) -> dict[str, Any]:
    from jecp_mcp.clock import iso
    from jecp_mcp.money import format_usdc

    return {
        "number": row.number,
        "call_id": row.call_id,
        "at": iso(row.at),
        "event": row.event,
        "before": row.before,
        "after": row.after,
        "held_usdc": format_usdc(row.held),
        "charged_usdc": format_usdc(row.charged),
        "refunded_usdc": format_usdc(row.refunded),
        "session": row.session,
        "evidence": row.evidence,
        "facts": row.facts,
        "digest": row.digest,
    }


@contextmanager
def _output(target: str, *, overwrite: bool) -> Iterator[TextIO]:
    """Where an export goes: stdout, or a new file."""
    if target == "-":
        yield sys.stdout
        return
    with new_text_file(Path(target), overwrite=overwrite) as file:
        yield file
