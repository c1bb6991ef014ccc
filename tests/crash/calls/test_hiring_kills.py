"""Killed at any step of a hire, whatever the agent and the network do, by many processes at once: it ends once.

At every acknowledgement, and after every death, what was acknowledged is at most what the ledger holds and counts as
charged; no offer starts a second run; and whoever asks whether they were charged is told the truth.
"""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any

import anyio
import pytest

from jecp_mcp.calls.ports import Caller
from jecp_mcp.cli import assembly
from jecp_mcp.cli.assembly import build
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.money import parse_usdc
from jecp_mcp.rails.ajp import client, rail
from jecp_mcp.rails.ajp.payload import job_id_of
from jecp_mcp.wire.ajp.signatures import PrivateKey, new_private_key
from tests.ajp_agent import Agent, serving
from tests.crash.calls.children import ROOM, Child, ledger_rows
from tests.crash.calls.hiring_worker import STEPS, Life, hurry, live
from tests.crash.mandate.points import spread
from tests.paid_http_house import CHARGED, FREE, TurnedClock

pytestmark = pytest.mark.anyio

KEY = new_private_key()
HOLD, COST = 50_000, 20_000
PATIENT = 60.0
"""How long an answer is waited for, in seconds, where it will come."""
DAY = 86_400

MODES: dict[str, dict[str, Any]] = {
    "clean": {"polls": 1},
    "done at once": {},
    "the offer is lost": {"faults": {"offer": ["lost"] * 2}},
    "the offer is unheard": {"faults": {"offer": ["unheard"] * 2}},
    "the offer comes twice": {"faults": {"offer": ["twice"] * 2}},
    "silent at the offer": {"faults": {"offer": ["silent"] * 2}},
    "the offer is not answered well": {"answers": [(500, {})] * 2},
    "a look is lost": {"faults": {"GET": ["lost"] * 2}},
    "silent at a look": {"faults": {"GET": ["silent"] * 2}},
    "the acknowledgement is lost": {"faults": {"ack": ["lost"] * 2}},
    "the acknowledgement is unheard": {"faults": {"ack": ["unheard"] * 2}, "polls": 1},
    "the acknowledgement comes twice": {"faults": {"ack": ["twice"] * 2}},
    "silent at the acknowledgement": {"faults": {"ack": ["silent"] * 2}},
    "the acknowledgement is not answered well": {"acks": [(500, {})] * 2},
    "slow": {"polls": 3},
    "forged usage, another each time": {"signs": "six", "costs": [0.03, 0.001, 0.05, 0.0, 0.04, 0.01] * 4, "polls": 1},
    "forged usage, more than was offered": {"signs": "six", "cost": 9.99},
    "signed by somebody else": {"signing": PrivateKey(new_private_key())},
    "it fails": {"status": "failed"},
}
FOR_EVERY_CHANGE = (
    "clean",
    "the offer is unheard",
    "the acknowledgement is unheard",
    "forged usage, another each time",
)
POINTS = [f"{when} {step}" for step in STEPS for when in ("before", "after")]
TOGETHER = STEPS[3]
"""What is written in one step with the result, where the job is done when it is first asked for."""


class Market:
    """One agent, and the books of whoever hires it, compared at each acknowledgement."""

    def __init__(self, folder: Path, agent: Agent, *, patient: bool, daily: str) -> None:
        self.folder, self.agent, self.daily = folder, agent, daily
        self.seconds = PATIENT if patient else 0.3
        self.owed: dict[str, int] = {}
        self.looked, self.wrong = 0, list[str]()
        agent.on_ack = self._acknowledged

    def _acknowledged(self, job_id: str) -> None:
        """What is owed is what the report said that the hirer wrote down: never the latest, if they were told another."""
        self.owed.setdefault(job_id, self.agent.reported[job_id])
        self.compare("at an acknowledgement")

    def compare(self, when: str) -> None:
        """Read the file as it is, whoever writes it."""
        self.looked += 1
        rows = ledger_rows(self.folder, "call_id, state, held, charged")
        counted = {job_id_of(one): charged if state in CHARGED else held * (state not in FREE) for one, state, held, charged in rows}  # fmt: skip
        if any(amount > counted.get(job_id, 0) for job_id, amount in self.owed.items()):
            self.wrong.append(f"{when}: {self.owed} is owed, and the ledger has {rows}")
        if sum(counted.values()) > round(float(self.daily) * 1_000_000):
            self.wrong.append(f"{when}: over the limit: {rows}")
        if any(runs > 1 for runs in self.agent.runs.values()):
            self.wrong.append(f"{when}: a job ran twice: {self.agent.runs}")

    def check(self, *when: Any) -> None:
        self.compare(str(when))
        assert self.wrong == []

    def life(self, jobs: tuple[str, ...], last: int | str, ahead: int = 0) -> Life:
        return Life(self.folder, KEY, self.agent.id, self.daily, ahead, self.seconds, jobs, last)

    async def close(self, patch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
        """Let everything be proven or lapse; what is then told of each call."""
        clock = TurnedClock()
        patch.setattr(assembly, "SystemClock", lambda: clock)
        told: dict[str, dict[str, Any]] = {}
        async with build(self.life((), 0).start) as bridge:
            for seconds in (120, 600, 2 * DAY):
                clock.ahead += seconds
                for _ in range(3):
                    await bridge.calls.recover()
                    await bridge.ledger.flush()
                    self.check("while it is recovered")
            assert (await bridge.ledger.audit()).findings == ()
            for row in await bridge.ledger.rows():
                found = await bridge.dispatcher.call("jecp_status", {"call_id": row.call_id}, Caller(LOCAL))
                said = dict(found.structured or {})
                told[job_id_of(row.call_id)] = said.get("receipt", said) | {"state": row.state.value}
        return told

    def judge(self, told: dict[str, dict[str, Any]]) -> None:
        """See that each call is open no more, and that what is said of its money is so."""
        for job_id, said in told.items():
            acknowledged, amount = self.agent.acknowledged[job_id], self.owed.get(job_id)
            match said["charged"]:
                case "yes":
                    assert acknowledged, said
                    assert parse_usdc(said.get("amount_usdc") or said["charged_usdc"]) == amount, said
                case "no":
                    assert not acknowledged, said
                case "unknown":
                    assert said["state"] == "written_off", said
                    assert not acknowledged, said
        assert self.owed.keys() <= told.keys()


async def hire(
    mode: str,
    lasts: list[int | str],
    patch: pytest.MonkeyPatch,
    *,
    then: int | str = 0,
    jobs: tuple[str, ...] = ("Count",),
    daily: str = "1",
) -> list[Child]:
    """Hire in as many processes as there are `lasts`, recover in one more, and close the books."""
    with (
        tempfile.TemporaryDirectory(dir=ROOM) as name,
        serving(Agent(PrivateKey(KEY), knows=True)) as agent,
    ):
        vars(agent).update({key: _copy(value) for key, value in MODES[mode].items()})
        market = Market(Path(name), agent, patient="silent" not in mode, daily=daily)
        own = len(lasts) > 1 and len(jobs) > 1
        running = [Child(live, market.life(tuple(f"{job} {number * own}" for job in jobs), last)) for number, last in enumerate(lasts)]  # fmt: skip
        children = [await anyio.to_thread.run_sync(one.end) for one in running]
        if not (Path(name) / "ledger.sqlite").exists():
            return children
        market.check("after they were hired", mode, lasts)
        ahead = 0
        for last in (then, 0):
            ahead += 61
            again = Child(live, market.life((), last, ahead))
            children.append(await anyio.to_thread.run_sync(again.end))
            market.check("after it was recovered", mode, then)
        agent.faults.clear()
        hurry(PATIENT)
        market.judge(await market.close(patch))
        return children


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: list(one) for key, one in value.items()}
    return list(value) if isinstance(value, list) else value


