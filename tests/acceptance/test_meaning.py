"""A server with the extra `embeddings` installed, asked for what none of its actions says in those words."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.roads import ROADS, Road, connect, output_of, sandbox
from tests.scale.test_market import by_meaning

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.mark.parametrize("wanted", [True, False], ids=["wanted", "not wanted"])
@pytest.mark.parametrize("road", ROADS[:2], ids=str)
async def test_a_server_finds_what_shares_no_word_with_the_query(road: Road, wanted: bool, tmp_path: Path) -> None:
    by_meaning()
    settings = {"tools__mode": "search", "catalog__embeddings": str(wanted)}
    with sandbox(tmp_path / "hub.sqlite") as hub:
        async with connect(road, hub, tmp_path / "state", settings=settings) as client:
            found = output_of(await client.call_tool("jecp_search", {"query": "telegraph dots and dashes"}))
    assert ("lectern_morse_send" in {one["tool"] for one in found["results"]}) == wanted
