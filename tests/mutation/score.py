"""What share of the faults the tests noticed, by module, and what nobody noticed."""

from __future__ import annotations

import tomllib
from collections import Counter, defaultdict
from pathlib import Path
from typing import Final

from tests.mutation.faults import Fault

LEAST: Final = 0.97
NOTICED: Final = frozenset({"noticed", "timeout"})


def report(faults: dict[str, Fault], known: dict[str, str]) -> bool:
    """Print it.

    Args:
        faults: every fault, by its name.
        known: what became of those that were planted.

    Returns:
        Whether enough were noticed, and every entry of `equivalent.toml` speaks of a survivor or of one not planted.
    """
    equivalent = _equivalent()
    unmatched = equivalent - {fault for name, fault in faults.items() if name not in known}
    scores: defaultdict[str, Counter[bool]] = defaultdict(Counter)
    for name, status in known.items():
        fault = faults[name]
        if status not in NOTICED:
            unmatched.discard(fault)
            if fault in equivalent:
                continue
            print(f"{status:>12}  {name}\n{_indented('-', fault.was)}{_indented('+', fault.becomes)}", end="")
        scores[name.rpartition(".")[0]][status in NOTICED] += 1
    total = sum(scores.values(), Counter[bool]())
    for module, score in [*sorted(scores.items()), ("in all", total)]:
        print(f"{_share(score):6.1%}  {score[True]:5} of {score.total():5}  {module}")
    for fault in sorted(unmatched):
        print(f"equivalent.toml speaks of a survivor that there is not: {fault}")
    return _share(total) >= LEAST and not unmatched


def _share(score: Counter[bool]) -> float:
    return score[True] / max(score.total(), 1)


def _equivalent() -> set[Fault]:
    """The mutants that are the same program."""
    found = tomllib.loads((Path(__file__).parent / "equivalent.toml").read_text(encoding="utf-8"))
    return {Fault(one["function"], one["was"], one["becomes"]) for one in found.get("mutant", [])}


def _indented(sign: str, lines: str) -> str:
    return "".join(f"{sign:>14} {line}\n" for line in lines.splitlines())
