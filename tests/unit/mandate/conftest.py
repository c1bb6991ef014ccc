"""A ledger on a real file, with a clock the test moves."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.sqlite.ledger import SqliteLedger
from tests.unit.mandate.reservations import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.db"


@pytest.fixture
async def ledger(path: Path, clock: HandClock) -> AsyncIterator[SqliteLedger]:
    """Whatever a test did to it through its own methods, the audit finds nothing."""
    opened = open_ledger(path, clock=clock)
    yield opened
    if opened.fault is None and not opened._closed:
        report = await opened.audit()
        assert report.findings == ()
    await opened.close()
