"""Hiring behind the pipeline and a real ledger, without a socket: every end of a job, and every step at which one dies."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import get_ident
from types import MappingProxyType
from typing import Any

import anyio
import pytest

from jecp_mcp.calls import pipeline
from jecp_mcp.calls.account_rounds import FRUITLESS
from jecp_mcp.calls.pipeline import Calls
from jecp_mcp.calls.ports import CallEnd, Caller, Charge, Decision, Question, Reply
from jecp_mcp.cli import reconcile
from jecp_mcp.cli.options import Start
from jecp_mcp.clock import iso
from jecp_mcp.domain.purchases import LOCAL, Purchase
from jecp_mcp.errors import HeldBack, WireError
from jecp_mcp.http import ExchangeFailed, HttpAnswer
from jecp_mcp.mandate.ledger import CallRow, Ledger, Note
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.policy import Policy
from jecp_mcp.mandate.states import State
from jecp_mcp.rails.ajp import rail as hiring
from jecp_mcp.rails.ajp.client import retry_after
from jecp_mcp.rails.ajp.declarations import Declarations
from jecp_mcp.rails.ajp.keyring import Keyring
from jecp_mcp.rails.ajp.payload import SCHEMA, job_id_of
from jecp_mcp.rails.ajp.rail import AjpRail
from jecp_mcp.rails.ajp.roster import Roster
from jecp_mcp.rails.ajp.source import AgentSource
from jecp_mcp.rails.base import new_call_id
from jecp_mcp.rails.payee_pins import PayeePins
from jecp_mcp.rails.registry import Rails, Way
from jecp_mcp.settings import MandateSettings, Settings
from jecp_mcp.settings.ajp import AjpSettings
from jecp_mcp.settings.merchants import Place
from jecp_mcp.tools.own.wallet import call_summary
from jecp_mcp.wire.ajp.canonical import canonical
from jecp_mcp.wire.ajp.offer import read_offer
from jecp_mcp.wire.ajp.signatures import Coverage, PrivateKey, SharedSecret, coverage, new_private_key
from tests.ajp_agent import Agent
from tests.unit.calls.test_pipeline import StillClock

pytestmark = pytest.mark.anyio

KEY = PrivateKey(new_private_key())
HOLD = 50_000
TASK = {"instruction": "Count the words", "input": {"text": "one two three"}}
MANDATE = MandateSettings(per_call_usdc="0.10", daily_usdc="1")


@dataclass
class Wire:
    """The agent at the gate's seam; a request of a step that stands in `faults` is lost before or after it."""

    agent: Agent
    faults: dict[str, str] = field(default_factory=dict)
    """By ``offer``, ``GET`` or ``ack``: unsent, lost (it never arrives), unheard (its answer is lost), dies."""
    sent: list[str] = field(default_factory=list)
    later: dict[str, str] = field(default_factory=dict)
    """What becomes of the request of a step after that."""

    async def exchange(
        self,
        method: str,
        place: Place,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 10,  # noqa: ASYNC109 - as the gate's
        max_bytes: int = 0,
        before_sending: Callable[[], Awaitable[None]] | None = None,
    ) -> HttpAnswer:
        step = "ack" if place.path.endswith("/ack") else "offer" if method == "POST" else "GET"
        step = "declaration" if "well-known" in place.path else "index" if "/api/agent/" in place.path else step
        fault = self.faults.pop(step, None)
        if fault is not None and step in self.later:
            self.faults[step] = self.later.pop(step)
        if fault == "unsent":
            raise ExchangeFailed(sent=False, phase="connect", reason="refused")
        if before_sending is not None:
            try:
                await before_sending()
            except HeldBack as exc:
                raise ExchangeFailed(sent=False, phase="send", reason=str(exc)) from exc
        self.sent.append(step)
        if fault == "dies first":
            await anyio.sleep_forever()
        if fault == "lost":
            raise ExchangeFailed(sent=True, phase="answer", reason="reset")
        status, said = self.agent.answer(method, place.path, body or b"")
        if fault == "unheard":
            raise ExchangeFailed(sent=True, phase="answer", reason="reset")
        if fault == "dies":
            await anyio.sleep_forever()
        raw = json.dumps(said).encode()
        if max_bytes and len(raw) > max_bytes:
            raise ExchangeFailed(sent=True, phase="size", reason="too long")
        return HttpAnswer(status, {"retry-after": "7"} if status == 429 else {}, raw)


@dataclass
class House:
    """A process that hires."""

    calls: Calls
    ledger: Ledger
    agent: Agent
    wire: Wire
    clock: StillClock
    source: AgentSource

    async def hire(self, asker: Any = None, progress: Any = None, **arguments: Any) -> CallEnd:
        offer = self.source.current.actions["ajp/hire:words"]
        caller = Caller(LOCAL, progress, asker=asker)
        return await self.calls.pay(Purchase("hire_words", offer, TASK | arguments), caller)

    async def row(self) -> CallRow:
        await self.ledger.flush()
        [row] = await self.ledger.rows()
        return row

    async def look(self) -> CallRow:
        """Let the time come at which the job is looked after again, and do it."""
        row = await self.row()
        assert row.look_again_at is not None
        self.clock.at = max(self.clock.at, row.look_again_at)
        await self.calls.resolve(row.call_id)
        return await self.row()

    async def conserved(self) -> None:
        """What is acknowledged is within what is held and charged, and no job ran twice."""
        await self.ledger.flush()
        rows = await self.ledger.rows()
        owed = {job_id_of(row.call_id): row for row in rows}
        for job_id in self.agent.acknowledged:
            row = owed[job_id]
            counted = row.charged if row.state in {State.SETTLED, State.RECONCILED_CHARGED} else row.held
            assert row.state not in {State.RELEASED, State.RECONCILED_FREE}
            assert round(self.agent.cost * 1_000_000) <= counted
        assert all(runs == 1 for runs in self.agent.runs.values())
        assert (await self.ledger.audit()).findings == ()


