"""Plants fault by fault in the folder of mutants and runs the tests that reach it.

``python -m tests.mutation.worker CHILDREN``, in that folder. It reads the names of the faults in `chosen.json` and adds a
line to `results.jsonl` for each as soon as it is known; what stands there already is not asked again. Everything happens
in children of a process that has collected the tests once (`forks.py`):

1. All tests run, to know which functions each reaches and how long it takes: `reach.json`.
2. For each fault the tests that reach its function run until one fails: `noticed`, with that test. Those go first that
   noticed others, then the fastest. One that takes far longer than it did is ended: `timeout`. If all pass, `survived`;
   if none reaches it, `unreached`. A child that ended otherwise is `broken`, which is not noticed either.
3. For each function in which a fault was noticed, its tests run again, up to the last that noticed one, with a fault
   planted that no function has. What fails now notices no faults: `control.json` names it.
"""

from __future__ import annotations

import json
import signal
import sys
from collections import Counter, defaultdict
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Final, NamedTuple

import pytest
from mutmut.mutation import trampoline

from tests.mutation.faults import mangled
from tests.mutation.forks import FAILED, PASSED, in_children, run_tests
from tests.mutation.planting import pytest_arguments

PATIENCE: Final = 10
GRACE: Final = 5
"""A test may take so many times as long as without a fault, and so many seconds more."""
NOWHERE: Final = "nowhere.x_nothing__mutmut_1"
"""A fault that no function has."""
CHOSEN, REACH, RESULTS, CONTROL = (
    Path(name) for name in ("chosen.json", "reach.json", "results.jsonl", "control.json")
)


class Reach(NamedTuple):
    """What is known of the tests.

    Attributes:
        functions: the functions that each reaches, by the test's id.
        seconds: how long it takes with its fixtures, by its id.
    """

    functions: dict[str, list[str]]
    seconds: dict[str, float]


class Run(NamedTuple):
    """Tests to run with a fault planted."""

    fault: str
    tests: list[str]


class Worker:
    """The plugin that takes the place of pytest's own loop."""

    def __init__(self, children: int) -> None:
        self._children = children
        self._items: dict[str, pytest.Item] = {}
        self._reach = Reach({}, {})
        self._tests: defaultdict[str, list[str]] = defaultdict(list)
        self._noticed = Counter[str]()

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of running every test once."""
        self._items = {item.nodeid: item for item in session.items}
        if REACH.exists():
            self._reach = Reach(**json.loads(REACH.read_text(encoding="utf-8")))
        else:
            self._measure()
            REACH.write_text(json.dumps(self._reach._asdict()), encoding="utf-8")
        for test in self._items:
            for function in self._reach.functions[test]:
                self._tests[function].append(test)
        self._plant()
        self._check()
        return True

    def _measure(self) -> None:
        files: defaultdict[Path, list[str]] = defaultdict(list)
        for test, item in self._items.items():
            files[item.path].append(test)
        for ended in in_children(iter(files.values()), self._measured, self._children):
            if ended.code != PASSED:
                pytest.exit(f"without a fault, this fails: {ended.note or ended.job}", returncode=1)
            functions, seconds = json.loads(ended.note)
            self._reach.functions.update(functions)
            self._reach.seconds.update(seconds)

    def _measured(self, tests: list[str], note: Path) -> int:
        reach = Reach({}, {})
        reached: set[str] = set()
        vars(trampoline)["record_trampoline_hit"] = lambda name, caller: reached.add(name)
        trampoline.set_mutant_under_test("stats")
        for test in tests:
            reached.clear()
            start = monotonic()
            if not run_tests([self._items[test]], lambda _: None):
                note.write_text(test, encoding="utf-8")
                return FAILED
            reach.seconds[test] = monotonic() - start
            reach.functions[test] = sorted(reached)
        note.write_text(json.dumps(reach), encoding="utf-8")
        return PASSED

    def _plant(self) -> None:
        known = {fault for fault, status, _ in results() if status != "broken"}
        self._noticed.update(test for _, status, test in results() if status == "noticed")
        chosen = [fault for fault in json.loads(CHOSEN.read_text(encoding="utf-8")) if fault not in known]
        runs = (Run(fault, self._in_order(mangled(fault))) for fault in chosen)
        with RESULTS.open("a", encoding="utf-8") as file:
            for number, ended in enumerate(in_children(runs, self._run, self._children), 1):
                survived = "survived" if ended.job.tests else "unreached"
                status = {PASSED: survived, FAILED: "noticed", -signal.SIGALRM: "timeout"}.get(ended.code, "broken")
                self._noticed[ended.note] += status == "noticed"
                print(json.dumps([ended.job.fault, status, ended.note]), file=file, flush=True)
                if number % 100 == 0:
                    print(f"{number} of {len(chosen)} planted", flush=True)

    def _in_order(self, function: str) -> list[str]:
        """The tests that reach it: those first that noticed most faults in a second, and the fastest of the others."""
        seconds = self._reach.seconds
        return sorted(
            self._tests[function], key=lambda test: (-self._noticed[test] / seconds[test], seconds[test], test)
        )

    def _check(self) -> None:
        """Whether the tests that noticed faults pass without one, after those that ran before them."""
        noticing: defaultdict[str, set[str]] = defaultdict(set)
        for fault, status, test in results():
            if status in {"noticed", "timeout"}:
                noticing[mangled(fault)].add(test)
        runs: list[Run] = []
        for function, those in noticing.items():
            tests = self._in_order(function)
            runs.append(Run(NOWHERE, tests[: 1 + max(map(tests.index, those))]))
        failed = {one.note for one in in_children(iter(runs), self._run, self._children) if one.code != PASSED}
        CONTROL.write_text(json.dumps(sorted(failed)), encoding="utf-8")

    def _run(self, run: Run, note: Path) -> int:
        trampoline.set_mutant_under_test(run.fault)
        passed = run_tests([self._items[test] for test in run.tests], partial(self._watch, note))
        return PASSED if passed else FAILED

    def _watch(self, note: Path, item: pytest.Item) -> None:
        note.write_text(item.nodeid, encoding="utf-8")
        signal.alarm(int(self._reach.seconds[item.nodeid] * PATIENCE) + GRACE)


def results(folder: Path = Path()) -> list[tuple[str, str, str]]:
    """Each fault that was planted, what became of it, and the test that ran last."""
    file = folder / RESULTS
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [(fault, status, test) for fault, status, test in map(json.loads, lines)]


if __name__ == "__main__":
    trampoline.set_mutant_under_test("")
    options = ["--rootdir=.", "-q", "-s", "--tb=no", "--hypothesis-profile=repeatable"]
    sys.exit(pytest.main([*options, *pytest_arguments()], plugins=[Worker(int(sys.argv[1]))]))
