"""An action on its way out says so wherever it is seen or bought, with the date and the tool that takes its place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jecp_mcp.calls.ports import Caller
from jecp_mcp.domain.answers import Notice
from jecp_mcp.domain.offers import Deprecation
from jecp_mcp.domain.outcomes import Outcome
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.rails.base import StoredRequest
from jecp_mcp.tools.types import Text
from tests.contract.tools.shop import ACTIONS, INVOICE, SUMMARY, catalog, charged, opened

pytestmark = pytest.mark.anyio

ME = Caller(LOCAL)
AT = "2027-01-31T00:00:00Z"
WORDS = f"Deprecated: no longer sold from {AT}."
ENDING = replace(INVOICE, capability="docs/old", deprecation=Deprecation("deprecated", AT, "docs/invoice@2.0.0"))
ALONE = replace(INVOICE, capability="docs/alone", deprecation=Deprecation("deprecated", AT, "docs/nowhere"))


async def notices(path: Path, tool: str, at: str | None = None) -> list[str]:
    def answer(request: StoredRequest, _replay: bool) -> Outcome:
        made = charged(request)
        told = Notice("deprecation", f"This capability is deprecated and ends at {at}.", at, None)
        assert made.answer is not None
        return replace(made, answer=replace(made.answer, notices=(told,))) if at is not None else made

    async with opened(path, answer, goods=[*ACTIONS, ENDING, ALONE]) as shop:
        result = await shop.dispatcher.call(tool, {"n": 1}, ME)
    assert not result.is_error
    assert isinstance(result.blocks[0], Text)
    return [line for line in result.blocks[0].text.split("\n") if line.startswith("Notice")]


async def test_the_description_names_the_date_and_the_tool_that_takes_its_place(tmp_path: Path) -> None:
    async with opened(tmp_path, goods=[*ACTIONS, ENDING, ALONE]) as shop:
        said = {card.name: card.description for card in shop.dispatcher.cards()}
        assert f"{WORDS} Use docs_invoice_render instead." in said["docs_old_render"]
        assert f"{WORDS} Successor: docs/nowhere." in said["docs_alone_render"]
        # The successor goes, and comes again.
        assert shop.registry.publish(catalog([SUMMARY, ENDING]))
        assert (
            f"{WORDS} Successor: docs/invoice@2.0.0."
            in {c.name: c.description for c in shop.dispatcher.cards()}["docs_old_render"]
        )
        assert shop.registry.publish(catalog([SUMMARY, ENDING, INVOICE]))
        assert "Use docs_invoice_render" in {c.name: c.description for c in shop.dispatcher.cards()}["docs_old_render"]


async def test_a_paid_result_says_it_though_the_hub_did_not(tmp_path: Path) -> None:
    assert await notices(tmp_path, "docs_old_render") == [f"Notice: {WORDS} Use docs_invoice_render instead."]


async def test_it_is_said_once_where_the_hub_says_the_same(tmp_path: Path) -> None:
    assert len(await notices(tmp_path, "docs_old_render", AT)) == 1


async def test_another_date_of_the_hubs_is_told_too(tmp_path: Path) -> None:
    first, second = await notices(tmp_path, "docs_old_render", "2026-12-01T00:00:00Z")
    assert AT in first
    assert "2026-12-01" in second


async def test_what_stays_on_sale_has_no_notice(tmp_path: Path) -> None:
    assert await notices(tmp_path, "docs_invoice_render") == []
