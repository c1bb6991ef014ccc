"""kill -9 at any moment: nothing acknowledged is lost, nothing is damaged, and the next process takes over."""

import asyncio
import random
import signal
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import Meter
from jecp_mcp.mandate.sqlite import schema
from jecp_mcp.mandate.states import OPEN, State
from jecp_mcp.mandate.windows import Window
from jecp_mcp.money import MicroUSDC
from tests.unit.mandate.reservations import everything

SPENDER = Path(__file__).parent / "spender.py"


def spend_and_die(path: Path, tag: str, lines: int) -> list[str]:
    """Run a spender until it has said `lines` lines; everything it said."""
    command = [sys.executable, str(SPENDER), str(path), tag]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if len(said) == lines:
                process.kill()
        assert process.wait(60) == -signal.SIGKILL
    # The last line may have been cut off by the kill; what was not said whole was not promised.
    return [line.strip() for line in said if line.endswith("\n")]


def check(path: Path, said: list[str]) -> None:
    """Open the file as the next process would, and look for everything that was promised."""
    asyncio.run(_check(path, said))


async def _check(path: Path, said: list[str]) -> None:
    ledger = open_ledger(path)
    assert ledger.fault is None
    await ledger.adopt_orphans(everything)
    rows = {row.call_id: row for row in await ledger.rows(limit=1_000_000)}
    for line in said:
        word, call_id = line.split()
        assert call_id in rows
        if word == "settled":
            row = await ledger.row(call_id)
            assert row is not None
            assert (row.state, row.answer) == (State.SETTLED, b"answer")
    still_open = [row for row in rows.values() if row.state in OPEN]
    assert all((row.state, row.owner) == (State.IN_DOUBT, ledger.session) for row in still_open)
    spent = sum(row.charged if row.state is State.SETTLED else row.held for row in rows.values())
    (reading,) = await ledger.readings([Meter("day", Window.DAY, MicroUSDC(10**12), "daily_usdc", "local")])
    assert reading.used == spent
    assert (await ledger.audit()).findings == ()
    await ledger.close()
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    assert connection.execute("PRAGMA integrity_check").get == "ok"
    schema.check_meters(connection)
    connection.close()


def kill_at_random(path: Path, times: int) -> None:
    chance = random.Random(times)
    said: list[str] = []
    for number in range(times):
        said += spend_and_die(path, f"s{number}", chance.randint(1, 120))
        check(path, said)


@pytest.mark.slow
def test_a_killed_process_loses_nothing_it_was_promised(tmp_path: Path) -> None:
    kill_at_random(tmp_path / "ledger.db", 12)


@pytest.mark.slow
def test_three_hundred_kills_lose_nothing(tmp_path: Path) -> None:
    for number in range(15):
        # An audit after every kill: one ledger of them all would be gone over three hundred times.
        kill_at_random(tmp_path / f"{number}.db", 20)
