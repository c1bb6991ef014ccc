"""Our rail hires the sandbox's agents, over HTTP, by the pipeline and a real ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.calls.pipeline import Calls
from jecp_mcp.calls.ports import CallEnd, Caller, Charge
from jecp_mcp.clock import SystemClock
from jecp_mcp.domain.purchases import LOCAL, Purchase
from jecp_mcp.http_gate import HttpGate
from jecp_mcp.mandate.ledger import CallRow, Ledger
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.policy import Policy
from jecp_mcp.rails.ajp.declarations import Declarations
from jecp_mcp.rails.ajp.keyring import Keyring
from jecp_mcp.rails.ajp.rail import AjpRail
from jecp_mcp.rails.ajp.source import AgentSource
from jecp_mcp.rails.base import new_call_id
from jecp_mcp.rails.payee_pins import PayeePins
from jecp_mcp.rails.registry import Rails, Way
from jecp_mcp.sandbox.ajp.config import AgentsConfig
from jecp_mcp.sandbox.ajp.run import Served, serve_agents
from jecp_mcp.settings import MandateSettings
from jecp_mcp.settings.ajp import AjpSettings
from jecp_mcp.wire.ajp.signatures import PrivateKey

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

MANDATE = MandateSettings(per_call_usdc="0.10", daily_usdc="1")
HOLD = 50_000


class Hirer:
    """A process that hires."""

    def __init__(self, calls: Calls, ledger: Ledger, source: AgentSource) -> None:
        self.calls, self.ledger, self.source = calls, ledger, source

    async def hire(self, name: str, **arguments: Any) -> tuple[CallEnd, CallRow]:
        offer = self.source.current.actions[f"ajp/hire:{name}"]
        given = {"instruction": "Read this.", "input": {"text": "One two three. Four."}, **arguments}
        end = await self.calls.pay(Purchase(f"hire_{name}", offer, given), Caller(LOCAL))
        await self.ledger.flush()
        return end, next(row for row in await self.ledger.rows() if row.call_id == end.call_id)


def _settings(line: Served) -> AjpSettings:
    known = ("name", "id", "description", "max_seconds", "fingerprint")
    agents = [{key: agent[key] for key in known if agent[key]} | {"max_usdc": "0.05"} for agent in line["agents"]]
    return AjpSettings.model_validate({"identity": line["hirer"]["id"], "agents": agents})


@asynccontextmanager
async def hirer(folder: Path, line: Served) -> AsyncIterator[Hirer]:
    clock, settings = SystemClock(), _settings(line)
    ledger, pins = open_ledger(folder / "ledger.sqlite", clock=clock), PayeePins(folder, "ajp-agents", clock)
    async with HttpGate(clock, loopback=True) as gate:
        keys = Keyring(settings.identity, PrivateKey(line["hirer"]["private_key"]), {}, None)
        rail = AjpRail(gate, settings, Declarations(gate, pins, clock, loopback=True), keys, clock)
        source = AgentSource(settings, clock)
        calls = Calls(
            policy=Policy.from_settings(MANDATE),
            ledger=ledger,
            rails=Rails([Way(rail=rail, sources=(source,))]),
            clock=clock,
            mint=new_call_id,
        )
        try:
            async with calls.open():
                yield Hirer(calls, ledger, source)
        finally:
            pins.close()
            await ledger.close()


async def test_our_rail_hires_the_sandboxes_agents_and_owes_only_what_was_offered_and_proven(tmp_path: Path) -> None:
    async with serve_agents(AgentsConfig(tmp_path / "agents", slow_seconds=1)) as line, hirer(tmp_path, line) as one:
        for name, charged in (("counter", 10_000), ("summariser", 20_000), ("slow", 30_000)):
            end, row = await one.hire(name)
            assert (end.charge, row.state.value, row.charged) == (Charge.YES, "settled", charged)
            assert "whole signature" in row.evidence

        end, row = await one.hire("overcharger")
        assert (end.charge, row.state.value, row.held) == (Charge.UNKNOWN, "in_doubt", HOLD)
        assert end.answer is not None
        assert end.answer.output["words"] == 4

        end, row = await one.hire("busy")
        assert (end.charge, row.state.value) == (Charge.NO, "released")
        assert end.refusal is not None
        assert (end.refusal.code, end.refusal.retry_after_seconds) == ("AGENT_BUSY", 1)

        offer = one.source.current.actions["ajp/hire:stranger"]
        end = await one.calls.pay(Purchase("hire_stranger", offer, {"instruction": "Read this."}), Caller(LOCAL))
        assert end.refusal is not None
        assert (end.charge, end.refusal.code) == (Charge.NO, "AGENT_NOT_TRUSTED")
        assert (await one.ledger.audit()).findings == ()
