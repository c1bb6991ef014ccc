"""`JecpClient` with a mandate: the server's limits and ledger, shared with its processes, through deaths and doubts."""

from __future__ import annotations

import asyncio
import gc
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jecp_mcp import (
    ActionNotFoundError,
    ApprovalError,
    CallInDoubtError,
    CapabilityNotFoundError,
    DeniedByMandateError,
    HubUnreachableError,
    InputSchemaViolationError,
    InsufficientBudgetError,
    InvokeResult,
    JecpClient,
    JecpError,
    JecpStream,
    LedgerUnavailableError,
    Mandate,
    MandateExpiredError,
    SpendingLimitError,
)
from jecp_mcp.calls.ports import Question
from jecp_mcp.client.spending import _give
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.money import MicroUSDC
from jecp_mcp.wire.jecp.stream import Delta
from tests.acceptance.roads import LEGACY, Road, SandboxHub, connect, error_of, output_of, sandbox
from tests.client.mandate_worker import Life, counted, live
from tests.crash.calls.children import Child, ledger_rows
from tests.crash.calls.paying import at_once
from tests.faults.rails.raw_hub import Request, passes_on, raw_hub, says

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

COUNT = ("text-stats", "count")
STREAMED = ("lectern/concordance", "keyword-in-context", {"text": "the mill and the reed", "keyword": "the"})
PRICE = MicroUSDC(500)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxHub]:
    with sandbox(tmp_path_factory.mktemp("hub") / "hub.sqlite") as hub:
        yield hub


@pytest.fixture
def agent(place: SandboxHub) -> SandboxHub:
    return place.new_agent()


def client(agent: SandboxHub, mandate: Mandate, **options: Any) -> JecpClient:
    return JecpClient(agent.agent_id, agent.api_key, base_url=agent.url, mandate=mandate, **options)


def charges(agent: SandboxHub) -> list[Any]:
    return agent.books()["transactions"]


def text(words: str) -> dict[str, str]:
    return {"text": words}


async def test_a_call_is_in_the_ledger_and_within_its_limits(agent: SandboxHub, tmp_path: Path) -> None:
    mandate = Mandate(tmp_path / "ledger.sqlite", per_call_usdc="0.005", daily_usdc="0.001")
    async with client(agent, mandate) as hub:
        first = await hub.invoke(*COUNT, text("one two three"))
        assert (first.output["words"], first.cost, first.charged, first.attempts) == (3, PRICE, True, 1)
        await hub.invoke(*COUNT, text("one"))
        with pytest.raises(SpendingLimitError) as full:
            await hub.invoke(*COUNT, text("two"))
        assert (full.value.code, full.value.charged, full.value.details["limit"]) == (
            "LIMIT_REACHED",
            False,
            "daily_usdc",
        )
        assert full.value.next_action is not None
        assert full.value.next_action["actor"] == "operator"
        with pytest.raises(SpendingLimitError) as dear:
            await hub.invoke("plumbline/csv", "profile", {"csv": "a\n1\n"})
        assert dear.value.code == "PER_CALL_LIMIT"
        with pytest.raises(InsufficientBudgetError):
            await hub.invoke(*COUNT, text("three"), budget="0.0001")
    assert [Decimal(one["amount_usdc"]) for one in charges(agent)] == [Decimal("0.0005")] * 2
    rows = ledger_rows(tmp_path, "call_id, state, charged, rail, principal, delivered")
    assert {row[0] for row in rows} >= {first.request_id}
    assert {row[1:] for row in rows} == {("settled", PRICE, "jecp", "local", 1)}


async def test_what_the_mandate_forbids_is_not_bought(agent: SandboxHub, tmp_path: Path) -> None:
    for denied in ({"deny": ["text-stats:*"]}, {"allow": ["plumbline/*"]}):
        async with client(agent, Mandate(tmp_path / "ledger.sqlite", **denied)) as hub:
            with pytest.raises(DeniedByMandateError):
                await hub.invoke(*COUNT, text("one"))
    async with client(agent, Mandate(tmp_path / "ledger.sqlite", expires_at="2026-01-01T00:00:00Z")) as hub:
        with pytest.raises(MandateExpiredError):
            await hub.invoke(*COUNT, text("one"))
    for wrong in ({"deny": ["text_stats_*"]}, {"dayly_usdc": "1"}, {"daily_usdc": 0.5}):
        with pytest.raises(ValueError, match=r"names a tool|dayly_usdc|daily_usdc"):
            Mandate(tmp_path / "ledger.sqlite", **wrong)
    assert charges(agent) == []


