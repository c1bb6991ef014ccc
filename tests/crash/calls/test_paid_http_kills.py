"""Killed at any step of a payment, executed by many at once and in many processes: it is taken once at most.

At every transfer, and after every death, what the chain took is at most what the ledger holds and counts as charged;
and when every window is closed, they are the same.
"""

from __future__ import annotations

import random
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.sandbox.paid_http.chain.chain import Chain
from jecp_mcp.sandbox.paid_http.chain.transactions import Mined
from jecp_mcp.wire.x402.secp256k1 import PrivateKey
from tests.crash.calls.children import ROOM, Child, ledger_rows
from tests.crash.calls.paid_http_worker import Life, live
from tests.crash.mandate.points import spread
from tests.paid_http_house import CHARGED, FREE, house
from tests.x402_sandbox import PaidHttp, serving

pytestmark = pytest.mark.anyio

PRICE = 2_000
PATIENT = 60.0
"""How long an answer is waited for, in seconds, where it will come."""
SLOW = {"accept_then_timeout", "slow_answer"}
"""Modes that are waited for; then a second is enough."""
MODES: dict[str, dict[str, Any]] = {
    "clean": {},
    "accept_then_timeout": {},
    "5xx_after_settle": {},
    "double_402": {},
    "slow_answer": {"seconds": 60},
    "reconcile_unavailable": {},
    "declared_safe": {},
    "redirect": {},
    "redirect after settlement": {"mode": "redirect", "settles": True, "status": 307},
    "settled_4xx": {},
    "late_settlement": {},
    "settlement_pending": {},
    "cut": {},
    "cut before settlement": {"mode": "cut", "settles": False},
    "drop": {},
}
FOR_EVERY_CHANGE = {"cut", "double_402", "late_settlement"}


class Auditor:
    """Compares, at every transfer of the wallet that is looked at, what was taken with what its ledger says."""

    def __init__(self) -> None:
        self.folder, self.address = Path(), ""
        self.taken, self.looked = 0, 0
        self.wrong: list[str] = []

    def look_at(self, folder: Path, address: str) -> None:
        self.folder, self.address, self.taken = folder, address, 0

    def note(self, mined: Mined) -> None:
        transfer = mined.transaction.transfer
        if mined.succeeded and transfer.sender == self.address:
            self.taken += transfer.value
            self.compare("at a transfer")

    def compare(self, when: str) -> None:
        """Read the file as it is, whoever writes it."""
        self.looked += 1
        rows = ledger_rows(self.folder, "state, held, charged, refunded")
        counted = sum(
            charged - refunded if state in CHARGED else held * (state not in FREE)
            for state, held, charged, refunded in rows
        )
        if self.taken > counted:
            self.wrong.append(f"{when}: {self.taken} were taken, and the ledger has {rows}")


@pytest.fixture(scope="module")
def auditor() -> Iterator[Auditor]:
    auditor, book = Auditor(), Chain._book
    with pytest.MonkeyPatch.context() as patch:

        def booking(self: Chain, mined: Mined) -> None:
            book(self, mined)
            auditor.note(mined)

        patch.setattr(Chain, "_book", booking)
        yield auditor


@pytest.fixture(scope="module")
def shop(auditor: Auditor) -> Iterator[PaidHttp]:
    with serving() as served:
        yield served


@pytest.fixture
def market(shop: PaidHttp, auditor: Auditor, monkeypatch: pytest.MonkeyPatch) -> Market:
    return Market(shop, auditor, monkeypatch)


