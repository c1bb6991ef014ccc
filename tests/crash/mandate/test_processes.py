# ruff: noqa: ASYNC220 - nothing else runs in this loop while the processes do
"""Several processes on one file share one budget."""

import subprocess
import sys
from pathlib import Path

import pytest

from jecp_mcp.mandate.opening import open_ledger

SPENDER = Path(__file__).parent / "spender.py"


@pytest.mark.anyio
@pytest.mark.parametrize("callers", [1, 16])
async def test_four_processes_fill_a_cap_exactly(tmp_path: Path, callers: int) -> None:
    path, limit = tmp_path / "ledger.db", 1_500
    processes = [
        subprocess.Popen(
            [sys.executable, str(SPENDER), "fill", str(path), f"p{number}", str(limit), str(callers)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    counts = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0, 0]
    assert sum(counts) == limit
    ledger = open_ledger(path)
    totals = await ledger.totals()
    assert (totals.calls, totals.held) == (limit, 7 * limit)
    await ledger.close()
