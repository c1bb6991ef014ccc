"""The real server process while its machine's clock is set, and no Hub answers: what merchants are paid in it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp import Client

from jecp_mcp.settings.bootstrap_key import FILE
from jecp_mcp.settings.key_file import store_key
from jecp_mcp.settings.wallet_key import SANDBOX_FILE, store_wallet_key
from jecp_mcp.wire.x402.assets import SANDBOX_ASSET
from jecp_mcp.wire.x402.secp256k1 import PrivateKey
from tests.acceptance.roads import MODERN, NOBODY, Road, connect, error_of, output_of
from tests.x402_sandbox import PaidHttp, serving

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

HOURS = 3_600

SET_CLOCK = """
import os, time
_read = time.time_ns
time.time_ns = lambda: _read() + int(float(open(os.environ["CLOCK_AHEAD"]).read()) * 1e9)
"""
"""Loaded by the server's interpreter as it starts; its wall clock is as far ahead as the file says."""


@pytest.fixture(scope="module")
def shop() -> Iterator[PaidHttp]:
    with serving() as served:
        yield served


def settings(shop: PaidHttp, state: Path) -> Path:
    """A wallet for x402 and a control plane, and a file that names both merchants."""
    where, network = shop.where["402flow"], json.dumps(SANDBOX_ASSET.network)
    secret = secrets.token_bytes(32)
    shop.http.post(shop.where["faucet"], json={"address": PrivateKey(secret).address}).raise_for_status()
    store_wallet_key(state / SANDBOX_FILE, secret)
    store_key(state / FILE, where["bootstrap_key"])
    config = state / "config.toml"
    config.write_text(
        f"[paid_http]\nmerchants = [{json.dumps(shop.url)}]\nnetworks = [{network}]\n"
        f"rpc = {{ {network} = {json.dumps(shop.rpc)} }}\n"
        f"[flow402]\nbase_url = {json.dumps(where['control_plane'])}\n"
        f"organization = {json.dumps(where['organization'])}\nagent = {json.dumps(where['agent'])}\n"
        f"merchants = [{json.dumps(where['merchant'])}]\nnetworks = [{network}]\n"
    )
    return config


async def buy(client: Client, merchant: str, text: str) -> str:
    """What became of one QR code: ``bought``, or the code of the refusal."""
    prepared = await client.call_tool("paid_http_prepare", {"url": f"{merchant}/qr-code?text={text}"})
    if not prepared.is_error and "prepared_id" in (output := output_of(prepared)):
        prepared = await client.call_tool("paid_http_execute", {"prepared_id": output["prepared_id"]})
    if not prepared.is_error:
        return "bought"
    failed = error_of(prepared)
    assert failed["charged"] == "no"
    return str(failed["error"]["code"])


async def test_a_clock_that_is_set_ahead_while_the_server_runs_empties_no_limit(shop: PaidHttp, tmp_path: Path) -> None:
    merchants = (shop.url, shop.where["402flow"]["merchant"])
    ahead, patch = tmp_path / "ahead", tmp_path / "patch"
    patch.mkdir()
    (patch / "sitecustomize.py").write_text(SET_CLOCK)
    ahead.write_text("0")
    config = settings(shop, tmp_path)
    given = {"config": str(config), "mandate__daily_usdc": "0.008", "mandate__approve_new_payees": "false"}
    variables = {"PYTHONPATH": str(patch), "CLOCK_AHEAD": str(ahead)}
    async with connect(
        Road("stdio", MODERN), NOBODY, tmp_path, settings=given, variables=variables, sells=False
    ) as client:
        assert [await buy(client, one, "before") for one in merchants] == ["bought"] * 2
        for seconds in (25 * HOURS, -25 * HOURS):
            ahead.write_text(str(seconds))
            assert [await buy(client, one, f"leapt{seconds}") for one in merchants] == ["CLOCK_WRONG"] * 2
        ahead.write_text("0")
        assert [await buy(client, one, "after") for one in merchants] == ["bought"] * 2
        assert await buy(client, merchants[0], "full") == "LIMIT_REACHED"