async def test_a_person_is_asked_by_the_program_or_under_a_code(agent: SandboxHub, tmp_path: Path) -> None:
    asked: list[Question] = []
    word: list[Any] = [True, False, "yes", None, 1]

    async def approve(question: Question) -> bool:
        asked.append(question)
        return word[len(asked) - 1]

    async def fails(question: Question) -> bool:
        raise LookupError(question.action)

    def mandate(**options: Any) -> Mandate:
        return Mandate(tmp_path / "ledger.sqlite", approve_above_usdc="0", **options)

    async with client(agent, mandate()) as hub:
        with pytest.raises(ApprovalError) as unasked:
            await hub.invoke(*COUNT, text("one"))
        assert unasked.value.approval_code is not None
        assert (unasked.value.next_action or {})["actor"] == "human"
    async with client(agent, mandate(approve=approve)) as hub:
        assert (await hub.invoke(*COUNT, text("two"))).charged
        with pytest.raises(ApprovalError) as refused:
            await hub.invoke(*COUNT, text("three"))
        assert refused.value.code == "APPROVAL_DENIED"
        for kind in ("str", "NoneType", "int"):
            # Nobody refused: the program has a mistake.
            with pytest.raises(TypeError, match=f"True or False, and gave {kind}"):
                await hub.invoke(*COUNT, text(kind))
    assert [(one.action, one.amount, one.arguments) for one in asked[:1]] == [("text-stats:count", PRICE, text("two"))]
    async with client(agent, mandate(approve=fails)) as hub:
        with pytest.raises(LookupError, match="text-stats:count"):
            await hub.invoke(*COUNT, text("five"))
    assert len(charges(agent)) == 1


async def test_a_call_in_doubt_stays_counted_and_is_found_out_once(agent: SandboxHub, tmp_path: Path) -> None:
    agent.fault("text-stats", "drop_after_charge", times=4)
    mandate = Mandate(tmp_path / "ledger.sqlite", daily_usdc="0.0005")
    async with client(agent, mandate) as hub:
        with pytest.raises(CallInDoubtError, match="find_out") as lost:
            await hub.invoke(*COUNT, text("one"))
        assert lost.value.charged is None
        call_id = lost.value.request_id
        assert call_id is not None
        assert await hub.open_calls() == (call_id,)
        with pytest.raises(SpendingLimitError):
            await hub.invoke(*COUNT, text("two"))
    agent.heal()
    async with client(agent, mandate) as hub:
        found = await hub.find_out(call_id)
        assert (found.charged, found.output["words"], found.request_id) == (True, 1, call_id)
        assert await hub.open_calls() == ()
        with pytest.raises(ValueError, match="no call"):
            await hub.find_out("call_of_nobody")
    assert len(charges(agent)) == 1


async def test_an_answer_nobody_got_is_given_to_the_identical_call(agent: SandboxHub, tmp_path: Path) -> None:
    mandate = Mandate(tmp_path / "ledger.sqlite")
    async with client(agent, mandate) as hub:
        with anyio.CancelScope() as scope:
            hub._on_retry = lambda _: scope.cancel()
            agent.fault("text-stats", "drop_after_charge")
            await hub.invoke(*COUNT, text("one"))
        assert scope.cancelled_caught
    async with client(agent, mandate) as hub:
        again = await hub.invoke(*COUNT, text("one"))
        assert (again.charged, again.output["words"]) == (True, 1)
        assert len(charges(agent)) == 1
        # That one was delivered: from here on it is another purchase.
        assert (await hub.invoke(*COUNT, text("one"))).request_id != again.request_id
    assert len(charges(agent)) == 2


async def test_a_call_is_identical_however_its_numbers_are_spelled(agent: SandboxHub, tmp_path: Path) -> None:
    action, words = ("inkwell/abstract", "extract"), text("A cat sat. A dog ran. A cow ate grass.")
    async with client(agent, Mandate(tmp_path / "ledger.sqlite")) as hub:
        with anyio.CancelScope() as scope:
            hub._on_retry = lambda _: scope.cancel()
            agent.fault("inkwell/abstract", "drop_after_charge")
            await hub.invoke(*action, words | {"sentences": 1})
        assert scope.cancelled_caught
        again = await hub.invoke(*action, {"sentences": 1.0} | words)
        other = await hub.invoke(*action, words | {"sentences": 2})
    assert again.charged
    assert again.request_id != other.request_id
    assert len(charges(agent)) == 2


