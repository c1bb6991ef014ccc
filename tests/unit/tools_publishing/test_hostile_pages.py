"""Hostile bytes in one capability cost the others on its page nothing."""

from __future__ import annotations

import json

import pytest

from jecp_mcp.catalog.changes import written
from jecp_mcp.catalog.contents import Catalog, merged
from jecp_mcp.catalog.rows import packed
from jecp_mcp.money import MicroUSDC
from jecp_mcp.settings import ToolSettings
from jecp_mcp.tools.publishing.tool_registry import ToolRegistry
from jecp_mcp.wire.jecp.catalog import parse_page
from tests.steps import steps
from tests.unit.tools_publishing.hostile_pages import GOOD, RAW
from tests.unit.tools_publishing.test_hostile_catalog import check_card

MOST_BYTES = 16 * 1024 * 1024


def read(raw: str) -> ToolRegistry:
    page = parse_page(f'{{"jecp":"1.0","capabilities":[{GOOD},{raw}]}}'.encode(), max_bytes=MOST_BYTES)
    _, rows, unwritten = packed(page.actions)
    assert unwritten == []
    actions = merged([rows])
    registry = ToolRegistry(ToolSettings(mode="direct"))
    registry.publish(Catalog("r", actions, page.quarantined))
    for action in actions.values():
        # Whatever came over the wire can be pinned.
        json.loads(written(action))
    return registry


@pytest.mark.parametrize("what", RAW)
def test_the_neighbour_is_served_as_it_is(what: str) -> None:
    registry = read(RAW[what])
    cards = {card.name: card for card in registry.cards}
    assert "Costs 0.005 USDC" in cards["good_one_run"].description
    assert set(cards) <= {"good_one_run", "evil_cap_run", "evil_cap_walk"}
    for card in registry.cards:
        check_card(card)
    found = registry.resolve("evil_cap_run")
    if found is not None:
        assert found.action.price.amount in {None, MicroUSDC(0), MicroUSDC(5_000), MicroUSDC(9_000_000), 100_000_000}


@pytest.mark.parametrize("what", RAW)
def test_its_page_is_read_published_and_pinned_in_few_steps(what: str) -> None:
    assert steps(lambda: read(RAW[what])) < 200_000
