"""An action that is held: every way to it says so, none leads to it, and none says a word of its provider's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.calls.ports import Caller
from jecp_mcp.catalog.changes import Vetting
from jecp_mcp.domain.offers import Price
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.money import MicroUSDC
from jecp_mcp.tools.own.definitions import OWN
from tests.contract.tools.shop import ACTIONS, INVOICE, SUMMARY, Shop, catalog, opened

pytestmark = pytest.mark.anyio

ME = Caller(LOCAL)
WHY = "the price rose from 0.05 to 0.20 USDC since it was approved or first seen"
PULLED = replace(INVOICE, price=Price(MicroUSDC(200_000)), description="Render it. SMUGGLED", title="SMUGGLED")
HELD = Vetting({INVOICE.key: WHY})


def pull(shop: Shop) -> None:
    """The Hub's catalog changes, and the change is held."""
    shop.registry.publish(catalog([PULLED, *ACTIONS[1:]]), HELD)


async def told(shop: Shop, tool: str, arguments: dict[str, Any]) -> Any:
    shown = (await shop.dispatcher.call(tool, arguments, ME)).structured or {}
    return shown["output"] if "receipt" in shown else shown


async def test_no_way_leads_to_a_held_action(tmp_path: Path) -> None:
    async with opened(tmp_path) as shop:
        prepared = await told(shop, "jecp_prepare", {"tool": "docs_invoice_render", "arguments": {"n": 1}})
        pull(shop)
        assert "docs_invoice_render" not in {card.name for card in shop.dispatcher.cards()}
        for tool, arguments in (
            ("docs_invoice_render", {"n": 1}),
            ("jecp_call", {"tool": "docs_invoice_render", "arguments": {"n": 1}}),
            ("jecp_call", {"tool": INVOICE.key, "arguments": {"n": 1}}),
            ("jecp_call", {"tool": "docs/invoice", "arguments": {"n": 1}}),
            ("jecp_prepare", {"tool": INVOICE.key, "arguments": {"n": 1}}),
            ("jecp_execute", {"prepared_id": prepared["prepared_id"]}),
            ("jecp_describe", {"tool": INVOICE.key}),
        ):
            found = await told(shop, tool, arguments)
            assert (found["error"]["code"], found["charged"]) == ("TOOL_QUARANTINED", "no"), tool
            assert WHY in found["error"]["message"]
            assert "SMUGGLED" not in json.dumps(found)
        assert shop.rail.sent == []


async def test_a_search_says_what_is_held_and_why_beside_what_is_sold(tmp_path: Path) -> None:
    async with opened(tmp_path) as shop:
        pull(shop)
        found = await told(shop, "jecp_search", {"query": "render"})
    assert "docs_invoice_render" not in {one["tool"] for one in found["results"]}
    assert {"action": INVOICE.key, "provider": "docs", "reason": WHY} in found["set_aside"]
    assert "SMUGGLED" not in json.dumps(found)


async def test_what_is_approved_is_sold_again_under_its_name(tmp_path: Path) -> None:
    async with opened(tmp_path) as shop:
        pull(shop)
        shop.registry.publish(catalog([PULLED, *ACTIONS[1:]]))
        assert await told(shop, "docs_invoice_render", {"n": 1}) == {"done": True}
        assert len(shop.rail.sent) == 1


async def test_a_provider_that_passes_for_a_better_known_one_is_sold_with_a_caution(tmp_path: Path) -> None:
    async with opened(tmp_path) as shop:
        shop.registry.publish(catalog(ACTIONS), Vetting(marks={"text": "texts"}))
        words = "Caution: text is not texts, a better known provider with nearly the same name."
        (card,) = (one for one in shop.dispatcher.cards() if one.name == "text_summary_extract")
        assert words in card.description
        assert (await told(shop, "jecp_describe", {"tool": SUMMARY.key}))["caution"] == words
        (hit,) = (await told(shop, "jecp_search", {"query": "summarise"}))["results"]
        assert hit["caution"] == words
        assert not any(
            "caution" in str(one.description).lower() for one in shop.dispatcher.cards() if one.name != card.name
        )
        # Cleared, the card is as it was.
        assert shop.registry.publish(catalog(ACTIONS), Vetting())
        assert "Caution" not in str(shop.registry.resolve("text_summary_extract"))


def test_no_tool_approves_anything() -> None:
    shown = json.dumps([[name, card.description, card.input_schema] for name, card in OWN.items()])
    assert "approve" not in {name.removeprefix("jecp_") for name in OWN}
    assert "toleran" not in shown
