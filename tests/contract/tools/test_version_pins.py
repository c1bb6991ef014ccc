"""Whoever names a version buys that version or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from .shop import opened
from .test_dispatch import ME, error, told

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("tool", ["docs/invoice@2.0.0", "docs/invoice@2.0.0:render", "docs/invoice:render@1.0", "docs_invoice_render@2"])  # fmt: skip
async def test_a_version_that_is_not_what_is_sold_is_refused_and_nothing_is_bought(tmp_path: Path, tool: str) -> None:
    async with opened(tmp_path) as shop:
        for own in ("jecp_call", "jecp_prepare"):
            found = error(await shop.dispatcher.call(own, {"tool": tool, "arguments": {"n": 1}}, ME))
            assert (found["error"]["code"], found["charged"]) == ("VERSION_NOT_AVAILABLE", "no")
            assert "docs/invoice:render is not sold here at version" in found["error"]["message"]
            assert "its version is 1.0.0, which is sold" in found["error"]["message"]
            assert found["error"]["details"]["version"] == "1.0.0"
            assert found["next_action"]["arguments"] == {"tool": "docs_invoice_render"}
        described = error(await shop.dispatcher.call("jecp_describe", {"tool": tool}, ME))
        assert "is not sold here at version" in described["error"]["message"]
        assert shop.rail.sent == []


@pytest.mark.parametrize("tool", ["docs/invoice@1.0.0", "docs/invoice@1.0.0:render", "docs/invoice:render@1.0.0"])
async def test_the_version_that_is_sold_is_bought(tmp_path: Path, tool: str) -> None:
    async with opened(tmp_path) as shop:
        assert told(await shop.dispatcher.call("jecp_call", {"tool": tool, "arguments": {"n": 1}}, ME)) == {
            "done": True
        }
        assert len(shop.rail.sent) == 1


async def test_a_version_of_nothing_is_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as shop:
        found = error(await shop.dispatcher.call("jecp_call", {"tool": "docs/nothing@1.0.0", "arguments": {}}, ME))
        assert "There is no tool" in found["error"]["message"]
