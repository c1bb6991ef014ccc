"""One half of the long run of `tests.model.mandate.test_ledger_model`: files, not tests, are shared out to cores."""

import pytest

from tests.model.mandate.ledger_life import live_long


@pytest.mark.parametrize(
    "seed",
    [
        pytest.param(101, marks=pytest.mark.slow),
        *(pytest.param(seed, marks=pytest.mark.long) for seed in range(103, 121, 2)),
    ],
)
def test_a_hundred_thousand_steps_agree_with_the_model(seed: int) -> None:
    live_long(seed, steps=10_000)
