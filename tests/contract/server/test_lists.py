"""Lists through an official client in both protocol eras: whole, in pages that every client takes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from mcp import Client

from jecp_mcp.server.elicitation import Askers
from jecp_mcp.server.list_changed import ListChangedNotifier
from jecp_mcp.server.mcp_server import build_server
from tests.contract.tools.shop import INVOICE, catalog, opened

pytestmark = pytest.mark.anyio

NAMES = [f"one of the many names {n}" for n in range(1000)]
LARGE = {"type": "object", "properties": {"name": {"type": "string", "enum": NAMES}}}


@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
async def test_a_catalog_of_large_schemas_comes_in_pages_below_a_mebibyte(tmp_path: Path, era: str) -> None:
    actions = [replace(INVOICE, capability=f"docs/large-{n}", input_schema=LARGE) for n in range(40)]
    sizes, names, cursor = list[int](), list[str](), None
    async with opened(tmp_path) as shop:
        shop.registry.publish(catalog(actions))
        async with Client(
            build_server(shop.dispatcher, ListChangedNotifier(), Askers(patience=10)), mode=era
        ) as client:
            while True:
                page = await client.list_tools(cursor=cursor, cache_mode="bypass")
                sizes.append(
                    len(json.dumps([tool.model_dump(by_alias=True, exclude_none=True) for tool in page.tools]))
                )
                names += [tool.name for tool in page.tools]
                cursor = page.next_cursor
                if cursor is None:
                    break
    assert sum(sizes) > 1024 * 1024
    assert max(sizes) < 1024 * 1024
    assert len(names) == len(set(names)) == 40 + 10
