"""Opening the ledger: a file created or checked, or a server, and a session to own what this process writes."""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from jecp_mcp.clock import Clock, SystemClock
from jecp_mcp.errors import SettingsError
from jecp_mcp.extras import POSTGRES
from jecp_mcp.mandate.commands import MOST_KEPT_BYTES
from jecp_mcp.mandate.sqlite.database import LedgerFile
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from jecp_mcp.mandate.sqlite.session_locks import SessionLocks
from jecp_mcp.settings import LedgerSettings, mount_of

if TYPE_CHECKING:
    from jecp_mcp.mandate.postgres.ledger import PostgresLedger

log = logging.getLogger(__name__)


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
        ExtraMissing: a server is named, and what speaks to it is not installed.
        SettingsError: the file is on a mount that other machines may share.
    """
    if settings.url is None:
        if (refusal := remote_folder(path)) is not None:
            raise SettingsError("the state folder", "", refusal)
        if (warning := served_folder(path)) is not None:
            log.warning("%s", warning)
        return open_ledger(path, session, clock, settings.keep_bodies_mb * 2**20)
    POSTGRES.require()
    from jecp_mcp.mandate.postgres.ledger import PostgresLedger

    return PostgresLedger(settings.url, session or secrets.token_hex(8), settings.keep_bodies_mb * 2**20)


def open_for_reading(settings: LedgerSettings, path: Path) -> SqliteLedger | PostgresLedger:
    """The same for one who writes nothing: no file is made, checked or begun, and nobody is kept out of it.

    Raises:
        ExtraMissing: as `open_configured`.
    """
    if settings.url is not None:
        return open_configured(settings, path)
    session, clock = secrets.token_hex(8), SystemClock()
    return SqliteLedger(LedgerFile(path, session, clock), SessionLocks(Path(f"{path}.owners")), session, clock)


def remote_folder(path: Path) -> str | None:
    """Why a ledger's file may not be at `path`: no lock there keeps other machines from spending the same money."""
    mount = mount_of(path)
    if mount is None or not mount.remote:
        return None
    return (
        f"{path.parent} is on {mount.point}, a mount of type {mount.kind}, where a lock does not keep other machines "
        "out, so limits could be passed; name a folder on a local disk (--state-dir), or for a ledger that machines "
        "share a PostgreSQL server ([ledger] url)"
    )


def served_folder(path: Path) -> str | None:
    """What to beware of where a program serves the folder of a ledger's file."""
    mount = mount_of(path)
    if mount is None or mount.remote or not mount.fuse:
        return None
    return (
        f"{path.parent} is on {mount.point}, a mount of type {mount.kind}: reached through a second mount, the same "
        "folder is not protected, and limits could be passed"
    )


def tls_weakness(settings: LedgerSettings) -> str | None:
    """What the operator asked for that leaves the ledger's server unverified, or None."""
    if settings.url is None or POSTGRES.missing():
        return None
    from jecp_mcp.mandate.postgres.tls import weakness

    return weakness(settings.url.get_secret_value(), os.environ)


def open_ledger(
    path: Path, session: str | None = None, clock: Clock | None = None, most_kept: int = MOST_KEPT_BYTES
) -> SqliteLedger:
    """Open the ledger at `path`, creating it (0600, in a folder of 0700) when it is not there.

    Never raises for what is wrong with the file: see `SqliteLedger.fault`. Then reads work as far as they can, and
    paid calls are refused.

    Args:
        path: the ledger's file; ``<path>.lock`` and ``<path>.owners/`` stand beside it.
        session: this process session's id, made here when not given.
        clock: the clock of every instant written.
        most_kept: how many bytes of requests and answers are kept.
    """
    clock = clock or SystemClock()
    session = session or secrets.token_hex(8)
    file = LedgerFile(path, session, clock)
    file.open()
    return SqliteLedger(file, SessionLocks(Path(f"{file.path}.owners")), session, clock, most_kept)
