"""The same behaviour on every transport and in both protocol eras, through an official client."""

from __future__ import annotations

import base64
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.shared.exceptions import MCPError

from tests.acceptance.conftest import Seat
from tests.acceptance.roads import LEGACY, error_of, example_of, output_of

pytestmark = pytest.mark.anyio

OWN = {
    "jecp_search", "jecp_describe", "jecp_call", "jecp_prepare", "jecp_execute", "jecp_status", "jecp_wallet", "jecp_topup",
    "jecp_refund", "jecp_file",
}  # fmt: skip
NAME = re.compile(r"^[a-zA-Z0-9_-]{1,48}$")


async def tools_of(seat: Seat) -> dict[str, Any]:
    tools: dict[str, Any] = {}
    cursor = None
    while True:
        page = await seat.client.list_tools(cursor=cursor, cache_mode="bypass")
        tools |= {tool.name: tool for tool in page.tools}
        cursor = page.next_cursor
        if cursor is None:
            return tools


def charges(seat: Seat) -> list[dict[str, Any]]:
    return seat.hub.books()["transactions"]


def receipt(result: Any) -> dict[str, Any]:
    return result.meta["jecp-mcp/billing"]


async def find(seat: Seat, action_key: str) -> str:
    for name, tool in (await tools_of(seat)).items():
        if (tool.meta or {}).get("jecp/action") == action_key:
            return name
    raise AssertionError(f"{action_key} is not published")


async def call(seat: Seat, name: str, arguments: dict[str, Any]) -> Any:
    return await seat.client.call_tool(name, arguments)


async def example(seat: Seat, tool: str) -> dict[str, Any]:
    key = ((await tools_of(seat))[tool].meta or {})["jecp/action"]
    return await anyio.to_thread.run_sync(example_of, seat.hub.url, key)


async def test_the_live_catalog_appears_as_tools_with_their_prices_first(seat: Seat) -> None:
    tools = await tools_of(seat)
    assert set(tools) >= OWN
    assert "jecp_register" not in tools
    bought = [tool for name, tool in tools.items() if name not in OWN]
    assert len(bought) >= 14
    assert all(NAME.match(tool.name) and tool.input_schema["type"] == "object" for tool in tools.values())
    assert all(re.search(r"\d USDC", tool.description.splitlines()[0]) for tool in bought)
    assert (
        len({(tool.meta or {}).get("jecp/action", "").split("/")[0] for tool in bought if "/" in str(tool.meta)}) >= 2
    )


async def test_every_published_action_sells_what_its_example_asks_for(seat: Seat) -> None:
    before = Decimal(seat.hub.books()["charged_usdc"])
    spent = Decimal(0)
    skipped = []
    for name in sorted(set(await tools_of(seat)) - OWN):
        if name.startswith(("fresh-", "rug_", "rug-")):
            continue
        result = await call(seat, name, await example(seat, name))
        if result.is_error:
            skipped.append((name, error_of(result)["error"]["code"]))
            continue
        if receipt(result)["charged"] == "yes":
            spent += Decimal(receipt(result)["amount_usdc"])
    assert {code for _, code in skipped} <= {"INSUFFICIENT_TRUST", "PER_CALL_LIMIT"}, skipped
    assert Decimal(seat.hub.books()["charged_usdc"]) - before == spent > 0


