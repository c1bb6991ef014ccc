"""Many open jobs of one agent are asked for one by one, each once a minute at most, over one connection."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from jecp_mcp.calls.ports import Caller
from jecp_mcp.cli import assembly
from jecp_mcp.cli.assembly import build
from jecp_mcp.clock import SystemClock, UnixMs
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.mandate.states import CHARGED
from jecp_mcp.rails.ajp import rail
from jecp_mcp.wire.ajp.signatures import PrivateKey, new_private_key
from tests.ajp_agent import Agent, serving
from tests.crash.calls.hiring_worker import TOOL, Life
from tests.paid_http_house import TurnedClock

OLD = 500
"""From how many seconds on a job is asked for no more than once a minute."""


class StillClock(TurnedClock):
    """A clock that only moves when it is turned, however long the work takes."""

    begun = SystemClock().now()

    def now(self) -> UnixMs:
        return UnixMs(self.begun + self.ahead * 1000)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "count", [pytest.param(150, marks=pytest.mark.slow), pytest.param(1_000, marks=pytest.mark.long)]
)
async def test_open_jobs_are_asked_for_once_a_minute_over_one_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    clock, key = StillClock(), new_private_key()
    monkeypatch.setattr(assembly, "SystemClock", lambda: clock)
    monkeypatch.setattr(rail, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(rail, "_FIRST_STEP", 0.0)
    with serving(Agent(PrivateKey(key), polls=10**9)) as agent:
        life = Life(tmp_path, key, agent.id, "1000", 0, 60.0, (), 0)
        async with build(life.start) as bridge:
            await bridge.source.refresh()
            for number in range(count):
                await bridge.dispatcher.call(TOOL, {"instruction": f"Job {number}"}, Caller(LOCAL))
            assert len(agent.jobs) == count

            async def asked_after(seconds: int) -> list[int]:
                """How often each job was asked for so much later, in as many rounds as it takes."""
                clock.ahead += seconds
                before, asked = dict(agent.asked), -1
                while asked < (asked := sum(agent.asked.values())):
                    await bridge.calls.recover()
                    await bridge.ledger.flush()
                return [agent.asked[job] - before[job] for job in agent.jobs]

            assert await asked_after(OLD) == [1] * count
            assert sum(await asked_after(30)) == 0, "none is due yet"
            assert await asked_after(31 + OLD) == [1] * count
            due = await bridge.ledger.next_look()
            assert due is not None
            assert 0 < due - clock.now() <= 60_000
            agent.polls = 0
            with anyio.fail_after(600):
                assert await asked_after(61) == [1] * count
            assert {row.state for row in await bridge.ledger.rows(limit=count)} <= CHARGED
        assert agent.connections == 1
        assert set(agent.acknowledged.values()) == {1}
