"""A second way to pay, in the whole house: its folder and one line in the list of rails are all that it took."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from jecp_mcp.calls.ports import Caller
from jecp_mcp.cli import assembly
from jecp_mcp.cli.assembly import Bridge, build
from jecp_mcp.cli.options import Start
from jecp_mcp.clock import SystemClock
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.rails.wiring import RAILS
from jecp_mcp.settings import Settings
from tests.tiny_rail import rail as tiny
from tests.tiny_rail.payee import OFFER, Payee
from tests.tiny_rail.way import listening, open_tiny
from tests.unit.calls.test_endings import rewrite

pytestmark = pytest.mark.anyio

ME = Caller(LOCAL)
TOOL = "echo_job_run"
MANDATE: dict[str, Any] = {"per_call_usdc": "0.10", "daily_usdc": "1"}


@pytest.fixture
def payee() -> Payee:
    return Payee(SystemClock().now)


@pytest.fixture
def url(payee: Payee, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with listening(payee) as url:
        # The one line.
        monkeypatch.setattr(assembly, "RAILS", MappingProxyType({**RAILS, "tiny": open_tiny(url)}))
        yield url


@asynccontextmanager
async def house(tmp_path: Path, url: str, **mandate: Any) -> AsyncIterator[Bridge]:
    # Nothing listens where the Hub would be: neither rail needs the other.
    settings = Settings.model_validate({"hub": {"base_url": "http://127.0.0.1:9"}, "mandate": MANDATE | mandate})
    async with build(Start(settings, tmp_path, None)) as bridge:
        yield bridge


async def buy(bridge: Bridge, text: str = "hello") -> dict[str, Any]:
    found = (await bridge.dispatcher.call(TOOL, {"text": text}, ME)).structured or {}
    return dict(found["output"] if "receipt" in found else found)


async def test_it_is_bought_as_a_tool_like_any_other(tmp_path: Path, url: str, payee: Payee) -> None:
    async with house(tmp_path, url) as bridge:
        assert TOOL in [card.name for card in bridge.registry.cards]
        assert await buy(bridge) == {"said": "hello"}
        await bridge.ledger.flush()
        [row] = await bridge.ledger.rows()
        assert (await bridge.ledger.audit()).findings == ()
        reader = bridge.calls.reader(LOCAL)
        assert [one.used for one in await reader.windows() if one.meter.label == "daily_usdc"] == [50_000]
    assert (row.rail, row.account, row.source, row.offer, row.state.value) == ("tiny", "echo", "echo", OFFER, "settled")
    assert (row.kind, row.terms, row.quoted, row.held, row.charged) == ("exact", "cash", 50_000, 50_000, 50_000)
    assert (row.mark, row.reference) == ("intent", f"pay_{row.call_id}")
    assert [payee.charged(row.call_id), payee.asked] == [[50_000], 1]


async def test_what_is_most_is_held_and_what_it_comes_to_is_charged(tmp_path: Path, url: str, payee: Payee) -> None:
    payee.kind, payee.cost = "max", 20_000
    async with house(tmp_path, url) as bridge:
        await buy(bridge)
        await bridge.ledger.flush()
        [row] = await bridge.ledger.rows()
    assert (row.kind, row.quoted, row.held, row.charged) == ("max", 50_000, 50_000, 20_000)


async def test_an_answer_in_the_place_of_a_price_is_free_and_is_not_asked_for_twice(
    tmp_path: Path, url: str, payee: Payee
) -> None:
    payee.price = None

    class Gone:
        async def listening(self) -> bool:
            return False

    async with house(tmp_path, url, approve_above_usdc="0.001", approve_new_payees=True) as bridge:
        await bridge.dispatcher.call(TOOL, {"text": "hello"}, Caller(LOCAL, connection=Gone()))
        assert await buy(bridge) == {"said": "hello"}
        await bridge.ledger.flush()
        [row] = await bridge.ledger.rows()
    assert (row.state.value, row.held, row.charged, row.delivered) == ("released", 0, 0, True)
    assert (payee.asked, payee.jobs) == (1, {})


async def test_what_the_payee_refuses_holds_nothing(tmp_path: Path, url: str, payee: Payee) -> None:
    payee.refuses = "closed today"
    async with house(tmp_path, url) as bridge:
        found = await buy(bridge)
        assert list(await bridge.ledger.rows()) == []
    assert (found["error"]["code"], found["charged"]) == ("ECHO_REFUSED", "no")


@pytest.mark.parametrize(
    ("mandate", "code"),
    [
        ({"per_call_usdc": "0.04"}, "PER_CALL_LIMIT"),
        ({"daily_usdc": "0.04"}, "LIMIT_REACHED"),
        ({"deny": ["echo/*"]}, "DENIED_BY_POLICY"),
        ({"approve_above_usdc": "0.01"}, "APPROVAL_REQUIRED"),
    ],
)
async def test_the_same_mandate_binds_it(
    tmp_path: Path, url: str, payee: Payee, mandate: dict[str, Any], code: str
) -> None:
    async with house(tmp_path, url, **mandate) as bridge:
        found = await buy(bridge)
        assert list(await bridge.ledger.rows()) == []
    assert (found["error"]["code"], found["charged"], payee.jobs) == (code, "no", {})
    assert payee.asked == (0 if code == "DENIED_BY_POLICY" else 1), "who is denied is told nothing"


async def test_a_payee_that_is_away_sells_nothing(tmp_path: Path, url: str, payee: Payee) -> None:
    async with house(tmp_path, "") as bridge:
        payee.answer = lambda *_: (500, {"why": "broken"})  # type: ignore[method-assign]
        found = await buy(bridge)
    assert (found["error"]["code"], found["charged"]) == ("ECHO_REFUSED", "no")


async def test_a_job_that_takes_longer_than_anybody_waits_is_delivered_when_it_is_done(
    tmp_path: Path, url: str, payee: Payee, monkeypatch: pytest.MonkeyPatch
) -> None:
    payee.takes_ms = 3_600_000
    monkeypatch.setattr(tiny, "PATIENCE_SECONDS", 0.1)
    async with house(tmp_path, url) as bridge:
        found = await buy(bridge)
        assert (found["error"]["code"], found["charged"]) == ("CALL_IN_PROGRESS", "unknown")
        assert found["next_action"]["tool"] == "jecp_status"
        await bridge.ledger.flush()
        [row] = await bridge.ledger.rows()
        assert (row.state.value, row.mark) == ("sent", "accepted")
        assert row.look_again_at is not None
        # The job is done; whoever asks, has the answer.
        payee.jobs[row.call_id].done_at = 0
        again = await buy(bridge)
        await bridge.ledger.flush()
        [row] = await bridge.ledger.rows()
    assert again == {"said": "hello"}
    assert (row.state.value, row.charged, payee.charged(row.call_id), payee.asked) == ("settled", 50_000, [50_000], 1)


async def test_a_job_that_costs_more_than_is_held_is_not_paid_and_a_person_rules(
    tmp_path: Path, url: str, payee: Payee
) -> None:
    payee.kind, payee.cost = "max", 60_000
    async with house(tmp_path, url) as bridge:
        assert await buy(bridge) == {"said": "hello"}
        await bridge.ledger.flush()
        [row] = await bridge.ledger.rows()
    assert (row.state.value, row.mark, row.answered, payee.charged(row.call_id)) == ("in_doubt", "result", True, [])


async def test_preparing_what_is_free_hands_the_answer_back_and_what_cannot_be_read_is_not_bought_again(
    tmp_path: Path, url: str, payee: Payee
) -> None:
    wanted = {"tool": TOOL, "arguments": {"text": "hello"}}
    async with house(tmp_path, url) as bridge:

        async def ask(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
            return dict((await bridge.dispatcher.call(tool, arguments, ME)).structured or {})

        prepared = await ask("jecp_prepare", wanted)
        this = {"prepared_id": prepared["prepared_id"]}
        assert (await ask("jecp_execute", this))["output"] == {"said": "hello"}
        await bridge.ledger.flush()
        rewrite(tmp_path, "UPDATE slip SET body = x'7b7d'")
        assert (await ask("jecp_execute", this))["output"] == {"said": "hello"}
        rewrite(tmp_path, "UPDATE slip SET call_id = NULL, state = 'granted'")
        unread = await ask("jecp_execute", this)
        assert (unread["error"]["code"], unread["charged"]) == ("PREPARED_NOT_FOUND", "no")
        payee.price = None
        assert (await ask("jecp_prepare", wanted))["output"] == {"said": "hello"}
        await bridge.ledger.flush()
        rows = await bridge.ledger.rows()
    assert [(row.state.value, row.charged, row.delivered) for row in rows] == [
        ("released", 0, True), ("settled", 50_000, True),
    ]  # fmt: skip
    assert (payee.asked, len(payee.jobs)) == (3, 1)