@pytest.fixture(autouse=True)
def _pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the pauses back that are hurried here."""
    for name in ("_FIRST_STEP", "_LONGEST_STEP", "PATIENCE_SECONDS"):
        monkeypatch.setattr(rail, name, getattr(rail, name))
    monkeypatch.setattr(client, "_SECONDS", client._SECONDS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "point"),
    [
        (mode, point)
        for mode in FOR_EVERY_CHANGE
        for point in POINTS
        if MODES[mode].get("polls") or TOGETHER not in point
    ],
)
async def test_killed_before_and_after_each_durable_step(
    mode: str, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [hired, *_] = await hire(mode, [point], monkeypatch)
    assert hired.died == point, f"the step {point} was not reached"


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
async def test_every_point_of_a_hire_can_be_the_last(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are some 170, most of them the same in each mode: all in the first, and in the others every fifth in turn."""
    dice, turn = random.Random(mode), list(MODES).index(mode)
    [hired, *_] = await hire(mode, [0], monkeypatch)
    assert hired.heard
    for last in range(1, hired.passed + 1) if turn == 0 else range(1 + turn % 5, hired.passed + 1, 5):
        await hire(mode, [last], monkeypatch, then=dice.randrange(1, 25))


@pytest.mark.parametrize(
    "mode", [pytest.param(mode, marks=pytest.mark.slow if mode in FOR_EVERY_CHANGE else pytest.mark.long) for mode in MODES]
)  # fmt: skip
async def test_a_hire_ends_once_wherever_its_process_and_the_next_are_killed(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(mode)
    [hired, *_] = await hire(mode, [0], monkeypatch)
    for last in spread(hired.passed, 3)[1:]:
        [killed, *_] = await hire(mode, [last], monkeypatch, then=dice.randrange(1, 25))
        assert killed.died


@pytest.mark.parametrize(
    "mode", [pytest.param(mode, marks=pytest.mark.slow if mode in FOR_EVERY_CHANGE else pytest.mark.long) for mode in MODES]
)  # fmt: skip
async def test_eight_processes_that_hire_for_one_job_offer_it_once_whichever_of_them_are_killed(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(mode)
    children = await hire(mode, [0] * 8, monkeypatch)
    assert any(one.heard for one in children)
    await hire(mode, [0, 0, 0, *(dice.randrange(1, 60) for _ in range(5))], monkeypatch)


@pytest.mark.parametrize(
    "mode", [pytest.param(mode, marks=pytest.mark.slow if mode in FOR_EVERY_CHANGE else pytest.mark.long) for mode in MODES]
)  # fmt: skip
async def test_eight_processes_under_one_limit_never_owe_more_than_it_whichever_of_them_are_killed(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(mode)
    jobs = ("One", "Two", "Three")
    children = await hire(mode, [0] * 8, monkeypatch, jobs=jobs, daily="0.15")
    heard = [one for child in children for one in child.heard]
    assert any(one.get("error", {}).get("code") == "LIMIT_REACHED" for one in heard), "the limit was met"
    lasts = [0, 0, 0, *(dice.randrange(1, 120) for _ in range(5))]
    await hire(mode, lasts, monkeypatch, jobs=jobs, daily="0.15")
