"""The chain's word: believed from nodes that agree at a block that is final enough, and from nobody else."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest

from jecp_mcp.clock import SystemClock
from jecp_mcp.http_gate import HttpGate
from jecp_mcp.rails.x402.chain import ChainReader
from jecp_mcp.rails.x402.outcome import OnChain
from jecp_mcp.wire.x402.assets import SANDBOX_ASSET
from jecp_mcp.wire.x402.payment import Authorization
from tests.x402_sandbox import PaidHttp

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

NETWORK = SANDBOX_ASSET.network


@pytest.fixture
async def reader(shop: PaidHttp) -> AsyncIterator[ChainReader]:
    async with HttpGate(SystemClock(), loopback=True) as gate:
        yield ChainReader(gate, {NETWORK: shop.rpc}, 12)


def never(shop: PaidHttp, valid_before: int) -> Authorization:
    return Authorization("0x" + "a1" * 20, "0x" + "b2" * 20, 1, 0, valid_before, secrets.token_bytes(32))


def spent(shop: PaidHttp) -> Authorization:
    bought = shop.payer().buy("/offers/v2")
    assert bought.answer.status_code == 200
    return bought.payment.authorization


async def test_what_was_used_is_used_as_soon_as_it_is_final(shop: PaidHttp, reader: ChainReader) -> None:
    authorization = spent(shop)
    assert (await reader.find(SANDBOX_ASSET, authorization)).used is None, "its block is not final yet"
    shop.chain.advance(60)
    found = await reader.find(SANDBOX_ASSET, authorization)
    [transfer] = [one for one in shop.chain.transfers() if one["nonce"].endswith(authorization.nonce.hex())]
    assert found == OnChain(True, transfer["hash"])


async def test_what_was_never_used_is_free_once_it_ended(shop: PaidHttp, reader: ChainReader) -> None:
    now = shop.chain.now()
    assert (await reader.find(SANDBOX_ASSET, never(shop, now + 30))).used is None
    shop.chain.advance(31)
    assert (await reader.find(SANDBOX_ASSET, never(shop, now + 30))).used is None, "the final block is before its end"
    shop.chain.advance(60)
    assert await reader.find(SANDBOX_ASSET, never(shop, now + 30)) == OnChain(False)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"denies_use": True}, "contradict"),
        ({"chain_id": 8453}, "of the chain 8453"),
        ({"fails": True}, ""),
    ],
)
async def test_a_node_that_is_wrong_frees_nothing(
    shop: PaidHttp, reader: ChainReader, wrong: dict[str, Any], reason: str
) -> None:
    authorization = spent(shop)
    shop.chain.advance(400)
    for node in (1, 2):
        shop.chain.node(node, **wrong)
        found = await reader.find(SANDBOX_ASSET, authorization)
        assert found.used is None
        assert reason in found.reason
        shop.chain.node(node)
    assert (await reader.find(SANDBOX_ASSET, authorization)).used is True


async def test_a_node_that_lags_behind_frees_nothing_before_it_has_seen_the_end(
    shop: PaidHttp, reader: ChainReader
) -> None:
    now = shop.chain.now()
    shop.chain.advance(100)
    shop.chain.node(2, lag_blocks=45)
    assert (await reader.find(SANDBOX_ASSET, never(shop, now + 30))).used is None
    shop.chain.node(2)
    assert await reader.find(SANDBOX_ASSET, never(shop, now + 30)) == OnChain(False)


async def test_without_nodes_or_an_answer_it_says_so(shop: PaidHttp) -> None:
    async with HttpGate(SystemClock(), loopback=True) as gate:
        found = await ChainReader(gate, {}, 12).find(SANDBOX_ASSET, never(shop, 1))
        assert found == OnChain(None, reason="no node is configured")
        away = ChainReader(gate, {NETWORK: ["http://127.0.0.1:9/secret-key", "http://127.0.0.1:9/other"]}, 12)
        found = await away.find(SANDBOX_ASSET, never(shop, 1))
        assert found.used is None
        assert "secret-key" not in found.reason


async def test_the_balance_is_read_from_the_chain(shop: PaidHttp, reader: ChainReader) -> None:
    assert await reader.balance(SANDBOX_ASSET, shop.payer().address) == 25_000_000