def settings_of(agent: Agent, **changes: Any) -> AjpSettings:
    one = {"name": "words", "id": agent.id, "max_usdc": "0.05", "max_seconds": 600} | changes
    return AjpSettings.model_validate({"identity": "provenance:domain:hirer.example", "agents": [one]})


@asynccontextmanager
async def house(
    path: Path,
    agent: Agent,
    clock: StillClock,
    *,
    mandate: MandateSettings = MANDATE,
    keys: Keyring | None = None,
    unlisted: bool = False,
    index: Mapping[str, str] = MappingProxyType({}),
    **changes: Any,
) -> AsyncIterator[House]:
    ledger = open_ledger(path / "ledger.sqlite", clock=clock)
    wire, settings = Wire(agent), settings_of(agent, **changes)
    settings = settings.model_copy(update=dict(index))
    if unlisted:
        settings = settings.model_copy(update={"agents": (), "allow_unlisted": True})

    async def sleep(seconds: float) -> None:
        clock.at += int(seconds * 1000)
        await anyio.lowlevel.checkpoint()

    pins = PayeePins(path, "ajp-agents", clock)
    declarations = Declarations(wire, pins, clock, loopback=True)  # type: ignore[arg-type]
    keyring = keys or Keyring(settings.identity, KEY, {}, None)
    rail = AjpRail(wire, settings, declarations, keyring, clock, sleep=sleep)  # type: ignore[arg-type]
    source = AgentSource(settings, clock)
    calls = Calls(
        policy=Policy.from_settings(mandate),
        ledger=ledger,
        rails=Rails([Way(rail=rail, sources=(source,))]),
        clock=clock,
        mint=new_call_id,
    )
    try:
        async with calls.open():
            yield House(calls, ledger, agent, wire, clock, source)
    finally:
        pins.close()
        await ledger.close()


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def agent() -> Agent:
    return Agent(KEY)


async def test_a_job_is_offered_done_proven_written_down_and_acknowledged_for_what_it_cost(
    tmp_path: Path, agent: Agent, clock: StillClock
) -> None:
    agent.polls = 3
    reports: list[tuple[float, float | None, str | None]] = []

    class Listener:
        async def report(self, done: float, total: float | None, message: str | None) -> None:
            reports.append((done, total, message))

    async with house(tmp_path, agent, clock) as one:
        end = await one.hire(progress=Listener())
        row = await one.row()
        await one.conserved()
    assert [total for _, total, _ in reports] == [600] * 3
    assert sorted({done for done, _, _ in reports}) == [done for done, _, _ in reports], "it always goes on"
    taken, due = (iso(at)[11:19] for at in (row.sent_at, row.sent_at + 600_000))
    assert {words for _, _, words in reports} == {f"s since {taken}; the agent works on it, due by {due} UTC"}
    assert (end.charge, end.amount, end.answer and end.answer.output) == (Charge.YES, 20_000, {"words": 3})
    assert (row.state.value, row.held, row.charged, row.kind, row.mark) == ("settled", HOLD, 20_000, "max", "intent")
    assert "whole signature" in row.evidence
    offer, message = read_offer(agent.offers[0])
    assert coverage(message, KEY) is Coverage.WHOLE
    assert (offer.budget.max_usd, offer.budget.max_seconds, offer.to, message["context"]["credentials"]) == (
        HOLD,
        600,
        agent.id,
        {},
    )
    assert list(agent.acknowledged.values()) == [1]
    assert one.wire.sent == ["declaration", "offer", "GET", "GET", "GET", "GET", "ack"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "fault", "steps"),
    [
        ({}, None, ["accepted result intent"]),
        ({"polls": 1}, None, ["accepted", "result intent"]),
        ({"cost": 9}, None, ["accepted result"]),
        ({"status": "failed"}, None, ["accepted"]),
        ({"signs": "none"}, None, ["accepted"]),
        ({}, "lost", ["accepted", "result intent"]),
    ],
)
async def test_that_a_job_was_taken_is_written_down_with_what_is_first_heard_of_it(
    tmp_path: Path, agent: Agent, clock: StillClock, changes: dict[str, Any], fault: str | None, steps: list[str]
) -> None:
    vars(agent).update(changes)
    kept: list[str] = []
    async with house(tmp_path, agent, clock) as one:
        if fault is not None:
            one.wire.faults["GET"] = fault
        note = one.ledger.note

        async def noting(call_id: str, claim: int, notes: Sequence[Note]) -> bool:
            kept.append(" ".join(one.mark.value for one in notes))
            return await note(call_id, claim, notes)

        one.ledger.note = noting  # type: ignore[method-assign]
        await one.hire()
        assert "ack" not in one.wire.sent or kept[-1].endswith("intent")
    assert kept == steps


@pytest.mark.parametrize("mount", ["", "/jobs"])
async def test_both_mounts_of_the_protocol_are_found_with_the_same_bytes(
    tmp_path: Path, agent: Agent, clock: StillClock, mount: str
) -> None:
    agent.mount = mount
    async with house(tmp_path, agent, clock) as one:
        assert (await one.hire()).charge is Charge.YES
        await one.conserved()


@pytest.mark.parametrize(
    ("changes", "charged", "words"),
    [
        ({"signs": "six"}, 20_000, "six_members"),
        ({"cost": None}, HOLD, "no cost stated"),
        ({"cost": 0}, 0, "whole"),
        ({"cost": 0.0123456}, 12_346, "whole"),
        ({"cost": 0.05}, HOLD, "whole"),
    ],
)
async def test_what_is_charged_is_what_was_acknowledged_and_what_it_rests_on_is_said(
    tmp_path: Path, agent: Agent, clock: StillClock, changes: dict[str, Any], charged: int, words: str
) -> None:
    vars(agent).update(changes)
    async with house(tmp_path, agent, clock) as one:
        end = await one.hire()
        row = await one.row()
    assert (row.state.value, row.charged, end.answer is not None) == ("settled", charged, True)
    assert words in row.evidence
    assert sum(agent.acknowledged.values()) == 1


