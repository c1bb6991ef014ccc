"""A program with a mandate, killed at any point of its call: the next one finishes it, and nothing is bought twice."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jecp_mcp.money import MicroUSDC
from tests.acceptance.roads import SandboxHub, sandbox
from tests.client.mandate_worker import Life, counted, live
from tests.crash.calls.children import Child
from tests.crash.mandate.points import spread

PRICE = MicroUSDC(500)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxHub]:
    with sandbox(tmp_path_factory.mktemp("hub") / "hub.sqlite") as hub:
        yield hub


def life(agent: SandboxHub, folder: Path, words: str, last: int = 0) -> Life:
    return Life(folder, agent.url, agent.agent_id, agent.api_key, (words,), last)


@pytest.mark.parametrize(
    "deaths", [pytest.param(4, marks=pytest.mark.slow), pytest.param(1_000, marks=pytest.mark.long)]
)
def test_a_program_killed_at_any_point_buys_nothing_twice(place: SandboxHub, deaths: int) -> None:
    with tempfile.TemporaryDirectory() as made:
        points = Child(live, life(place.new_agent(), Path(made), "measured")).end().passed
    assert points > 10
    for last in spread(points, deaths):
        agent = place.new_agent()
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            assert Child(live, life(agent, folder, "one two", last)).end().died is not None
            taken = len(agent.books()["transactions"]) * PRICE
            assert taken == 0 or taken <= counted(folder)
            [bought] = Child(live, life(agent, folder, "one two")).end().heard
            assert bought["words"] == 2
            assert len(agent.books()["transactions"]) == 1
            assert counted(folder) == PRICE
