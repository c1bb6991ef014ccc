"""Several replicas, in processes of their own, on one server: with kills, and with the server's plug pulled."""

import asyncio
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from jecp_mcp.mandate.records import Meter
from jecp_mcp.mandate.states import OPEN, State
from jecp_mcp.mandate.windows import Window
from jecp_mcp.money import MicroUSDC
from tests.postgres.cluster import Cluster, new_cluster
from tests.postgres.fixtures import open_server
from tests.unit.mandate.reservations import everything

ROOT = Path(__file__).parents[2]


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """A server that no other test uses, for it is going to be stopped."""
    made = new_cluster()
    yield made
    made.remove()


@contextmanager
def replica(mode: str, url: str, tag: str, *rest: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.postgres.replica", mode, url, tag, *map(str, rest)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def fill(database: str, replicas: int, callers: int, cap: int) -> None:
    with ExitStack() as stack:
        running = [stack.enter_context(replica("fill", database, f"r{n}", cap, callers)) for n in range(replicas)]
        for one in running:
            assert one.stdout.readline() == "ready\n"
        for one in running:
            one.stdin.write("go\n")
            one.stdin.flush()
        admitted = [int(one.stdout.readline()) for one in running]
        assert [one.wait(60) for one in running] == [0] * replicas
    assert sum(admitted) == cap
    asyncio.run(check_filled(database, cap))


async def check_filled(database: str, cap: int) -> None:
    ledger = open_server(database, "check")
    day = Meter("day", Window.DAY, MicroUSDC(7 * cap), "daily_usdc", "local")
    assert [one.used for one in await ledger.readings([day])] == [7 * cap]
    report = await ledger.audit()
    assert (report.findings, report.calls) == ((), cap)
    await ledger.close()


def test_four_replicas_fill_a_cap_exactly(database: str) -> None:
    fill(database, replicas=4, callers=16, cap=1_500)


@pytest.mark.slow
def test_four_replicas_fill_a_cap_of_twenty_thousand_calls_exactly(database: str) -> None:
    fill(database, replicas=4, callers=16, cap=20_000)


def stop_and_start(cluster: Cluster, stops: int, seed: int) -> None:
    """Pull the server's plug under load again and again, and look for everything that was promised."""
    chosen = random.Random(seed)
    url = cluster.database()
    with ExitStack() as stack:
        running = [stack.enter_context(replica("spend", url, f"r{n}", 8)) for n in range(3)]
        said = []
        for number in range(stops):
            for one in running:
                said += [one.stdout.readline() for _ in range(chosen.randrange(20, 120))]
            cluster.stop("immediate")
            if number % 8 == 5:
                # Long enough that the callers are refused.
                for one in running:
                    while not said[-1].startswith("refused " + one.args[5]):
                        said.append(one.stdout.readline())
                        assert said[-1]
            cluster.start()
        for one in running:
            one.stdin.close()
        said += [line for one in running for line in one.stdout]
        assert [one.wait(60) for one in running] == [0] * len(running)
    assert said.count("ended\n") == len(running)
    words = [line.split() for line in said if line != "ended\n"]
    promised = {call_id for word, call_id in words if word == "reserved"}
    refused = {call_id for word, call_id in words if word == "refused"}
    print(f"\n{stops} stops: {len(promised)} reserved, {len(refused)} refused")
    asyncio.run(check_promises(url, promised, refused))


async def check_promises(url: str, promised: set[str], refused: set[str]) -> None:
    ledger = open_server(url, "check")
    rows = {row.call_id: row for row in await ledger.rows(limit=1_000_000)}
    assert promised <= rows.keys()
    assert all(row.state is State.RELEASED for call_id, row in rows.items() if call_id in refused)
    assert rows.keys() <= promised | refused
    for row in rows.values():
        number = int(row.call_id.rpartition("-")[2])
        if row.call_id in promised:
            assert row.state is (State.SETTLED if number % 3 else State.SENT)
    print(f"{sum(call_id in refused for call_id in rows)} of the refused had been written, and were released")
    report = await ledger.audit()
    assert report.findings == ()
    await ledger.adopt_orphans(everything)
    adopted = await ledger.rows(limit=1_000_000, states=OPEN)
    assert {row.owner for row in adopted} <= {"check"}
    assert {row.call_id for row in adopted} == {row.call_id for row in rows.values() if row.state in OPEN}
    await ledger.close()


@pytest.mark.slow
def test_nothing_is_lost_when_the_server_stops_dead_under_load(own_cluster: Cluster) -> None:
    stop_and_start(own_cluster, stops=2, seed=1)


@pytest.mark.slow
def test_nothing_is_lost_when_the_server_stops_dead_sixteen_times_under_load(own_cluster: Cluster) -> None:
    stop_and_start(own_cluster, stops=16, seed=2)


def kill_replicas(url: str, kills: int, seed: int) -> None:
    chosen = random.Random(seed)
    said: list[str] = []
    for number in range(kills):
        with replica("spend", url, f"k{number}", 8) as victim, replica("spend", url, f"w{number}", 4) as witness:
            said += [victim.stdout.readline() for _ in range(chosen.randrange(1, 200))]
            victim.send_signal(signal.SIGKILL)
            said += victim.stdout
            witness.stdin.close()
            said += witness.stdout
            assert witness.wait(60) == 0
    # The last line may have been cut off by the kill; what was not said whole was not promised.
    words = [line.split() for line in said if line.endswith("\n") and line != "ended\n"]
    assert all(word == "reserved" for word, _ in words)
    asyncio.run(check_kills(url, {call_id for _, call_id in words}))


async def check_kills(url: str, promised: set[str]) -> None:
    ledger = open_server(url, "check")
    rows = {row.call_id: row for row in await ledger.rows(limit=1_000_000)}
    assert promised <= rows.keys()
    assert (await ledger.audit()).findings == ()
    await ledger.close()


@pytest.mark.slow
def test_nothing_is_lost_when_replicas_are_killed(database: str) -> None:
    kill_replicas(database, kills=2, seed=1)


@pytest.mark.slow
def test_nothing_is_lost_when_twenty_replicas_are_killed(database: str) -> None:
    kill_replicas(database, kills=20, seed=2)
