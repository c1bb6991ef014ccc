"""Ten demands drawn at random are broken in a copy of the sandbox, and a test of each turns red.

The draw orders the rows that concern a Hub and have tests by a hash of their ids: a new row changes it a little at most.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.requirements.manifest import HERE, TESTS, Requirement, requirements

ROOT = TESTS.parent
SEED = 18
DRAWN = 10


class Fault(NamedTuple):
    """A change of one place, by which the Hub no longer does what a row demands."""

    requirement: str
    file: str
    was: str
    becomes: str


FAULTS = [Fault(**each) for each in tomllib.loads((HERE / "faults.toml").read_text(encoding="utf-8"))["fault"]]
ROWS = {each.name: each for each in requirements()}


def drawn(rows: Iterable[Requirement]) -> list[str]:
    able = (each.name for each in rows if "hub" in each.concerns and each.proved_by)
    return sorted(able, key=lambda name: hashlib.sha256(f"{SEED} {name}".encode()).digest())[:DRAWN]


@pytest.mark.slow
def test_every_row_that_is_drawn_has_a_fault_that_can_be_planted() -> None:
    assert set(drawn(ROWS.values())) - {each.requirement for each in FAULTS} == set(), "plant them in faults.toml"
    for each in FAULTS:
        assert ROWS[each.requirement].proved_by
        found = (ROOT / each.file).read_text(encoding="utf-8").count(each.was)
        assert found == 1, f"{each.requirement}: {each.was!r} stands {found} times in {each.file}"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project without its history, whose tests see no other one."""
    made = tmp_path_factory.mktemp("planted") / "project"
    made.mkdir()
    for name in ("jecp_mcp", "tests", "docs", "config"):
        shutil.copytree(ROOT / name, made / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy2(path, made)
    return made


def run(copy: Path, tests: Iterable[str]) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", "", "-rf"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [*command, *(f"tests/{each}" for each in tests)],
        cwd=copy,
        env={**kept, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


@pytest.mark.long
def test_without_a_fault_they_are_green(copy: Path) -> None:
    tests = {test for each in FAULTS for test in ROWS[each.requirement].proved_by}
    status, told = run(copy, sorted(tests))
    assert status == 0, told[-4_000:]


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS, ids=[each.requirement for each in FAULTS])
def test_what_breaks_a_demand_turns_a_test_of_it_red(copy: Path, fault: Fault) -> None:
    file = copy / fault.file
    whole = file.read_text(encoding="utf-8")
    file.write_text(whole.replace(fault.was, fault.becomes), encoding="utf-8")
    try:
        status, told = run(copy, ROWS[fault.requirement].proved_by)
    finally:
        file.write_text(whole, encoding="utf-8")
    assert status == 1, told[-4_000:]
    red = set(re.findall(r"^FAILED tests/(\S+?::\w+)", told, re.MULTILINE))
    assert red & set(ROWS[fault.requirement].proved_by), told[-4_000:]
