"""What the doctor says of paying merchants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.cli.checks.paid_http import paid_http_findings
from jecp_mcp.cli.options import Start
from jecp_mcp.settings import Settings
from jecp_mcp.settings.wallet_key import FILE, WalletKey, store_wallet_key
from jecp_mcp.wire.x402 import secp256k1
from tests.paid_http_house import sandbox_settings
from tests.x402_sandbox import PaidHttp

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SECRET = b"\x05" * 32


async def findings(start: Start) -> list[tuple[str, str]]:
    return [(one.level.value, f"{one.what} {one.mend}") for one in await paid_http_findings(start)]


async def test_it_says_the_address_and_what_it_holds(tmp_path: Path, shop: PaidHttp) -> None:
    start = Start(sandbox_settings(shop), tmp_path, None, play_wallet=WalletKey(SECRET, "test"))
    said = await findings(start)
    address = secp256k1.PrivateKey(SECRET).address
    assert [level for level, _ in said] == ["ok", "warning"]
    assert address in said[0][1]
    assert "0.00" in said[1][1]
    assert SECRET.hex() not in str(said)
    shop.chain.give(address, 1_000)
    assert "holds 0.001" in (await findings(start))[1][1]
    shop.chain.node(1, fails=True)
    assert (await findings(start))[1][0] == "warning"


def configured(**more: Any) -> Settings:
    return Settings.model_validate({"paid_http": {"merchants": ["https://api.example.com"]} | more})


async def test_it_says_what_is_missing_and_how_to_mend_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JECP_X402_PRIVATE_KEY", raising=False)
    [(level, what)] = await findings(Start(configured(), tmp_path, None))
    assert (level, "jecp-mcp x402 key" in what) == ("fault", True)
    [(level, what)] = await findings(Start(configured(networks=["eip155:5"]), tmp_path, None))
    assert (level, "no token" in what) == ("fault", True)
    store_wallet_key(tmp_path / FILE, SECRET)
    said = await findings(Start(configured(), tmp_path, None))
    assert [level for level, _ in said] == ["ok", "warning"]
    assert "paid_http.rpc" in said[1][1]
    (tmp_path / FILE).chmod(0o644)
    [(level, what)] = await findings(Start(configured(), tmp_path, None))
    assert (level, "other users" in what) == ("fault", True)
    monkeypatch.setattr("jecp_mcp.extras.find_spec", lambda _: None)
    [(level, what)] = await findings(Start(configured(), tmp_path, None))
    assert (level, "[x402]" in what) == ("fault", True)
