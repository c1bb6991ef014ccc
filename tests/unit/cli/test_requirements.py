"""What is installed with the package is bounded, and the tests run with versions that are known."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONSTRAINTS = [
    line for line in (ROOT / "config" / "constraints.txt").read_text().splitlines() if not line.startswith("#")
]
OPTIONAL = {"psycopg", "safetensors", "tokenizers", "wordllama"}
"""Extras that need not be installed here."""


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements() -> list[str]:
    project = PROJECT["project"]
    extras = [one for extra in project["optional-dependencies"].values() for one in extra]
    return [*PROJECT["build-system"]["requires"], *project["dependencies"], *extras]


def number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition(".post")[0]))


NAMED = [one for one in requirements() if not one.startswith("jecp-mcp[")]


@pytest.mark.parametrize("requirement", NAMED)
def test_each_requirement_has_a_lower_and_an_upper_bound(requirement: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9._-]+(\[[a-z]+\])?>=[0-9][0-9a-z.]*,<[0-9][0-9.]*", requirement)


def test_each_library_that_is_imported_is_required() -> None:
    imported: set[str] = set()
    for path in (ROOT / "jecp_mcp").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                imported.add(node.module.partition(".")[0])
    foreign = imported - sys.stdlib_module_names - {"jecp_mcp"} - OPTIONAL
    known = packages_distributions()
    required = {plain(re.split(r"[\[>]", one)[0]) for one in NAMED}
    for module in foreign:
        assert {plain(name) for name in known[module]} & required, module


def test_the_constraints_are_names_and_versions_and_nothing_else() -> None:
    names = [re.fullmatch(r"([a-z0-9]+(?:-[a-z0-9]+)*)==[0-9][0-9a-z.]*", line) for line in CONSTRAINTS]
    assert all(names)
    assert len(names) == len({name[1] for name in names if name})


def test_each_requirement_is_held_to_a_version_within_its_bounds() -> None:
    held = dict(line.split("==") for line in CONSTRAINTS)
    for requirement in NAMED[len(PROJECT["build-system"]["requires"]) :]:
        name, low, high = re.findall(r"^([A-Za-z0-9._-]+)(?:\[\w+\])?>=([^,]+),<(.+)$", requirement)[0]
        assert number(low) <= number(held[plain(name)]) < number(high), requirement


def test_the_tests_are_run_with_the_constraints() -> None:
    [command] = [
        line
        for line in (ROOT / "README.md").read_text().splitlines()
        if re.fullmatch(r"python3 -m venv .*pytest -n auto", line)
    ]
    assert " -c config/constraints.txt " in command
    installs = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if "pip install" in line]
    assert installs
    assert all(" -c config/constraints.txt " in line for line in installs)
