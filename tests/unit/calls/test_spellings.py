"""However a call is spelled, it is one purchase: while it is open, while its answer waits, and once it is prepared."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from jecp_mcp.calls import codes, stored
from jecp_mcp.calls.ports import CallEnd, Caller, Charge
from jecp_mcp.calls.prepared import Preparation
from jecp_mcp.domain.outcomes import Outcome
from jecp_mcp.domain.purchases import LOCAL, Purchase
from jecp_mcp.mandate.states import State
from jecp_mcp.rails.base import StoredRequest
from jecp_mcp.settings import MandateSettings
from tests.unit.calls.test_pipeline import always_charged, always_lost, buying, charged, lost, opened

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
ME = Caller(LOCAL)
SPELLINGS = [
    '{"n": 1, "deep": [{"m": 2}]}', '{"deep": [{"m": 2}], "n": 1}', '{"n": 1.0, "deep": [{"m": 2}]}',
    '{"n": 1e0, "deep": [{"m": 20e-1}]}', '{"deep": [{"m": 2.0}], "n": 10E-1}',
]  # fmt: skip
OTHERS = ['{"n": 1.5, "deep": [{"m": 2}]}', '{"n": "1.0", "deep": [{"m": 2}]}', '{"n": 1, "deep": [2]}', '{"n": true}']


def spelled(text: str, label: str = "") -> Purchase:
    return replace(buying(**json.loads(text)), label=label)


@pytest.fixture
def earlier(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The program as it was when the spelling counted; `undo` gives it its update."""

    def identities(
        principal: str, source: str, offer: str, _meant: Any, written: dict[str, Any]
    ) -> tuple[str, str | None]:
        text = json.dumps([principal, source, offer, written], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest(), None

    monkeypatch.setattr(stored, "identities", identities)
    return monkeypatch


@pytest.mark.parametrize("label", ["", "2"])
async def test_while_its_end_is_not_known_it_is_bought_in_no_spelling(tmp_path: Path, label: str) -> None:
    async with opened(tmp_path, always_lost) as (calls, rail, _):
        ends = [await calls.pay(spelled(text, label), ME) for text in SPELLINGS]
        copy = await calls.pay(spelled(SPELLINGS[-1], "another"), ME)
        others = [await calls.pay(spelled(text, label), ME) for text in OTHERS]
    (first,) = {end.call_id for end in ends}
    assert (copy.call_id, copy.refusal and copy.refusal.code) == (first, codes.CALL_IN_DOUBT)
    assert len({one.payload for one in rail.sent if one.call_id == first}) == 1, "the same bytes are sent again"
    assert len({end.call_id for end in others}) == len(OTHERS)


async def test_an_answer_that_waits_is_given_to_every_spelling_and_then_to_none(tmp_path: Path) -> None:
    async with opened(tmp_path, always_charged) as (calls, rail, _):
        ends = [await calls.pay(spelled(text), ME) for text in SPELLINGS]
        assert len(rail.sent) == len({end.call_id for end in ends}) == 1
        calls.delivered(ends[0])
        assert (await calls.pay(spelled(SPELLINGS[-1]), ME)).call_id != ends[0].call_id


async def test_all_spellings_at_once_are_one_purchase(tmp_path: Path) -> None:
    async def later(request: StoredRequest, _replay: bool) -> Outcome:
        await anyio.lowlevel.checkpoint()
        return charged(request)

    async with opened(tmp_path, later) as (calls, rail, _), anyio.create_task_group() as tasks:
        for text in SPELLINGS:
            tasks.start_soon(calls.pay, spelled(text), ME)
    assert len(rail.sent) == 1


async def test_of_what_is_prepared_in_several_spellings_one_buys(tmp_path: Path) -> None:
    async with opened(tmp_path, always_charged) as (calls, rail, _):
        made = [await calls.prepare(spelled(text), ME) for text in SPELLINGS]
        ends = []
        for text, one in zip(SPELLINGS, made, strict=True):
            assert isinstance(one, Preparation)
            found = await calls.prepared(one.grant.grant_id, LOCAL)
            assert not isinstance(found, CallEnd)
            ends.append(await calls.execute(found, spelled(text), ME))
    assert [end.refusal and end.refusal.code for end in ends] == [*[codes.PREPARED_SUPERSEDED] * 4, None]
    assert len(rail.sent) == 1


@pytest.mark.parametrize("label", ["", "2"])
@pytest.mark.parametrize("text", SPELLINGS)
async def test_what_an_earlier_version_left_in_doubt_is_finished_and_not_bought_again(
    tmp_path: Path, earlier: pytest.MonkeyPatch, text: str, label: str
) -> None:
    async with opened(tmp_path, always_lost) as (calls, _, _):
        before = await calls.pay(spelled(text, label), ME)
    earlier.undo()
    asked: list[str] = []

    async def known_since(request: StoredRequest, replay: bool) -> Outcome:
        asked.append(request.call_id)
        return charged(request) if replay and len(asked) > 1 else lost()

    async with opened(tmp_path, known_since) as (calls, _, ledger):
        again = await calls.pay(spelled(text, label), ME)
        copy = await calls.pay(spelled(text, "another"), ME)
        found = await calls.pay(spelled(text, label), ME)
        await ledger.flush()
        (row,) = await ledger.rows()
    assert before.call_id == again.call_id == copy.call_id == found.call_id
    assert (again.charge, found.charge, row.state) == (Charge.UNKNOWN, Charge.YES, State.RECONCILED_CHARGED)


@pytest.mark.parametrize("text", SPELLINGS)
async def test_an_answer_that_an_earlier_version_did_not_deliver_is_given_uncharged(
    tmp_path: Path, earlier: pytest.MonkeyPatch, text: str
) -> None:
    async with opened(tmp_path, always_charged) as (calls, _, _):
        before = await calls.pay(spelled(text), ME)
    earlier.undo()
    async with opened(tmp_path, always_charged) as (calls, rail, _):
        again = await calls.pay(spelled(text), ME)
        assert (again.call_id, again.stored, rail.sent) == (before.call_id, True, [])
        calls.delivered(again)
        assert (await calls.pay(spelled(text), ME)).call_id != before.call_id


async def test_what_was_prepared_or_agreed_to_in_an_earlier_version_buys_nothing_else_in_this_one(
    tmp_path: Path, earlier: pytest.MonkeyPatch
) -> None:
    """In its one spelling it is good as ever; in another one it is to be prepared, or agreed to, again."""
    asks = MandateSettings(daily_usdc="1.00", approve_above_usdc="0.05")
    prepared: list[str] = []
    async with opened(tmp_path, always_charged) as (calls, _, _):
        for text in (SPELLINGS[0], SPELLINGS[2]):
            made = await calls.prepare(spelled(text), ME)
            assert isinstance(made, Preparation)
            prepared.append(made.grant.grant_id)
    async with opened(tmp_path, always_charged, mandate=asks) as (calls, _, _):
        waiting = [(await calls.pay(spelled(text), ME)).refusal for text in (OTHERS[0], '{"deep": [3.0]}')]
    earlier.undo()
    async with opened(tmp_path, always_charged, mandate=asks) as (calls, rail, _):
        again = [(await calls.pay(spelled(text), ME)).refusal for text in (OTHERS[0], '{"deep": [3.0]}')]
        assert rail.sent == []
    same = [
        one is not None and other is not None and one.details["approval_code"] == other.details["approval_code"]
        for one, other in zip(waiting, again, strict=True)
    ]
    assert same == [True, False]
    async with opened(tmp_path, always_charged) as (calls, rail, _):
        ends = []
        for prepared_id, text in zip(reversed(prepared), (SPELLINGS[2], SPELLINGS[0]), strict=True):
            found = await calls.prepared(prepared_id, LOCAL)
            assert not isinstance(found, CallEnd)
            ends.append(await calls.execute(found, spelled(text), ME))
        assert [end.refusal and end.refusal.code for end in ends] == [codes.PREPARED_SUPERSEDED, None]
        assert len(rail.sent) == 1
