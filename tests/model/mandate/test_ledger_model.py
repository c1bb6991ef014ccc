"""Random lives of processes on one ledger file agree with a model of it, step by step.

A failure names its seed, with which it fails again: put it into `REGRESSIONS`. The long run on every core:
``pytest -m slow tests/model/mandate --dist load``.
"""

import pytest

from tests.model.mandate.ledger_life import live

REGRESSIONS = (1, 2)
"""Seeds whose lives are lived on every run."""

LONG_SEEDS = range(100, 120)
LONG_STEPS = 10_000
"""How many steps each of them takes: 200,000 in all."""


@pytest.mark.parametrize("seed", REGRESSIONS)
def test_lives_that_once_went_wrong_agree_with_the_model(seed: int) -> None:
    live(seed, examples=8, steps=50)


def test_two_thousand_steps_agree_with_the_model() -> None:
    assert live(4_711, examples=55, steps=60) >= 2_000


@pytest.mark.slow
@pytest.mark.parametrize("seed", LONG_SEEDS)
def test_two_hundred_thousand_steps_agree_with_the_model(seed: int) -> None:
    taken = part = 0
    while taken < LONG_STEPS:
        taken += live(1_000 * seed + part, examples=50, steps=80)
        part += 1
