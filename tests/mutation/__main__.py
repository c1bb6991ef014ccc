"""Whether the tests notice when the pure modules are wrong: ``python -m tests.mutation [OPTION...] [NAME...]``

Plants one fault at a time into the modules that ``[tool.mutmut]`` in pyproject.toml names (mutmut makes the faults) and
runs the tests that reach it (`worker.py` says how). A mutant that mypy refuses is no program and is not planted. Neither
is one that changes nothing but the wording of a sentence or the letters of a statement in SQL. One that
`equivalent.toml` says, with its reason, to be the same program does not count. Prints every survivor with its fault and
each module's score; fails when fewer than 97 in a hundred are noticed, when an entry of `equivalent.toml` speaks of no
survivor, or when a test that noticed a fault also fails without one. What is planted and known stands in `mutants/`.

Without a name, all of them from the beginning. With names (``jecp_mcp.money.*``, or one that was printed) only those are
planted anew, and with ``--survivors`` those that nobody noticed so far, beside what is known of the others.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

from tests.mutation.faults import Fault
from tests.mutation.planting import MUTANTS, plant
from tests.mutation.score import NOTICED, report
from tests.mutation.worker import CHOSEN, CONTROL, REACH, RESULTS, results

PLANTED, KNOWN = MUTANTS / "planted.json", MUTANTS / "known.json"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutation", description="Plant faults that tests must notice."
    )
    parser.add_argument("--children", type=int, default=os.cpu_count() or 1, help="how many at a time (one per core)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--resume", action="store_true", help="go on with a run that was broken off, as it was planted")
    which.add_argument("--survivors", action="store_true", help="those that nobody noticed so far")
    which.add_argument("names", nargs="*", default=[], metavar="NAME", help="these, or those that a pattern matches")
    asked = parser.parse_args()
    if asked.resume:
        if not (MUTANTS / CHOSEN).exists():
            parser.error("no run was broken off after its faults were planted")
        faults = _read_faults()
    else:
        before, known = _read_faults(), _read_known()
        (MUTANTS / CHOSEN).unlink(missing_ok=True)
        faults = plant()
        known = {name: status for name, status in known.items() if faults.get(name) == before[name]}
        if asked.survivors:
            chosen = [name for name in faults if known.get(name) not in NOTICED]
        else:
            chosen = [name for name in faults if any(fnmatchcase(name, one) for one in asked.names or ["*"])]
        if asked.names and not chosen:
            parser.error("there is no such fault")
        for name in chosen:
            known.pop(name, None)
        for file in (REACH, RESULTS, CONTROL):
            (MUTANTS / file).unlink(missing_ok=True)
        _write(MUTANTS / CHOSEN, chosen)
        _write(KNOWN, known)
        _write(PLANTED, faults)
    worker = [sys.executable, "-m", "tests.mutation.worker", str(asked.children)]
    if subprocess.run(worker, cwd=MUTANTS, check=False).returncode:
        return 1
    known = _read_known()
    good = report(faults, known)
    failed = json.loads((MUTANTS / CONTROL).read_text(encoding="utf-8"))
    for test in failed:
        print(f"fails without a fault too, and notices nothing: {test}")
    return int(not good or bool(failed))


def _read_faults() -> dict[str, Fault]:
    if not PLANTED.exists():
        return {}
    return {name: Fault(*fault) for name, fault in json.loads(PLANTED.read_text(encoding="utf-8")).items()}


def _read_known() -> dict[str, str]:
    """What became of each fault that was planted, now or in an earlier run."""
    earlier: dict[str, str] = json.loads(KNOWN.read_text(encoding="utf-8")) if KNOWN.exists() else {}
    return earlier | {fault: status for fault, status, _ in results(MUTANTS)}


def _write(file: Path, content: object) -> None:
    file.write_text(json.dumps(content), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
