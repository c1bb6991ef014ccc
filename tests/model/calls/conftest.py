from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jecp_mcp.calls import upkeep
from jecp_mcp.mandate import writer
from tests.model.calls.story import ROUND_SECONDS


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    # The story's loop has no time to wait for a thread.
    monkeypatch.setattr(writer, "_QUICK", float("inf"))
    monkeypatch.setattr(upkeep, "ROUND_SECONDS", ROUND_SECONDS)
    monkeypatch.setattr(upkeep, "jitter", None)
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name)
