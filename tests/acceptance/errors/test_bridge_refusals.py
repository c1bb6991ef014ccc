"""What the bridge itself refuses, through a real server: what became of the money, who acts, and a call that works."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from tests.acceptance.errors.codes import Step
from tests.acceptance.errors.seats import ERAS, YEARS, ledger, names, seated, total
from tests.acceptance.errors.stage import AGENT, EXAMPLE, KEY, PLAIN, Stage, open_stage, refusal
from tests.acceptance.errors.world import AN_HOUR, make_older
from tests.acceptance.roads import error_of, output_of
from tests.faults.hub.hostile import Request, Script, says, vanishes
from tests.ports import free_port

pytestmark = pytest.mark.anyio

OURS = (AGENT, KEY)
ROOM = "data_rows_count"
SCARCE = "bolt_desk_write"

CONFIG = """
[mandate]
per_call_usdc = "0.05"
daily_usdc = "100"
approve_above_usdc = "0.03"
deny = ["cold/*"]

[[mandate.limits]]
match = "data/*"
hourly_usdc = "0.015"

[[mandate.limits]]
match = "bolt/desk*"
total_usdc = "0.015"
"""

NOTHING_LEFT = Step("", "nobody")

# What is asked for: code, and then type, actor, tool.
ASKED: dict[str, tuple[str, dict[str, Any], str, Step]] = {
    "a price over the cap": ("bolt_shrine_write", EXAMPLE, "PER_CALL_LIMIT", Step("find_cheaper", "agent", "jecp_describe")),
    "a price that needs a person": ("bolt_vault_seal", EXAMPLE, "APPROVAL_REQUIRED", Step("ask_human", "human")),
    "an action the operator denies": ("cold_storage_freeze", EXAMPLE, "DENIED_BY_POLICY", Step("ask_operator", "operator")),
    "an action without a price": ("bolt_yard_haul", EXAMPLE, "PRICE_UNKNOWN", Step("ask_operator", "operator")),
    "an hourly limit used up": (ROOM, {"text": "second"}, "LIMIT_REACHED", Step("retry_after", "agent", ROOM)),
    "a limit that never refills": (SCARCE, {"text": "second"}, "LIMIT_REACHED", Step("ask_operator", "operator")),
    "arguments of the wrong kind": (PLAIN, {"text": 7}, "INVALID_ARGUMENTS", Step("fix_input", "agent", "jecp_describe")),
    "arguments of a tool of ours": ("jecp_topup", {"amount_usd": 7}, "INVALID_ARGUMENTS", Step("fix_input", "agent", "jecp_describe")),
    "a tool that does not exist": ("acme_desk_wriite", EXAMPLE, "TOOL_NOT_FOUND", Step("discover", "agent", "jecp_search")),
    "a name that no action has": ("jecp_call", {"tool": "acme/dask:write", "arguments": EXAMPLE}, "TOOL_NOT_FOUND", Step("discover", "agent", "jecp_search")),
    "an action that is set aside": ("jecp_call", {"tool": "data/union:join", "arguments": EXAMPLE}, "TOOL_QUARANTINED", Step("discover", "agent", "jecp_describe")),
    "a registration when there is one": ("jecp_register", {}, "ALREADY_REGISTERED", NOTHING_LEFT),
    "a call id that nobody has": ("jecp_status", {"call_id": "call_nobody"}, "CALL_NOT_FOUND", Step("list_calls", "agent", "jecp_status")),
    "an amount that is none": ("jecp_search", {"query": "x", "max_price_usdc": "much"}, "INVALID_ARGUMENTS", Step("fix_input", "agent", "jecp_describe")),
}  # fmt: skip


@pytest.fixture(scope="module")
def hub() -> Iterator[Stage]:
    with open_stage() as running:
        yield running


@pytest.fixture(scope="module", params=YEARS)
async def strict(
    request: pytest.FixtureRequest, hub: Stage, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Client]:
    """A server under a strict mandate, two of whose limits have been used up."""
    state = tmp_path_factory.mktemp("strict")
    config = state / "strict.toml"
    config.write_text(CONFIG)
    async with seated(hub.url, state, ERAS[request.param], agent=OURS, awaits=PLAIN, config=str(config)) as client:
        output_of(await client.call_tool(ROOM, {"text": f"first {request.param}"}))
        output_of(await client.call_tool(SCARCE, {"text": f"first {request.param}"}))
        yield client


def told(result: Any) -> tuple[str, str, Step]:
    """An error's code, charge and next step, its shape checked."""
    error = error_of(result)
    step = error.get("next_action", {"type": "", "actor": "nobody"})
    assert (step["actor"] == "agent") == ("tool" in step)
    return error["error"]["code"], error["charged"], Step(step["type"], step["actor"], step.get("tool"))


