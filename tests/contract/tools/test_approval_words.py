"""What a model reads about a call that only a person can approve: nothing that it could do for them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.calls.approval import APPROVAL_MS
from jecp_mcp.calls.ports import Caller, Decision
from jecp_mcp.calls.prepared import PREPARED_MS
from jecp_mcp.clock import UnixMs, iso
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.mandate.grants import GrantKind, GrantRef

from .shop import Shop, opened
from .test_dispatch import ME, error, told
from .test_own_refusals import ASKS, BUYING, Person

pytestmark = pytest.mark.anyio

RUNNABLE = re.compile(r"`|jecp-mcp|browser|command")


async def prepared(shop: Shop, caller: Caller = ME) -> dict[str, Any]:
    return told(await shop.dispatcher.call("jecp_prepare", BUYING, caller))


def code_in(hint: str) -> str:
    [code] = re.findall(r"approval code ([0-9A-Z]{4}-[0-9A-Z]{4})", hint)
    return str(code)


async def answer(shop: Shop, code: str, *, granted: bool) -> None:
    assert await shop.ledger.answer_grant(GrantRef(GrantKind.APPROVAL, code), granted, "a person")


@pytest.mark.parametrize("page", [None, "http://127.0.0.1:8402/approvals"])
async def test_it_is_told_that_it_cannot_and_must_not_try_and_nothing_that_it_could_run(
    tmp_path: Path, page: str | None
) -> None:
    async with opened(tmp_path, mandate=ASKS) as shop:
        shop.dispatcher.page = page
        refused = error(await shop.dispatcher.call("docs_invoice_render", {"n": 1}, ME))
        steps = [(await prepared(shop))["next_action"], refused["next_action"]]
    for step in steps:
        url = None if page is None else f"{page}/{code_in(step['hint'])}"
        assert (step["type"], step["actor"], step.get("url"), "tool" in step) == ("ask_human", "human", url, False)
        assert step["hint"].startswith("Only the user can approve it: you cannot, and must not try. Tell them what it")
        where = "in the wallet's terminal" if page is None else "on the wallet's approvals page, at the url"
        assert f"; they find the question {where}. Stop until" in step["hint"]
        assert not RUNNABLE.search(step["hint"] + refused["error"]["message"])


async def test_it_is_told_how_the_price_and_the_approval_end_and_that_is_so(tmp_path: Path) -> None:
    async with opened(tmp_path, mandate=ASKS) as shop:
        before = await prepared(shop)
        hint, now = before["next_action"]["hint"], shop.clock.at
        assert f"After {iso(UnixMs(now + PREPARED_MS))} prepare it again first" in hint
        assert f"at this price their approval stands until {iso(UnixMs(now + APPROVAL_MS))}" in hint
        await answer(shop, code_in(hint), granted=True)
        shop.clock.at = UnixMs(now + PREPARED_MS + 1)
        late = error(await shop.dispatcher.call("jecp_execute", {"prepared_id": before["prepared_id"]}, ME))
        assert late["error"]["code"] == "PREPARED_EXPIRED"
        again = await prepared(shop)
        assert "issues" not in again
        assert again["next_action"]["tool"] == "jecp_execute"
        assert told(await shop.dispatcher.call("jecp_execute", again["next_action"]["arguments"], ME)) == {"done": True}


async def test_it_is_sent_to_execute_where_that_asks_the_person_and_nowhere_else(tmp_path: Path) -> None:
    async with opened(tmp_path, mandate=ASKS) as shop:
        for can_ask, tool in ((True, "jecp_execute"), (False, None)):
            caller = Caller(LOCAL, asker=Person(Decision.ACCEPTED, can_ask=can_ask))
            assert (await prepared(shop, caller))["next_action"].get("tool") == tool


async def test_a_no_that_stands_is_told_where_it_is_prepared_again(tmp_path: Path) -> None:
    async with opened(tmp_path, mandate=ASKS) as shop:
        await answer(shop, code_in((await prepared(shop))["next_action"]["hint"]), granted=False)
        refused = error(await shop.dispatcher.call("jecp_prepare", BUYING, ME))
    assert refused["error"]["code"] == "APPROVAL_DENIED"