@pytest.mark.parametrize("cost", [0.050001, 999, -3, "0.01", True])
async def test_a_price_that_was_not_offered_is_never_acknowledged_and_its_result_is_delivered(
    tmp_path: Path, agent: Agent, clock: StillClock, cost: Any
) -> None:
    agent.cost = cost
    async with house(tmp_path, agent, clock) as one:
        end = await one.hire()
        row = await one.look()
        again = await one.hire()
    assert (end.charge, end.held, end.answer and end.answer.output) == (Charge.UNKNOWN, HOLD, {"words": 3})
    assert end.answer is not None
    assert "not acknowledged" in end.answer.notices[0].text
    assert (row.state.value, row.answered, again.answer and again.answer.output) == ("in_doubt", True, {"words": 3})
    assert row.awaits_ruling
    assert (agent.acknowledged, len(agent.offers)) == ({}, 1)


async def test_a_price_that_was_not_offered_is_a_persons_to_rule_on_at_once_and_to_rule_free(
    tmp_path: Path, agent: Agent, clock: StillClock
) -> None:
    agent.cost = 999
    async with house(tmp_path, agent, clock) as one:
        end = await one.hire()
        told = call_summary(await one.row())
    assert ("settled_by" in told, "the operator must rule on" in told["warning"]) == (False, True)
    given = Start(Settings(), tmp_path, None)
    assert end.call_id is not None
    found = await reconcile.calls_to_rule(given)
    assert ([one["call_id"] for one in found["needs_ruling"]], found["still_found_out"]) == ([end.call_id], [])
    ruled = await reconcile.rule(given, end.call_id, None, "we agreed on nothing")
    assert (ruled["state"], ruled["held_usdc"]) == ("reconciled_free", "0.00")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"signs": "legacy"}, "LEGACY_SIGNATURE"),
        ({"signs": "none"}, "RESULT_UNVERIFIED"),
        ({"signing": PrivateKey(new_private_key())}, "RESULT_UNVERIFIED"),
        ({"reports": {"agent": {"provenance_id": "provenance:domain:other.example"}}}, "RESULT_UNVERIFIED"),
        ({"reports": {"agent": {"provenance_id": "provenance:domain:other.example"}}, "status": "failed"}, "RESULT_UNVERIFIED"),
    ],
)  # fmt: skip
async def test_a_result_that_nothing_proves_is_withheld_and_not_acknowledged(
    tmp_path: Path, agent: Agent, clock: StillClock, changes: dict[str, Any], code: str
) -> None:
    vars(agent).update(changes)
    async with house(tmp_path, agent, clock) as one:
        end = await one.hire()
        row = await one.look()
    assert (end.charge, end.answer, end.refusal and end.refusal.code) == (Charge.UNKNOWN, None, code)
    assert (row.state.value, row.held, agent.acknowledged) == ("in_doubt", HOLD, {})


@pytest.mark.slow
@pytest.mark.parametrize("status", ["failed", "expired", "rejected"])
async def test_a_job_that_was_not_done_is_free(tmp_path: Path, agent: Agent, clock: StillClock, status: str) -> None:
    agent.status, agent.reports = status, {"message": "no words in there"}
    async with house(tmp_path, agent, clock) as one:
        end = await one.hire()
        row = await one.row()
    assert end.refusal is not None
    assert (end.charge, end.refusal.code, end.refusal.details["agent_says"]) == (
        Charge.NO,
        "JOB_FAILED",
        "no words in there",
    )
    assert (row.state.value, f"the agent says {status}; not acknowledged" in row.evidence) == ("released", True)


@pytest.mark.parametrize(
    "status", [401, 404, 429, *(pytest.param(one, marks=pytest.mark.slow) for one in (400, 402, 403, 405, 422))]
)
async def test_an_offer_that_was_refused_is_free(tmp_path: Path, agent: Agent, clock: StillClock, status: int) -> None:
    codes = {403: "NO_PUBLIC_KEY", 422: "LEGACY_SIGNATURE"}
    said = {"error": "not today"} | ({"code": codes[status]} if status in codes else {})
    agent.answers = [(status, said), (status, said)]
    async with house(tmp_path, agent, clock) as one:
        end = await one.hire()
        row = await one.row()
    assert end.refusal is not None
    assert (end.charge, row.state.value) == (Charge.NO, "released")
    assert end.refusal.code == ("AGENT_BUSY" if status == 429 else "AGENT_REFUSED")
    assert end.refusal.retry_after_seconds == (7 if status == 429 else None)
    assert ("whether the declaration is found, with the key" in end.refusal.message) == (status == 401)
    assert end.refusal.details.get("agent_code") == codes.get(status)
    assert ("before version 0.3, which this program never makes" in end.refusal.message) == (status == 422)
    if status not in {404, 405}:
        assert end.refusal.details["agent_says"] == "not today"


async def test_nothing_is_offered_where_the_connection_never_stood(
    tmp_path: Path, agent: Agent, clock: StillClock
) -> None:
    async with house(tmp_path, agent, clock) as one:
        one.wire.faults["offer"] = "unsent"
        end = await one.hire()
        row = await one.row()
    assert (end.charge, end.refusal and end.refusal.code, row.state.value) == (
        Charge.NO,
        "AGENT_UNREACHABLE",
        "released",
    )


