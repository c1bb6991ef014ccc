"""Opening the ledger: the file created or checked, and a session to own what this process writes."""

from __future__ import annotations

import secrets
from pathlib import Path

from jecp_mcp.clock import Clock, SystemClock
from jecp_mcp.mandate.file import LedgerFile
from jecp_mcp.mandate.owners import Owners
from jecp_mcp.mandate.sqlite import SqliteLedger


def open_ledger(path: Path, session: str | None = None, clock: Clock | None = None) -> SqliteLedger:
    """Open the ledger at `path`, creating it (0600, in a folder of 0700) when it is not there.

    Never raises for what is wrong with the file: see `SqliteLedger.fault`. Then reads work as far as they can, and
    paid calls are refused.

    Args:
        path: the ledger's file; ``<path>.lock`` and ``<path>.owners/`` stand beside it.
        session: this process session's id, made here when not given.
        clock: the clock of every instant written.
    """
    clock = clock or SystemClock()
    session = session or secrets.token_hex(8)
    file = LedgerFile(path, session, clock)
    file.open()
    return SqliteLedger(file, Owners(Path(f"{file.path}.owners")), session, clock)