async def follow(client: Client, result: Any) -> Any:
    """Make the ready call of an error."""
    step = error_of(result)["next_action"]
    return await client.call_tool(step["tool"], step["arguments"])


@pytest.mark.parametrize("asked", ASKED)
async def test_a_refusal_before_anything_is_sent_says_who_acts(strict: Client, hub: Stage, asked: str) -> None:
    tool, arguments, code, step = ASKED[asked]
    heard = len(hub.heard)
    result = await strict.call_tool(tool, arguments)
    assert told(result) == (code, "no", step)
    assert "call_id" not in error_of(result)
    if step.tool is not None and step.tool != tool:
        assert not (await follow(strict, result)).is_error
    assert not [one for one in hub.heard[heard:] if one.method == "POST"]


async def test_a_limit_that_refills_says_when_and_repeats_the_very_call(strict: Client) -> None:
    step = error_of(await strict.call_tool(ROOM, {"text": "second"}))["next_action"]
    assert step["arguments"] == {"text": "second"}
    assert 3_500 < step["retry_after_seconds"] <= 3_700


async def test_a_search_for_a_cheaper_action_finds_only_what_the_limit_allows(strict: Client) -> None:
    refused = await strict.call_tool("bolt_shrine_write", EXAMPLE)
    step = error_of(refused)["next_action"]
    others = step["alternatives"]
    shown = output_of(await follow(strict, refused))
    assert step["arguments"] == {"tool": others[0]["tool"]}
    assert all(Decimal(one["price_usdc"]) <= Decimal("0.05") for one in (shown, *others))


@pytest.mark.slow
async def test_an_ended_mandate_is_the_operators(hub: Stage, tmp_path: Path) -> None:
    settings = {"mandate__expires_at": "2026-01-01T00:00:00Z"}
    async with seated(hub.url, tmp_path, agent=OURS, awaits=PLAIN, **settings) as client:
        result = await client.call_tool(PLAIN, EXAMPLE)
        assert told(result) == ("MANDATE_EXPIRED", "no", Step("refresh_mandate", "operator"))


async def test_without_an_account_the_agent_registers_and_then_buys(hub: Stage, tmp_path: Path) -> None:
    async with seated(hub.url, tmp_path, agent=None, awaits=PLAIN) as client:
        register = Step("register", "agent", "jecp_register")
        result = await client.call_tool(PLAIN, {"text": "no account"})
        assert told(result) == ("CREDENTIALS_MISSING", "no", register)
        assert told(await client.call_tool("jecp_topup", {"amount_usd": 5})) == ("CREDENTIALS_MISSING", "no", register)
        assert "no account" not in hub.bodies
        assert KEY not in str(output_of(await follow(client, result)))
        assert output_of(await client.call_tool(PLAIN, {"text": "no account"})) == {"wrote": "no account"}
        assert "jecp_register" not in await names(client)


@pytest.mark.slow
async def test_a_hub_that_is_away_was_sent_nothing_and_the_same_call_works_when_it_is_back(tmp_path: Path) -> None:
    port = free_port()
    with open_stage(port=port) as before:
        async with seated(before.url, tmp_path, agent=OURS, awaits=PLAIN):
            pass
    async with seated(f"http://127.0.0.1:{port}", tmp_path, agent=OURS, awaits=PLAIN) as client:
        result = await client.call_tool(PLAIN, EXAMPLE)
        assert told(result) == ("HUB_UNREACHABLE", "no", Step("retry_after", "agent", PLAIN))
        found: dict[str, Any] = {}
        with anyio.fail_after(60):
            # Known from the first time that the catalog was asked for.
            while "unreachable" not in found:
                found = output_of(await client.call_tool("jecp_search", {"query": "desk"}))
        [away] = found["unreachable"]
        assert found["results"]
        assert (away["source"], away["code"]) == (f"http://127.0.0.1:{port}", "HUB_UNREACHABLE")
        assert away["known_offers"] >= len(found["results"])
        assert output_of(await client.call_tool("jecp_wallet", {}))["unreachable"][0]["since"] == away["since"]
        with open_stage(port=port):
            output_of(await follow(client, result))