@pytest.mark.parametrize("fault", ["lost", "unheard", 500, 302, 409])
async def test_an_offer_without_a_clear_answer_is_asked_for_and_never_made_again(
    tmp_path: Path, agent: Agent, clock: StillClock, fault: str | int
) -> None:
    arrives = fault == "unheard"
    async with house(tmp_path, agent, clock) as one:
        if isinstance(fault, int):
            agent.answers = [(fault, {})]
        else:
            one.wire.faults["offer"] = fault
        end = await one.hire()
        row = await one.row()
        if not arrives:
            row = await one.look()
            assert (await one.hire()).refusal is not None
        await one.conserved()
        assert one.wire.sent.count("offer") == 1
    assert (end.charge, row.state.value) == ((Charge.YES, "settled") if arrives else (Charge.UNKNOWN, "in_doubt"))
    assert end.refusal is None if arrives else "never offered a second time" in end.refusal.message  # type: ignore[union-attr]


@pytest.mark.parametrize("lost", [1, pytest.param(2, marks=pytest.mark.slow)])
async def test_an_offer_that_never_arrived_is_made_once_more_to_an_agent_that_starts_no_second_run(
    tmp_path: Path, agent: Agent, clock: StillClock, lost: int
) -> None:
    agent.knows = True
    async with house(tmp_path, agent, clock, idempotent=True) as one:
        one.wire.faults["offer"] = "lost"
        if lost == 2:
            one.wire.later["offer"] = "lost"
        end = await one.hire()
        row = await one.row()
        await one.conserved()
        assert one.wire.sent.count("offer") == 2
        if lost == 2:
            assert (row.state, (await one.look()).state) == (State.IN_DOUBT, State.IN_DOUBT)
            assert one.wire.sent.count("offer") == 2
    assert (end.charge, row.attempts) == (Charge.YES if lost == 1 else Charge.UNKNOWN, 2)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("9", 9), ("Fri, 15 Jan 2027 08:00:30 GMT", 30), ("Fri, 15 Jan 2027 07:00:00 GMT", 0), ("soon", None), ("", None)],
)
def test_how_long_a_busy_agent_wants_to_be_left_is_read_by_number_and_by_date(
    clock: StillClock, said: str, seconds: int | None
) -> None:
    assert retry_after(HttpAnswer(429, {"retry-after": said}, b""), clock) == seconds


@pytest.mark.parametrize("fault", ["lost", "unheard", 500, 404, "other"])
async def test_an_acknowledgement_that_was_not_heard_is_made_again_and_nothing_is_asked_before(
    tmp_path: Path, agent: Agent, clock: StillClock, fault: str | int
) -> None:
    async with house(tmp_path, agent, clock) as one:
        if isinstance(fault, int):
            agent.acks = [(fault, {"error": "no"})]
        elif fault == "other":
            agent.acks = [(200, {"settled": True, "job_id": "job_of_somebody_else"})]
        else:
            one.wire.faults["ack"] = fault
        end = await one.hire()
        assert (end.charge, end.answer and end.answer.output) == (Charge.UNKNOWN, {"words": 3})
        assert (await one.row()).state is State.IN_DOUBT
        one.wire.sent.clear()
        row = await one.look()
        assert one.wire.sent == ["ack"]
        await one.conserved()
    assert (row.state.value, row.charged) == ("reconciled_charged", 20_000)


async def test_a_lost_look_leaves_a_taken_job_pending_until_it_is_late(
    tmp_path: Path, agent: Agent, clock: StillClock
) -> None:
    agent.polls = 10_000
    async with house(tmp_path, agent, clock) as one:
        end = await one.hire()
        assert (end.charge, end.refusal and end.refusal.code) == (Charge.UNKNOWN, "CALL_IN_PROGRESS")
        waits = []
        for _ in range(60):
            before = clock.at
            one.wire.faults["GET"] = "lost"
            row = await one.look()
            waits.append(clock.at - before)
            if row.state is State.IN_DOUBT:
                break
        assert max(waits) == 60_000
        assert clock.at >= row.sent_at + 600_000
        agent.polls = 0
        row = await one.look()
        await one.conserved()
    assert (row.state.value, row.charged, len(agent.offers)) == ("reconciled_charged", 20_000, 1)


@pytest.mark.slow
@pytest.mark.parametrize("said", [{"status": "done"}, {"job_id": "job_of_somebody_else"}, {"status": 7}])
async def test_what_cannot_be_read_of_a_job_moves_nothing(
    tmp_path: Path, agent: Agent, clock: StillClock, said: dict[str, Any]
) -> None:
    agent.reports = said
    async with house(tmp_path, agent, clock) as one:
        assert (await one.hire()).charge is Charge.UNKNOWN
        assert (await one.row()).state is State.SENT
        agent.reports = {}
        assert (await one.look()).state is State.SETTLED


async def test_every_job_that_is_worked_on_is_asked_for_however_many_there_are(
    tmp_path: Path, agent: Agent, clock: StillClock
) -> None:
    agent.polls = 10_000
    async with house(tmp_path, agent, clock) as one:
        for number in range(FRUITLESS + 3):
            await one.hire(input={"text": "a " * number}, max_usdc="0.02")
        await one.ledger.flush()
        clock.at += 60_000
        rows = await one.ledger.rows()
        agent.polls, before = 10_000, dict(agent.asked)
        await one.calls.recover()
        assert [agent.asked[job] - before[job] for job in before] == [1] * len(rows), "each was asked for, once"
        agent.polls = 0
        clock.at += 60_000
        await one.calls.recover()
        await one.ledger.flush()
        assert {row.state for row in await one.ledger.rows()} == {State.SETTLED}


async def test_a_forgotten_job_stays_in_doubt_and_is_written_off_at_what_is_held(
    tmp_path: Path, agent: Agent, clock: StillClock
) -> None:
    agent.polls = 10_000
    async with house(tmp_path, agent, clock) as one:
        await one.hire()
        agent.forgets = True
        row = await one.look()
        assert (row.state, "may have lost" in row.evidence) == (State.IN_DOUBT, True)
        assert row.provable_until is not None
        clock.at = row.provable_until
        await one.calls.resolve(row.call_id)
        row = await one.row()
    assert (row.state.value, row.held, len(agent.offers)) == ("written_off", HOLD, 1)


