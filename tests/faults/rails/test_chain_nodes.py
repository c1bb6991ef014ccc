"""Nodes that answer with something else than what was asked: none of it frees or spends anything."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from jecp_mcp.clock import SystemClock
from jecp_mcp.http_gate import HttpGate
from jecp_mcp.rails.x402.chain import ChainReader
from jecp_mcp.wire.x402.assets import SANDBOX_ASSET
from jecp_mcp.wire.x402.payment import Authorization
from tests.faults.rails.raw_hub import Request, Script, raw_hub, says

pytestmark = pytest.mark.anyio

AUTHORIZATION = Authorization("0x" + "a1" * 20, "0x" + "b2" * 20, 1, 0, 1_000, b"\x07" * 32)
GOOD: dict[str, Any] = {
    "eth_chainId": hex(SANDBOX_ASSET.chain_id),
    "latest": {"number": "0x20", "hash": "0x" + "1" * 64, "timestamp": "0x3000"},
    "eth_getBlockByNumber": {"number": "0x14", "hash": "0x" + "2" * 64, "timestamp": "0x2000"},
    "eth_call": "0x" + "0" * 64,
    "eth_getLogs": [],
}


def node(**wrong: Any) -> Script:
    answers = GOOD | wrong

    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        asked = request.json
        name = "latest" if asked["params"][:1] == ["latest"] else asked["method"]
        answer = answers[name]
        body = (
            answer if isinstance(answer, bytes) else json.dumps({"jsonrpc": "2.0", "id": 1, "result": answer}).encode()
        )
        await says(body)(request, writer)

    return script


async def found(**wrong: Any) -> tuple[bool | None, str, str | None]:
    async with raw_hub(node()) as one, raw_hub(node(**wrong)) as two, HttpGate(SystemClock(), loopback=True) as gate:
        reader = ChainReader(gate, {SANDBOX_ASSET.network: [two.url, one.url]}, 12)
        said = await reader.find(SANDBOX_ASSET, AUTHORIZATION)
        return said.used, said.reason, said.transaction


async def test_two_good_nodes_say_that_it_was_never_used() -> None:
    assert await found() == (False, "", None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"eth_chainId": "0x1"},
        {"eth_chainId": 1},
        {"eth_chainId": "0x01"},
        {"eth_chainId": b"not json"},
        {"eth_chainId": b"[]"},
        {"eth_chainId": b'{"error":{"code":-32000},"result":"0x1"}'},
        {"eth_chainId": b"{}"},
        {"latest": None},
        {"latest": "0x20"},
        {"latest": {"number": "0x5", "hash": "0x" + "1" * 64, "timestamp": "0x1"}},
        {"latest": {"number": 32, "hash": "0x" + "1" * 64, "timestamp": "0x1"}},
        {"latest": {"number": "0x20", "hash": "x", "timestamp": "0x1"}},
        {"eth_getBlockByNumber": None},
        {"eth_getBlockByNumber": GOOD["eth_getBlockByNumber"] | {"hash": "0x" + "3" * 64}},
        {"eth_getBlockByNumber": GOOD["eth_getBlockByNumber"] | {"number": "0x15"}},
        {"eth_getBlockByNumber": GOOD["eth_getBlockByNumber"] | {"timestamp": None}},
        {"eth_call": "0x"},
        {"eth_call": None},
        {"eth_call": "0x" + "0" * 63 + "2"},
        {"eth_call": "0x" + "0" * 63 + "1"},
    ],
)
@pytest.mark.slow
async def test_a_node_that_says_anything_else_frees_nothing(wrong: dict[str, Any]) -> None:
    used, reason, _ = await found(**wrong)
    assert used is None
    assert reason


@pytest.mark.parametrize("logs", [[], "x", [{}], [{"transactionHash": "0x1"}], [{}, {}], b"not json"])
@pytest.mark.slow
async def test_a_transfer_that_is_not_found_is_no_less_proven(logs: Any) -> None:
    used = {"eth_call": "0x" + "0" * 63 + "1", "eth_getLogs": logs}
    async with (
        raw_hub(node(**used)) as one,
        raw_hub(node(**used)) as two,
        HttpGate(SystemClock(), loopback=True) as gate,
    ):
        reader = ChainReader(gate, {SANDBOX_ASSET.network: [two.url, one.url]}, 12)
        said = await reader.find(SANDBOX_ASSET, AUTHORIZATION)
        assert (said.used, said.transaction) == (True, None)


@pytest.mark.slow
async def test_a_block_before_the_end_frees_nothing() -> None:
    early = GOOD["eth_getBlockByNumber"] | {"timestamp": "0x3e7"}
    block = {"eth_getBlockByNumber": early}
    async with (
        raw_hub(node(**block)) as one,
        raw_hub(node(**block)) as two,
        HttpGate(SystemClock(), loopback=True) as gate,
    ):
        reader = ChainReader(gate, {SANDBOX_ASSET.network: [two.url, one.url]}, 12)
        assert (await reader.find(SANDBOX_ASSET, AUTHORIZATION)).used is None