async def test_identical_calls_at_once_are_one_unless_labelled(agent: SandboxHub, tmp_path: Path) -> None:
    found: list[InvokeResult] = []

    async with client(agent, Mandate(tmp_path / "ledger.sqlite")) as hub:

        async def buy(label: str) -> None:
            found.append(await hub.invoke(*COUNT, text("one"), label=label))

        async with anyio.create_task_group() as tasks:
            for label in ("", "", "second"):
                tasks.start_soon(buy, label)
    assert len({one.request_id for one in found}) == 2
    assert len(charges(agent)) == 2


async def heard(stream: JecpStream) -> list[object]:
    return [event async for event in stream]


async def test_a_stream_goes_through_the_mandate_and_survives_its_break(agent: SandboxHub, tmp_path: Path) -> None:
    async with client(agent, Mandate(tmp_path / "ledger.sqlite", daily_usdc="0.02")) as hub:
        async with hub.stream(*STREAMED) as events:
            assert events.request_id is None
            seen = await heard(events)
        assert any(isinstance(event, Delta) for event in seen)
        assert isinstance(seen[-1], InvokeResult)
        assert seen[-1] is events.result
        assert events.request_id == events.result.request_id
        agent.fault("lectern/concordance", "drop_midway")
        async with hub.stream(*STREAMED) as broken:
            assert isinstance((await heard(broken))[-1], InvokeResult)
        assert (len(broken.deltas), broken.result is not None) == (1, True)
        async with hub.stream(*STREAMED, label="left") as left:
            await anext(left)
        with pytest.raises(SpendingLimitError):
            async with hub.stream(*STREAMED, label="too much") as refused:
                await heard(refused)
    # The one that was left has ended, and its answer waits for whoever asks again.
    assert len(charges(agent)) == 3
    async with client(agent, Mandate(tmp_path / "ledger.sqlite", daily_usdc="0.02")) as hub:
        assert (await hub.invoke(*STREAMED, label="left")).request_id == left.request_id
    assert len(charges(agent)) == 3


async def test_a_stream_left_at_once_leaves_nothing_open(agent: SandboxHub, tmp_path: Path) -> None:
    # What stays open is told by a warning, which fails the test.
    async with client(agent, Mandate(tmp_path / "ledger.sqlite")) as hub, hub.stream(*STREAMED) as left:
        pass
    assert left.result is None
    del left
    gc.collect()


@pytest.mark.parametrize("left", ["listener", "client"])
async def test_what_is_heard_once_a_program_has_left_does_not_end_the_call(left: str) -> None:
    send, receive = anyio.create_memory_object_stream[Any]()
    (receive if left == "listener" else send).close()
    await _give(send, Delta("piece"))
    send.close()
    receive.close()


async def test_what_goes_with_the_other_kind_of_client_is_said(agent: SandboxHub, tmp_path: Path) -> None:
    mandate = Mandate(tmp_path / "ledger.sqlite")
    async with client(agent, mandate) as hub:
        for own in ({"request_id": "mine-0001"}, {"replay": True}, {"timeout": 3.0}, {"expires_at": 1}):
            with pytest.raises(ValueError, match="without a mandate"):
                await hub.invoke(*COUNT, text("one"), **own)
        with pytest.raises(ActionNotFoundError):
            await hub.invoke("text-stats", "no-such", {})
        with pytest.raises(CapabilityNotFoundError):
            await hub.invoke("no-such/thing", "do", {})
        with pytest.raises(InputSchemaViolationError) as wrong:
            await hub.invoke(*COUNT, {"text": 7})
        assert (wrong.value.charged, wrong.value.details["errors"] != []) == (False, True)
    with pytest.raises(ValueError, match="within async with"):
        await hub.invoke(*COUNT, text("one"))
    async with JecpClient(agent.agent_id, agent.api_key, base_url=agent.url) as plain:
        with pytest.raises(ValueError, match="goes with a mandate"):
            await plain.invoke(*COUNT, text("one"), label="x")
        with pytest.raises(ValueError, match="with a mandate"):
            await plain.find_out("call_1")
    assert charges(agent) == []


