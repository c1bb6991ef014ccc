"""What the operator forbids while a payment is in doubt: no new decision is asked for, and what was decided is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.flow402_house import governed
from tests.x402_sandbox import PaidHttp

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

QR = "/qr-code?text=x"
DENIED: dict[str, Any] = {"mandate": {"deny": ["paid-http*"]}}
UNLISTED: dict[str, Any] = {"merchants": ["http://127.0.0.1:9"]}


@pytest.mark.parametrize("changed", [DENIED, UNLISTED], ids=["denied", "not listed"])
async def test_a_plane_that_has_not_decided_is_not_asked_to(
    tmp_path: Path, shop: PaidHttp, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]
) -> None:
    async with governed(tmp_path, shop, monkeypatch) as home:
        prepared = await home.prepare(QR)
        home.plane.fault("html")
        assert (await home.execute(prepared))["charged"] == "unknown"
    async with governed(tmp_path, shop, monkeypatch, **changed) as home:
        home.pass_time(10)
        await home.bridge.calls.recover()
        found = await home.call("jecp_status", call_id=await home.key())
        assert await home.made() == {}
        assert found["charged"] == "unknown"
        assert (await home.row()).state.value in {"sent", "in_doubt"}
        if changed is DENIED:
            assert found["next_action"]["actor"] == "operator"
            assert "forbids it by now (DENIED_BY_POLICY)" in found["message"]
    async with governed(tmp_path, shop, monkeypatch) as home:
        home.pass_time(60)
        await home.bridge.calls.recover()
        assert await home.books() == ("reconciled_charged", 2_000, 2_000), "allowed again, it is finished"


@pytest.mark.parametrize("changed", [DENIED, UNLISTED], ids=["denied", "not listed"])
async def test_a_plane_that_has_decided_is_asked_what_became_of_it(
    tmp_path: Path, shop: PaidHttp, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]
) -> None:
    async with governed(tmp_path, shop, monkeypatch) as home:
        home.plane.script("executing")
        assert (await home.buy(QR))["error"]["code"] == "CALL_IN_PROGRESS"
    async with governed(tmp_path, shop, monkeypatch, **changed) as home:
        home.pass_time(10)
        await home.bridge.calls.recover()
        assert await home.books() == ("settled", 2_000, 2_000)


async def test_a_receipt_of_a_merchant_that_is_denied_since_is_followed(
    tmp_path: Path, shop: PaidHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with governed(tmp_path, shop, monkeypatch) as home:
        await home.buy(QR)
    async with governed(tmp_path, shop, monkeypatch, **DENIED) as home:
        home.pass_time(31)
        await home.bridge.calls.recover()
        row = await home.row()
        assert (row.look_again_at, "confirmed" in str(row.evidence)) == (None, True)