@pytest.mark.slow
async def test_a_hub_that_is_away_at_the_very_first_start_is_no_empty_catalog_and_sells_when_it_is_there(
    tmp_path: Path,
) -> None:
    port = free_port()
    buying = {"tool": PLAIN, "arguments": EXAMPLE}
    async with seated(f"http://127.0.0.1:{port}", tmp_path, agent=OURS) as client:
        for tool, arguments in (("jecp_search", {}), ("jecp_describe", {"tool": PLAIN}), ("jecp_call", buying)):
            result = await client.call_tool(tool, arguments)
            assert told(result) == ("HUB_UNREACHABLE", "no", Step("retry_after", "agent", tool))
            assert "nothing of its catalog is known from before" in error_of(result)["error"]["message"]
        assert output_of(await client.call_tool("jecp_wallet", {}))["unreachable"][0]["known_at"] is None
        with open_stage(port=port), anyio.fail_after(60):
            while PLAIN not in await names(client):
                await anyio.sleep(0.05)
            output_of(await follow(client, result))


STATUS = Step("check_status", "agent", "jecp_status")
LOST = {
    "no answer": (vanishes, "HUB_LOST_ANSWER"),
    "a proxy's page": (says(b"<h1>502</h1>", "502 Bad Gateway", "text/html"), "HUB_MISBEHAVED"),
}


@pytest.mark.slow
async def test_a_lost_answer_stays_in_doubt_until_the_hub_proves_it_and_is_paid_once(tmp_path: Path) -> None:
    async def lose(client: Client, hub: Stage, kind: str) -> None:
        first = await client.call_tool(PLAIN, {"text": kind})
        assert told(first) == (LOST[kind][1], "unknown", STATUS)
        # From now on the Hub proves nothing, but says so at once.
        hub.refuses(kind, refusal("INTERNAL_ERROR", 500, wait=30))
        repeat = await client.call_tool(PLAIN, {"text": kind})
        assert told(repeat) == ("CALL_IN_DOUBT", "unknown", STATUS)
        asked = output_of(await follow(client, repeat))
        assert (asked["charged"], asked["next_action"]["tool"]) == ("unknown", "jecp_status")
        hub.script[kind] = []
        assert output_of(await follow(client, first)) == {"wrote": kind}

    with open_stage() as hub:
        async with (
            seated(hub.url, tmp_path, agent=OURS, awaits=PLAIN) as client,
            anyio.create_task_group() as tasks,
        ):
            for kind, (script, _) in LOST.items():
                hub.refuses(kind, hub.after_charging(script))
                tasks.start_soon(lose, client, hub, kind)
        assert len(hub.charged) == len(LOST)
        assert all(len(set(hub.bodies[kind])) == 1 for kind in LOST)
        rows = await anyio.to_thread.run_sync(ledger, hub.url, tmp_path)
        assert [(row["state"], row["charged_usdc"]) for row in rows] == [("reconciled_charged", "0.01")] * len(LOST)


@pytest.mark.slow
async def test_a_doubt_older_than_the_hubs_memory_stays_spent_and_is_the_operators(tmp_path: Path) -> None:
    with open_stage() as hub:
        hub.refuses("old", hub.after_charging(vanishes))
        async with seated(hub.url, tmp_path, agent=OURS, awaits=PLAIN) as client:
            call_id = error_of(await client.call_tool(PLAIN, {"text": "old"}))["call_id"]
        make_older(tmp_path, AN_HOUR)
        heard = len(hub.bodies["old"])
        async with seated(hub.url, tmp_path, agent=OURS, awaits=PLAIN) as client:
            asked = output_of(await client.call_tool("jecp_status", {"call_id": call_id}))
            assert (asked["state"], asked["charged"]) == ("written_off", "unknown")
            assert asked["next_action"]["actor"] == "operator"
        assert len(hub.bodies["old"]) == heard
        rows = await anyio.to_thread.run_sync(ledger, hub.url, tmp_path)
        assert total(rows, "held_usdc") == Decimal("0.01")


