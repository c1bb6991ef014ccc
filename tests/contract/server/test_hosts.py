"""Several kinds of host on one server: each is shown what it takes, and any name reaches the action it was given for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.subscriptions import listen
from mcp_types import Implementation, ToolListChangedNotification

from jecp_mcp.catalog.changes import Vetting
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.server.elicitation import Askers
from jecp_mcp.server.list_changed import ListChangedNotifier
from jecp_mcp.server.mcp_server import build_server
from jecp_mcp.settings import ToolSettings
from jecp_mcp.tool_names import hashed_name
from tests.contract.tools.shop import ACTIONS, INVOICE, SCHEMA, SUMMARY, Shop, catalog, opened

pytestmark = pytest.mark.anyio

ERAS = ["legacy", "2026-07-28"]
EITHER = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "anyOf": [{"required": ["n"]}, {"required": ["m"]}],
}
LONG = replace(INVOICE, capability="docs/a-name-of-many-words", action="that-goes-on-for-long")
LONG_NAME = "docs_a-name-of-many-words_that-goes-on-for-long"
LONGER = replace(INVOICE, capability="docs/a-name-of-many-words-and-more", action="that-goes-on-for-long")
CHOICE = replace(INVOICE, capability="docs/choice", input_schema=EITHER)
OLDER = replace(INVOICE, capability="docs/nullable", input_schema={"properties": {"n": {"type": ["integer", "null"]}}})
GOODS = [*ACTIONS, LONG, LONGER, CHOICE, OLDER]


@asynccontextmanager
async def serving(path: Path, **tools: Any) -> AsyncIterator[tuple[Shop, ListChangedNotifier, Any]]:
    settings = ToolSettings(**tools)
    async with opened(path, tools=settings, goods=GOODS) as shop, anyio.create_task_group() as tasks:
        notifier = ListChangedNotifier(settle_seconds=0.5)
        server = build_server(shop.dispatcher, notifier, Askers(patience=10), tools=settings)
        tasks.start_soon(notifier.run)
        yield shop, notifier, server
        tasks.cancel_scope.cancel()


def as_host(server: Any, name: str, era: str, **options: Any) -> Client:
    return Client(server, mode=era, client_info=Implementation(name=name, version="1"), **options)


async def tools_of(client: Client) -> dict[str, Any]:
    return {tool.name: tool.input_schema for tool in (await client.list_tools(cache_mode="bypass")).tools}


@pytest.mark.parametrize("era", ERAS)
async def test_each_host_on_one_server_is_shown_what_it_takes(tmp_path: Path, era: str) -> None:
    async with serving(tmp_path, server_name="the-wallet-of-our-team") as (_, _, server):
        async with as_host(server, "claude-code", era) as one, as_host(server, "Nobody knows me", era) as other:
            claude, unknown = await tools_of(one), await tools_of(other)
        async with as_host(server, "cursor-vscode", era) as third:
            cursor = await tools_of(third)
    assert "docs_choice_render" in claude
    assert "docs_choice_render" not in unknown.keys() | cursor.keys()
    assert claude["docs_nullable_render"]["properties"]["n"] == {"type": ["integer", "null"]}
    assert unknown["docs_nullable_render"]["properties"]["n"] == {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    for names, prefix, most in ((claude, 7, 64), (unknown, 7, 64), (cursor, 1, 60)):
        assert max(map(len, names)) + prefix + len("the-wallet-of-our-team") <= most
    assert len(cursor) == len(unknown)


@pytest.mark.parametrize("era", ERAS)
async def test_any_name_of_an_action_reaches_it_whoever_uses_it_and_without_a_list(tmp_path: Path, era: str) -> None:
    short, usual = hashed_name(LONGER.key, 8, 35), hashed_name(LONGER.key)
    whole = "docs_a-name-of-many-words-and-more_that-goes-on-for-long"
    async with serving(tmp_path, server_name="the-wallet-of-our-team") as (shop, _, server):
        for number, (host, name) in enumerate(
            [("claude-ai", whole), ("mcp-inspector", short), ("cursor", usual), ("claude-ai", short)]
        ):
            async with as_host(server, host, era) as client:
                result = await client.call_tool(name, {"n": number})
            assert not result.is_error, name
        bought = {row.offer for row in await shop.calls.reader(LOCAL).latest(limit=10)}
    assert len({short, usual, whole}) == 3
    assert (bought, len(shop.rail.sent)) == ({LONGER.key}, 4)


async def test_the_operators_word_on_hosts_counts_for_all_of_them(tmp_path: Path) -> None:
    async with serving(tmp_path, host_profile="open") as (_, _, server), as_host(server, "cursor", "legacy") as client:
        names = await tools_of(client)
    assert {"docs_choice_render", "docs_a-name-of-many-words-and-more_that-goes-on-for-long", LONG_NAME} <= names.keys()


@pytest.mark.parametrize("era", ERAS)
async def test_what_is_not_listed_is_found_with_the_reason_and_bought_all_the_same(tmp_path: Path, era: str) -> None:
    async with serving(tmp_path) as (shop, _, server), as_host(server, "some host", era) as client:
        assert "docs_choice_render" not in await tools_of(client)
        found = (await client.call_tool("jecp_search", {"query": "render invoice", "limit": 20})).structured_content
        said = (await client.call_tool("jecp_describe", {"tool": "docs_choice_render"})).structured_content
        asked = {"tool": "docs_choice_render", "arguments": {"n": 1}}
        bought = await client.call_tool("jecp_call", asked)
        wrong = await client.call_tool("jecp_call", {**asked, "arguments": {}})
        assert len(shop.rail.sent) == 1
    assert found is not None
    assert said is not None
    reason = "its input schema chooses between forms at its root, which not every model's API reads"
    assert {hit["tool"]: hit.get("call_only") for hit in found["results"]}["docs_choice_render"] == reason
    assert sum("call_only" in hit for hit in found["results"]) == 1
    assert said["call_only"] == reason
    assert not bought.is_error
    assert wrong.is_error


async def test_a_host_that_takes_so_many_tools_is_shown_no_more(tmp_path: Path) -> None:
    many = [replace(INVOICE, capability=f"docs/number-{n}") for n in range(150)]
    async with serving(tmp_path, max_tools=500) as (shop, _, server):
        shop.registry.publish(catalog(many))
        counts = {}
        for host in ("windsurf-client", "Visual Studio Code", "unknown", "claude-code"):
            async with as_host(server, host, "legacy") as client:
                counts[host] = len(await tools_of(client))
    assert counts == {"windsurf-client": 100, "Visual Studio Code": 128, "unknown": 100, "claude-code": 160}


async def test_where_each_action_is_a_tool_by_the_operators_word_none_is_left_out(tmp_path: Path) -> None:
    many = [replace(INVOICE, capability=f"docs/number-{n}") for n in range(150)]
    async with serving(tmp_path, mode="direct") as (shop, _, server):
        shop.registry.publish(catalog(many))
        async with as_host(server, "windsurf-client", "legacy") as client:
            assert len(await tools_of(client)) == 160


class Told:
    """Counts the notices that reach one client."""

    def __init__(self) -> None:
        self.count = 0
        self.came = anyio.Event()

    def note(self) -> None:
        self.count += 1
        self.came.set()

    async def heard(self, message: Any) -> None:
        if isinstance(message, ToolListChangedNotification):
            self.note()


@asynccontextmanager
async def hearing(server: Any, host: str, era: str) -> AsyncIterator[Told]:
    told = Told()
    if era == "legacy":
        async with as_host(server, host, era, message_handler=told.heard) as client:
            await client.list_tools()
            yield told
        return
    async with (
        as_host(server, host, era) as client,
        listen(client.session, tools_list_changed=True) as events,
        anyio.create_task_group() as tasks,
    ):

        async def hear() -> None:
            async for _ in events:
                told.note()

        tasks.start_soon(hear)
        yield told
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("era", ERAS)
async def test_only_hosts_whose_own_list_changed_are_told_and_once(tmp_path: Path, era: str) -> None:
    async with (
        serving(tmp_path) as (shop, notifier, server),
        hearing(server, "claude-code", era) as claude,
        hearing(server, "some host", era) as unknown,
    ):
        # Only hosts that take a choice at the root see this one.
        for text in ("once", "twice"):
            changed = replace(CHOICE, description=f"changed {text}")
            shop.registry.publish(catalog([*ACTIONS, LONG, LONGER, changed, OLDER]))
            notifier.note_change()
            await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(60):
            await claude.came.wait()
        assert (claude.count, unknown.count) == (1, 0)
        # A change that is taken back before anybody is told is none.
        shop.registry.publish(catalog([]))
        notifier.note_change()
        await anyio.wait_all_tasks_blocked()
        shop.registry.publish(catalog([*ACTIONS, LONG, LONGER, changed, OLDER]))
        notifier.note_change()
        await anyio.wait_all_tasks_blocked()
        shop.registry.publish(catalog([*ACTIONS, LONG, LONGER, changed, OLDER]), Vetting({SUMMARY.key: "held"}))
        notifier.note_change()
        await anyio.wait_all_tasks_blocked()
        claude.came = anyio.Event()
        with anyio.fail_after(60):
            await claude.came.wait()
            await unknown.came.wait()
        assert (claude.count, unknown.count) == (2, 1)


async def test_the_list_is_promised_no_longer_than_until_the_next_look(tmp_path: Path) -> None:
    left = 12.5
    async with opened(tmp_path) as shop:
        server = build_server(shop.dispatcher, ListChangedNotifier(), Askers(patience=10), fresh_seconds=lambda: left)
        async with Client(server, mode="2026-07-28") as client:
            first = await client.list_tools(cache_mode="bypass")
            left = 0.25
            again = await client.list_tools(cache_mode="bypass")
            left = -1.0
            last = await client.list_tools(cache_mode="bypass")
    assert [page.ttl_ms for page in (first, again, last)] == [12_500, 250, 0]


def test_the_schema_of_the_shop_is_in_every_dialect() -> None:
    from jecp_mcp.tools.schemas.dialects import plain

    assert plain(SCHEMA) == SCHEMA
