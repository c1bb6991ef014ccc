"""Several processes share one file of pins, and any of them may be killed at any time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from tests.crash.catalog.pinner import ACTIONS, batch
from tests.unit.catalog.offers import catalog, offer, opened

ROOT = Path(__file__).parents[3]


def start(mode: str, folder: Path, price: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.crash.catalog.pinner", mode, str(folder), str(price)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def raced(folder: Path, *prices: int) -> list[dict[str, int]]:
    """What each of several processes that see the same actions at the same moment would sell."""
    processes = [start("race", folder, price) for price in prices]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return [json.loads(process.communicate(timeout=60)[0]) for process in processes]


def test_of_first_sights_at_once_that_agree_all_are_sold(tmp_path: Path) -> None:
    sold = raced(tmp_path, *[1_000] * 6)
    assert [len(offers) for offers in sold] == [ACTIONS] * 6


def test_of_two_first_sights_at_once_one_counts_and_the_others_hold_what_differs(tmp_path: Path) -> None:
    sold = raced(tmp_path, 1_000, 2_000, 3_000)
    pinned = opened(tmp_path)
    for at in range(ACTIONS):
        prices = {offers[f"p/cap:run-{at}"] for offers in sold if f"p/cap:run-{at}" in offers}
        # Cheaper than what is pinned passes; dearer never does.
        below = [
            price for price in (1_000, 2_000, 3_000) if not pinned.vet(catalog(offer(f"p/cap:run-{at}", price))).held
        ]
        assert max(below) == max(prices)
    pinned.close()


@pytest.mark.parametrize("after", [0, 3, 9])
def test_what_was_pinned_before_a_kill_is_pinned_after_it(tmp_path: Path, after: int) -> None:
    with start("one after another", tmp_path, 1_000) as process:
        assert process.stdout is not None
        last = -1
        while last < after:
            last = int(process.stdout.readline())
        process.kill()
        last = max([last, *(int(line) for line in process.stdout)])
    pins = opened(tmp_path)
    for number in range(last + 1):
        dearer = [offer(key, 1_001) for key in batch(number, 1_000)]
        assert set(pins.vet(catalog(*dearer)).held) == {action.key for action in dearer}
    pins.close()
    with_journal = apsw.Connection(str(tmp_path / "pins.sqlite"))
    assert with_journal.pragma("integrity_check") == "ok"
    with_journal.close()
