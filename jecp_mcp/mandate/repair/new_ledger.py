"""A new ledger in the place of one of which nothing can be saved: the last way, when there is no backup either.

Blocking, and for a process that has the ledger not open. What was spent in the windows under way is not known any more,
so the new ledger counts every limit as used up, by a call that is written off until an operator rules on it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jecp_mcp.clock import Clock
from jecp_mcp.errors import LedgerDamaged, LedgerUnavailable
from jecp_mcp.mandate.records import Meter
from jecp_mcp.mandate.repair import backup
from jecp_mcp.mandate.repair.kept_files import DAMAGED, MAGIC
from jecp_mcp.mandate.repair.salvage import begin_with_limits_used_up, salvage
from jecp_mcp.mandate.sqlite import file_users
from jecp_mcp.money import MicroUSDC


class NotLost(LedgerUnavailable):
    """Nothing has to be given up: the ledger can be read or saved, or there was none."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A new ledger.

    Attributes:
        aside: where what stood there is now, or None where nothing did.
        written_off: what counts as spent until somebody rules on it, micro-USDC.
    """

    aside: Path | None
    written_off: MicroUSDC


def check_lost(ledger: Path, clock: Clock) -> None:
    """Make sure that a ledger was written here, and that nothing of it can be read or saved. Changes nothing.

    Raises:
        NotLost: that is not so.
        LedgerUnavailable: it cannot be told, or another version wrote it.
    """
    ledger = Path(os.path.realpath(ledger))
    if not ledger.is_file():
        if not ledger.exists() and not _was_written(ledger):
            raise NotLost(f"there is no ledger at {ledger}, and there was none: the first start begins one")
        return
    try:
        with ledger.open("rb") as raw:
            if raw.read(len(MAGIC)) not in {MAGIC, b""}:
                return
        copy = backup.check(ledger, ledger)
    except OSError as exc:
        raise LedgerUnavailable(f"{ledger} cannot be read: {exc.strerror or exc}") from exc
    except LedgerDamaged as exc:
        if ledger.stat().st_size == 0 and not _was_written(ledger):
            raise NotLost(f"nothing was written in {ledger} yet") from exc
        if _is_saved(ledger, clock):
            raise NotLost(f"{ledger} is damaged, but calls can still be saved from it; mend it instead") from exc
        return
    raise NotLost(f"{ledger} can be read, with its {copy.report.calls} calls; nothing of it has to be given up")


def begin_anew(ledger: Path, meters: Sequence[Meter], clock: Clock) -> Begun:
    """Move a ledger that is lost aside, and begin one in its place.

    Args:
        ledger: its file.
        meters: the limits that hold from now on.
        clock: of the instants written.

    Raises:
        NotLost: as `check_lost`.
        LedgerUnavailable: the ledger is in use, or its folder cannot be written.
    """
    ledger = Path(os.path.realpath(ledger))
    try:
        with backup.beside(ledger) as made, file_users.exclusive(ledger) as lock:
            file_users.unused(ledger)
            check_lost(ledger, clock)
            written_off = begin_with_limits_used_up(made, meters, clock)
            aside = backup.put_in_place(ledger, made, lock, DAMAGED, clock.now())
    except OSError as exc:
        raise LedgerUnavailable(f"{ledger} cannot be replaced: {exc.strerror or exc}") from exc
    return Begun(aside, written_off)


def _was_written(ledger: Path) -> bool:
    return any(side.exists() and side.stat().st_size for side in (Path(f"{ledger}.lock"), Path(f"{ledger}-wal")))


def _is_saved(ledger: Path, clock: Clock) -> bool:
    """Whether a salvage would come to anything, tried in a file that is thrown away."""
    try:
        with backup.beside(ledger) as made:
            salvage(ledger, made, clock)
    except LedgerDamaged:
        return False
    return True