class Market:
    """The merchant, and a new wallet with its state folder for every purchase."""

    def __init__(self, shop: PaidHttp, auditor: Auditor, patch: pytest.MonkeyPatch) -> None:
        self.shop, self.auditor, self.patch = shop, auditor, patch
        self.deaths, self.purchases, self.transfers = 0, 0, 0
        self.looked_before = auditor.looked

    async def buy(self, mode: str, lasts: list[int | str], *, callers: int = 1, then: int | str = 0) -> list[Child]:
        """Prepare, execute in as many processes as there are `lasts`, recover in one more, and close the books."""
        with tempfile.TemporaryDirectory(dir=ROOM) as name:
            self.folder, self.secret = Path(name), secrets.token_bytes(32)
            self.auditor.look_at(self.folder, PrivateKey(self.secret).address)
            self.seconds = 1.0 if mode in SLOW else PATIENT
            if mode in SLOW:
                self.shop.merchant.change("/qr-code", timeout_seconds=1)
            try:
                return await self._buy(mode, lasts, callers, then)
            finally:
                self.shop.merchant.change("/qr-code")
                self.shop.merchant.clear()

    async def _buy(self, mode: str, lasts: list[int | str], callers: int, then: int | str) -> list[Child]:
        async with self._house(PATIENT) as home:
            prepared = await home.prepare("/qr-code?text=once")
            await home.bridge.ledger.flush()
            ahead = home.clock.ahead
        self.shop.merchant.fault(**{"mode": mode, "route": "/qr-code", "times": 2} | MODES[mode])
        here = self.folder, self.secret, self.shop.url, self.shop.rpc, ahead, self.seconds
        running = [Child(live, Life(*here, prepared["prepared_id"], callers, last)) for last in lasts]
        children = [one.end() for one in running]
        self.check("after they executed it", mode, lasts)
        children.append(Child(live, Life(*here, "", 0, then)).end())
        self.check("after it was recovered", mode, then)
        async with self._house(self.seconds) as home:
            await home.execute(prepared)
            self.shop.merchant.settle_kept()
            self.shop.chain.mine()
            self.check("after it was executed again", mode, lasts)
        self.shop.merchant.clear()
        async with self._house(PATIENT) as home:
            home.pass_time(700)
            for _ in range(3):
                await home.bridge.calls.recover()
                rows = await home.rows()
                if {row.state.value for row in rows} <= CHARGED | FREE:
                    break
                home.pass_time(120)  # a node was slow, and is asked again
            assert {row.state.value for row in rows} <= CHARGED | FREE, (mode, lasts)
            assert sum(row.charged - row.refunded for row in rows) == sum(home.paid), (mode, lasts)
            assert home.paid in ([], [PRICE]), (mode, lasts)
            self.transfers += len(home.paid)
        self.purchases += 1
        self.deaths += sum(one.died is not None for one in children)
        return children

    def _house(self, seconds: float) -> Any:
        return house(self.folder, self.shop, self.patch, secret=self.secret, timeout_seconds=seconds)

    def check(self, *when: Any) -> None:
        self.auditor.compare(str(when))
        assert self.auditor.wrong == []


async def count(market: Market, mode: str) -> int:
    """How many points an execution in a mode has."""
    [executed, _] = await market.buy(mode, [0])
    return executed.passed


def report(market: Market, mode: str) -> None:
    print(
        f"{mode}: {market.purchases} purchases, {market.deaths} kills, {market.transfers} transfers, "
        f"{market.auditor.looked - market.looked_before} comparisons"
    )


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
async def test_a_payment_is_taken_once_wherever_its_process_and_the_next_are_killed(market: Market, mode: str) -> None:
    dice = random.Random(mode)
    most = await count(market, mode)
    for last in spread(most, 4 if mode in FOR_EVERY_CHANGE else 1)[1:] or [most * 2 // 3]:
        await market.buy(mode, [last], callers=dice.choice([1, 4]), then=dice.randrange(1, 25))
    report(market, mode)
    assert market.deaths


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
async def test_every_step_of_a_payment_can_be_the_last(market: Market, mode: str) -> None:
    dice = random.Random(mode)
    most = await count(market, mode)
    for last in range(1, most + 1):
        await market.buy(mode, [last], then=dice.randrange(1, 25))
    report(market, mode)
    assert market.deaths >= most


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
async def test_executed_by_many_at_once_every_step_can_be_the_last(market: Market, mode: str) -> None:
    [executed, _] = await market.buy(mode, [0], callers=8)
    for last in spread(executed.passed, 12):
        await market.buy(mode, [last], callers=8)
    report(market, mode)
    assert market.deaths


@pytest.mark.parametrize(
    "mode", [pytest.param(mode, marks=pytest.mark.slow if mode in FOR_EVERY_CHANGE else pytest.mark.long) for mode in MODES]
)  # fmt: skip
async def test_eight_processes_that_execute_one_request_pay_once_whichever_of_them_are_killed(
    market: Market, mode: str
) -> None:
    dice = random.Random(mode)
    children = await market.buy(mode, [0] * 8)
    assert any(one.heard for one in children)
    await market.buy(mode, [0, 0, 0, *(dice.randrange(1, 60) for _ in range(5))])
    report(market, mode)
