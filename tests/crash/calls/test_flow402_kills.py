"""Killed at any step of a decision, asked for by many at once and in many processes: it is made once at most.

After every death, what the control plane paid is at most what the ledger holds and counts as charged; and once all is
found out about, they are the same.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash.calls.children import ROOM, Child, ledger_rows
from tests.crash.calls.flow402_worker import Life, live
from tests.crash.mandate.points import spread
from tests.flow402_house import Plane, governed
from tests.paid_http_house import CHARGED, FREE
from tests.x402_sandbox import PaidHttp, serving

pytestmark = pytest.mark.anyio

PRICE = 2_000
MODES = ("clean", "lost", "lost_page", "html", "unauthorized", "executing")


@pytest.fixture(scope="module")
def shop() -> Iterator[PaidHttp]:
    with serving() as served:
        yield served


class Market:
    """The control plane, and a new state folder for every purchase."""

    def __init__(self, shop: PaidHttp, patch: pytest.MonkeyPatch) -> None:
        self.shop, self.patch, self.plane = shop, patch, Plane(shop)
        self.deaths = 0

    async def buy(self, mode: str, lasts: list[int | str], *, callers: int = 1, then: int | str = 0) -> list[Child]:
        """Prepare, execute in as many processes as there are `lasts`, recover in one more, and close the books."""
        with tempfile.TemporaryDirectory(dir=ROOM) as name:
            folder = Path(name)
            before = self.plane.seen()["decisions"].keys()
            async with governed(folder, self.shop, self.patch) as home:
                prepared = await home.prepare("/qr-code?text=once")
                await home.bridge.ledger.flush()
                ahead = home.clock.ahead
            if mode == "executing":
                self.plane.script(mode)
            elif mode != "clean":
                self.plane.fault(mode)
            where = dict(self.shop.where["402flow"])
            running = [
                Child(live, Life(folder, where, ahead, prepared["prepared_id"], callers, last)) for last in lasts
            ]
            children = [one.end() for one in running]
            self.compare(folder, before)
            children.append(Child(live, Life(folder, where, ahead, "", 0, then)).end())
            self.compare(folder, before)
            self.plane.reset()
            async with governed(folder, self.shop, self.patch) as home:
                await home.execute(prepared)
                for _ in range(6):
                    rows = await home.rows()
                    if {row.state.value for row in rows} <= CHARGED | FREE:
                        break
                    home.clock.ahead += 70
                    await home.bridge.calls.recover()
                assert {row.state.value for row in rows} <= CHARGED | FREE, (mode, lasts)
                paid = self.paid(before)
                assert sum(row.charged for row in rows) == sum(paid.values()), (mode, lasts)
                assert list(paid.values()) in ([], [PRICE]), (mode, lasts)
                assert paid.keys() <= {row.call_id for row in rows}
        self.deaths += sum(one.died is not None for one in children)
        return children

    def paid(self, before: Any) -> dict[str, int]:
        """What the control plane paid since, by key."""
        made = self.plane.seen()["decisions"]
        return {key: one["amount"] for key, one in made.items() if key not in before and one["amount"]}

    def compare(self, folder: Path, before: Any) -> None:
        """Read the file as it is, whoever writes it."""
        paid = sum(self.paid(before).values())
        rows = ledger_rows(folder, "state, held, charged")
        counted = sum(charged if state in CHARGED else held * (state not in FREE) for state, held, charged in rows)
        assert paid <= counted, rows


@pytest.fixture
def market(shop: PaidHttp, monkeypatch: pytest.MonkeyPatch) -> Market:
    return Market(shop, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
async def test_a_decision_is_made_once_wherever_its_process_and_the_next_are_killed(market: Market, mode: str) -> None:
    dice = random.Random(mode)
    [executed, _] = await market.buy(mode, [0])
    for last in spread(executed.passed, 5)[1:]:
        await market.buy(mode, [last], callers=dice.choice([1, 4]), then=dice.randrange(1, 25))
    assert market.deaths


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
async def test_every_step_of_a_decision_can_be_the_last(market: Market, mode: str) -> None:
    dice = random.Random(mode)
    [executed, _] = await market.buy(mode, [0])
    for last in range(1, executed.passed + 1):
        await market.buy(mode, [last], then=dice.randrange(1, 25))
    assert market.deaths >= executed.passed


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["clean", "lost", "unauthorized"])
async def test_eight_processes_that_execute_one_request_ask_for_one_decision_whichever_of_them_are_killed(
    market: Market, mode: str
) -> None:
    dice = random.Random(mode)
    children = await market.buy(mode, [0] * 8)
    assert any(one.heard for one in children)
    await market.buy(mode, [0, 0, 0, *(dice.randrange(1, 60) for _ in range(5))])
