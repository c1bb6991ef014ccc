"""Counts Python function calls by module: the same on a busy machine as on an idle one, unlike time."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

_LIBRARIES = ("anyio", "asyncio", "httpx2", "httpcore2", "h11", "sqlite3", "json")


class FunctionCalls:
    """Counts calls in this thread and in those that begin meanwhile; a coroutine that is resumed counts again."""

    def __init__(self) -> None:
        self.counts: Counter[CodeType] = Counter()
        self._on = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Be able to count in this thread and in those that begin in the block."""
        threading.setprofile(self._note)
        sys.setprofile(self._note)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count while the block runs."""
        self._on = True
        try:
            yield
        finally:
            self._on = False

    def by_module(self) -> Counter[str]:
        """Calls by module of ours, and by library, whose names stand in brackets."""
        found: Counter[str] = Counter()
        for code, count in self.counts.items():
            found[place(code)] += count
        return found

    def _note(self, frame: FrameType, event: str, _arg: Any) -> None:
        if self._on and event == "call":
            self.counts[frame.f_code] += 1


def place(code: CodeType) -> str:
    """The module of ours that a function is of, or the library."""
    path = Path(code.co_filename)
    if "jecp_mcp" in path.parts:
        return str(Path(*path.parts[path.parts.index("jecp_mcp") :]))
    return next((f"({name})" for name in _LIBRARIES if name in path.parts), "(other)")
