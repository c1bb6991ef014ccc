"""A planted fault: what it changes, and whether that is no more than wording."""

from __future__ import annotations

import ast
from typing import NamedTuple

from mutmut.mutation.diff_apply import get_diff_for_mutant


class Fault(NamedTuple):
    """What a mutant changes.

    Attributes:
        function: where, with its module and class.
        was: the lines that it takes away, without their indentation.
        becomes: the lines that stand there instead.
    """

    function: str
    was: str
    becomes: str


def mangled(name: str) -> str:
    """The function of a mutant, as mutmut writes it with its module and class."""
    return name.partition("__mutmut_")[0]


def read_fault(name: str) -> Fault:
    """What the mutant of this name changes, read from the folder of mutants."""
    module, _, function = mangled(name).rpartition(".")
    function = function.removeprefix("x_") if function.startswith("x_") else ".".join(function.split("ǁ")[1:])
    lines = get_diff_for_mutant(name, path=f"{module.replace('.', '/')}.py").splitlines()[2:]
    was, becomes = ("\n".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    return Fault(f"{module}.{function}", was, becomes)


def is_wording(fault: Fault) -> bool:
    """Whether only the words or the letters of literals of several words differ, which are for people, or SQL."""
    try:
        was, becomes = (ast.parse(f"(\n{lines.rstrip(',')}\n)") for lines in (fault.was, fault.becomes))
    except SyntaxError:
        try:
            was, becomes = (ast.parse(_whole(lines)) for lines in (fault.was, fault.becomes))
        except SyntaxError:
            return False
    return ast.dump(_WithoutWords().visit(was)) == ast.dump(_WithoutWords().visit(becomes))


def _whole(lines: str) -> str:
    """Lines of a function as a program of their own."""
    body = lines.rstrip(",")
    return f"def f():\n  {body} pass" if body.endswith(":") else f"def f():\n  {body}"


class _WithoutWords(ast.NodeTransformer):
    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        several = isinstance(node.value, str) and len(node.value.split()) > 1
        return ast.Constant("words") if several else node
