"""Random lives of processes on one ledger file agree with a model of it, step by step.

A failure names its seed, with which it fails again: put it into `REGRESSIONS`. The long run is
``pytest -m "slow or long" tests/model/mandate``: 200,000 steps.
"""

import pytest

from tests.model.mandate.ledger_life import live

REGRESSIONS = (1, 2)
"""Seeds whose lives are lived on every run."""


@pytest.mark.parametrize("seed", REGRESSIONS)
def test_lives_that_once_went_wrong_agree_with_the_model(seed: int) -> None:
    live(seed, examples=4, steps=50)


@pytest.mark.parametrize(("examples", "least"), [(5, 120), pytest.param(14, 400, marks=pytest.mark.slow)])
def test_hundreds_of_steps_agree_with_the_model(examples: int, least: int) -> None:
    assert live(4_711, examples=examples, steps=60) >= least
