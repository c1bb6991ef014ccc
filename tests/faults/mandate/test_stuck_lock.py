"""Another process that holds the ledger's lock and does not let go: reads go on, and name it."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest

from jecp_mcp.calls.ports import Caller
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.mandate.sqlite import write_lock
from jecp_mcp.tools.own.wallet import Wallet
from tests.unit.calls.test_pipeline import StillClock, always_charged, buying, opened

pytestmark = pytest.mark.anyio

HOLD = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDWR)
fcntl.flock(descriptor, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="the system does not tell who holds a lock")
async def test_the_wallet_reads_on_under_a_stuck_lock_and_names_who_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_lock, "LONGEST_WAIT", 0.3)
    async with opened(tmp_path, always_charged) as (calls, _rail, ledger):
        end = await calls.pay(buying(), Caller(LOCAL))
        await ledger.flush()
        wallet = Wallet(calls, calls._policy, StillClock())
        assert "ledger_trouble" not in await wallet.overview("local")
        lock = str(tmp_path / "ledger.sqlite.lock")
        async with await anyio.open_process([sys.executable, "-c", HOLD, lock]) as holder:
            assert holder.stdout is not None
            assert (await holder.stdout.receive()).startswith(b"held")
            calls.delivered(end)
            made = await wallet.overview("local")
            assert f"locked by process {holder.pid}" in made["ledger_trouble"]
            assert made["charged_usdc"] == "0.10"
            holder.kill()
        await ledger.flush()
        assert "ledger_trouble" not in await wallet.overview("local")


async def test_reads_do_not_each_wait_as_long_as_a_write_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, always_charged) as (calls, _rail, ledger):
        await calls.pay(buying(), Caller(LOCAL))
        await ledger.flush()
        with monkeypatch.context() as patched:
            patched.setattr(ledger._writer, "trouble", "locked by process 7")  # type: ignore[attr-defined]
            patched.setattr(ledger, "flush", anyio.sleep_forever)
            patched.setattr(ledger._writer, "flush", anyio.sleep_forever)  # type: ignore[attr-defined]
            with anyio.fail_after(30):
                assert (await calls.reader(LOCAL).totals()).calls == 1
