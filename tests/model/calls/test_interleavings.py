"""Random interleavings of calls, failures, cancellations and restarts: caps are never passed, ledger equals Hub.

Each story is a seed. A story opens the real pipeline, rail and ledger file over a Hub model, and takes random steps;
after each of them, and at the end with a healthy Hub, the books are compared. A failing seed reproduces.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from jecp_mcp.calls.pipeline import Calls
from jecp_mcp.calls.ports import Caller, Charge, Purchase
from jecp_mcp.clock import UnixMs
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.policy import Policy
from jecp_mcp.mandate.states import OPEN
from jecp_mcp.money import MicroUSDC
from jecp_mcp.settings import LimitSettings, MandateSettings
from jecp_mcp.wire.forms import Action, Price
from tests.model.calls.hub_model import HubModel
from tests.model.calls.wiring import rail_over

pytestmark = pytest.mark.anyio

PRICES = {"tiny": 500, "small": 10_000, "large": 250_000}
ACTIONS = [
    Action("model/thing", name, "model", Price(MicroUSDC(price)), version="1.0.0") for name, price in PRICES.items()
]
DAY, HOUR, PATTERN = 3_000_000, 1_200_000, 700_000
STEPS = 25
DEFAULT_STORIES, LONG_STORIES = 40, 400


class StoryClock:
    """Time that moves when the story says so."""

    def __init__(self) -> None:
        self.at = 1_800_000_000_000

    def now(self) -> UnixMs:
        return UnixMs(self.at)

    def monotonic(self) -> float:
        return self.at / 1000


class Story:
    """One Hub, one ledger file, and the process of the moment."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.rng = random.Random(seed)
        dialect = self.rng.choice(["reference", "spec"])
        self.hub = HubModel(self.rng, PRICES, balance=self.rng.choice([500_000, 50_000_000]), dialect=dialect)
        self.path = folder / f"ledger-{seed}.sqlite"
        self.clock = StoryClock()
        self.ids = itertools.count()
        self.paid_at: dict[str, int] = {}
        self.mandate = MandateSettings(
            per_call_usdc="0.25",
            daily_usdc="3.00",
            hourly_usdc="1.20",
            limits=(LimitSettings(match="model/thing:large", hourly_usdc="0.70"),),
        )

    @asynccontextmanager
    async def process(self) -> AsyncIterator[tuple[Calls, Ledger]]:
        """A process's life; leaving it as a kill does: nothing running gets to its conclusion."""
        ledger = open_ledger(self.path, clock=self.clock)
        calls = Calls(
            policy=Policy.from_settings(self.mandate),
            ledger=ledger,
            rail=rail_over(self.hub, self.rng),
            clock=self.clock,
            mint=lambda: f"call_{next(self.ids):06d}",
            unready=lambda: None,
        )
        try:
            async with anyio.create_task_group() as inner:
                calls._tasks = inner
                yield calls, ledger
                inner.cancel_scope.cancel()
        finally:
            await ledger.close()

    async def step(self, calls: Calls, ledger: Ledger) -> bool:
        """One random step. False when the process is to die."""
        dice = self.rng.random()
        if dice < 0.08:
            return False
        if dice < 0.16:
            self.clock.at += self.rng.choice([1_000, 600_000, 3_000_000])
            return True
        if dice < 0.26:
            rows = await ledger.rows(limit=5)
            if rows:
                with anyio.move_on_after(0.02):
                    await calls.resolve(self.rng.choice(rows).call_id)
            return True
        async with anyio.create_task_group() as hosts:
            for _ in range(self.rng.randrange(1, 5)):
                action = self.rng.choice(ACTIONS)
                purchase = Purchase(f"model_thing_{action.action}", action, {"n": self.rng.randrange(3)})
                hosts.start_soon(self.host, calls, purchase, self.rng.choice([None, 0.0, 0.001]))
        return True

    async def host(self, calls: Calls, purchase: Purchase, patience: float | None) -> None:
        """A host that waits for its answer, or loses patience."""
        with anyio.move_on_after(0.05 if patience is None else patience):
            end = await calls.pay(purchase, Caller())
            if end.charge is Charge.YES:
                assert end.call_id in self.hub.charges
                assert end.amount == self.hub.charges[end.call_id]
            if end.charge is Charge.NO and end.call_id is not None:
                assert end.call_id not in self.hub.charges

    async def check(self, ledger: Ledger) -> None:
        """What must hold at every instant."""
        await ledger.flush()
        totals = await ledger.totals()
        assert self.hub.charged <= totals.charged + totals.held
        for call_id, price in self.hub.charges.items():
            row = await ledger.row(call_id)
            assert row is not None
            self.paid_at[call_id] = row.created_at
            assert price <= (row.held if row.state in OPEN else max(row.held, row.charged))
        by_hour = {
            call: cost for call, cost in self.hub.charges.items() if self.clock.at - self.paid_at[call] < 3_600_000
        }
        assert sum(by_hour.values()) <= HOUR
        assert sum(cost for cost in by_hour.values() if cost == PRICES["large"]) <= PATTERN
        day = [cost for call, cost in self.hub.charges.items() if self.clock.at - self.paid_at[call] < 86_400_000]
        assert sum(day) <= DAY


async def tell(seed: int, folder: Path) -> int:
    """Live through one story; returns how many steps it took."""
    story, steps = Story(seed, folder), 0
    while steps < STEPS:
        async with story.process() as (calls, ledger):
            recovering = story.rng.random() < 0.5
            if recovering:
                with anyio.move_on_after(0.05):
                    await calls.recover()
            while steps < STEPS:
                steps += 1
                alive = await story.step(calls, ledger)
                await story.check(ledger)
                if not alive:
                    break
    story.hub.healthy = True
    story.hub.balance += 100_000_000
    before = dict(story.hub.charges)
    async with story.process() as (calls, ledger):
        await calls.recover()
        for row in await ledger.rows(limit=1000):
            if row.state in OPEN:
                await calls.resolve(row.call_id)
        await ledger.flush()
        rows = {row.call_id: row for row in await ledger.rows(limit=1000)}
        written_off = {call_id for call_id, row in rows.items() if row.state.value == "written_off"}
        assert not [row for row in rows.values() if row.state in OPEN]
        for call_id, price in story.hub.charges.items():
            assert call_id in written_off or rows[call_id].charged == price, (call_id, rows[call_id])
        charged_here = {call_id for call_id, row in rows.items() if row.charged}
        assert charged_here <= set(story.hub.charges)
    assert set(before) <= set(story.hub.charges)
    return steps


async def test_no_interleaving_passes_a_cap_or_loses_a_charge(tmp_path: Path) -> None:
    steps = 0
    for seed in range(DEFAULT_STORIES):
        steps += await tell(seed, tmp_path)
    assert steps >= 1_000


@pytest.mark.slow
async def test_ten_thousand_interleavings_pass_no_cap_and_lose_no_charge(tmp_path: Path) -> None:
    steps = 0
    for seed in range(1_000, 1_000 + LONG_STORIES):
        steps += await tell(seed, tmp_path)
    assert steps >= 10_000
