"""A program with a mandate, killed at any point of its call: the next one finishes it, and nothing is bought twice."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.jecp import x402_payments
from jecp_mcp.wire.x402.secp256k1 import PrivateKey
from tests.acceptance.roads import SandboxHub, sandbox
from tests.client.mandate_worker import Life, counted, live
from tests.crash.calls.children import Child
from tests.crash.mandate.points import spread
from tests.hub_x402_house import PRICE as X402_PRICE
from tests.hub_x402_house import X402Hub, x402_hub
from tests.x402_sandbox import serving

PRICE = MicroUSDC(500)
IMPORTED = (x402_payments, PrivateKey(b"\x01" * 32).address)
"""What a program imports when it first pays by x402, here before one is forked from this process."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxHub]:
    with sandbox(tmp_path_factory.mktemp("hub") / "hub.sqlite") as hub:
        yield hub


def life(agent: SandboxHub, folder: Path, words: str, last: int = 0) -> Life:
    return Life(folder, agent.url, agent.agent_id, agent.api_key, (words,), last)


@pytest.mark.parametrize(
    "deaths", [pytest.param(4, marks=pytest.mark.slow), pytest.param(1_000, marks=pytest.mark.long)]
)
def test_a_program_killed_at_any_point_buys_nothing_twice(place: SandboxHub, deaths: int) -> None:
    with tempfile.TemporaryDirectory() as made:
        points = Child(live, life(place.new_agent(), Path(made), "measured")).end().passed
    assert points > 10
    for last in spread(points, deaths):
        agent = place.new_agent()
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            assert Child(live, life(agent, folder, "one two", last)).end().died is not None
            taken = len(agent.books()["transactions"]) * PRICE
            assert taken == 0 or taken <= counted(folder)
            [bought] = Child(live, life(agent, folder, "one two")).end().heard
            assert bought["words"] == 2
            assert len(agent.books()["transactions"]) == 1
            assert counted(folder) == PRICE


@pytest.fixture(scope="module")
def x402() -> Iterator[X402Hub]:
    with serving() as shop, x402_hub(shop) as hub:
        yield hub


@pytest.mark.parametrize(
    "deaths", [pytest.param(3, marks=pytest.mark.slow), pytest.param(1_000, marks=pytest.mark.long)]
)
def test_a_program_killed_at_any_point_signs_once_for_a_call_by_x402(x402: X402Hub, deaths: int) -> None:
    shop = x402.shop

    def bought(last: int) -> tuple[Child, Child, list[int], int]:
        """Die at a point and come back: both lives, what the chain took, and what the ledger counts in the end."""
        key = secrets.token_bytes(32)
        address = PrivateKey(key).address
        shop.http.post(shop.where["faucet"], json={"address": address}).raise_for_status()
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            at = (folder, x402.url, x402.agent_id, x402.api_key, ("one two",))
            how = {"key": key.hex(), "rpc": tuple(shop.rpc)}
            first = Child(live, Life(*at, last, **how)).end()
            assert sum(shop.chain.paid_by(address)) <= counted(folder)
            second = Child(live, Life(*at, **how)).end() if last else first
            return first, second, shop.chain.paid_by(address), counted(folder)

    points = bought(0)[0].passed
    for last in spread(points, deaths):
        first, second, paid, in_books = bought(last)
        assert first.died is not None
        [ended] = second.heard
        if ended.get("code") == "HUB_UNREACHABLE":
            # It had only asked what the call costs, and the Hub knows of no sale.
            assert (paid, in_books) == ([], 0)
        else:
            assert ended.get("code") == "CALL_IN_DOUBT" or (ended.get("words"), paid) == (2, [X402_PRICE]), ended
            assert (paid in ([], [X402_PRICE]), in_books) == (True, X402_PRICE)
