"""What can be mended about a ledger's file without asking anybody: nothing of it can let more be spent.

Blocking, and for a process that has the ledger not open.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import apsw

from jecp_mcp.clock import Clock
from jecp_mcp.errors import LedgerDamaged, LedgerUnavailable
from jecp_mcp.mandate.repair import backup
from jecp_mcp.mandate.repair.diagnose import Finding, Mend
from jecp_mcp.mandate.repair.kept_files import DAMAGED
from jecp_mcp.mandate.repair.salvage import salvage
from jecp_mcp.mandate.sqlite import file_users, schema
from jecp_mcp.mandate.sqlite.session_locks import SessionLocks
from jecp_mcp.mandate.sqlite.store import Store
from jecp_mcp.money import format_usdc
from jecp_mcp.plurals import are, counted


def mend(ledger: Path, findings: Iterable[Finding], clock: Clock) -> list[str]:
    """Mend what `examine` found as far as that is safe; returns what was done, in words.

    Raises:
        LedgerUnavailable: the ledger is in use, or cannot be written.
        LedgerDamaged: nothing of it can be saved.
    """
    ledger = Path(os.path.realpath(ledger))
    wanted = {finding.safe for finding in findings}
    done: list[str] = []
    try:
        if Mend.CHMOD in wanted:
            done += _chmod(ledger)
        if Mend.OWNERS in wanted:
            done += _owners(ledger)
        if Mend.SALVAGE in wanted:
            done += _salvage(ledger, clock)
        elif Mend.RECOUNT in wanted:
            done += _recount(ledger, clock)
    except OSError as exc:
        raise LedgerUnavailable(f"{ledger} cannot be mended: {exc.strerror or exc}") from exc
    return done


def _chmod(ledger: Path) -> list[str]:
    done = []
    for path in (ledger, *(Path(f"{ledger}{side}") for side in ("-wal", "-shm", ".lock"))):
        if path.exists() and path.stat().st_mode & 0o777 != 0o600:  # noqa: PLR2004 - its owner's alone
            path.chmod(0o600)
            done.append(f"{path} is readable and writable by its owner only")
    return done


def _owners(ledger: Path) -> list[str]:
    owners, removed = SessionLocks(Path(f"{ledger}.owners")), 0
    for path in file_users.sessions_of(ledger).stale:
        lock = owners.claim(path.stem)
        if lock is not None:
            lock.release()
            removed += 1
    return [f"{removed} owner files of dead processes are removed"]


def _recount(ledger: Path, clock: Clock) -> list[str]:
    try:
        with file_users.exclusive(ledger), closing(_open(ledger)) as connection:
            schema.configure(connection)
            with connection:
                store = Store(connection, secrets.token_hex(8))
                batch = store.begin(clock.now())
                batch.recount()
                store.store(batch.finish())
    except (apsw.Error, ValueError) as exc:
        raise LedgerDamaged(f"the meters of {ledger} cannot be counted anew: {exc}") from exc
    return ["every meter is counted anew from the calls"]


def _open(ledger: Path) -> apsw.Connection:
    connection = apsw.Connection(str(ledger), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_timeout(1000)
    return connection


def _salvage(ledger: Path, clock: Clock) -> list[str]:
    with backup.beside(ledger) as made, file_users.exclusive(ledger) as lock:
        file_users.unused(ledger)
        saved = salvage(ledger, made, clock)
        copy = backup.check(made, made)
        # Whatever is salvaged holds together; a fault of ours that broke that must not be put in place.
        if copy.report.findings:  # pragma: no cover
            raise LedgerDamaged(f"what was saved does not hold together: {copy.report.findings[0]}")
        aside = backup.put_in_place(ledger, made, lock, DAMAGED, clock.now())
    done = [
        f"{counted(saved.calls, 'call')} {are(saved.calls)} saved in a new ledger; the damaged one is kept as {aside}"
    ]
    if saved.rebuilt:
        named = ", ".join(saved.rebuilt[:10]) + (", ..." * (len(saved.rebuilt) > 10))  # noqa: PLR2004 - as many as a line holds
        done.append(f"made anew from their events, without names: {counted(len(saved.rebuilt), 'call')} ({named})")
    if saved.unexplained:
        done.append(
            f"{format_usdc(saved.unexplained)} USDC that the limits had counted and no call that can be read explains "
            "are written off: they count as spent until you rule on them"
        )
    done += [f"could not be read: {words}" for words in saved.lost]
    done.append("prepared calls and approvals are not taken over; make or ask for them again")
    return done