class Gate:
    """Holds purchases at the Hub until the test opens it."""

    def __init__(self) -> None:
        self.arrived, self.opened = threading.Event(), threading.Event()

    def before(self, script: Script) -> Script:
        async def held(request: Request, writer: asyncio.StreamWriter) -> None:
            self.arrived.set()
            await asyncio.to_thread(self.opened.wait, 60)
            await script(request, writer)

        return held


@pytest.mark.slow
async def test_the_identical_call_of_another_process_is_not_bought_twice(tmp_path: Path) -> None:
    with open_stage() as hub:
        gate = Gate()
        hub.refuses("twice", gate.before(hub.sells))
        async with (
            seated(hub.url, tmp_path, agent=OURS, awaits=PLAIN) as one,
            seated(hub.url, tmp_path, agent=OURS, awaits=PLAIN) as other,
            anyio.create_task_group() as tasks,
        ):
            answers: list[Any] = []
            answered = anyio.Event()

            async def buy() -> None:
                answers.append(await one.call_tool(PLAIN, {"text": "twice"}))
                answered.set()

            tasks.start_soon(buy)
            assert await anyio.to_thread.run_sync(gate.arrived.wait, 60)
            result = await other.call_tool(PLAIN, {"text": "twice"})
            assert told(result) == ("CALL_IN_PROGRESS", "unknown", STATUS)
            assert output_of(await follow(other, result))["charged"] == "unknown"
            gate.opened.set()
            with anyio.fail_after(60):
                await answered.wait()
            assert output_of(answers[0]) == {"wrote": "twice"}
            with anyio.fail_after(60):
                # The other process sees the end as soon as it is in the ledger they share.
                while (asked := output_of(await follow(other, result))) != {"wrote": "twice"}:
                    assert asked["charged"] == "unknown"
        assert len(hub.charged) == 1


@pytest.mark.slow
async def test_a_refusal_that_was_charged_all_the_same_never_has_the_agent_buy_again(tmp_path: Path) -> None:
    charged = {"billing": {"charged": True, "amount_usdc": 0.01, "transaction_id": "tx_1"}}
    codes = {"INTERNAL_ERROR": 500, "RATE_LIMITED": 429, "PROVIDER_ERROR": 502, "INSUFFICIENT_BALANCE": 402}
    with open_stage() as hub:
        async with seated(hub.url, tmp_path, agent=OURS, awaits=PLAIN) as client:
            for code, status in codes.items():
                hub.refuses(code, hub.after_charging(refusal(code, status, **charged)))
                result = await client.call_tool(PLAIN, {"text": code})
                assert told(result) == (code, "yes", Step("ask_user", "human"))
        rows = await anyio.to_thread.run_sync(ledger, hub.url, tmp_path)
        assert total(rows, "charged_usdc") == Decimal(sum(hub.charged.values())) / 1_000_000


BROKEN = {"a folder in its place": "LEDGER_UNAVAILABLE", "a file that is none": "LEDGER_DAMAGED"}


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.slow
async def test_a_ledger_that_cannot_be_used_stops_every_purchase_and_nothing_else(
    hub: Stage, tmp_path: Path, how: str
) -> None:
    if BROKEN[how] == "LEDGER_DAMAGED":
        (tmp_path / "ledger.sqlite").write_bytes(b"This is not a database. " * 400)
    else:
        (tmp_path / "ledger.sqlite").mkdir()
    async with seated(hub.url, tmp_path, agent=OURS, awaits=PLAIN) as client:
        result = await client.call_tool(PLAIN, {"text": f"broken {how}"})
        assert told(result) == (BROKEN[how], "no", Step("mend_ledger", "operator"))
        assert output_of(await client.call_tool("jecp_search", {"query": "desk"}))["results"]
        assert told(await client.call_tool("jecp_wallet", {}))[1:] == ("no", Step("mend_ledger", "operator"))
    assert f"broken {how}" not in hub.bodies
