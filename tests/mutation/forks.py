"""Runs tests in forked children of a process that has collected them once: no test of one child is felt in another."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import pytest

PASSED, FAILED, BROKEN = 0, 1, 3

_MEMORY = Path("/dev/shm")
"""A file of a child need not outlive the machine, and on a disk a ledger waits for it."""

_T = TypeVar("_T")


class Ended(NamedTuple, Generic[_T]):
    """A child that is gone.

    Attributes:
        job: what it was for.
        code: its exit code, or the number of the signal that ended it, negated.
        note: what it left to say.
    """

    job: _T
    code: int
    note: str


def in_children(jobs: Iterator[_T], work: Callable[[_T, Path], int], children: int) -> Iterator[Ended[_T]]:
    """Do each job in a child of its own, so many at a time.

    Args:
        jobs: what to do; the next is asked for when there is room.
        work: runs in the child, gets the job and a file for its note, returns the exit code.
        children: how many there may be at a time.
    """
    assert threading.active_count() == 1, "a fork takes no thread along"
    gc.collect()
    gc.freeze()
    running: dict[int, tuple[_T, Path]] = {}
    try:
        while True:
            while len(running) < children and (job := next(jobs, None)) is not None:
                folder = Path(tempfile.mkdtemp(prefix="fault-", dir=_MEMORY if _MEMORY.is_dir() else None))
                sys.stdout.flush()
                pid = os.fork()
                if pid == 0:
                    _be_child(job, work, folder)
                running[pid] = job, folder
            if not running:
                return
            pid, status = os.wait()
            job, folder = running.pop(pid)
            note = folder / "note"
            ended = Ended(job, os.waitstatus_to_exitcode(status), note.read_text() if note.exists() else "")
            _clear(pid, folder)
            yield ended
    finally:
        for pid, (_, folder) in running.items():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            _clear(pid, folder)


def _be_child(job: _T, work: Callable[[_T, Path], int], folder: Path) -> None:
    code = BROKEN
    try:
        os.setsid()
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
        with Path(os.devnull).open("r+b") as nowhere:
            for stream in range(3):
                os.dup2(nowhere.fileno(), stream)
        code = work(job, folder / "note")
    finally:
        os._exit(code)  # nothing that was meant for the end of the parent happens here


def _clear(pid: int, folder: Path) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # the servers that its tests started
    shutil.rmtree(folder, ignore_errors=True)


def run_tests(items: list[pytest.Item], before_each: Callable[[pytest.Item], None]) -> bool:
    """Run tests as pytest does, each with its fixtures, in this order until one fails; whether none did."""
    for item, after in zip(items, [*items, None][1:], strict=True):
        before_each(item)
        failed = item.session.testsfailed
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
        if item.session.testsfailed > failed:
            return False
    return True
