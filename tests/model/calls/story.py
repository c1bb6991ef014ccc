"""Random interleavings of calls, faults, sleeps, crashes and peers of other accounts, over the real pipeline, rail and
ledger file: one charge a call at most, no cap passed in any window as the Hub's own books have it, ledger = Hub.

Each story is a seed, lived in its own time (`tests.model.calls.world`): a failing one reproduces. That the model sees
what it is for is shown by breaking one rule at a time (`tests.model.calls.broken`).
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from jecp_mcp.calls import upkeep
from jecp_mcp.calls.ports import Caller, Charge
from jecp_mcp.domain.offers import Offer, Price
from jecp_mcp.domain.outcomes import Mark
from jecp_mcp.domain.purchases import LOCAL, Purchase
from jecp_mcp.mandate.records import CallRow
from jecp_mcp.mandate.states import CHARGED, FREE, State
from jecp_mcp.money import MicroUSDC
from jecp_mcp.settings import LimitSettings, MandateSettings
from tests.model.calls.echo_model import EchoModel
from tests.model.calls.hub_model import LATEST_MS, Booked, HubModel
from tests.model.calls.wiring import AGENTS, Process
from tests.model.calls.world import World, tell
from tests.tiny_rail.way import ECHO

PRICES = {"tiny": 5_000, "small": 100_000, "large": 250_000}
ACTIONS = [
    Offer("model/thing", name, "model", Price(MicroUSDC(price)), version="1.0.0") for name, price in PRICES.items()
]
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
HOUR, DAY, PATTERN = 350_000, 900_000, 250_000
LIMITS = MandateSettings(
    per_call_usdc="0.25",
    daily_usdc="0.90",
    hourly_usdc="0.35",
    limits=(LimitSettings(match="model/thing:large", hourly_usdc="0.25"),),
)
WIDE = MandateSettings(per_call_usdc="0.25", daily_usdc="1000", hourly_usdc="1000")
WINDOWS = (600, 3_600, 3_600, 3_600, 7_200, 90_000)
STEPS = 14
ECHOING = 2
ROUND_SECONDS = 600.0
"""As often as that a process of the story looks for what others left: less often than a real one, to save time."""


class Broken(AssertionError):
    """A rule of the story does not hold."""


class Story:
    """One Hub, one machine, one ledger file, and the processes of the moment."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.rng = random.Random(seed)
        # In every third story the echo is what most is bought from, and everybody can.
        self.echoing = seed % 3 == ECHOING
        self.world = World(self.rng)
        self.hub = HubModel(
            self.world,
            PRICES,
            balance=self.rng.choice([500_000, 50_000_000]),
            dialect=self.rng.choice(["reference", "spec"]),
            window=self.rng.choice(WINDOWS),
            heeds_expiry=self.rng.random() < 0.3,
        )
        self.echo = EchoModel(self.world)
        self.path = folder / f"ledger-{seed}.sqlite"
        self.names = itertools.count(1)
        self.processes: list[Process] = []
        self.seen: Counter[str] = Counter()

    @property
    def alive(self) -> list[Process]:
        return [one for one in self.processes if one.alive]

    async def live(self) -> None:
        async with anyio.create_task_group() as tasks:
            await self.start(tasks, AGENTS[0])
            for _ in range(STEPS):
                await self.step(tasks)
                await self.check()
            await self.end(tasks)
            tasks.cancel_scope.cancel()
        for one in self.alive:
            await one.ledger.close()

    async def start(self, tasks: TaskGroup, agent: str, limits: MandateSettings = LIMITS) -> None:
        # Not every process has every way to pay.
        echo = self.echo if self.world.calm or self.echoing or self.rng.random() < 0.6 else None
        process = Process(self.world, self.hub, self.path, agent, limits, f"p{next(self.names)}", echo)
        self.processes.append(process)
        await process.live(tasks)

    async def step(self, tasks: TaskGroup) -> None:
        """One random step."""
        if not self.alive or (len(self.alive) < 3 and self.rng.random() < 0.15):
            await self.start(tasks, self.rng.choice(AGENTS))
        process, dice = self.rng.choice(self.alive), self.rng.random()
        if dice < 0.12:
            await process.die()
        elif dice < 0.15:
            process.fall_silent()
        elif dice < 0.27:
            self.world.suspend()
        elif dice < 0.42:
            await self.world.pass_time(self.rng.choice([20, 240, 1_500, 3_000]))
        elif dice < 0.55:
            rows = await process.ledger.rows(limit=5)
            if rows:
                process.tasks.start_soon(process.calls.resolve, self.rng.choice(rows).call_id)
        else:
            for _ in range(0 if self.echoing else self.rng.randrange(1, 4)):
                action = self.rng.choice(ACTIONS)
                purchase = Purchase(f"model_thing_{action.action}", action, {"n": self.rng.randrange(2)})
                process.tasks.start_soon(self.buy, process, purchase, self.rng.choice([None, None, 0.3, 10.0]))
            if self.rng.random() < (0.1 if self.echoing else 0.4):
                self.echo.drift()
            for _ in range(self.rng.randrange(1, 4) if self.echoing else self.rng.randrange(2)):
                purchase = Purchase("echo_job_run", ECHO, {"text": self.rng.choice("abc")})
                process.tasks.start_soon(self.buy, process, purchase, self.rng.choice([None, None, 0.3, 10.0]))
        await self.world.pass_time(self.rng.choice([0.0, 0.0, 1.0, 45.0]))

    async def buy(self, process: Process, purchase: Purchase, patience: float | None) -> None:
        """A host that waits for its answer, or loses patience."""
        with anyio.CancelScope() as leaving:
            if patience is not None:
                leaving.deadline = anyio.current_time() + patience
            end = await process.calls.pay(purchase, Caller(LOCAL))
            if not process.alive:
                return
            booked = [] if end.call_id is None else self.booked(end.call_id)
            if end.charge is Charge.YES and booked != [end.amount]:
                raise Broken(f"told as paid {end.amount}, and the payee has {booked}")
            if end.charge is Charge.NO and booked:
                raise Broken(f"told as free, and the payee has {booked}")
            if end.answer is not None and self.rng.random() < 0.7:
                process.calls.delivered(end)

    def booked(self, call_id: str) -> list[int]:
        """What the payees took for a call, each time."""
        return [one.amount for one in self.hub.of(call_id)] + self.echo.payee.charged(call_id)

    async def check(self) -> None:
        """What must hold at every instant."""
        calls = Counter(one.call_id for one in self.hub.books)
        twice = [call_id for call_id, charges in calls.items() if charges > 1]
        if twice:
            raise Broken(f"charged twice: {[self.hub.of(call_id) for call_id in twice]}")
        if self.alive:
            ledger = self.alive[0].ledger
            await ledger.flush()
            totals = await ledger.totals()
            taken = sum(one.amount for one in self.hub.books) + sum(self.echo.taken().values())
            if taken > totals.charged + totals.held:
                raise Broken(f"the Hub took {taken}, and the ledger knows of {totals}")
            for job_id in self.echo.taken():
                row = await ledger.row(job_id)
                if row is None or row.mark is not Mark.INTENT or not row.answered:
                    raise Broken(f"paid before it was written down: {row}")

    def check_windows(self) -> None:
        """No cap was passed in any window, wherever it begins, as the Hub has it; less the way of a request."""
        books = sorted(self.hub.books, key=lambda one: one.at)
        large = [one for one in books if one.action == "large"]
        for cap, length, some in ((HOUR, HOUR_MS, books), (DAY, DAY_MS, books), (PATTERN, HOUR_MS, large)):
            for first, spent in _windows(some, length - LATEST_MS):
                if spent > cap:
                    raise Broken(f"{spent} of {cap} in the {length} ms from {first.at}: {some}")

    async def end(self, tasks: TaskGroup) -> None:
        """The faults end, and somebody is there for each account: all that is open must come to its proven end."""
        self.world.calm = True
        self.check_windows()
        self.hub.balance += 100_000_000
        if self.rng.random() < 0.5:
            for one in self.alive:
                await one.die()
        for one in self.alive:
            one.serve(WIDE)
        for agent in AGENTS:
            await self.start(tasks, agent, WIDE)
        ledger = self.alive[-1].ledger
        provable = {
            row.call_id for row in await self.open() if _end(row) > self.world.now() + 3 * ROUND_SECONDS * 1_000
        }
        begun = self.world.now()
        while rows := await self.open():
            # What is paid at the end may be so for the time being only.
            turning = HOUR_MS if any(row.look_again_at and row.state in CHARGED for row in rows) else 0
            if max(begun, *map(_end, rows)) + 5 * ROUND_SECONDS * 1_000 + turning < self.world.now():
                raise Broken(f"open for ever: {rows}")
            await self.world.pass_time(120)
        await self.check()
        await ledger.flush()
        for row in await ledger.rows(limit=1_000):
            self.seen[row.state.value] += 1
            self.seen[f"{row.rail} {row.state.value}"] += 1
            self.seen["given back"] += row.refunded > 0
            self.check_end(row, provable)
        report = await ledger.audit()
        if report.findings:
            raise Broken(f"the ledger does not hold: {report.findings}")

    def check_end(self, row: CallRow, provable: set[str]) -> None:
        """How a call may have ended, for what its payee took."""
        booked = sum(self.booked(row.call_id))
        if row.state in CHARGED and row.charged != booked:
            raise Broken(f"the Hub took {booked}: {row}")
        if row.refunded != self.echo.payee.returned(row.call_id):
            raise Broken(f"{self.echo.payee.returned(row.call_id)} came back: {row}")
        if row.state in FREE and booked:
            raise Broken(f"the Hub took {booked} for what is said to be free: {row}")
        if row.state is State.WRITTEN_OFF and row.call_id in provable:
            raise Broken(f"written off, though it could have been found out: {row}")
        if booked > row.held:
            raise Broken(f"the Hub took more than its mandate: {row}")
        if row.rail == "tiny" and row.state is State.WRITTEN_OFF:
            raise Broken(f"written off, though it could have been found out: {row}")

    async def open(self) -> list[CallRow]:
        ledger = self.alive[-1].ledger
        await ledger.flush()
        # What costs more than is held waits for a person.
        rows = await ledger.rows(limit=1_000)
        return [row for row in rows if row.ended_at is None and row.mark is not Mark.RESULT]


def _end(row: CallRow) -> int:
    return row.created_at + HOUR_MS if row.provable_until is None else row.provable_until


def _windows(books: list[Booked], length: int) -> Iterator[tuple[Booked, int]]:
    """Every window that begins with a charge, and what was taken in it."""
    for index, first in enumerate(books):
        yield first, sum(one.amount for one in books[index:] if one.at < first.at + length)


def live(seeds: range, folder: Path) -> Counter[str]:
    """Live through stories; returns in which states their calls ended."""
    ended: Counter[str] = Counter()
    for seed in seeds:
        story = Story(seed, folder)
        upkeep.jitter = story.rng.random
        tell(story.live)
        ended.update(story.seen)
        for left in folder.glob("ledger-*.sqlite*"):
            if left.is_file():
                left.unlink()
    return ended


def broken(seed: int, folder: Path) -> str:
    """What does not hold in a story, in words."""
    try:
        live(range(seed, seed + 1), folder)
    except BaseExceptionGroup as group:
        _, others = group.split(Broken)
        if others is not None:
            raise
        return repr(group.exceptions)
    return ""