DEATHS = [
    ("offer", "dies first"),
    ("offer", "dies"),
    ("GET", "dies first"),
    ("GET", "dies"),
    ("ack", "dies first"),
    ("ack", "dies"),
]


@pytest.mark.parametrize(("step", "fault"), DEATHS)
async def test_a_process_that_dies_at_any_step_leaves_a_job_that_ends_once(
    tmp_path: Path, agent: Agent, clock: StillClock, monkeypatch: pytest.MonkeyPatch, step: str, fault: str
) -> None:
    monkeypatch.setattr(pipeline, "GRACE_SECONDS", 0.01)
    async with house(tmp_path, agent, clock) as one:
        one.wire.faults[step] = fault
        with anyio.move_on_after(0):
            await one.hire()
        while not one.wire.sent or one.wire.sent[-1] != step:
            await anyio.lowlevel.checkpoint()
        await one.ledger.flush()
    async with house(tmp_path, agent, clock) as one:
        clock.at += 1_000
        await one.calls.recover()
        row = await one.row()
        await one.conserved()
        assert "offer" not in one.wire.sent
        if (step, fault) == ("offer", "dies first"):
            assert (row.state.value, agent.offers) == ("in_doubt", [])
        else:
            assert (row.state.value, row.charged, list(agent.runs.values())) == ("reconciled_charged", 20_000, [1])
            assert (await one.hire()).answer is not None
            assert len(agent.offers) == 1, "the answer that nobody heard is delivered, not bought again"


async def test_a_job_of_ten_minutes_outlives_two_processes_and_is_delivered_once(
    tmp_path: Path, agent: Agent, clock: StillClock
) -> None:
    agent.polls = 10_000
    for _ in range(2):
        async with house(tmp_path, agent, clock) as one:
            end = await one.hire()
            assert (end.charge, end.refusal and end.refusal.code) == (Charge.UNKNOWN, "CALL_IN_PROGRESS")
            clock.at += 240_000
    async with house(tmp_path, agent, clock) as one:
        agent.polls = 0
        clock.at += 60_000
        end = await one.hire()
        row = await one.row()
        await one.conserved()
    assert (end.charge, end.answer and end.answer.output) == (Charge.YES, {"words": 3})
    assert (row.charged, len(agent.offers), list(agent.acknowledged.values())) == (20_000, 1, [1])


async def test_the_arguments_only_lower_what_the_operator_allows(
    tmp_path: Path, agent: Agent, clock: StillClock
) -> None:
    async with house(tmp_path, agent, clock) as one:
        await one.hire(max_usdc="0.03", max_seconds=30, output_format="json", parent_job_id="job_parent001")
        await one.hire(max_usdc="9", max_seconds=9_999)
        first, second = (read_offer(raw)[0] for raw in agent.offers)
        assert (first.budget.max_usd, first.budget.max_seconds, first.parent_job_id) == (30_000, 30, "job_parent001")
        assert (second.budget.max_usd, second.budget.max_seconds) == (HOLD, 600)
        wrong = await one.hire(max_usdc="much", instruction="Count the letters")
    assert (wrong.charge, wrong.refusal and wrong.refusal.code) == (Charge.NO, "INVALID_REQUEST")
    assert "credentials" not in SCHEMA["properties"]
    assert SCHEMA["additionalProperties"] is False


@pytest.mark.slow
@pytest.mark.parametrize(
    "otherwise",
    [
        {"max_usdc": "0.03"}, {"max_usdc": "0.030"}, {"max_usdc": "1"}, {"max_seconds": 90}, {"max_seconds": 90.0},
        {"parent_job_id": "job_parent001"}, {"output_format": "any"}, {"max_usdc": "much"},
        {"max_usdc": "0.01", "max_seconds": 1, "parent_job_id": "job_parent001", "output_format": "any"},
    ],
)  # fmt: skip
async def test_a_job_that_is_worked_on_is_not_hired_for_again_within_other_bounds(
    tmp_path: Path, agent: Agent, clock: StillClock, otherwise: dict[str, Any]
) -> None:
    agent.polls = 1_000
    async with house(tmp_path, agent, clock) as one:
        first = await one.hire(max_seconds=60)
        again = await one.hire(**otherwise)
        assert (first.charge, again.charge) == (Charge.UNKNOWN, Charge.UNKNOWN)
        assert first.call_id == again.call_id is not None
        assert (await one.row()).held == HOLD
    assert len(agent.offers) == 1


@pytest.mark.slow
@pytest.mark.parametrize("otherwise", [{"instruction": "Count the letters"}, {"input": {}}, {"output_format": "text"}])
async def test_another_job_is_hired_for_while_one_is_worked_on(
    tmp_path: Path, agent: Agent, clock: StillClock, otherwise: dict[str, Any]
) -> None:
    agent.polls = 1_000
    async with house(tmp_path, agent, clock) as one:
        first, second = await one.hire(), await one.hire(**otherwise)
        assert first.call_id != second.call_id
    assert len(agent.offers) == 2


@pytest.mark.slow
async def test_whoever_asked_within_bounds_that_allow_it_is_not_refused_for_anothers(
    tmp_path: Path, agent: Agent, clock: StillClock
) -> None:
    """Both are one call, so they are done one after the other; what one may not is no reason against the other."""
    async with house(tmp_path, agent, clock) as one, anyio.create_task_group() as tasks:
        ends: list[CallEnd] = []

        async def hire(**bounds: Any) -> None:
            ends.append(await one.hire(**bounds))

        tasks.start_soon(lambda: hire(max_usdc="much"))
        tasks.start_soon(hire)
    assert sorted(end.charge for end in ends) == [Charge.NO, Charge.YES]
    assert len(agent.offers) == 1


