"""``jecp-mcp doctor``: what is wrong here, what it means for the money, and how to mend it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import click

from jecp_mcp.cli.examples import examples
from jecp_mcp.cli.options import (
    Start,
    as_json,
    asked_hub,
    command_line,
    common_options,
    read_settings,
    sandbox_asked,
    state_folder,
    state_folder_fault,
)
from jecp_mcp.cli.sandbox_settings import at_last_sandbox
from jecp_mcp.errors import JecpMcpError, LedgerDamaged, SettingsError
from jecp_mcp.settings import Settings

if TYPE_CHECKING:
    from jecp_mcp.mandate.repair.diagnose import Finding


@click.command("doctor", epilog=examples("jecp-mcp doctor", "jecp-mcp doctor --ledger --mend"))
@common_options
@click.option("--ledger", "only_ledger", is_flag=True, help="Look at the ledger only.")
@click.option("--mend", is_flag=True, help="Mend what is safe to mend: modes, meters, owner files, a damaged file.")
@as_json
def command(
    hub: str | None, config: Path | None, state_dir: Path | None, only_ledger: bool, mend: bool, as_json: bool
) -> int:
    """Check settings, extras, credentials, Hub, catalog and ledger; say what is wrong and how to mend it.

    Without --mend nothing is changed. A damaged ledger is mended by saving what can still be read; the damaged file is
    kept. The exit status is 0 only if nothing is wrong.
    """
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
    from jecp_mcp.cli.checks import books, budget, configuration

    findings: list[Finding] = []
    settings: Settings | None = None
    asked: str | None = None
    try:
        settings = read_settings(hub, config)
        asked = asked_hub(hub, settings)
    except SettingsError as exc:
        findings.append(configuration.refused(exc, config))
    commands = command_line(hub, config, folder, settings)
    given = Start(settings or Settings(), state_folder(folder), None, sandbox_asked(), commands, asked_hub=asked)
    if given.sandbox:
        given = at_last_sandbox(given)
    fault = state_folder_fault(given.state) or configuration.unmakeable(given.state)
    if fault is not None:
        return [*findings, configuration.no_state_folder(fault, given.state, folder)], []
    findings += configuration.missing_extras(given)
    ledger, done = await _books(given, findings, only_ledger=only_ledger, mending=mending)
    if settings is not None:
        findings += await _all_but_books(given, config, only_ledger=only_ledger)
    findings += ledger
    if not _unreachable(given):
        findings += await books.charges_findings(given)
        findings += [] if settings is None else await budget.budget_findings(given)
    return _worst_of_each(findings), done


def _worst_of_each(findings: list[Finding]) -> list[Finding]:
    """The same without what is well about a matter with which something is wrong."""
    wrong = {one.about for one in findings if one.level.value != "ok"}
    return [one for one in findings if one.level.value != "ok" or one.about not in wrong]


def _unreachable(given: Start) -> bool:
    """Whether the ledger is on a server, and what speaks to it is not installed."""
    from jecp_mcp.extras import POSTGRES

    return given.settings.ledger.url is not None and bool(POSTGRES.missing())


async def _books(
    given: Start, findings: list[Finding], *, only_ledger: bool, mending: bool
) -> tuple[list[Finding], list[str]]:
    """What is found in the ledger, once what was asked for is mended, and what was done."""
    from jecp_mcp.cli.checks import agent_account, books
    from jecp_mcp.clock import SystemClock
    from jecp_mcp.mandate.repair.diagnose import examine
    from jecp_mcp.mandate.repair.repair import mend

    if given.settings.ledger.url is not None:
        return [] if _unreachable(given) else await books.server_findings(given), []
    clock, done = SystemClock(), list[str]()
    ledger = await anyio.to_thread.run_sync(examine, given.ledger, clock, given.commands)
    findings += books.folder_findings(given.ledger)
    if mending:
        done += [] if only_ledger else agent_account.close_credentials(given.state)
        try:
            done += await anyio.to_thread.run_sync(mend, given.ledger, ledger, clock)
        except LedgerDamaged as exc:
            done.append(f"not mended: {exc}: {given.commands.line('ledger', '--new')}")
        except JecpMcpError as exc:
            done.append(f"not mended: {exc}")
        ledger = await anyio.to_thread.run_sync(examine, given.ledger, clock, given.commands)
    return ledger, done


async def _all_but_books(given: Start, config: Path | None, *, only_ledger: bool) -> list[Finding]:
    """What is found in settings that can be read, and in all that they lead to."""
    from jecp_mcp.cli.checks import agent_account, catalog_state, configuration, hub_answers, sandbox
    from jecp_mcp.clock import SystemClock
    from jecp_mcp.mandate.repair.diagnose import Level

    if only_ledger:
        clocks = [] if given.sandbox else given.hubs
        return [one for name in clocks async for one in hub_answers.hub_findings(given, name, only_clock=True)]
    findings, answers = list(configuration.settings_findings(given, config, SystemClock())), set[str]()
    if given.sandbox:
        findings += sandbox.sandbox_findings(given)
    else:
        shared = list(agent_account.shared_account_findings(given))
        findings += shared
        for name in given.hubs:
            findings += agent_account.credentials_findings(given, name)
            hub = [one async for one in hub_answers.hub_findings(given, name, only_clock=False)]
            if hub[0].level is Level.OK:
                answers.add(name)
                # One Hub's key must not reach another, and which of them it is for is not known here.
                findings += [] if shared else [one async for one in agent_account.refused_by_hub(given, name)]
            findings += hub
        if given.settings.paid_http.merchants:
            from jecp_mcp.cli.checks.paid_http import paid_http_findings

            findings += await paid_http_findings(given)
        for name, hub_settings in given.settings.every_hub.items():
            if hub_settings.payment != "wallet":
                from jecp_mcp.cli.checks.paid_http import hub_payment_findings

                findings += await hub_payment_findings(given, name)
        if given.settings.flow402.merchants:
            from jecp_mcp.cli.checks.flow402 import flow402_findings

            findings += await flow402_findings(given)
        if given.settings.ajp.hires:
            from jecp_mcp.cli.checks.agents import agent_findings

            findings += await agent_findings(given)
    findings += await catalog_state.catalog_findings(given, answers=answers)
    return [*findings, *catalog_state.pins_findings(given)]


def _print(findings: list[Finding], done: list[str]) -> None:
    from rich.text import Text

    from jecp_mcp.cli import rich_output

    out = rich_output.console()
    styles = {"ok": rich_output.OK, "warning": rich_output.WARNING, "fault": rich_output.FAULT}
    for words in done:
        print(f"{'mended' if not words.startswith('not mended') else 'mend'}   {words}")
    for one in findings:
        level = one.level.value
        out.print(Text.assemble((f"{level:8}", styles[level]), f" {one.about}: {one.what}"), soft_wrap=True)
        if one.money:
            out.print(Text(f"         for the money: {one.money}"), soft_wrap=True)
        if one.mend:
            out.print(Text(f"         to mend it: {one.mend}"), soft_wrap=True)
