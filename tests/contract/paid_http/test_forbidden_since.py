"""What the operator denies while a payment is in doubt: it is not sent again, and the chain is asked all the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.paid_http_house import house
from tests.x402_sandbox import PaidHttp

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

QR = "/qr-code?text=x"
SECRET = b"\x07" * 32


@pytest.mark.parametrize("settles", [False, True])
async def test_a_merchant_that_is_denied_since_is_not_paid_again_and_the_chain_tells_the_end(
    tmp_path: Path, shop: PaidHttp, monkeypatch: pytest.MonkeyPatch, settles: bool
) -> None:
    async with house(tmp_path, shop, monkeypatch, secret=SECRET) as home:
        before = len(home.paid)
        shop.merchant.fault("cut", "/qr-code", times=1, settles=settles)
        prepared = await home.prepare(QR)
        assert (await home.execute(prepared))["charged"] == "unknown"
        shop.merchant.clear()
    async with house(tmp_path, shop, monkeypatch, secret=SECRET, mandate={"deny": ["paid-http*"]}) as home:
        visits = len(shop.merchant.visits())
        home.pass_time(20)
        await home.bridge.calls.recover()
        assert len(shop.merchant.visits()) == visits
        home.pass_time(400)
        await home.bridge.calls.recover()
        state = (await home.row()).state.value
        assert (len(home.paid) - before, state) == ((1, "reconciled_charged") if settles else (0, "reconciled_free"))
        assert len(shop.merchant.visits()) == visits
