"""Killed at any step of a call that is paid by x402, by many at once and in many processes: one authorization a call.

After every death what the chain took is at most what the ledger holds and counts as charged; and when every window is
closed, it is what is charged.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.wire.x402.secp256k1 import PrivateKey
from tests.crash.calls.children import ROOM, Child, ledger_rows
from tests.crash.calls.hub_x402_worker import Life, live
from tests.crash.mandate.points import spread
from tests.hub_x402_house import EITHER, PRICE, TEXT, House, X402Hub, house, x402_hub
from tests.paid_http_house import CHARGED, FREE
from tests.x402_sandbox import serving

pytestmark = pytest.mark.anyio

FAULTS: dict[str, dict[str, Any] | None] = {
    "clean": None,
    "sold, and the answer lost": {"fault": "drop_after_charge"},
    "taken, and the connection lost": {"fault": "drop_before", "after_settlement": True},
    "never taken": {"fault": "code:X402_SETTLEMENT_TIMEOUT"},
    "lost on the way": {"fault": "drop_before"},
}
FOR_EVERY_CHANGE = ("clean", "sold, and the answer lost")


@pytest.fixture(scope="module")
def hub() -> Iterator[X402Hub]:
    with serving() as shop, x402_hub(shop) as served:
        yield served


@pytest.fixture
def market(hub: X402Hub, monkeypatch: pytest.MonkeyPatch) -> Market:
    return Market(hub, monkeypatch)


class Market:
    """The Hub, and a new wallet with its state folder for every purchase."""

    def __init__(self, hub: X402Hub, patch: pytest.MonkeyPatch) -> None:
        self.hub, self.patch, self.deaths = hub, patch, 0

    async def buy(self, fault: str, lasts: list[int | str], *, callers: int = 1, payment: str = "auto") -> list[Child]:
        """Buy in as many processes as there are `lasts`, recover in one more, buy again, and close the books."""
        self.hub.wallet("1" if payment == "x402" else "0")
        with tempfile.TemporaryDirectory(dir=ROOM) as name:
            self.folder, self.secret = Path(name), secrets.token_bytes(32)
            self.address = PrivateKey(self.secret).address
            try:
                return await self._buy(fault, lasts, callers, payment)
            finally:
                self.hub.put_right()

    async def _buy(self, fault: str, lasts: list[int | str], callers: int, payment: str) -> list[Child]:
        async with self._house(payment) as home:
            ahead = home.clock.ahead
        asked = FAULTS[fault]
        if asked is not None:
            self.hub.fault(**asked)
        at = (
            self.folder,
            self.secret,
            self.hub.url,
            self.hub.agent_id,
            self.hub.api_key,
            self.hub.shop.rpc,
            ahead,
            payment,
        )
        running = [Child(live, Life(*at, callers, last)) for last in lasts]
        children = [one.end() for one in running]
        self.deaths += sum(one.died is not None for one in children)
        self.check()
        children.append(Child(live, Life(*at, 0, 0)).end())
        self.check()
        self.hub.put_right()
        async with self._house(payment) as home:
            await home.call(EITHER, **TEXT)
            self.check()
            for seconds in (700, 86_400):
                home.pass_time(seconds)
                for _ in range(2):
                    await home.bridge.calls.recover()
                self.check()
            await self._close(home)
        return children

    async def _close(self, home: House) -> None:
        """At the end: nobody is in doubt, what was paid is charged, and no call has two authorizations."""
        rows = await home.rows()
        assert {row.state.value for row in rows} <= CHARGED | FREE | {"written_off"}, rows
        assert sum(row.charged - row.refunded for row in rows) == sum(home.paid), rows
        for row in rows:
            events = await home.bridge.ledger.events(row.call_id, limit=100)
            marks = [one.facts["mark"] for one in events if one.event == "note"]
            assert marks in ([], ["authorized"])
        assert len(home.paid) <= len(rows)

    def _house(self, payment: str) -> Any:
        return house(self.folder, self.hub, self.patch, payment, secret=self.secret)

    def check(self) -> None:
        """What was taken is in the books."""
        rows = ledger_rows(self.folder, "state, held, charged, refunded")
        counted = sum(
            charged - refunded if state in CHARGED else held * (state not in FREE)
            for state, held, charged, refunded in rows
        )
        assert sum(self.hub.shop.chain.paid_by(self.address)) <= counted


async def count(market: Market, fault: str, **how: Any) -> int:
    """How many points such a purchase has."""
    [bought, _] = await market.buy(fault, [0], **how)
    return bought.passed


@pytest.mark.slow
@pytest.mark.parametrize("fault", FOR_EVERY_CHANGE)
async def test_a_call_is_paid_once_wherever_its_process_is_killed(market: Market, fault: str) -> None:
    most = await count(market, fault)
    for last in ("after the signature", most * 2 // 3):
        await market.buy(fault, [last])
    assert market.deaths == 2


@pytest.mark.slow
async def test_eight_processes_that_buy_the_same_pay_each_call_once_whichever_of_them_are_killed(
    market: Market,
) -> None:
    children = await market.buy("clean", [0, 0, 0, 0, 0, "after the signature", "before the signature", 40])
    assert any(one.heard for one in children)
    # Whoever came when the first was bought and delivered bought anew: each call was paid once.
    assert set(market.hub.shop.chain.paid_by(market.address)) == {PRICE}


@pytest.mark.long
@pytest.mark.parametrize("payment", ["auto", "x402"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_every_step_can_be_the_last(market: Market, fault: str, payment: str) -> None:
    most = await count(market, fault, payment=payment)
    for last in range(1, most + 1):
        await market.buy(fault, [last], payment=payment)
    assert market.deaths >= most


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
async def test_by_many_at_once_every_step_can_be_the_last(market: Market, fault: str) -> None:
    most = await count(market, fault, callers=8)
    for last in spread(most, 12):
        await market.buy(fault, [last], callers=8)
    assert market.deaths