@pytest.mark.slow
async def test_what_a_person_agreed_to_for_a_job_holds_within_no_other_bounds(
    tmp_path: Path, agent: Agent, clock: StillClock
) -> None:
    asked: list[Question] = []

    class Person:
        can_ask = True

        async def approve(self, question: Question) -> Reply:
            asked.append(question)
            return Reply(Decision.UNABLE)

    careful = MandateSettings(per_call_usdc="0.10", daily_usdc="1", approve_above_usdc="0.001")
    bounds: list[dict[str, Any]] = [
        {"max_usdc": "0.02", "max_seconds": 60, "parent_job_id": "job_parent001"},
        {"max_usdc": "0.03", "max_seconds": 60, "parent_job_id": "job_parent001"},
        {"max_usdc": "0.02", "max_seconds": 61, "parent_job_id": "job_parent001"},
        {"max_usdc": "0.02", "max_seconds": 60, "parent_job_id": "job_parent002"},
        {"max_usdc": "0.02", "max_seconds": 60},
    ]
    async with house(tmp_path, agent, clock, mandate=careful) as one:
        ends = [await one.hire(Person(), **within) for within in bounds]
    codes = [end.refusal.details["approval_code"] for end in ends if end.refusal is not None]
    assert len({question.digest for question in asked}) == len(set(codes)) == len(bounds)
    assert "for at most 60 s, as a part of job_parent001, at" in asked[0].terms
    assert agent.offers == []


async def test_what_no_canonical_form_can_hold_is_not_offered(tmp_path: Path, agent: Agent, clock: StillClock) -> None:
    async with house(tmp_path, agent, clock) as one:
        end = await one.hire(input={"n": 2**60})
    assert (end.charge, agent.offers) == (Charge.NO, [])
    assert end.refusal is not None
    assert "RFC 8785" in end.refusal.message


async def test_a_large_whole_number_is_offered_and_comes_back(tmp_path: Path, agent: Agent, clock: StillClock) -> None:
    async with house(tmp_path, agent, clock) as one:
        end = await one.hire(input={"text": "a", "n": 1e20})
    assert (end.charge, json.loads(agent.offers[0])["task"]["input"]["n"]) == (Charge.YES, 10**20)


async def test_a_large_result_is_proven_beside_the_event_loop(
    tmp_path: Path, agent: Agent, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    proves = hiring.coverage

    def coverage_of(*given: Any, **more: Any) -> Coverage:
        threads.append(get_ident())
        return proves(*given, **more)

    monkeypatch.setattr(hiring, "coverage", coverage_of)
    async with house(tmp_path, agent, clock) as one:
        await one.hire()
        agent.reports = {"message": "x" * 70_000}
        end = await one.hire(input={"text": "another"})
    assert end.charge is Charge.YES
    assert [one == get_ident() for one in threads] == [True, False]


async def test_a_result_waits_for_what_checks_it_and_says_what_to_install(
    tmp_path: Path, agent: Agent, clock: StillClock
) -> None:
    async with house(tmp_path, agent, clock) as one:
        agent.polls = 10_000
        await one.hire()
        agent.polls = 0
    lacking = Keyring("provenance:domain:hirer.example", None, {}, "hiring agents needs rfc8785; run: install it")
    async with house(tmp_path, agent, clock, keys=lacking) as one:
        waits = await one.look()
    assert (waits.state.value, waits.held, agent.acknowledged) == ("in_doubt", HOLD, {})
    assert waits.evidence is not None
    assert "run: install it" in waits.evidence
    async with house(tmp_path, agent, clock) as one:
        assert (await one.look()).state.value == "reconciled_charged"


class Person:
    """Somebody who answers what they are asked."""

    def __init__(self, decision: Decision) -> None:
        self.decision, self.asked = decision, list[Question]()

    async def approve(self, question: Question) -> Reply:
        self.asked.append(question)
        return Reply(self.decision)

    async def show_link(self, *_: Any) -> Reply:
        raise AssertionError("nobody pays in a browser here")


@pytest.mark.parametrize("change", ["key", "endpoint"])
async def test_an_agent_with_another_key_or_endpoint_is_a_new_payee_that_a_person_agrees_to(
    tmp_path: Path, agent: Agent, clock: StillClock, change: str
) -> None:
    async with house(tmp_path, agent, clock) as one:
        assert (await one.hire()).charge is Charge.YES
    other = replace(agent, key=PrivateKey(new_private_key())) if change == "key" else agent
    if change == "endpoint":
        other = Agent(KEY, key=agent.key, mount="/v2/jobs")
        declared = {**other.declaration(), "ajp": {"endpoint": f"{agent.endpoint}/v2"}}
        from jecp_mcp.wire.ajp.declaration import sign_declaration

        signed = sign_declaration({k: v for k, v in declared.items() if k != "identity"}, agent.key)
        other.declaration = lambda: signed  # type: ignore[method-assign]
    async with house(tmp_path, other, clock) as one:
        nobody = await one.hire(input={"text": "a b"})
        assert (nobody.charge, nobody.refusal and nobody.refusal.code) == (Charge.NO, "APPROVAL_REQUIRED")
        no, yes = Person(Decision.DECLINED), Person(Decision.ACCEPTED)
        assert (await one.hire(no, input={"text": "a b"})).charge is Charge.NO
        assert f"another {change}" in no.asked[0].because
        assert len(other.runs) == (1 if change == "key" else 0)
        assert (await one.hire(yes, input={"text": "a b c"})).charge is Charge.YES
        assert (await one.hire(input={"text": "a b c d"})).charge is Charge.YES, "who was agreed to is known"


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        ({}, None),
        ({"incident_count": 2}, "it has open incidents there: 2"),
        ("lost", "does not say how it stands (reset)"),
        *(
            pytest.param(profile, said, marks=pytest.mark.slow)
            for profile, said in (
                ({"status": "revoked"}, "it is not active there"),
                ({"provenance_id": "provenance:domain:other.example"}, "stands (the profile is of another"),
                ({"incident_count": "none"}, "does not say how it stands"),
                (404, "it is not known there"),
                (500, "does not say how it stands (it answered with status 500)"),
                ("far", "does not say how it stands (an address has at most"),
            )
        ),
    ],
)
async def test_an_agent_against_which_the_index_speaks_or_of_which_it_says_nothing_is_not_hired(
    tmp_path: Path, agent: Agent, clock: StillClock, profile: Any, said: str | None
) -> None:
    standing = {"provenance_id": agent.id, "status": "active", "incident_count": 0}
    agent.profile = (
        (profile, {}) if isinstance(profile, int) else (200, standing | (profile if isinstance(profile, dict) else {}))
    )
    index = {"index_url": agent.origin + ("/" + "x" * 2_020 if profile == "far" else "")}
    async with house(tmp_path, agent, clock, index=index) as one:
        if profile == "lost":
            one.wire.faults["index"] = "lost"
        end = await one.hire()
    assert (end.charge, len(agent.offers)) == ((Charge.YES, 1) if said is None else (Charge.NO, 0))
    if said is not None:
        assert end.refusal is not None
        assert (end.refusal.code, said in end.refusal.message) == ("AGENT_NOT_TRUSTED", True)
    unsure = said is not None and "stands" in said
    async with house(tmp_path, agent, clock, index={**index, "on_standing_unavailable": "allow"}) as one:
        if profile == "lost":
            one.wire.faults["index"] = "lost"
        end = await one.hire(input={"text": "again"})
    assert end.charge is (Charge.YES if said is None or unsure else Charge.NO)


