"""What was spent stops purchases though nothing is broken: the doctor says what, until when, and who changes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.records import Conclusion
from jecp_mcp.money import MicroUSDC
from tests.unit.cli.test_commands import bought, run, state
from tests.unit.cli.test_doctor import NOBODY, Doctor, doctor
from tests.unit.mandate.reservations import reservation

__all__ = ["doctor", "run", "state"]


def used_up(doctor: Doctor) -> list[dict[str, str]]:
    return [one for one in doctor.wrong("limits") if "is used up" in one["what"]]


def test_a_limit_that_is_used_up_is_found_until_it_refills_or_is_raised(
    doctor: Doctor, run: Any, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bought(state, call_id="call_1", price=50_000, charged=50_000)
    assert used_up(doctor) == []
    monkeypatch.setenv("JECP_MCP_MANDATE__DAILY_USDC", "0.05")
    monkeypatch.setenv("JECP_MCP_MANDATE__SESSION_USDC", "0.05")
    monkeypatch.setenv("JECP_MCP_MANDATE__PER_CALL_USDC", "0.01")
    [found] = used_up(doctor)
    assert found["what"] == "mandate.daily_usdc is used up: 0.05 of 0.05 USDC"
    [limit] = [one for one in json.loads(run("wallet", "--json")[1])["limits"] if one["limit"] == "daily_usdc"]
    assert f"until {limit['resets_at']}" in found["money"]
    assert "whoever runs this raises it" in found["mend"]
    assert found in doctor.wrong("limits", "--ledger", "--sandbox")
    monkeypatch.setenv("JECP_MCP_MANDATE__DAILY_USDC", "0.06")
    assert used_up(doctor) == []


def test_a_limit_for_good_and_one_of_a_pattern_are_told_as_they_are(
    doctor: Doctor, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bought(state, call_id="call_1", price=50_000, charged=50_000)
    monkeypatch.setenv("JECP_MCP_MANDATE__TOTAL_USDC", "0.04")
    limits = [{"match": "hub::docs/*", "daily_usdc": "0.02"}, {"match": "other/*", "daily_usdc": "0"}]
    monkeypatch.setenv("JECP_MCP_MANDATE__LIMITS", json.dumps(limits))
    for_good, pattern = used_up(doctor)
    assert for_good["what"].startswith("mandate.total_usdc is used up: 0.05 of 0.04 USDC")
    assert "until" not in for_good["money"] + for_good["mend"]
    assert pattern["what"].startswith("mandate.limits[hub::docs/*].daily_usdc is used up")
    assert pattern["money"].startswith("nothing of hub::docs/* is bought that costs anything until ")


def test_an_empty_wallet_is_found_with_the_command_that_fills_it(
    doctor: Doctor, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(call_id: str, account: str, balance: int) -> None:
        async def buy() -> None:
            ledger = open_ledger(state / "ledger.sqlite")
            wanted = reservation(ledger.session, call_id=call_id, rail="jecp", account=account)
            await ledger.reserve(wanted)
            end = Conclusion(call_id, Verdict.CHARGED, MicroUSDC(5_000), balance_after=MicroUSDC(balance))
            await ledger.conclude_now(end)
            await ledger.close()

        anyio.run(buy)

    told("call_1", "http://127.0.0.1:9 another", 0)
    assert doctor.wrong("balance", *NOBODY) == []
    told("call_2", "http://127.0.0.1:9 agent_1", 0)
    monkeypatch.setenv("JECP_AGENT_ID", "agent_1")
    monkeypatch.setenv("JECP_API_KEY", "jdb_ak_x")
    [found] = doctor.wrong("balance", *NOBODY)
    assert "the wallet at http://127.0.0.1:9 held 0.00 USDC as of 2" in found["what"]
    assert "jecp-mcp topup 5 " in found["mend"]
    monkeypatch.delenv("JECP_API_KEY")
    assert doctor.wrong("balance", *NOBODY) == []
    monkeypatch.setenv("JECP_API_KEY", "jdb_ak_x")
    told("call_3", "http://127.0.0.1:9 agent_1", 5_000_000)
    assert doctor.wrong("balance", *NOBODY) == []


def test_of_a_ledger_that_cannot_be_read_nothing_is_said_of_what_is_left(doctor: Doctor, state: Path) -> None:
    state.mkdir()
    (state / "ledger.sqlite").write_bytes(b"no database, and long enough to be looked at" * 100)
    assert used_up(doctor) == []
    assert doctor.wrong("contents") != []
