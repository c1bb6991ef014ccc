"""``jecp-mcp doctor``: what is wrong here, what it means for the money, and how to mend it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import click

from jecp_mcp.cli.options import Start, as_json, common_options
from jecp_mcp.errors import JecpMcpError, LedgerError, SettingsError
from jecp_mcp.settings import Settings, empty_variables, find_credentials, load_settings, state_dir

if TYPE_CHECKING:
    from jecp_mcp.mandate.repair.diagnose import Finding

_SECONDS = 10.0
_SERVER_ERROR = 500
_COLOURS = {"ok": "green", "warning": "yellow", "fault": "red"}
_NO_PURCHASE = "nothing can be bought; free reads may go on"


@click.command("doctor")
@common_options
@click.option("--ledger", "only_ledger", is_flag=True, help="Look at the ledger only.")
@click.option("--mend", is_flag=True, help="Mend what is safe to mend: modes, meters, owner files, a damaged file.")
@as_json
def command(
    hub: str | None, config: Path | None, state_dir: Path | None, only_ledger: bool, mend: bool, as_json: bool
) -> int:
    """Check settings, credentials, Hub, catalog and ledger; say what is wrong and how to mend it.

    \x08
    jecp-mcp doctor
    jecp-mcp doctor --ledger --mend

    Without --mend nothing is changed. A damaged ledger is mended by saving what can still be read; the damaged file is
    kept. The exit status is 0 only if nothing is wrong.
    """  # noqa: D301 - click reads the backspace itself
    findings, done = anyio.run(_examine, hub, config, state_dir, only_ledger, mend)
    wrong = any(finding.level.value != "ok" for finding in findings)
    if as_json:
        shown = [
            {"level": one.level.value, "about": one.about, "what": one.what, "money": one.money, "mend": one.mend}
            for one in findings
        ]
        print(json.dumps({"wrong": wrong, "mended": done, "findings": shown}, indent=2))
    else:
        _print(findings, done)
    return 1 if wrong else 0


async def _examine(
    hub: str | None, config: Path | None, folder: Path | None, only_ledger: bool, mending: bool
) -> tuple[list[Finding], list[str]]:
    """Look at everything; with `mending`, mend what can be and look again. Returns findings and what was done."""
    from jecp_mcp.clock import SystemClock
    from jecp_mcp.mandate.repair.diagnose import Finding, Level, examine
    from jecp_mcp.mandate.repair.repair import mend

    state, clock = state_dir(os.environ, folder), SystemClock()
    findings: list[Finding] = []
    settings, wrong = _settings(hub, config)
    if wrong is not None:
        findings.append(Finding(Level.FAULT, "settings", str(wrong), _NO_PURCHASE, "correct that key, or take it out"))
    given = Start(settings or Settings(), state, None)
    done: list[str] = []
    if given.settings.ledger.url is not None:
        ledger = await _server(given)
    else:
        ledger = await anyio.to_thread.run_sync(examine, given.ledger, clock)
        findings += _folder(given.ledger)
    if mending and given.settings.ledger.url is None:
        done += [] if only_ledger else _close_credentials(state)
        try:
            done += await anyio.to_thread.run_sync(mend, given.ledger, ledger, clock)
        except JecpMcpError as exc:
            done.append(f"not mended: {exc}")
        ledger = await anyio.to_thread.run_sync(examine, given.ledger, clock)
    if settings is not None:
        if not only_ledger:
            findings.append(Finding(Level.OK, "settings", _limits_in_words(settings)))
            findings += _empty_variables()
            findings += _exposed_files(config, state)
            findings += _credentials(settings, state)
            if settings.paid_http.merchants:
                from jecp_mcp.cli.paid_http_check import examine_paid_http

                findings += await examine_paid_http(given)
        findings += [one async for one in _hub(settings, only_ledger)]
        findings += [] if only_ledger else _catalog(given)
    return [*findings, *ledger, *await _charges(given)], done


async def _charges(given: Start) -> list[Finding]:
    """The calls for which a payee took more than they were allowed to cost, until a person has ruled on them."""
    from jecp_mcp.cli.call_rows import excess_in_words
    from jecp_mcp.cli.ledger_tasks import open_ledger
    from jecp_mcp.mandate.repair.diagnose import Finding, Level, excessive_in

    try:
        if given.settings.ledger.url is None:
            # Looking changes nothing, and opening a ledger for writing closes it to others' eyes.
            rows = await anyio.to_thread.run_sync(excessive_in, given.ledger)
        else:
            async with open_ledger(given) as ledger:
                rows = await ledger.excessive()
    except LedgerError:
        # What is wrong with the ledger is said by those who looked at it whole.
        return []
    money = "it counts against the limits until you rule"
    return [
        Finding(
            Level.WARNING, "charges", excess_in_words(row), money, f"jecp-mcp reconcile {row.call_id} --charged AMOUNT"
        )
        for row in rows
    ]


def _folder(path: Path) -> list[Finding]:
    """Whether the ledger's file is where locks hold."""
    from jecp_mcp.mandate.opening import remote_folder, served_folder
    from jecp_mcp.mandate.repair.diagnose import Finding, Level

    if (refusal := remote_folder(path)) is not None:
        return [
            Finding(Level.FAULT, "state folder", refusal, _NO_PURCHASE, "move it to a local disk, or set ledger.url")
        ]
    if (warning := served_folder(path)) is not None:
        mend = "move it to a local disk, or see that nothing else mounts it"
        return [Finding(Level.WARNING, "state folder", warning, "what another mount spends may not be counted", mend)]
    return []