@pytest.mark.parametrize(
    "by",
    ["old", "new", *(pytest.param(one, marks=pytest.mark.slow) for one in ("other agent", "other key", "nobody"))],
)
async def test_a_person_is_told_whether_the_key_that_an_agent_had_before_vouches_for_the_one_it_has(
    tmp_path: Path, agent: Agent, clock: StillClock, by: str
) -> None:
    async with house(tmp_path, agent, clock) as one:
        assert (await one.hire()).charge is Charge.YES
    other = replace(agent, key=PrivateKey(new_private_key()))
    notice = {
        "notice": "0.1", "id": "n-1", "event": "key-rotation", "issued_at": "2027-01-15T08:00:00Z",
        "provenance_id": agent.id if by != "other agent" else "provenance:domain:other.example",
        "key_fingerprint": agent.key.public.fingerprint,
        "claims": {"new_public_key": (agent if by == "other key" else other).key.public.text, "reason": "lost"},
    }  # fmt: skip
    if by != "nobody":
        signature = (other if by == "new" else agent).key.sign(b"provenance-notice-v1:" + canonical(notice))
        other.notices = [{"event": "release"}, {**notice, "signature": signature.removeprefix("ed25519:")}]
    person = Person(Decision.ACCEPTED)
    async with house(tmp_path, other, clock) as one:
        assert (await one.hire(input={"text": "a"})).charge is Charge.NO, "a person is asked all the same"
        assert (await one.hire(person, input={"text": "a"})).charge is Charge.YES
    assert ("vouches for this one" in person.asked[0].because) == (by == "old")


async def test_an_agent_that_nobody_listed_is_hired_with_a_persons_approval_each_time_or_not_at_all(
    tmp_path: Path, agent: Agent, clock: StillClock
) -> None:
    yes = Person(Decision.ACCEPTED)
    async with house(tmp_path, agent, clock, unlisted=True) as one:
        offer = one.source.current.actions["ajp:hire"]

        async def hire(asker: Any = None, **arguments: Any) -> CallEnd:
            wanted = TASK | {"agent": agent.id, "max_usdc": "0.05"} | arguments
            return await one.calls.pay(Purchase("ajp_hire", offer, wanted), Caller(LOCAL, asker=asker))

        alone = await hire()
        assert (alone.charge, alone.refusal and alone.refusal.code) == (Charge.NO, "APPROVAL_REQUIRED")
        assert agent.offers == []
        for text in ("a", "a b"):
            assert (await hire(yes, input={"text": text})).charge is Charge.YES
        assert len(yes.asked) == 2, "a person is asked for each job"
        assert all(agent.id in question.because for question in yes.asked)
        await one.ledger.flush()
        assert {row.payee.partition("#")[0] for row in await one.ledger.rows()} == {agent.id}
        dear = await hire(yes, max_usdc="9", input={"text": "dear"})
        assert dear.refusal is not None, "the limit of one call holds for the default most of a job"
        assert (await hire(yes, agent="provenance:npm:somebody")).charge is Charge.NO
    async with house(tmp_path, agent, clock) as one:
        assert list(one.source.current.actions) == ["ajp/hire:words"]
    both = settings_of(agent).model_copy(update={"allow_unlisted": True})
    with pytest.raises(WireError, match="is listed; hire it by ajp/hire:words"):
        Roster(both).wanted(offer, {"agent": agent.id})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fingerprint": "0" * 64}, "the setting fingerprint names another"),
        ({"require_constraints": ("no:training",)}, "does not declare to keep to 'no:training'"),
    ],
)
async def test_an_agent_that_is_not_what_the_settings_ask_for_is_not_hired(
    tmp_path: Path, agent: Agent, clock: StillClock, changes: dict[str, Any], said: str
) -> None:
    async with house(tmp_path, agent, clock, **changes) as one:
        end = await one.hire()
    assert end.refusal is not None
    assert (end.charge, end.refusal.code, agent.offers) == (Charge.NO, "AGENT_NOT_TRUSTED", [])
    assert said in end.refusal.message


