"""The heart knows no protocol: no rail is named in it, nothing is imported from one, and nothing in it is called a hub."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from jecp_mcp.rails.wiring import RAILS

PACKAGE = Path(__file__).resolve().parents[2] / "jecp_mcp"
HEART = ("calls", "mandate", "catalog", "domain")
NAMES = (*RAILS, "x402", "flow402", "ajp")
OURS = re.compile(r"jecp[-_]mcp|jecp_[a-z]+")
"""The package's own name, also in SQL and in commands, and the names of its tools."""


def faults(source: str) -> Iterator[str]:
    """What of a rail a module of the heart knows, as line and words."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        module = node.module if isinstance(node, ast.ImportFrom) else None
        names = [one.name for one in node.names] if isinstance(node, ast.Import) else [module] if module else []
        for name in names:
            if re.match(rf"jecp_mcp\.(wire|rails\.({'|'.join(NAMES)}))\b", name):
                yield f"{node.lineno}: imports {name}"  # type: ignore[attr-defined]  # only imports come here
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            words = OURS.sub("", node.value.casefold())
            if any(re.search(rf"(?<![a-z]){name}(?![a-z])", words) for name in NAMES):
                yield f"{node.lineno}: says {node.value[:60]!r}"
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.NAME:
            continue
        word = OURS.sub("", token.string.casefold())
        if "hub" in word or any(name in word for name in NAMES):
            yield f"{token.start[0]}: is called {token.string}"


def modules() -> list[Path]:
    return [path for room in HEART for path in sorted((PACKAGE / room).rglob("*.py"))]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_rail_is_known_in_the_heart(path: Path) -> None:
    assert list(faults(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "planted",
    [
        "from jecp_mcp.wire.jecp.ids import reference",
        "import jecp_mcp.rails.jecp.rail",
        "x = 'pays by jecp'",
        "def hub_time(): ...",
        "x402_header = 1",
        '"""A docstring (JECP 01-protocol §5)."""',
    ],
)
def test_each_way_to_know_one_is_seen(planted: str) -> None:
    assert list(faults(planted))


@pytest.mark.parametrize(
    "fine", ["from jecp_mcp.rails.base import Rail", "x = 'run `jecp-mcp doctor`, ask jecp_status'"]
)
def test_the_packages_own_name_is_none(fine: str) -> None:
    assert not list(faults(fine))