async def _server(given: Start) -> list[Finding]:
    """What is wrong with a ledger in PostgreSQL; nothing of it is mended from here."""
    from jecp_mcp.mandate.opening import open_configured, tls_weakness
    from jecp_mcp.mandate.repair.diagnose import Finding, Level

    ledger = open_configured(given.settings.ledger, given.ledger)
    try:
        report = await ledger.audit()
    except LedgerError as exc:
        mend = "see to the server; the bridge goes on by itself when it is back"
        return [Finding(Level.FAULT, "ledger", str(exc), _NO_PURCHASE, mend)]
    finally:
        await ledger.close()
    weak = tls_weakness(given.settings.ledger)
    mend = "take sslmode out of the URL and PGSSLMODE out of the environment, or make it verify-full"
    lines = [] if weak is None else [Finding(Level.WARNING, "ledger", weak, "limits hold only if nobody does", mend)]
    told = f"{report.calls} calls and {report.events} events in PostgreSQL"
    if not report.findings:
        return [*lines, Finding(Level.OK, "books", f"{told}; every digest and meter agrees (head {report.head})")]
    mend = "restore the database as it was before the change, or rule on the calls with jecp-mcp reconcile"
    money = "what was counted may not be what was spent"
    return [*lines, *(Finding(Level.FAULT, "books", f"{told}: {found}", money, mend) for found in report.findings)]


def _settings(hub: str | None, config: Path | None) -> tuple[Settings | None, SettingsError | None]:
    overrides: Mapping[str, Any] = {} if hub is None else {"hub.base_url": hub}
    try:
        return load_settings(config, environ=os.environ, overrides=overrides), None
    except SettingsError as exc:
        return None, exc


def _empty_variables() -> Iterator[Finding]:
    from jecp_mcp.mandate.repair.diagnose import Finding, Level
    from jecp_mcp.settings.credentials import ID_VARIABLE, KEY_VARIABLE, OLD_KEY_VARIABLE

    # A start is silent about these: hosts pass an empty text for what their user left out.
    credentials = [
        name
        for name in (ID_VARIABLE, KEY_VARIABLE, OLD_KEY_VARIABLE)
        if name in os.environ and not os.environ[name].strip()
    ]
    for variable in (*empty_variables(os.environ), *credentials):
        mend = f"give {variable} a value, or unset it"
        money = "what it was to say does not hold"
        yield Finding(Level.WARNING, "settings", f"{variable} is empty, which counts as not set", money, mend)


def _exposed_files(config: Path | None, state: Path) -> Iterator[Finding]:
    from jecp_mcp.mandate.repair.diagnose import Finding, Level
    from jecp_mcp.settings.exposure import writable_by_others

    for path in writable_by_others(os.environ, config, state):
        money = "whoever can write there can raise the limits and change what was counted"
        yield Finding(Level.FAULT, "files", f"other users may write {path}", money, f"chmod go-w {path}")


def _limits_in_words(settings: Settings) -> str:
    from jecp_mcp.money import format_usdc

    mandate = settings.mandate
    return (
        f"at most {format_usdc(mandate.per_call_usdc)} USDC a call and {format_usdc(mandate.daily_usdc)} a day "
        f"at {settings.hub.base_url}"
    )


def _credentials(settings: Settings, state: Path) -> Iterator[Finding]:
    from jecp_mcp.mandate.repair.diagnose import Finding, Level
    from jecp_mcp.settings.credentials import ENVIRONMENT, FILE, ID_VARIABLE, KEY_VARIABLE

    try:
        found = find_credentials(settings, os.environ, Path.home(), state)
    except SettingsError as exc:
        if exc.source == ENVIRONMENT:
            mend = f"give both {ID_VARIABLE} and {KEY_VARIABLE} as the Hub gave them, or unset both"
        else:
            mend = f"chmod 600 {state / FILE}, or correct what it names; if others could read the key, have it replaced"
        yield Finding(Level.FAULT, "credentials", str(exc), _NO_PURCHASE, mend)
        return
    if found is None:
        mend = "set JECP_AGENT_ID and JECP_API_KEY, or let the agent call jecp_register"
        what = f"there are none for {settings.hub.base_url}"
        yield Finding(Level.WARNING, "credentials", what, "only free reads work", mend)
    else:
        yield Finding(Level.OK, "credentials", f"agent {found.agent_id}, from {found.source}")


