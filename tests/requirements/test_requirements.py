"""Each demand of the specification has its row, each row its tests, and each test that says so its row."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.requirements.manifest import (
    CONCERNED,
    Requirement,
    disagreements,
    documents,
    marks,
    marks_in,
    requirements,
)
from tests.unit.citations.finder import Index

ROOT = Path(__file__).parents[2]
INDEX = Index.read(ROOT / "tests" / "unit" / "citations" / "headings.toml")
CASES = dict(
    re.findall(r"^\| `(JECP-[A-Z0-9-]+)` \| `(test_\w+)` \|$", (ROOT / "docs" / "sandbox.md").read_text(), re.MULTILINE)
)


def test_no_clause_is_missing() -> None:
    read = documents()
    specified = {name.removeprefix("JECP ") for name in INDEX.sections if re.match(r"JECP \d\d-", name)}
    assert {each.name for each in read} == specified | {"conformance"}
    for document in read:
        there = CASES if document.name == "conformance" else INDEX.sections[f"JECP {document.name}"]
        assert not set(document.musts) - set(there), document.name
        counted: Counter[str] = Counter(dict.fromkeys(document.musts, 0))
        for each in document.requirements:
            counted[each.clause.partition("§")[2]] += each.musts
        assert counted == document.musts, document.name


def test_every_row_says_whom_it_concerns_and_is_proved_or_says_why() -> None:
    rows = requirements()
    assert max(Counter(each.name for each in rows).values()) == 1
    for each in rows:
        assert re.fullmatch(r"[A-Z]+-[\w.]+-\d+", each.name)
        assert each.concerns, each.name
        assert each.concerns <= CONCERNED, each.name
        assert each.says.endswith("."), each.name
        assert len(each.why) + bool(each.proved_by) == 1, each.name
        assert all(len(reason) > 3 for reason in each.why.values()), each.name


def test_rows_and_tests_name_each_other() -> None:
    assert disagreements(requirements(), marks()) == []


def test_every_conformance_case_proves_a_row() -> None:
    proving = {test.partition("::")[2] for each in requirements() for test in each.proved_by}
    assert len(CASES) == 17
    # The documents say nothing of a provider's country.
    assert set(CASES.values()) - proving == {"test_provider_must_register_rejects_unsupported_country"}


def row(*tests: str) -> Requirement:
    return Requirement("WIRE-1-1", "JECP 01-protocol §1", 1, frozenset({"hub"}), "It is so.", tests, {})


@pytest.mark.parametrize(
    ("rows", "marked", "told"),
    [
        ([row("a.py::test_a")], {"a.py::test_a": {"WIRE-1-1"}}, None),
        ([row("a.py::test_a")], {}, "a.py::test_a is named by WIRE-1-1"),
        ([row("a.py::test_a")], {"a.py::test_a": {"WIRE-1-1", "WIRE-9-9"}}, "a.py::test_a bears WIRE-9-9"),
        ([row("a.py::test_a")], {"a.py::test_a": {"WIRE-1-1"}, "b.py::test_b": {"WIRE-1-1"}}, "b.py::test_b bears"),
    ],
)
def test_a_row_and_a_test_that_do_not_name_each_other_are_told(
    rows: list[Requirement], marked: dict[str, set[str]], told: str | None
) -> None:
    found = disagreements(rows, {test: frozenset(ids) for test, ids in marked.items()})
    assert [each.startswith(told or "") for each in found] == [True] * (told is not None)


def test_marks_are_read_however_they_are_written() -> None:
    text = (
        '@pytest.mark.slow\n@pytest.mark.requirement("A-1-1")\n@pytest.mark.anyio\nasync def test_a() -> None:\n'
        'def test_b() -> None:\n@pytest.mark.requirement(\n    "A-1-1", "A-1-2"\n)\ndef test_c() -> None:\n'
    )
    assert marks_in(text) == {"test_a": {"A-1-1"}, "test_c": {"A-1-1", "A-1-2"}}