async def test_a_bought_file_is_told_in_words_and_had_by_path_tool_and_resource(seat: Seat) -> None:
    name = await find(seat, "inkwell/invoice:render")
    result = await call(seat, name, await example(seat, name))
    output = output_of(result)
    [text] = [part.text for part in result.content]
    assert len(text) < 2_000
    paid, told = text.split("\n")
    assert paid.startswith("Paid 0.")
    [file] = result.structured_content["files"]
    assert output["artifact"]["uri"] == file["uri"]
    [content] = (await seat.client.read_resource(file["uri"])).contents
    pdf = base64.b64decode(content.blob)
    assert pdf.startswith(b"%PDF-")
    piece = output_of(await call(seat, "jecp_file", {"call_id": receipt(result)["call_id"], "offset": 0}))
    assert base64.b64decode(piece["base64"]) == pdf[:24_000]
    assert (piece["size_bytes"], "next_offset" in piece) == (len(pdf), len(pdf) > 24_000)
    assert ("jecp_file with this call_id" if "path" in file else f'jecp_file {{"uri":"{file["uri"]}"}}') in told
    assert ("path" in file) is (seat.road.transport == "stdio")
    if "path" in file:
        assert await anyio.Path(file["path"]).read_bytes() == pdf
        assert file["path"] in told
    again = await call(seat, "jecp_status", {"call_id": receipt(result)["call_id"]})
    assert again.structured_content["files"] == [file]
    assert "not bought again" in again.content[0].text.split("\n")[0]


async def test_wrong_arguments_are_refused_here_by_pointer_before_anything_is_spent(seat: Seat) -> None:
    before = seat.hub.books()
    name = await find(seat, "inkwell/invoice:render")
    error = error_of(await call(seat, name, {"no_such_argument_at_all": 1}))
    assert (error["error"]["code"], error["charged"]) == ("INVALID_ARGUMENTS", "no")
    assert error["error"]["details"]["issues"]
    assert error["next_action"]["actor"] == "agent"
    followed = await call(seat, error["next_action"]["tool"], error["next_action"]["arguments"])
    assert not followed.is_error
    assert seat.hub.books() == before


async def test_an_unknown_tool_leads_to_a_search_that_the_server_accepts(seat: Seat) -> None:
    error = error_of(await call(seat, "docs_invoise_creat", {}))
    assert (error["error"]["code"], error["charged"], error["next_action"]["tool"]) == (
        "TOOL_NOT_FOUND",
        "no",
        "jecp_search",
    )
    found = output_of(await call(seat, "jecp_search", error["next_action"]["arguments"]))
    assert found["results"]


async def test_a_price_over_the_cap_is_refused_and_the_agent_is_not_told_to_raise_it(seat: Seat) -> None:
    dear = await find(seat, "plumbline/report:compile")
    error = error_of(await call(seat, "jecp_call", {"tool": dear, "arguments": await example(seat, dear)}))
    assert (error["error"]["code"], error["charged"]) == ("PER_CALL_LIMIT", "no")
    # Nothing else there compiles reports.
    assert (error["next_action"]["type"], error["next_action"]["actor"]) == ("stop", "human")
    assert "at most 1 USDC" in error["next_action"]["hint"].replace("1.00", "1")
    assert not any(word in error["next_action"]["hint"].lower() for word in ("raise", "increase", "higher limit"))


async def test_progress_notices_accompany_a_streaming_action(seat: Seat) -> None:
    streaming = next(
        name for name, tool in sorted((await tools_of(seat)).items()) if (tool.meta or {}).get("jecp/streaming")
    )
    heard: list[float] = []

    async def progress(done: float, _total: float | None, _message: str | None) -> None:
        heard.append(done)

    result = await seat.client.call_tool(streaming, await example(seat, streaming), progress_callback=progress)
    output_of(result)
    assert heard == sorted(heard)
    assert len(heard) >= 2


async def test_a_cancelled_call_is_paid_once_and_its_answer_waits_for_the_repeat(seat: Seat) -> None:
    name = await find(seat, "text-stats:count")
    arguments = {"text": f"cancelled on {seat.road}"}
    seat.hub.hold_the_fetch("text-stats:count")
    before = len(charges(seat))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call, seat, name, arguments)
        await anyio.to_thread.run_sync(seat.hub.wait_for_charges, before + 1)
        tasks.cancel_scope.cancel()
    # What is answered afterwards was asked afterwards.
    await tools_of(seat)
    seat.hub.heal()
    repeat = await call(seat, name, arguments)
    output_of(repeat)
    assert len(charges(seat)) == before + 1
    assert "not bought again" in "".join(part.text for part in repeat.content if part.type == "text")
    await call(seat, name, arguments)
    assert len(charges(seat)) == before + 2