def _close_credentials(state: Path) -> list[str]:
    """Take the credentials file out of other users' sight."""
    from jecp_mcp.settings.credentials import FILE

    path = state / FILE
    try:
        found = path.stat()
        if found.st_mode & 0o077 and found.st_uid == os.geteuid():
            path.chmod(0o600)
            return [f"{path} is readable by its owner only; if others could read the key, have it replaced"]
    except FileNotFoundError:
        return []
    except OSError as exc:
        return [f"not mended: {path}: {exc.strerror}"]
    return []


async def _hub(settings: Settings, only_ledger: bool) -> Any:
    """Whether the Hub answers, and how far this machine's clock is from its."""
    from jecp_mcp.calls.clock_check import MOST_SKEW_SECONDS
    from jecp_mcp.clock import SystemClock
    from jecp_mcp.http import ExchangeFailed, Http
    from jecp_mcp.mandate.repair.diagnose import Finding, Level
    from jecp_mcp.rails.jecp.hub_time import HubTime
    from jecp_mcp.wire.jecp.guide import MAX_GUIDE_BYTES

    url, time = settings.hub.base_url, HubTime(SystemClock())
    try:
        async with Http(url) as http:
            answer = await http.exchange(
                "GET", f"{url}/.well-known/agent-guide.json", timeout=_SECONDS, max_bytes=MAX_GUIDE_BYTES
            )
    except ExchangeFailed as exc:
        if only_ledger:
            yield Finding(Level.OK, "clock", f"not compared with the Hub's: {url} does not answer ({exc})")
        else:
            mend = "check the network and hub.base_url"
            yield Finding(Level.FAULT, "hub", f"{url} does not answer: {exc}", "nothing can be bought meanwhile", mend)
        return
    if not only_ledger:
        if answer.status >= _SERVER_ERROR:
            what, mend = f"{url} answers with HTTP {answer.status}", "wait, or ask whoever runs the Hub"
            yield Finding(Level.FAULT, "hub", what, "calls may fail or stay in doubt meanwhile", mend)
        else:
            yield Finding(Level.OK, "hub", f"{url} answers")
    time.note(answer.headers)
    skew = time.skew()
    if skew is None:
        yield Finding(Level.OK, "clock", "not compared: the Hub tells no time")
    elif abs(skew) > MOST_SKEW_SECONDS:
        what = f"this machine's clock is {abs(skew):.0f} seconds {'ahead of' if skew > 0 else 'behind'} the Hub's"
        money = "the limits' windows and the mandate's end are judged by a wrong time; calls may be refused"
        yield Finding(Level.FAULT, "clock", what, money, "set the clock of this machine, such as with NTP")
    else:
        yield Finding(Level.OK, "clock", f"within {max(abs(skew), 1):.0f} s of the Hub's")


def _catalog(given: Start) -> Iterator[Finding]:
    from jecp_mcp.catalog.snapshot import is_whole
    from jecp_mcp.cli.unmatched_patterns import remembered_catalog, unmatched_patterns
    from jecp_mcp.clock import iso
    from jecp_mcp.mandate.repair.diagnose import Finding, Level

    path, known = given.catalog, remembered_catalog(given)
    for text in unmatched_patterns(given.settings, known):
        money = "nothing is denied, limited or let in by it"
        mend = "correct it, or take it out; jecp-mcp catalog lists what there is"
        yield Finding(Level.WARNING, "settings", f"{text} matches none of the actions on sale now", money, mend)
    if known.fetched_at is not None:
        what = f"{len(known.actions)} actions, as of {iso(known.fetched_at)}"
        yield Finding(Level.OK, "catalog", what)
    elif path.exists() and is_whole(path):
        yield Finding(Level.OK, "catalog", f"{path} is of another Hub or filter; the next start fetches this one's")
    elif path.exists():
        what = f"{path} is damaged"
        yield Finding(Level.WARNING, "catalog", what, "nothing: the next start fetches it anew", f"rm {path}")
    else:
        yield Finding(Level.OK, "catalog", "not fetched yet; the first start does")


def _print(findings: list[Finding], done: list[str]) -> None:
    from rich.text import Text

    from jecp_mcp.cli import rich_output

    out = rich_output.console()
    for words in done:
        print(f"{'mended' if not words.startswith('not mended') else 'mend'}   {words}")
    for one in findings:
        level = one.level.value
        out.print(Text.assemble((f"{level:8}", _COLOURS[level]), f" {one.about}: {one.what}"), soft_wrap=True)
        if one.money:
            out.print(Text(f"         for the money: {one.money}"), soft_wrap=True)
        if one.mend:
            out.print(Text(f"         to mend it: {one.mend}"), soft_wrap=True)
