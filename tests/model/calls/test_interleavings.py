"""A few of the stories, on every run. The many are in the files beside this one, so that two workers share them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.model.calls.broken import RULES
from tests.model.calls.story import broken, live

FEW = 14


def test_no_interleaving_charges_twice_passes_a_cap_or_loses_a_charge(folder: Path) -> None:
    ended = live(range(FEW), folder)
    assert set(ended) >= {"settled", "released", "reconciled_charged", "written_off"}
    assert ended["given back"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
def test_the_model_sees_each_rule_that_is_broken(folder: Path, rule: str) -> None:
    breaking, words, of = RULES[rule]
    with breaking():
        found = (broken(seed, folder) for seed in range(6_000) if of is None or seed % 3 == of)
        assert any(words in said for said in found)
