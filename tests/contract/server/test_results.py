"""A paid result as each kind of client gets it over MCP, by what it calls itself and which protocol it speaks."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.shared.memory import create_client_server_memory_streams
from mcp.shared.message import SessionMessage
from mcp_types import Implementation, jsonrpc_message_adapter

from jecp_mcp.domain.outcomes import Outcome
from jecp_mcp.rails.base import StoredRequest
from jecp_mcp.server.elicitation import Askers
from jecp_mcp.server.list_changed import ListChangedNotifier
from jecp_mcp.server.mcp_server import BridgeServer, build_server
from jecp_mcp.settings import ToolSettings
from tests.contract.tools.shop import INVOICE, Shop, charged, opened, refusing

pytestmark = pytest.mark.anyio

FILES = {
    "pdf": b"%PDF-1.7" + bytes(18_000),
    "png": b"\x89PNG\r\n\x1a\n" + bytes(64),
}
TOOL = "docs_invoice_render"


def selling(kind: str) -> Any:
    def script(request: StoredRequest, _replay: bool) -> Outcome:
        return charged(request, {kind: base64.b64encode(FILES[kind]).decode()})

    return script


def serving(shop: Shop) -> BridgeServer:
    return build_server(shop.dispatcher, ListChangedNotifier(), Askers(patience=10))


@pytest.mark.parametrize("era", [pytest.param("legacy", marks=pytest.mark.slow), "2026-07-28"])
@pytest.mark.parametrize(
    ("name", "pdf", "png"),
    [
        pytest.param("claude-ai", ["text", "resource_link"], ["text", "image"], marks=pytest.mark.slow),
        ("claude-code", ["text", "resource_link"], ["text", "image"]),
        ("Visual Studio Code", ["text", "resource"], ["text", "image"]),
        pytest.param("mcp", ["text"], ["text", "image"], marks=pytest.mark.slow),
    ],
)
async def test_each_client_gets_its_receipt_and_no_file_that_floods_its_prompt(
    tmp_path: Path, era: str, name: str, pdf: list[str], png: list[str]
) -> None:
    for kind, blocks in (("pdf", pdf), ("png", png)):
        async with (
            opened(tmp_path / kind, selling(kind)) as shop,
            Client(serving(shop), mode=era, client_info=Implementation(name=name, version="1")) as client,
        ):
            result = await client.call_tool(TOOL, {"n": 1})
        assert [part.type for part in result.content] == blocks
        text = result.content[0].text  # type: ignore[union-attr]
        assert text.startswith("Paid 0.05 USDC to docs; balance 0.43, budget left 1.95 USDC. Call call_0001.\n")
        assert base64.b64encode(FILES[kind]).decode() not in text
        # What would keep this client from seeing the image is left out.
        if (name, kind) == ("claude-code", "png"):
            assert result.structured_content is None
            continue
        assert result.structured_content is not None
        receipt = {"call_id": "call_0001", "charged": "yes", "amount_usdc": "0.05", "remaining_usdc": "1.95"}
        assert result.structured_content["receipt"] == receipt
        # Its path, and what it is read by, are its id.
        assert result.structured_content["files"][0]["uri"][-32:] in text


@pytest.mark.parametrize(
    ("version", "links"), [("2025-03-26", False), pytest.param("2025-06-18", True, marks=pytest.mark.slow)]
)
async def test_a_client_of_an_older_protocol_gets_no_block_that_it_does_not_know(
    tmp_path: Path, version: str, links: bool
) -> None:
    def message(**fields: Any) -> SessionMessage:
        return SessionMessage(jsonrpc_message_adapter.validate_python({"jsonrpc": "2.0", **fields}))

    hello = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "old", "version": "1"}}
    async with (
        opened(tmp_path, selling("pdf")) as shop,
        create_client_server_memory_streams() as ((reading, writing), (server_reads, server_writes)),
        anyio.create_task_group() as tasks,
    ):
        server = serving(shop)
        tasks.start_soon(server.run, server_reads, server_writes, server.create_initialization_options())
        await writing.send(message(id=1, method="initialize", params=hello))
        await reading.receive()
        await writing.send(message(method="notifications/initialized"))
        await writing.send(message(id=2, method="tools/call", params={"name": TOOL, "arguments": {"n": 1}}))
        with anyio.fail_after(60):
            answer: Any = await reading.receive()
        tasks.cancel_scope.cancel()
    kinds = [part["type"] for part in answer.message.result["content"]]
    assert kinds == (["text", "resource_link"] if links else ["text"])


@pytest.mark.parametrize("era", [pytest.param("legacy", marks=pytest.mark.slow), "2026-07-28"])
async def test_a_program_that_checks_results_loses_none(tmp_path: Path, era: str) -> None:
    """The SDK's client raises instead of giving a result that does not meet what its tool said it would give back."""
    said = {"type": "object", "properties": {"words": {"type": "integer"}}, "required": ["words"]}
    outputs: dict[int, Any] = {1: {"words": 2}, 2: {"words": "two"}, 3: ["odd"], 4: {"words": 4, "long": "a" * 40_000}}
    outputs[5] = {"png": base64.b64encode(FILES["png"]).decode()}

    def script(request: StoredRequest, _replay: bool) -> Outcome:
        given = int(request.call_id.removeprefix("call_"))
        return charged(request, outputs[given]) if given in outputs else refusing("PROVIDER_ERROR")

    open_profile = ToolSettings(host_profile="open")
    async with opened(tmp_path, script, goods=[replace(INVOICE, output_schema=said)], tools=open_profile) as shop:
        server = build_server(shop.dispatcher, ListChangedNotifier(), Askers(patience=10), tools=open_profile)
        async with Client(server, mode=era) as client:
            schemas = {tool.name: tool.output_schema for tool in (await client.list_tools()).tools}
            assert (schemas[TOOL] or {})["properties"]["output"]["anyOf"] == [said, {}]
            got = [await client.call_tool(TOOL, {"n": given}) for given in (*outputs, 6)]
            got.append(await client.call_tool("jecp_status", {"call_id": "call_0002"}))
            got.append(await client.call_tool("jecp_search", {}))
        # Such a client loses an image beside structured content, and would lose a purchase without.
        blind = Implementation(name="codex-mcp-client", version="1")
        async with Client(server, mode=era, client_info=blind) as client:
            assert {tool.output_schema for tool in (await client.list_tools()).tools} == {None}
    assert [result.is_error for result in got] == [*[False] * 5, True, False, False]
    assert schemas["jecp_search"] is not None
