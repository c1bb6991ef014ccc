"""Half of ten thousand stories."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.model.calls.story import live


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(0, marks=pytest.mark.slow),
        *(pytest.param(part, marks=pytest.mark.long) for part in range(2, 20, 2)),
    ],
)
def test_ten_thousand_interleavings_charge_once_pass_no_cap_and_lose_no_charge(folder: Path, part: int) -> None:
    live(range(1_000 + part * 500, 1_500 + part * 500), folder)
