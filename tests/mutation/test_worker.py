"""The runner itself: what it calls noticed was noticed because of the fault, and nothing else is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

CHOSEN, RESULTS, CONTROL = "chosen.json", "results.jsonl", "control.json"
PACKAGE = """
def first(x):
    return x + 1

def is_large(x):
    return x > 10

def unreached(x):
    return x + 2

def until(x):
    while x > 0:
        x -= 1
    return x
"""
TESTS = """
import os
from p import first, is_large, until

def test_first():
    assert first(1) == 2

def test_is_large():
    assert is_large(12) is True

def test_until():
    until(3)
"""
SETTINGS = """
[tool.mutmut]
source_paths = ["p.py"]
pytest_add_cli_args = ["-p", "no:cacheprovider"]
pytest_add_cli_args_test_selection = ["test_p.py"]
[tool.pytest.ini_options]
pythonpath = ["."]
"""


def run_worker(
    folder: Path, tests: str, functions: tuple[str, ...] = ("first", "is_large")
) -> tuple[subprocess.CompletedProcess[str], dict[str, set[str]]]:
    """How the worker ended, and what became of the faults of each function."""
    mutated = pytest.importorskip("mutmut.mutation.file_mutation").mutate_file_contents("p.py", PACKAGE)
    (folder / "p.py").write_text(mutated.code)
    (folder / "test_p.py").write_text(tests)
    (folder / "conftest.py").write_text("import tests.conftest\n")
    (folder / "pyproject.toml").write_text(SETTINGS)
    chosen = [f"p.{name}" for name in mutated.mutant_names if name.startswith(tuple(f"x_{one}_" for one in functions))]
    (folder / CHOSEN).write_text(json.dumps(chosen))
    root = Path(__file__).parents[2]
    run = subprocess.run(
        [sys.executable, "-m", "tests.mutation.worker", "2"],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    found: dict[str, set[str]] = {}
    for fault, status, _ in lines(folder):
        found.setdefault(fault.partition("__mutmut_")[0].removeprefix("p.x_"), set()).add(status)
    return run, found


def lines(folder: Path) -> list[list[str]]:
    file = folder / RESULTS
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_a_fault_is_noticed_by_a_test_that_fails_a_hang_by_its_time_and_one_that_no_test_reaches_by_none(
    tmp_path: Path,
) -> None:
    run, found = run_worker(tmp_path, TESTS, ("first", "is_large", "unreached", "until"))
    assert run.returncode == 0, run.stdout + run.stderr
    assert found == {
        "first": {"noticed"},
        "is_large": {"survived"},
        "unreached": {"unreached"},
        "until": {"survived", "timeout"},
    }
    assert json.loads((tmp_path / CONTROL).read_text()) == []


def test_a_test_that_fails_without_a_fault_ends_the_run(tmp_path: Path) -> None:
    run, found = run_worker(tmp_path, f"{TESTS}\ndef test_broken():\n    assert first(1) == 3\n")
    assert run.returncode == 1
    assert "test_broken" in run.stdout + run.stderr
    assert found == {}


def test_a_test_that_fails_whenever_any_fault_is_planted_is_named(tmp_path: Path) -> None:
    """So does a fixture that fails in a child for a reason of its own."""
    hasty = '\ndef test_hasty():\n    is_large(12)\n    assert os.environ["MUTANT_UNDER_TEST"] == "stats"\n'
    run, found = run_worker(tmp_path, TESTS + hasty)
    assert run.returncode == 0, run.stdout + run.stderr
    assert found["is_large"] == {"noticed"}
    assert json.loads((tmp_path / CONTROL).read_text()) == ["test_p.py::test_hasty"]


def test_a_run_that_was_broken_off_asks_only_what_is_not_known(tmp_path: Path) -> None:
    run_worker(tmp_path, TESTS)
    whole, file = lines(tmp_path), tmp_path / RESULTS
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:2]))
    run_worker(tmp_path, TESTS)
    assert lines(tmp_path)[:2] == whole[:2]
    assert sorted(lines(tmp_path)) == sorted(whole)
