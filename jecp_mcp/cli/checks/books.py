"""The ledger: where it is, whether it holds together, and what a person must rule on."""

from __future__ import annotations

from pathlib import Path

from jecp_mcp.cli.call_rows import excess_in_words
from jecp_mcp.cli.checks.configuration import NO_PURCHASE
from jecp_mcp.cli.options import Start
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.opening import open_configured, open_for_reading, remote_folder, served_folder, tls_weakness
from jecp_mcp.mandate.repair.diagnose import Finding, Level
from jecp_mcp.plurals import counted


def folder_findings(ledger: Path) -> list[Finding]:
    """Whether the ledger's file is where locks hold."""
    if (refusal := remote_folder(ledger)) is not None:
        mend = "move it to a local disk, or set ledger.url"
        return [Finding(Level.FAULT, "state folder", refusal, NO_PURCHASE, mend)]
    if (warning := served_folder(ledger)) is not None:
        mend = "move it to a local disk, or see that nothing else mounts it"
        return [Finding(Level.WARNING, "state folder", warning, "what another mount spends may not be counted", mend)]
    return []


async def server_findings(given: Start) -> list[Finding]:
    """What is wrong with a ledger in PostgreSQL; nothing of it is mended from here."""
    ledger = open_configured(given.settings.ledger, given.ledger)
    try:
        report = await ledger.audit()
    except LedgerError as exc:
        mend = "see to the server; the bridge goes on by itself when it is back"
        return [Finding(Level.FAULT, "ledger", str(exc), NO_PURCHASE, mend)]
    finally:
        await ledger.close()
    weak = tls_weakness(given.settings.ledger)
    mend = "take sslmode out of the URL and PGSSLMODE out of the environment, or make it verify-full"
    lines = [] if weak is None else [Finding(Level.WARNING, "ledger", weak, "limits hold only if nobody does", mend)]
    told = f"{counted(report.calls, 'call')} and {counted(report.events, 'event')} in PostgreSQL"
    if not report.findings:
        return [*lines, Finding(Level.OK, "books", f"{told}; every digest and meter agrees (head {report.head})")]
    rule = given.commands.line("reconcile")
    mend = f"restore the database as it was before the change, or rule on the calls with {rule}"
    money = "what was counted may not be what was spent"
    return [*lines, *(Finding(Level.FAULT, "books", f"{told}: {found}", money, mend) for found in report.findings)]


async def charges_findings(given: Start) -> list[Finding]:
    """The calls for which a payee took more than they were allowed to cost, until a person has ruled on them."""
    ledger = open_for_reading(given.settings.ledger, given.ledger)
    try:
        rows = await ledger.excessive()
    except LedgerError:
        # What is wrong with the ledger is said by those who looked at it whole.
        return []
    finally:
        await ledger.close()
    money = "it counts against the limits until you rule"
    return [
        Finding(
            Level.WARNING,
            "charges",
            excess_in_words(row),
            money,
            given.commands.line("reconcile", row.call_id, "--charged", "AMOUNT", "--reason", "TEXT"),
        )
        for row in rows
    ]