async def test_a_hub_that_only_lists_its_catalog_is_bought_from_too(agent: SandboxHub, tmp_path: Path) -> None:
    async def only_lists(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.path.startswith("/v1/capabilities/"):
            return await says(b"nothing here", "404 Not Found", kind="text/plain")(request, writer)
        return await passes_on(agent.url)(request, writer)

    async with raw_hub(only_lists) as raw:
        mandate = Mandate(tmp_path / "ledger.sqlite")
        async with JecpClient(agent.agent_id, agent.api_key, base_url=raw.url, mandate=mandate) as hub:
            assert (await hub.invoke(*COUNT, text("one two"))).output["words"] == 2
            with pytest.raises(ActionNotFoundError):
                await hub.invoke("text-stats@9.9.9", "count", text("one"))
    assert len(charges(agent)) == 1


async def test_what_the_program_raises_is_its_own(agent: SandboxHub, tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="JecpClient"):
        async with client(agent, Mandate(tmp_path / "ledger.sqlite")) as hub:
            raise KeyError(type(hub).__name__)
    with anyio.move_on_after(0.05) as scope:
        async with client(agent, Mandate(tmp_path / "ledger.sqlite")):
            await anyio.sleep_forever()
    assert scope.cancelled_caught


async def test_a_ledger_that_cannot_be_used_buys_nothing(agent: SandboxHub, tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"no ledger at all" * 1_000)
    async with client(agent, Mandate(tmp_path / "ledger.sqlite")) as hub:
        with pytest.raises(LedgerUnavailableError) as damaged:
            await hub.invoke(*COUNT, text("one"))
        assert (damaged.value.charged, (damaged.value.next_action or {})["actor"]) == (False, "operator")
        with pytest.raises(JecpError):
            await hub.open_calls()
    async with JecpClient(
        agent.agent_id, agent.api_key, base_url="http://127.0.0.1:9", mandate=Mandate(tmp_path / "new.sqlite")
    ) as away:
        with pytest.raises(HubUnreachableError):
            await away.invoke(*COUNT, text("one"))
    assert charges(agent) == []


async def test_a_program_and_a_server_draw_on_one_limit(
    agent: SandboxHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = {"mandate__daily_usdc": "0.001"}
    monkeypatch.setenv("JECP_MCP_MANDATE__DAILY_USDC", "0.001")
    monkeypatch.setenv("JECP_MCP_CONFIG", str(tmp_path / "config.toml"))
    (tmp_path / "config.toml").write_text("[mandate]\nper_call_usdc = '0.01'\n")
    mandate = Mandate.from_settings(state=tmp_path)
    async with connect(Road("stdio", LEGACY), agent, tmp_path, settings=limit) as server, client(agent, mandate) as hub:
        assert (await hub.invoke(*COUNT, text("by the program"))).charged
        sold = {"tool": "text-stats:count", "arguments": text("by the server")}
        assert output_of(await server.call_tool("jecp_call", sold))["words"] == 3
        with pytest.raises(SpendingLimitError) as full:
            await hub.invoke(*COUNT, text("one too many"))
        assert full.value.details["used_usdc"] == "0.001"
        refused = error_of(await server.call_tool("jecp_call", {**sold, "arguments": text("one too many")}))
        assert refused["error"]["code"] == "LIMIT_REACHED"
    assert len(charges(agent)) == 2


def test_programs_at_once_never_pass_their_one_limit(agent: SandboxHub, tmp_path: Path) -> None:
    texts = [tuple(f"{name}{number}" for number in range(4)) for name in "abc"]
    children = [
        Child(live, Life(tmp_path, agent.url, agent.agent_id, agent.api_key, one, daily_usdc="0.003")) for one in texts
    ]
    told = [one for child in children for one in child.end().heard]
    assert sum("id" in one for one in told) == 6
    assert {one["code"] for one in told if "code" in one} == {"LIMIT_REACHED"}
    assert len(charges(agent)) == 6
    assert counted(tmp_path) == 6 * PRICE


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    limit=st.integers(0, 6),
    plan=st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(["", "drop_before", "drop_after_charge", "code:PROVIDER_ERROR"])),
        max_size=6,
    ),
)
async def test_whatever_happens_the_hub_takes_no_more_than_is_counted(
    place: SandboxHub, limit: int, plan: list[tuple[int, str]]
) -> None:
    agent = place.new_agent()
    with tempfile.TemporaryDirectory() as made:
        file = Path(made) / "ledger.sqlite"
        cap, charged = Decimal(limit * PRICE) / 1_000_000, list[bool | None]()
        async with client(agent, Mandate(file, daily_usdc=f"{cap or Decimal('0.000001'):f}")) as hub:
            hub._sleep = at_once
            for words, fault in plan:
                if fault:
                    agent.fault("text-stats", fault, times=2)
                try:
                    await hub.invoke(*COUNT, text(str(words)))
                except JecpError as refused:
                    charged.append(refused.charged)
                agent.heal()
                assert len(charges(agent)) * PRICE <= counted(Path(made)) <= limit * PRICE
        assert True not in charged
        ledger = open_ledger(file)
        assert (await ledger.audit()).findings == ()
        await ledger.close()