@pytest.mark.slow
async def test_what_an_agent_must_keep_to_is_not_believed_of_a_declaration_that_signs_its_key_only(
    tmp_path: Path, agent: Agent, clock: StillClock
) -> None:
    body = agent.declaration()
    signed = agent.key.sign(f"{agent.id}:{agent.key.public.text}".encode()).removeprefix("ed25519:")
    old = {**body, "provenance": "0.1", "identity": {**body["identity"], "signature": signed}}
    agent.declaration = lambda: old  # type: ignore[method-assign]
    async with house(tmp_path, agent, clock, require_constraints=("no:pii",)) as one:
        end = await one.hire()
    assert (end.charge, end.refusal and end.refusal.code, agent.offers) == (Charge.NO, "AGENT_NOT_TRUSTED", [])
    async with house(tmp_path, agent, clock) as one:
        assert (await one.hire()).charge is Charge.YES


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda body: body.update(description="Something else"), "proves nothing"),
        (lambda body: body.clear(), "proves nothing"),
        (lambda body: (body.clear(), body.update(Agent(KEY, name="/other").declaration())), "is of 'provenance:"),
    ],
)
async def test_a_declaration_that_proves_nothing_hires_nobody(
    tmp_path: Path, agent: Agent, clock: StillClock, damage: Callable[[dict[str, Any]], Any], said: str
) -> None:
    body = agent.declaration()
    damage(body)
    agent.declaration = lambda: body  # type: ignore[method-assign]
    async with house(tmp_path, agent, clock) as one:
        end = await one.hire()
    assert end.refusal is not None
    assert (end.charge, end.refusal.code) == (Charge.NO, "AGENT_NOT_TRUSTED")
    assert said in end.refusal.message


@pytest.mark.slow
@pytest.mark.parametrize(
    "endpoint", [None, "https://agent.example/ajp", "ftp://x", "http://127.0.0.1:8409/words/agent?x=1"]
)
async def test_an_endpoint_that_may_not_be_asked_hires_nobody(
    tmp_path: Path, agent: Agent, clock: StillClock, endpoint: str | None
) -> None:
    from jecp_mcp.wire.ajp.declaration import sign_declaration

    declared = {k: v for k, v in agent.declaration().items() if k != "identity"} | {"ajp": {"endpoint": endpoint}}
    signed = sign_declaration(declared, agent.key)
    agent.declaration = lambda: signed  # type: ignore[method-assign]
    async with house(tmp_path, agent, clock) as one:
        end = await one.hire()
    assert (end.charge, end.refusal and end.refusal.code, agent.offers) == (Charge.NO, "AGENT_NOT_TRUSTED", [])


@pytest.mark.slow
async def test_a_declaration_that_cannot_be_fetched_hires_nobody(
    tmp_path: Path, agent: Agent, clock: StillClock
) -> None:
    async with house(tmp_path, agent, clock) as one:
        one.wire.faults["declaration"] = "lost"
        lost = await one.hire()
        agent.name = "/gone"
        missing = await one.hire()
    for end in (lost, missing):
        assert (end.charge, end.refusal and end.refusal.code) == (Charge.NO, "AGENT_UNREACHABLE")


async def test_a_person_signs_with_the_secret_they_share(tmp_path: Path, agent: Agent, clock: StillClock) -> None:
    secret = SharedSecret("correct horse")
    agent.hirer = secret
    keys = Keyring(None, None, {"words": secret}, None)
    async with house(tmp_path, agent, clock, keys=keys, secret_env="WORDS_SECRET") as one:
        assert (await one.hire()).charge is Charge.YES
        row = await one.row()
    offer, _ = read_offer(agent.offers[0])
    assert (offer.sender.type.value, offer.signature.startswith("sha256:")) == ("human", True)
    assert row.account == f"human:local>{agent.id}"


async def test_a_secret_that_the_agent_does_not_take_is_named_by_its_variable(
    tmp_path: Path, agent: Agent, clock: StillClock
) -> None:
    agent.answers = [(401, {"error": "not signed by who it is from"})]
    keys = Keyring(None, None, {"words": SharedSecret("correct horse")}, None)
    async with house(tmp_path, agent, clock, keys=keys, secret_env="WORDS_SECRET") as one:
        end = await one.hire()
    assert end.refusal is not None
    assert (end.charge, end.refusal.code) == (Charge.NO, "AGENT_REFUSED")
    assert (
        "It does not take the secret in WORDS_SECRET: the operator must ask whoever runs the agent"
        in end.refusal.message
    )


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"secret_env": "WORDS_SECRET"}])
async def test_nobody_is_hired_without_what_signs(
    tmp_path: Path, agent: Agent, clock: StillClock, changes: dict[str, Any]
) -> None:
    async with house(tmp_path, agent, clock, keys=Keyring("x", None, {}, None), **changes) as one:
        end = await one.hire()
    assert (end.charge, end.refusal and end.refusal.code) == (Charge.NO, "AGENT_KEY_MISSING")
    async with house(tmp_path, agent, clock, keys=Keyring("x", None, {}, "the extra is missing")) as one:
        end = await one.hire()
    assert (end.charge, end.refusal and end.refusal.code) == (Charge.NO, "AGENT_KEY_MISSING")


async def test_the_mandate_binds_jobs_as_anything_else(tmp_path: Path, agent: Agent, clock: StillClock) -> None:
    mandate = MandateSettings(per_call_usdc="0.10", daily_usdc="0.09")
    async with house(tmp_path, agent, clock, mandate=mandate) as one:
        agent.cost = 0.05
        assert (await one.hire()).charge is Charge.YES
        end = await one.hire(input={"text": "more"})
        assert (end.charge, end.refusal and end.refusal.code) == (Charge.NO, "LIMIT_REACHED")
        assert (await one.hire(input={"text": "more"}, max_usdc="0.04")).charge is not Charge.YES
    assert len(agent.offers) == 2


async def test_an_offer_that_slept_past_its_end_does_not_leave(
    tmp_path: Path, agent: Agent, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hiring, "OFFER_SECONDS", hiring.SAFE_TO_SEND_SECONDS)
    async with house(tmp_path, agent, clock) as one:
        end = await one.hire()
        row = await one.row()
    assert (end.charge, end.refusal and end.refusal.code) == (Charge.NO, "TOO_LATE_TO_SEND")
    assert (row.state.value, agent.offers) == ("released", [])
