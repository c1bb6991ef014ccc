"""Killed anywhere on the way of a payment, and executed by many at once: it is taken once at most."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.clock import SystemClock
from jecp_mcp.wire.x402.secp256k1 import PrivateKey
from tests.crash.calls.paid_http_worker import POINTS
from tests.x402_sandbox import PaidHttp, serving

MODES = ("clean", "cut", "double_402", "5xx_after_settle", "declared_safe", "redirect", "settled_4xx")

SOONER = {
    ("prepared", "clean"),
    ("after the door", "cut"),
    ("answered", "clean"),
    ("answered", "double_402"),
    ("answered", "declared_safe"),
    ("concluded", "clean"),
}
CASES = [
    pytest.param(point, mode, marks=pytest.mark.slow if (point, mode) in SOONER else pytest.mark.long)
    for point in POINTS[1:]
    for mode in MODES
]


@pytest.fixture(scope="module")
def shop() -> Iterator[PaidHttp]:
    with serving() as served:
        yield served


class Wallet:
    """One wallet with its state folder, used by any number of processes."""

    def __init__(self, folder: Path, shop: PaidHttp) -> None:
        self.folder, self.shop, self.secret = folder, shop, secrets.token_bytes(32)
        self.address = PrivateKey(self.secret).address
        shop.http.post(shop.where["faucet"], json={"address": self.address}).raise_for_status()

    def start(self, task: str, argument: str = "", *, kill: str = "none") -> subprocess.Popen[str]:
        where = json.dumps({"url": self.shop.url, "rpc": self.shop.rpc})
        ahead = self.shop.chain.now() - SystemClock().now() // 1000
        command = [sys.executable, "-m", "tests.crash.calls.paid_http_worker", str(self.folder), where]
        given = [self.secret.hex(), str(ahead), kill, task, argument]
        return subprocess.Popen([*command, *given], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def run(self, task: str, argument: str = "", *, kill: str = "none") -> dict[str, Any] | None:
        out, _ = self.start(task, argument, kill=kill).communicate(timeout=300)
        return json.loads(out) if out else None

    @property
    def paid(self) -> list[int]:
        return self.shop.chain.paid_by(self.address)

    def settle(self) -> None:
        """When every window is closed, the books are the chain."""
        self.shop.merchant.clear()
        self.shop.chain.advance(700)
        found = self.run("recover")
        assert found is not None
        assert found["findings"] == []
        assert all(
            row["state"] in {"settled", "reconciled_charged", "released", "reconciled_free"} for row in found["rows"]
        )
        assert sum(row["charged"] - row["refunded"] for row in found["rows"]) == sum(self.paid)


@pytest.mark.parametrize(("point", "mode"), CASES)
def test_killed_anywhere_it_pays_once_and_the_books_are_the_chain(
    tmp_path: Path, shop: PaidHttp, point: str, mode: str
) -> None:
    wallet = Wallet(tmp_path, shop)
    prepared = wallet.run("prepare", f"{shop.url}/qr-code?text={point.replace(' ', '-')}-{mode}")
    assert prepared is not None
    shop.merchant.fault(mode, "/qr-code", times=2)
    wallet.run("execute", prepared["prepared_id"], kill=point)
    assert len(wallet.paid) <= 1
    wallet.run("recover")
    wallet.run("execute", prepared["prepared_id"])
    assert len(wallet.paid) <= 1
    wallet.settle()
    assert len(wallet.paid) <= 1


@pytest.mark.slow
def test_eight_processes_that_execute_one_request_pay_once(tmp_path: Path, shop: PaidHttp) -> None:
    wallet = Wallet(tmp_path, shop)
    prepared = wallet.run("prepare", f"{shop.url}/qr-code?text=eight")
    assert prepared is not None
    running = [wallet.start("execute", prepared["prepared_id"]) for _ in range(8)]
    told = [json.loads(one.communicate(timeout=300)[0]) for one in running]
    assert any(one["status"] == 200 for one in told)
    assert wallet.paid == [2_000]
    wallet.settle()
    assert wallet.paid == [2_000]
