"""Each error code stands in one place of its room, with its meaning, and nowhere else."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from jecp_mcp.wire.jecp.codes import CODES

from .error_codes import PACKAGE, PAGE, ROOMS, codes_of, every_code, module, page

OWN = {PACKAGE / room / "codes.py" for room in ROOMS}
THEIRS = ("client", "sandbox", "wire")
"""Where codes are a Hub's: what it sends, what a program makes of that, and the one that can be run here."""
FAULTS = {"Refusal", "ToolFault", "PayeeError"}
"""Whatever carries a code, as its first argument or by that name."""
SOURCES = sorted(
    path for path in PACKAGE.rglob("*.py") if path not in OWN and path.relative_to(PACKAGE).parts[0] not in THEIRS
)


@cache
def trees() -> list[tuple[Path, ast.Module]]:
    return [(path.relative_to(PACKAGE), ast.parse(path.read_text(encoding="utf-8"))) for path in SOURCES]


def literals(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def raised(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Codes that are given as text where a fault is made."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FAULTS:
            given = [*node.args[:1], *(one.value for one in node.keywords if one.arg == "code")]
            for one in given:
                if isinstance(one, ast.Constant):
                    yield one.lineno, one.value


@cache
def every_use() -> frozenset[tuple[str, str]]:
    return frozenset(use for _, tree in trees() for use in used(tree))


def used(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Which names of which module a file refers to."""
    aliases = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for one in node.names:
                aliases[one.asname or one.name] = f"{node.module}.{one.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in aliases:
            yield tuple(aliases[node.id].rsplit(".", 1))
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
            yield aliases[node.value.id], node.attr


def test_every_room_is_known() -> None:
    found = {path for path in PACKAGE.rglob("codes.py") if path.relative_to(PACKAGE).parts[0] not in THEIRS}
    assert found == OWN
    assert all(any(codes_of(room)) for room in ROOMS)


def test_a_code_stands_as_text_in_no_other_place() -> None:
    ours = every_code().keys()
    assert [(path, *one) for path, tree in trees() for one in literals(tree) if one[1] in ours] == []


def test_no_fault_is_made_with_a_code_that_stands_nowhere() -> None:
    found = [(path, *one) for path, tree in trees() for one in raised(tree)]
    assert [one for one in found if one[2] not in CODES] == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_code_of_a_room_is_used(room: str) -> None:
    names = {one.code for one in codes_of(room)}
    assert names == {name for origin, name in every_use() if origin == module(room)}


def test_the_page_says_what_the_rooms_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()
