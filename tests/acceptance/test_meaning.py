"""A server with the extra `embeddings` installed, asked for what none of its actions says in those words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.roads import ROADS, Road, connect, output_of, sandbox
from tests.scale.test_market import by_meaning

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


PHYSICISTS = {
    "namespace": "lectern",
    "capability": "physics",
    "version": "1.0.0",
    "description": "Knows every physicist.",
    "tags": ["physicist"],
    "endpoint": "https://lectern.example/jecp/physics",
    "actions": [
        {
            "id": "physicist",
            "description": "Name a physicist.",
            "pricing": {"base": "$0.06", "currency": "USDC", "model": "per_call"},
            "input_schema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
            "output_schema": {"type": "object"},
        }
    ],
}


@pytest.mark.parametrize("wanted", [True, False], ids=["wanted", "not wanted"])
@pytest.mark.parametrize("road", ROADS[:2], ids=str)
async def test_a_server_finds_what_shares_no_word_with_the_query(road: Road, wanted: bool, tmp_path: Path) -> None:
    by_meaning()
    settings = {"tools__mode": "search", "catalog__embeddings": str(wanted)}
    (tmp_path / "physics.json").write_text(json.dumps([PHYSICISTS]))
    with sandbox(tmp_path / "hub.sqlite", "--catalog", str(tmp_path / "physics.json")) as hub:
        async with connect(road, hub, tmp_path / "state", settings=settings) as client:
            found = output_of(await client.call_tool("jecp_search", {"query": "chemist"}))
    assert ("lectern_physics_physicist" in {one["tool"] for one in found["results"]}) == wanted
