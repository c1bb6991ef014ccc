"""The process that those are forked from who kill themselves."""

from multiprocessing import forkserver
from pathlib import Path

import pytest


@pytest.fixture(scope="module", autouse=True)
def _nursery() -> None:
    """Start it where it finds what it is to import beforehand."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
        forkserver.ensure_running()
