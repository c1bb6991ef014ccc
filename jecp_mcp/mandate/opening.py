"""Opening the ledger: a file created or checked, or a server, and a session to own what this process writes."""

from __future__ import annotations

import os
import secrets
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from jecp_mcp.clock import Clock, SystemClock
from jecp_mcp.errors import SettingsError
from jecp_mcp.mandate.file import LedgerFile
from jecp_mcp.mandate.owners import Owners
from jecp_mcp.mandate.sqlite import SqliteLedger
from jecp_mcp.settings import LedgerSettings

if TYPE_CHECKING:
    from jecp_mcp.mandate.postgres.ledger import PostgresLedger


def open_configured(
    settings: LedgerSettings, path: Path, session: str | None = None, clock: Clock | None = None
) -> SqliteLedger | PostgresLedger:
    """Open the ledger that the settings name: a server's, else the file at `path`.

    Never raises for what is wrong with it: see `SqliteLedger.fault` and `PostgresLedger.fault`.

    Args:
        settings: the section ``[ledger]``.
        path: the ledger's file where no server is named.
        session: this process session's id, made here when not given.
        clock: the clock of every instant written in a file; a server writes its own.

    Raises:
        SettingsError: a server is named, and what speaks to it is not installed.
    """
    if settings.url is None:
        return open_ledger(path, session, clock)
    if find_spec("psycopg") is None:
        raise SettingsError("the settings", "ledger.url", "needs the extra postgres: pip install 'jecp-mcp[postgres]'")
    from jecp_mcp.mandate.postgres.ledger import PostgresLedger

    return PostgresLedger(settings.url, session or secrets.token_hex(8))


def unverified(settings: LedgerSettings) -> str | None:
    """What the operator asked for that leaves the ledger's server unverified, or None."""
    if settings.url is None or find_spec("psycopg") is None:
        return None
    from jecp_mcp.mandate.postgres.verification import weakness

    return weakness(settings.url.get_secret_value(), os.environ)


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
