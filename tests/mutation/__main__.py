"""Whether the tests notice when the pure modules are wrong: ``python -m tests.mutation [jecp_mcp.money.* ...]``

mutmut plants one fault at a time into the modules that ``[tool.mutmut]`` in pyproject.toml names and runs the tests
that reach it. A mutant that mypy refuses is no program and does not count. Prints each module's score and every
survivor (``mutmut show NAME`` prints its fault), and fails when fewer than nine in ten are noticed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter, defaultdict

LEAST = 0.9
NOTICED = {"killed", "timeout", "segfault"}
NOT_COUNTED = {"caught by type check", "skipped", "not checked"}


def main() -> int:
    # What mutmut remembers of an earlier run it does not ask again, though the tests may have changed.
    shutil.rmtree("mutants", ignore_errors=True)
    mutmut = [sys.executable, "-m", "mutmut"]
    children = str(os.cpu_count() or 1)
    run = subprocess.run(
        [*mutmut, "run", "--max-children", children, *sys.argv[1:]],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if run.returncode:
        print(run.stdout[-4000:])
        return run.returncode
    told = subprocess.run([*mutmut, "results", "--all", "true"], check=True, capture_output=True, text=True).stdout
    scores: defaultdict[str, Counter[bool]] = defaultdict(Counter)
    for line in told.splitlines():
        name, _, status = line.strip().partition(": ")
        if not status or status in NOT_COUNTED:
            continue
        scores[name.rpartition(".")[0]][status in NOTICED] += 1
        if status not in NOTICED:
            print(f"{status:>12}  {name}")
    total = Counter[bool]()
    for module, score in sorted(scores.items()):
        total += score
        print(f"{score[True] / score.total():6.1%}  {score[True]:5} of {score.total():5}  {module}")
    reached = total[True] / max(total.total(), 1)
    print(f"{reached:6.1%}  {total[True]:5} of {total.total():5}  in all")
    return int(reached < LEAST)


if __name__ == "__main__":
    sys.exit(main())
