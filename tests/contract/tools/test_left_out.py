"""What the operator's settings leave out is said wherever somebody misses it, and never that it does not exist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.cli.checks import catalog_state
from jecp_mcp.cli.options import Start
from jecp_mcp.settings import Settings, ToolSettings

from .shop import ACTIONS, catalog, opened
from .test_dispatch import ME, error, told

pytestmark = pytest.mark.anyio

LEFT_OUT = {"catalog.namespaces": ("law/nda:draft", "law/nda:sign"), "catalog.without": ("echo:say",)}
WORDS = "3 actions of the Hub are left out by the operator's settings catalog.namespaces (2) and catalog.without (1)."


@pytest.mark.parametrize("goods", [{}, {"goods": ()}])
async def test_search_wallet_and_catalog_say_how_much_is_left_out_and_by_what(
    tmp_path: Path, goods: dict[str, Any]
) -> None:
    async with opened(tmp_path, left_out=LEFT_OUT, **goods) as shop:
        assert told(await shop.dispatcher.call("jecp_search", {"query": "invoice"}, ME))["left_out"] == WORDS
        assert told(await shop.dispatcher.call("jecp_wallet", {}, ME))["left_out"] == WORDS
        for uri in ("jecp://wallet", "jecp://catalog"):
            read: Any = await shop.dispatcher.resources.read(uri, ME)
            assert WORDS in read.text
        assert ("left_out" in told(await shop.dispatcher.call("jecp_status", {}, ME))) == bool(goods)
        # Where everything is left out, a model is told before it looks.
        assert (WORDS in shop.dispatcher.instructions()) == bool(goods)


async def test_where_nothing_is_left_out_nothing_is_said(tmp_path: Path) -> None:
    async with opened(tmp_path) as shop:
        assert "left_out" not in told(await shop.dispatcher.call("jecp_search", {"query": "invoice"}, ME))
        assert "left_out" not in told(await shop.dispatcher.call("jecp_wallet", {}, ME))
        assert "left out" not in shop.dispatcher.instructions()


NAMED = {
    "law/nda:draft": "law/nda:draft",
    "law_nda_draft": "law/nda:draft",
    "law.nda.sign@2.0.0": "law/nda:sign",
    "law/nda": "law/nda:draft",
    "echo:say": "echo:say",
}


async def test_whoever_calls_what_is_left_out_is_told_that_it_exists_and_who_leaves_it_out(tmp_path: Path) -> None:
    async with opened(tmp_path, left_out=LEFT_OUT) as shop:
        for named, key in NAMED.items():
            given = {"tool": named, "arguments": {}}
            setting = "catalog.without" if key == "echo:say" else "catalog.namespaces"
            for tool in ("jecp_call", "jecp_prepare", "jecp_describe", named):
                arguments = {"tool": named} if tool == "jecp_describe" else {} if tool == named else given
                found = error(await shop.dispatcher.call(tool, arguments, ME))
                assert (found["error"]["code"], found["charged"]) == ("ACTION_LEFT_OUT", "no")
                assert found["error"]["message"] == (
                    f"{key} exists at the Hub, but is left out here by the operator's setting {setting}. "
                    "Nothing was charged."
                )
                assert found["next_action"]["actor"] == "operator"
        other = error(await shop.dispatcher.call("jecp_describe", {"tool": "law/will:draft"}, ME))
    assert other["error"]["code"] == "TOOL_NOT_FOUND"


async def test_a_list_that_has_no_room_for_all_actions_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = "Your tool list holds 2 of 4 actions: find the others with jecp_search, buy them with jecp_call."
    for module in ("jecp_mcp.tools.publishing.tool_registry", "jecp_mcp.cli.checks.catalog_state"):
        monkeypatch.setattr(f"{module}.MOST_DIRECT", 2)
    for mode, said in (("direct", True), ("search", False)):
        settings = Settings(tools=ToolSettings(mode=mode))
        async with opened(tmp_path / mode, tools=settings.tools) as shop:
            found = told(await shop.dispatcher.call("jecp_search", {"query": "invoice"}, ME))
            assert (found.get("not_listed") == words) is said
            assert (words in shop.dispatcher.instructions()) is said
        findings = catalog_state._settings_findings(Start(settings, tmp_path, None), catalog(ACTIONS))
        assert [one.what for one in findings] == [
            "tools.mode is direct, and a tool list holds 2 of the 5 actions on sale"
        ] * said
