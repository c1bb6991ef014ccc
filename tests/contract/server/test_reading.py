"""Resources, prompts and completion through an official client in both protocol eras."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import PromptReference, ResourceTemplateReference

from jecp_mcp.calls.ports import Caller
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.server.elicitation import Askers
from jecp_mcp.server.list_changed import ListChangedNotifier
from jecp_mcp.server.mcp_server import build_server
from jecp_mcp.settings import ToolSettings
from jecp_mcp.tools.prompts import instructions
from tests.contract.tools.shop import ACTIONS, INVOICE, Shop, catalog, opened

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("era", ["legacy", "2026-07-28"])]

ME = Caller(LOCAL)


@dataclass
class Reader:
    shop: Shop
    client: Client

    async def json(self, uri: str) -> Any:
        [content] = (await self.client.read_resource(uri)).contents
        assert content.mime_type == "application/json"
        return json.loads(content.text)  # type: ignore[union-attr]

    async def complete(self, ref: Any, name: str, value: str) -> list[str]:
        return list((await self.client.complete(ref, {"name": name, "value": value})).completion.values)


@asynccontextmanager
async def reading(path: Path, era: str) -> AsyncIterator[Reader]:
    async with (
        opened(path) as shop,
        Client(build_server(shop.dispatcher, ListChangedNotifier(), Askers(patience=10)), mode=era) as client,
    ):
        yield Reader(shop, client)


async def test_the_wallet_the_latest_calls_and_the_catalog_can_be_read(tmp_path: Path, era: str) -> None:
    async with reading(tmp_path, era) as at:
        bought = await at.shop.dispatcher.call("docs_invoice_render", {"n": 1}, ME)
        listed = [one.uri for one in (await at.client.list_resources()).resources]
        wallet, recent = await at.json("jecp://wallet"), await at.json("jecp://ledger/recent")
        shelf = {one["tool"]: one for one in (await at.json("jecp://catalog"))["actions"]}
    assert not bought.is_error
    assert listed == ["jecp://wallet", "jecp://ledger/recent", "jecp://catalog"]
    assert (wallet["balance_usdc"], wallet["charged_usdc"]) == ("0.43", "0.05")
    assert [(one["tool"], one["charged_usdc"]) for one in recent["calls"]] == [("docs_invoice_render", "0.05")]
    assert shelf["docs_invoice_render"]["price_usdc"] == "0.05"


@pytest.mark.parametrize("name", ["docs_invoice_render", "docs%2Finvoice%3Arender", "docs/invoice:render"])
async def test_an_action_is_read_with_its_examples_by_name_or_key(tmp_path: Path, era: str, name: str) -> None:
    async with reading(tmp_path, era) as at:
        read = await at.json(f"jecp://catalog/{name}")
    assert (read["tool"], read["examples"], read["blocked_by"]) == ("docs_invoice_render", [{"input": {"n": 1}}], [])


@pytest.mark.parametrize("uri", ["jecp://catalog/none", "jecp://nothing", "jecp://artifact/0", "file:///etc/passwd"])
async def test_what_there_is_not_is_a_clear_error(tmp_path: Path, era: str, uri: str) -> None:
    async with reading(tmp_path, era) as at:
        with pytest.raises(MCPError, match=r"no |No "):
            await at.client.read_resource(uri)


async def test_files_come_in_pages_until_all_are_listed_once(tmp_path: Path, era: str) -> None:
    async with reading(tmp_path, era) as at:
        put = [at.shop.store.put(b"%d" % number, "text/plain", "n", None, LOCAL).uri for number in range(230)]
        pages, cursor = list[list[str]](), None
        while True:
            page = await at.client.list_resources(cursor=cursor)
            pages.append([one.uri for one in page.resources])
            cursor = page.next_cursor
            if cursor is None:
                break
        with pytest.raises(MCPError, match="cursor"):
            await at.client.list_resources(cursor="no-cursor")
    listed = [uri for page in pages for uri in page if uri.startswith("jecp://artifact/")]
    assert [len(page) for page in pages] == [103, 100, 30]
    assert sorted(listed) == sorted(put)


@pytest.mark.parametrize(
    ("data", "mime_type", "text"),
    [
        (b'{"a": "\xc3\xa9"}', "application/json", True),
        (b"\xff\x00", "text/plain", False),
        (b"%PDF", "application/pdf", False),
    ],
)
async def test_text_is_read_as_text_and_anything_else_as_bytes(
    tmp_path: Path, era: str, data: bytes, mime_type: str, text: bool
) -> None:
    async with reading(tmp_path, era) as at:
        kept = at.shop.store.put(data, mime_type, "n", None, LOCAL)
        [content] = (await at.client.read_resource(kept.uri)).contents
    read = content.text.encode() if text else base64.b64decode(content.blob)  # type: ignore[union-attr]
    assert (read, content.mime_type) == (data, mime_type)


@pytest.mark.parametrize(
    ("data", "fits"), [(b"\x00" * 737_280, True), (b"\x00" * 737_281, False), (b"\n" * 600_000, True)]
)
async def test_a_file_too_large_for_a_message_says_where_it_is(
    tmp_path: Path, era: str, data: bytes, fits: bool
) -> None:
    async with reading(tmp_path, era) as at:
        kept = at.shop.store.put(data, "text/plain", "n", None, LOCAL)
        if fits:
            answer = await at.client.read_resource(kept.uri)
            assert len(answer.model_dump_json(by_alias=True)) < 1024 * 1024
            return
        with pytest.raises(MCPError) as caught:
            await at.client.read_resource(kept.uri)
    said = caught.value.error.data
    assert said == {
        "code": "RESOURCE_TOO_LARGE",
        "path": str(kept.path),
        "size": len(data),
        "mimeType": "text/plain",
        "tool": "jecp_file",
    }
    assert f'jecp_file with {{"uri":"{kept.uri}"}}' in caught.value.error.message
    assert str(kept.path) in caught.value.error.message
    assert kept.path.stat().st_size == len(data)


async def test_templates_are_listed_and_their_ids_completed(tmp_path: Path, era: str) -> None:
    async with reading(tmp_path, era) as at:
        kept = at.shop.store.put(b"x", "text/plain", "n", None, LOCAL)
        templates = [one.uri_template for one in (await at.client.list_resource_templates()).resource_templates]
        action, artifact = (ResourceTemplateReference(uri=uri) for uri in templates)
        invoices = await at.complete(action, "id", "invoice")
        files = await at.complete(artifact, "id", kept.id[:3])
        none = await at.complete(artifact, "id", "zz") + await at.complete(action, "other", "invoice")
    assert templates == ["jecp://catalog/{id}", "jecp://artifact/{id}"]
    assert invoices[0] == "docs_invoice_render"
    assert (files, none) == ([kept.id], [])


@pytest.mark.slow
async def test_of_ten_thousand_actions_a_hundred_names_are_offered_and_the_list_stays_short(
    tmp_path: Path, era: str
) -> None:
    many = [replace(INVOICE, capability=f"docs-{n // 100}/number-{n}") for n in range(10_000)]
    async with (
        opened(tmp_path, goods=many) as shop,
        Client(build_server(shop.dispatcher, ListChangedNotifier(), Askers(patience=10)), mode=era) as client,
    ):
        at, action = Reader(shop, client), ResourceTemplateReference(uri="jecp://catalog/{id}")
        whole = (await client.complete(action, {"name": "id", "value": "docs-7"})).completion
        few = (await client.complete(action, {"name": "id", "value": "docs-42_number-423"})).completion
        empty = (await client.complete(action, {"name": "id", "value": ""})).completion
        misspelt = await at.complete(action, "id", "docs-42_numbr-4230_render")
        shelf = await at.json("jecp://catalog")
        [text] = (await client.read_resource("jecp://catalog")).contents
        one = await at.json(f"jecp://catalog/{few.values[0]}")
    assert (len(whole.values), whole.has_more) == (100, True)
    assert all(name.startswith("docs-7") for name in whole.values)
    assert few.values[:10] == [f"docs-42_number-{n}_render" for n in range(4_230, 4_240)]
    assert (len(empty.values), empty.has_more) == (100, True)
    assert misspelt
    assert (len(shelf["actions"]), shelf["more"]) == (200, "jecp_search finds the others")
    assert len(text.text) < 64 * 1024  # type: ignore[union-attr]
    assert one["examples"] == [{"input": {"n": 1}}]


async def test_prompts_carry_their_arguments_and_name_what_is_missing(tmp_path: Path, era: str) -> None:
    async with reading(tmp_path, era) as at:
        await at.shop.dispatcher.call("docs_invoice_render", {"n": 1}, ME)
        listed = {one.name: one for one in (await at.client.list_prompts()).prompts}
        report = await at.client.get_prompt("budget-report")
        found = await at.client.get_prompt("find-and-buy", {"what": "an invoice {call_id}", "max_price": "0.25"})
        dispute = PromptReference(name="dispute")
        ids = await at.complete(dispute, "call_id", "call_")
        for name, arguments in (("find-and-buy", {}), ("dispute", {"call_id": " "}), ("none", {})):
            with pytest.raises(MCPError, match=r"needs|no prompt"):
                await at.client.get_prompt(name, arguments)
    assert set(listed) == {"budget-report", "find-and-buy", "dispute"}
    assert [(one.name, one.required) for one in listed["find-and-buy"].arguments or []] == [
        ("what", True),
        ("max_price", False),
    ]
    assert "jecp_wallet" in report.messages[0].content.text  # type: ignore[union-attr]
    text = found.messages[0].content.text  # type: ignore[union-attr]
    assert "an invoice {call_id}" in text
    assert "0.25 USDC" in text
    assert ids == ["call_0001"]


async def test_the_instructions_reach_the_host_and_cost_little(tmp_path: Path, era: str) -> None:
    # Only a client that asks what the server is hears them; one that knows the protocol beforehand need not ask.
    async with reading(tmp_path, "legacy" if era == "legacy" else "auto") as at:
        assert at.client.instructions == instructions("direct")
        assert "can be bought at once, by name" in at.client.instructions


@pytest.mark.parametrize("mode", ["direct", "search"])
async def test_the_instructions_fit_how_actions_are_published_when_the_client_asks(
    tmp_path: Path, era: str, mode: Literal["direct", "search"]
) -> None:
    async with opened(tmp_path, tools=ToolSettings(mode="auto", max_tools=2)) as shop:
        server = build_server(shop.dispatcher, ListChangedNotifier(), Askers(patience=10))
        shop.registry.publish(catalog([INVOICE] if mode == "direct" else ACTIONS))
        async with Client(server, mode="legacy" if era == "legacy" else "auto") as client:
            said = client.instructions or ""
            listed = {tool.name for tool in (await client.list_tools()).tools}
    assert said == instructions(mode)
    assert ("docs_invoice_render" in listed) == ("The actions in your tool list" in said)
    assert ("never enters your tool list" in said) == (mode == "search")
    for part in ("timed out", "jecp_status says which, for free", "cannot be corrected once it is paid for"):
        assert part in said
    assert len(said) / 4 <= 220
