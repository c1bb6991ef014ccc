"""Starting the three: what a restart keeps, and what is never started."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from jecp_mcp.errors import SettingsError
from jecp_mcp.sandbox.loopback_server import listen
from jecp_mcp.sandbox.paid_http.config import PaidHttpConfig
from jecp_mcp.sandbox.paid_http.database import Database
from jecp_mcp.wire.x402.assets import ASSETS, SANDBOX_ASSET
from tests.x402_sandbox import Payer, serving

PATH = "/offers/identifier"


def test_a_restart_keeps_places_money_and_answers(tmp_path: Path) -> None:
    config = PaidHttpConfig(tmp_path / "x402.sqlite")
    with serving(config) as shop:
        payer = shop.payer()
        payment = payer.sign(payer.challenge(PATH), identifier="kept-over-a-restart")
        first = payer.send(payment, PATH)
        where, books = shop.where, shop.chain.books()
        with pytest.raises(SettingsError, match="another sandbox is using this file"), serving(config):
            pass
    assert (tmp_path / "x402.sqlite").stat().st_mode & 0o077 == 0
    with serving(config) as shop:
        assert shop.where == where
        again = Payer(shop, payer.key)
        assert shop.chain.books()["transfers"] == books["transfers"]
        assert (again.used(payment), again.balance()) == (True, 25_000_000 - 1_000)
        assert again.send(payment, PATH).content == first.content
        assert shop.chain.paid_by(payer.address) == [1_000]


@pytest.mark.slow
def test_a_port_that_was_taken_meanwhile_is_replaced(tmp_path: Path) -> None:
    config = PaidHttpConfig(tmp_path / "x402.sqlite")
    with serving(config) as shop:
        before = shop.where
    merchant, chain = (int(before[name].rpartition(":")[2]) for name in ("merchant", "chain"))
    assert {merchant, chain} <= set(range(10_000, 20_000)), "no system gives these to outgoing connections"
    with socket.create_server(("127.0.0.1", merchant)), serving(config) as shop:
        assert shop.where["merchant"] != before["merchant"]
        assert shop.where["chain"] == before["chain"]
        assert shop.payer().buy("/offers/v2").answer.status_code == 200


@pytest.mark.slow
def test_a_port_that_another_only_holds_is_no_port_to_listen_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that start at the same moment may both have bound it."""
    with listen(0) as other:
        other.listen()
        port = other.getsockname()[1]

        class Held(socket.socket):
            def listen(self, *_backlog: int) -> None:
                raise OSError("in use")

        def hold(asked: int) -> socket.socket:
            return Held() if asked == port else listen(asked)

        database = Database(tmp_path / "x402.sqlite")
        database.set_fact("ports", f"[{port}]")
        database.close()
        monkeypatch.setattr("jecp_mcp.sandbox.loopback_server.listen", hold)
        with serving(PaidHttpConfig(tmp_path / "x402.sqlite")) as shop:
            assert shop.where["merchant"] != f"http://127.0.0.1:{port}"


def test_a_file_that_is_none_of_its_own_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "x402.sqlite"
    data.write_text("no database, and quite long enough to be seen as none " * 20)
    with pytest.raises(SettingsError, match="cannot hold the test chain"), serving(PaidHttpConfig(data)):
        pass


@pytest.mark.parametrize("real", ASSETS)
def test_nothing_that_has_a_worth_is_ever_taken(real) -> None:
    for asset in (real, replace(SANDBOX_ASSET, network=real.network), replace(SANDBOX_ASSET, address=real.address)):
        with pytest.raises(SettingsError, match="which has a worth"), serving(PaidHttpConfig(asset=asset)):
            pass


def test_the_sandboxs_own_token_is_in_no_real_table() -> None:
    for real in ASSETS:
        assert real.chain_id != SANDBOX_ASSET.chain_id
        assert real.address != SANDBOX_ASSET.address
