"""Every regular expression in the package, found by reading its source: a new one is among them by itself."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import jecp_mcp
from jecp_mcp.cli.advice import _PERSONAL

ROOT = Path(jecp_mcp.__file__).parent
SEARCHING = frozenset({"search", "sub", "subn", "split", "findall", "finditer"})
WHOLE = frozenset({"match", "fullmatch"})

# Where a pattern is put together at run time. Each says what it is then, or why it cannot take long.
MADE_LATER = {
    ("tools/schemas/regexes.py", "pattern"): ("_TOKEN", "_MEMBER"),
    ("masking.py", "_spellings"): ("''.join(map(_spellings, 'jdb_ak_0123456789%abcdef'))",),
    ("cli/checks/settings_edit.py", "place"): ('r"""(\\s*base_url\\s*=\\s*)("[^"]*"|\'[^\']*\')(\\s*(?:#.*)?)"""',),
    ("cli/advice.py", "pattern"): tuple(f"_PERSONAL[{at}][0]" for at in range(len(_PERSONAL))),
    ("tools/schemas/concise_schema.py", "form"): (
        r"""rf'(?:(?:as|in|an?)\s+)?{re.escape("YYYY-MM-DD")}(?:\s+(?:code|form|format))?'""",
    ),
    ("sandbox/work/concordance.py", "keyword"): (),  # the buyer's words, escaped, with blanks between two of them
}


@dataclass(frozen=True)
class Expression:
    """A pattern and the methods it is used with; all of them where that cannot be told."""

    where: str
    pattern: re.Pattern[Any]
    methods: frozenset[str]

    @property
    def searches(self) -> bool:
        return not self.methods <= WHOLE


def modules() -> Iterator[tuple[str, ModuleType, ast.Module]]:
    for path in sorted(ROOT.rglob("*.py")):
        place = path.relative_to(ROOT)
        if place.name == "__main__.py":
            continue
        dotted = ".".join(("jecp_mcp", *place.with_suffix("").parts)).removesuffix(".__init__")
        yield str(place), importlib.import_module(dotted), ast.parse(path.read_text())


def expressions() -> list[Expression]:
    found: list[Expression] = []
    for place, module, tree in modules():
        parents = {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}
        for call in ast.walk(tree):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
                continue
            if not (isinstance(call.func.value, ast.Name) and call.func.value.id == "re"):
                continue
            method = call.func.attr
            if method not in SEARCHING | WHOLE | {"compile"}:
                continue
            argument = call.args[0]
            variables = {one.id for one in ast.walk(argument) if isinstance(one, ast.Name)}
            later = next((MADE_LATER[place, name] for name in variables if (place, name) in MADE_LATER), None)
            methods = frozenset({method}) if method != "compile" else _methods(call, tree, parents)
            found += [
                Expression(f"{place}:{call.lineno}", _value(source, call, module, place), methods)
                for source in ([ast.unparse(argument)] if later is None else later)
            ]
    return found


def _value(argument: str, call: ast.Call, module: ModuleType, place: str) -> re.Pattern[Any]:
    flags = [one for one in (*call.args[1:], *(word.value for word in call.keywords)) if "re." in ast.unparse(one)]
    source = f"re.compile({', '.join([argument, *map(ast.unparse, flags)])})"
    try:
        made = eval(source, {**vars(module), "re": re})
    except NameError as exc:
        raise AssertionError(f"{place}:{call.lineno}: say in MADE_LATER what this pattern comes to") from exc
    assert isinstance(made, re.Pattern)
    return made


def _methods(call: ast.AST, tree: ast.Module, parents: dict[ast.AST, ast.AST]) -> frozenset[str]:
    """What is called on the pattern in its module, by the name it was given or the function that returns it."""
    place, name = call, None
    while place in parents and name is None:
        place = parents[place]
        if isinstance(place, ast.Assign | ast.AnnAssign):
            target = place.targets[0] if isinstance(place, ast.Assign) else place.target
            name = ast.unparse(target)
        elif isinstance(place, ast.FunctionDef):
            name = f"{place.name}()"
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == name and node.attr in SEARCHING | WHOLE
    }
    return frozenset(used) or SEARCHING
