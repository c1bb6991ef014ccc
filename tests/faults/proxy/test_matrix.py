"""Through a proxy that spoils connections: every cell ends in the state it names, paid once, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from jecp_mcp.calls.ports import Charge
from jecp_mcp.mandate.states import State
from tests.acceptance.roads import sandbox
from tests.faults.proxy.matrix import ALWAYS, CELLS, HARMLESS, POSSIBLE, Cell, Ran, run_all
from tests.faults.proxy.proxy import Kind, Point

Matrix = dict[Cell, Ran]


@pytest.fixture(scope="module", params=["once", "always"])
def matrix(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Matrix]]:
    folder = tmp_path_factory.mktemp("matrix")
    with sandbox(folder / "hub.sqlite") as hub:
        times = 1 if request.param == "once" else ALWAYS
        yield request.param, asyncio.run(run_all(hub, folder, times))


def test_the_matrix_is_whole() -> None:
    assert len(CELLS) == len(Kind) * len(Point) * 2
    missing = [cell for cell in CELLS if cell not in POSSIBLE]
    assert all(cell.point is Point.MID_STREAM and not cell.streaming for cell in missing)
    assert len(missing) == len(Kind)


@pytest.mark.slow
@pytest.mark.parametrize("cell", POSSIBLE, ids=str)
def test_a_call_ends_as_its_cell_says(matrix: tuple[str, Matrix], cell: Cell) -> None:
    times, found = matrix
    ran = found[cell]
    assert ran.spoiled >= 1
    state = cell.once if times == "once" else cell.always
    healed = State.SETTLED if times == "once" else cell.healed
    assert (ran.state, ran.healed) == (state, healed)
    assert ran.told is (Charge.YES if state is State.SETTLED else Charge.UNKNOWN)
    # Not twice, not lost, and never more at the Hub than the ledger knew of.
    assert (ran.charges, ran.worst) == (1, 0 if state is State.SETTLED else min(ran.worst, 0))
    assert ran.booked == ran.counted > 0
    assert ran.findings == ()


def test_only_lossy_faults_leave_a_doubt() -> None:
    assert {cell.kind for cell in POSSIBLE if cell.always is State.SETTLED} == HARMLESS
