"""Plants the faults: a copy of the package in which every function of the chosen modules has its mutants beside it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from mutmut.configuration import config
from mutmut.mutation.data import MutantLineSpans
from mutmut.mutation.file_mutation import filter_mutants_with_type_checker, mutate_file_contents
from mutmut.utils.file_utils import walk_mutatable_files
from mutmut.utils.format_utils import get_mutant_name

from tests.mutation.faults import Fault, is_wording, read_fault

MUTANTS = Path("mutants")


def plant() -> dict[str, Fault]:
    """Every fault by its name, but those that mypy refuses and those that only change wording."""
    for folder in ("jecp_mcp", "tests"):
        shutil.rmtree(MUTANTS / folder, ignore_errors=True)
        shutil.copytree(folder, MUTANTS / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy("pyproject.toml", MUTANTS)
    names = [name for path in walk_mutatable_files() for name in _plant_in(path)]
    # mutmut asks for mypy by its name alone.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    refused = filter_mutants_with_type_checker()
    faults = {name: read_fault(name) for name in names if name not in refused}
    return {name: fault for name, fault in faults.items() if not is_wording(fault)}


def _plant_in(path: Path) -> Iterator[str]:
    mutated = mutate_file_contents(str(path), path.read_text(encoding="utf-8"))
    (MUTANTS / path).write_text(mutated.code, encoding="utf-8")
    MutantLineSpans(path=path, span_by_function_name=mutated.line_span_by_function_name).save()
    return (get_mutant_name(path, name) for name in mutated.mutant_names)


def pytest_arguments() -> list[str]:
    """How pytest is to run the tests that must notice the faults."""
    return [*config().pytest_add_cli_args, *config().pytest_add_cli_args_test_selection]
