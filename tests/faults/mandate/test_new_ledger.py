"""A new ledger in the place of a lost one, where a disk or a folder does not do as it is told."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any, NoReturn

import pytest

from jecp_mcp.errors import LedgerUnavailable
from jecp_mcp.mandate.repair import backup
from jecp_mcp.mandate.repair.new_ledger import NotLost, begin_anew, check_lost
from jecp_mcp.mandate.repair.salvage import begin_with_limits_used_up
from tests.unit.mandate.reservations import HandClock, meter


def failing(*_: Any) -> NoReturn:
    raise OSError(errno.EIO, "Input/output error")


def test_a_disk_that_cannot_be_read_proves_no_ledger_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = tmp_path / "ledger.sqlite"
    ledger.touch()
    with pytest.raises(NotLost, match="nothing was written in"):
        check_lost(ledger, HandClock())
    monkeypatch.setattr(backup, "check", failing)
    with pytest.raises(LedgerUnavailable, match=r"cannot be read: Input/output error$"):
        check_lost(ledger, HandClock())


def test_where_nothing_can_be_put_in_its_place_what_stands_there_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = tmp_path / "ledger.sqlite"
    ledger.write_bytes(b"garbage")
    monkeypatch.setattr(backup, "beside", failing)
    with pytest.raises(LedgerUnavailable, match="cannot be replaced: Input/output error"):
        begin_anew(ledger, [meter()], HandClock())
    assert ledger.read_bytes() == b"garbage"
    with pytest.raises(LedgerUnavailable, match="a new ledger cannot be written to"):
        begin_with_limits_used_up(tmp_path / "nobody made it", [meter()], HandClock())
