"""Buying from a merchant that others made, npm's ``@x402/express`` and ``@x402/core``, with our facilitator or PyPI's."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jecp_mcp.sandbox.paid_http.chain.accounts import MERCHANT
from jecp_mcp.wire.x402.assets import SANDBOX_ASSET
from tests.acceptance.foreign.installed import node_folder
from tests.foreign_facilitator import serving_facilitator
from tests.paid_http_house import House, house
from tests.x402_sandbox import PaidHttp, serving

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

TEXT = {"text": "Rain fell on the mill"}


@pytest.fixture(scope="module")
def served() -> Iterator[PaidHttp]:
    """A sandbox of these tests' own: the judges take the machine's time for the chain's, which others move."""
    with serving() as shop:
        yield shop


@contextmanager
def selling(facilitator: str) -> Iterator[str]:
    """The merchant's URL."""
    folder = node_folder(Path(__file__).with_name("sell.mjs"))
    token = [SANDBOX_ASSET.network, SANDBOX_ASSET.address, SANDBOX_ASSET.name, SANDBOX_ASSET.version, MERCHANT]
    command = [str(folder / "node_modules" / ".bin" / "node"), "sell.mjs", facilitator, *token]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.stdin.close()


@pytest.fixture(scope="module", params=["ours", "PyPI's"])
def merchant(request: pytest.FixtureRequest, served: PaidHttp) -> Iterator[str]:
    if request.param == "ours":
        with selling(str(served.where["facilitator"])) as url:
            yield url
    else:
        with serving_facilitator(served) as facilitator, selling(facilitator) as url:
            yield url


@pytest.fixture
async def home(tmp_path: Path, shop: PaidHttp, monkeypatch: pytest.MonkeyPatch, merchant: str) -> Iterator[House]:
    async with house(tmp_path, shop, monkeypatch, merchants=[merchant]) as made:
        yield made


async def buy(home: House, url: str, **request: object) -> dict[str, object]:
    prepared = await home.call("paid_http_prepare", url=url, **request)
    assert "prepared_id" in prepared, prepared
    return await home.execute(prepared)


async def test_what_it_sells_is_bought_and_the_receipt_is_the_chains(home: House, merchant: str) -> None:
    assert (await buy(home, f"{merchant}/words?text=two%20words"))["body"] == {"words": 2}
    assert (await buy(home, f"{merchant}/count", json=TEXT))["body"] == {"words": 5}
    assert home.paid == [1_000, 2_500]
    rows = await home.rows()
    assert {row.state.value for row in rows} == {"settled"}
    mine = {one["hash"] for one in home.shop.chain.transfers() if one["from"] == home.wallet.address}
    assert {row.reference for row in rows} == mine


async def test_an_answer_that_it_loses_is_paid_for_once(home: House, merchant: str) -> None:
    prepared = await home.call("paid_http_prepare", url=f"{merchant}/lost")
    lost = await home.execute(prepared)
    assert (lost["error"]["code"], lost["charged"]) == ("PAYMENT_IN_DOUBT", "unknown")
    again = await home.execute(prepared)
    assert again["charged"] in {"unknown", "yes"}
    home.pass_time(400)
    assert (await home.result(prepared))["charged"] == "yes"
    assert home.paid == [1_000]
    assert await home.books() == ("reconciled_charged", 1_000, 1_000)


async def test_what_it_fails_at_and_takes_no_money_for_is_given_back_by_the_chain(home: House, merchant: str) -> None:
    prepared = await home.call("paid_http_prepare", url=f"{merchant}/broken")
    assert (await home.execute(prepared))["charged"] == "unknown"
    home.pass_time(400)
    assert (await home.result(prepared))["charged"] == "no"
    assert (home.paid, await home.books()) == ([], ("reconciled_free", 1_000, 0))


async def test_what_costs_more_than_the_limit_is_not_signed_for(home: House, merchant: str) -> None:
    refused = await home.call("paid_http_prepare", url=f"{merchant}/dear")
    assert (refused["error"]["code"], refused["charged"]) == ("PER_CALL_LIMIT", "no")