async def test_a_lost_answer_is_fetched_again_without_paying_twice(seat: Seat) -> None:
    name = await find(seat, "text-stats:count")
    before = len(charges(seat))
    seat.hub.fault("text-stats:count", "drop_after_charge")
    result = await call(seat, name, {"text": f"lost on {seat.road}"})
    output_of(result)
    assert len(charges(seat)) == before + 1


async def test_the_wallet_the_status_and_the_hub_agree(seat: Seat) -> None:
    name = await find(seat, "text-stats:count")
    result = await call(seat, name, {"text": f"agree on {seat.road}"})
    call_id = receipt(result)["call_id"]
    wallet = output_of(await call(seat, "jecp_wallet", {}))
    day = next(window for window in wallet["limits"] if window["limit"] == "daily_usdc")
    assert Decimal(day["used_usdc"]) == Decimal(seat.hub.books()["charged_usdc"])
    status = await call(seat, "jecp_status", {"call_id": call_id})
    assert output_of(status) == output_of(result)
    assert receipt(status)["transaction_id"] == receipt(result)["transaction_id"]


async def test_a_topup_gives_a_link_for_a_person(seat: Seat) -> None:
    link = output_of(await call(seat, "jecp_topup", {"amount_usd": 5}))
    assert link["next_action"]["actor"] == "human"
    assert link["next_action"]["url"].startswith(seat.hub.url)


async def test_a_resource_nobody_stored_is_a_clear_protocol_error(seat: Seat) -> None:
    with pytest.raises(MCPError, match="no such file"):
        await seat.client.read_resource("jecp://artifact/../../etc/passwd")


@pytest.mark.slow
async def test_a_changed_catalog_is_announced_and_listed(seat: Seat) -> None:
    namespace = f"fresh-{seat.road}".replace("2025", "old").replace("2026", "new")
    manifest = {
        "namespace": namespace,
        "capability": "greeting",
        "version": "1.0.0",
        "description": "A capability that appears while clients are connected.",
        "endpoint": "https://provider.example/jecp",
        "actions": [
            {
                "id": "greet",
                "description": "Counts a text.",
                "pricing": {"base": "$0.001", "currency": "USD", "model": "flat"},
                "input_schema": {"type": "object", "properties": {"text": {"type": "string"}}},
                "output_schema": {"type": "object"},
            }
        ],
    }
    before = set(await tools_of(seat))

    async def publish() -> None:
        body = {"manifests": [manifest]}
        await anyio.to_thread.run_sync(lambda: seat.hub.http.post("/sandbox/catalog", json=body).raise_for_status())

    with anyio.fail_after(60):
        if seat.road.era == LEGACY:
            seat.messages.clear()
            await publish()
            while not any("list_changed" in str(getattr(message, "method", "")) for message in seat.messages):
                await anyio.sleep(0.05)
        else:
            async with seat.client.listen(tools_list_changed=True) as events:
                await publish()
                async for event in events:
                    assert type(event).__name__ == "ToolsListChanged"
                    break
    added = set(await tools_of(seat)) - before
    assert len(added) == 1
    assert next(iter(added)).startswith("fresh-")


@pytest.mark.requirement("AUTH-3.3-2")
def test_the_key_appears_in_nothing_the_server_kept(seat: Seat) -> None:
    kept = [path for path in Path(seat.state).rglob("*") if path.is_file()]
    assert any(path.name.endswith(".sqlite") for path in kept)
    assert not [path for path in kept if seat.hub.api_key.encode() in path.read_bytes()]
    assert seat.hub.api_key not in json.dumps([str(message) for message in seat.messages])
