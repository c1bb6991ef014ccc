"""How much Python a piece of work runs: the same on a busy machine as on an idle one, unlike the time it takes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest


def steps(work: Callable[[], object]) -> int:
    """The lines run in this thread when the work is done a second time: what the first imports and keeps is its own."""
    if "MUTANT_UNDER_TEST" in os.environ:
        pytest.skip("planting faults adds lines of its own")
    work()
    count = 0

    def trace(_frame: FrameType, event: str, _arg: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count
