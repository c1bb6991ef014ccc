"""Whether the tests notice when the pure modules are wrong: ``python -m tests.mutation [--survivors] [NAME...]``

mutmut plants one fault at a time into the modules that ``[tool.mutmut]`` in pyproject.toml names and runs the tests
that reach it. A mutant that mypy refuses is no program and does not count. Neither does one that changes nothing but the
wording of a sentence or the letters of a statement in SQL (killed or not), nor one that `equivalent.toml` says, with
its reason, to be the same program. Prints each module's score, and every survivor with its fault; fails when
fewer than 97 in a hundred are noticed, or when an entry of `equivalent.toml` speaks of no survivor.

Without a name, all of them from the beginning. With names (``jecp_mcp.money.*``, or one that was printed) only those are
planted anew, and with ``--survivors`` those that nobody noticed the last time, beside what is known of the others.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

from mutmut.mutation.diff_apply import get_diff_for_mutant

LEAST = 0.97
NOTICED = {"killed", "timeout", "segfault"}
NOT_COUNTED = {"caught by type check", "skipped", "not checked"}


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


def main() -> int:
    names = sys.argv[1:]
    if names == ["--survivors"]:
        names = [name for name, status in _results() if status not in NOTICED | NOT_COUNTED]
        if not names:
            print("nothing survived the last time")
            return 0
    elif not names:
        # What mutmut remembers of an earlier run it does not ask again, though the tests may have changed.
        shutil.rmtree("mutants", ignore_errors=True)
    children = str(os.cpu_count() or 1)
    run = _mutmut("run", "--max-children", children, *names)
    if run.returncode:
        print(run.stdout[-4000:])
        return run.returncode
    equivalent = _equivalent()
    unmatched = set(equivalent)
    scores: defaultdict[str, Counter[bool]] = defaultdict(Counter)
    for name, status in _results():
        if status in NOT_COUNTED:
            continue
        module, fault = name.rpartition(".")[0], _fault(name)
        if _is_wording(fault):
            continue
        if status not in NOTICED:
            unmatched.discard(fault)
            if fault in equivalent:
                continue
            print(f"{status:>12}  {name}\n{_indented('-', fault.was)}{_indented('+', fault.becomes)}", end="")
        scores[module][status in NOTICED] += 1
    total = Counter[bool]()
    for module, score in sorted(scores.items()):
        total += score
        print(f"{score[True] / score.total():6.1%}  {score[True]:5} of {score.total():5}  {module}")
    reached = total[True] / max(total.total(), 1)
    print(f"{reached:6.1%}  {total[True]:5} of {total.total():5}  in all")
    if sys.argv[1:]:
        # What was not planted this time says nothing of them.
        unmatched.clear()
    for fault in sorted(unmatched):
        print(f"equivalent.toml speaks of a survivor that there is not: {fault}")
    return int(reached < LEAST or bool(unmatched))


def _mutmut(*words: str) -> subprocess.CompletedProcess[str]:
    # It asks for mypy by its name alone.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [sys.executable, "-m", "mutmut", *words],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PATH": path},
    )


def _results() -> list[tuple[str, str]]:
    """Each mutant that is remembered, and what became of it."""
    told = _mutmut("results", "--all", "true").stdout
    parts = (line.strip().partition(": ") for line in told.splitlines())
    return [(name, status) for name, _, status in parts if status]


def _fault(mutant: str) -> Fault:
    module, _, mangled = mutant.partition("__mutmut_")[0].rpartition(".")
    function = mangled.removeprefix("x_") if mangled.startswith("x_") else ".".join(mangled.split("ǁ")[1:])
    lines = get_diff_for_mutant(mutant, path=f"{module.replace('.', '/')}.py").splitlines()[2:]
    was, becomes = ("\n".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    return Fault(f"{module}.{function}", was, becomes)


def _is_wording(fault: Fault) -> bool:
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


def _equivalent() -> dict[Fault, str]:
    """The mutants that are the same program, each with the reason."""
    found = tomllib.loads((Path(__file__).parent / "equivalent.toml").read_text(encoding="utf-8"))
    return {Fault(one["function"], one["was"], one["becomes"]): one["because"] for one in found.get("mutant", [])}


def _indented(sign: str, lines: str) -> str:
    return "".join(f"{sign:>14} {line}\n" for line in lines.splitlines())


if __name__ == "__main__":
    sys.exit(main())
