"""What the settings come to: networks of one purpose, and never the operator's key on this machine's merchants."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.cli.options import Start
from jecp_mcp.clock import SystemClock
from jecp_mcp.domain.quotes import Quote
from jecp_mcp.errors import SettingsError, WireError
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.registry import Parts, Way
from jecp_mcp.rails.wiring import RAILS
from jecp_mcp.rails.x402.payload import Payload
from jecp_mcp.settings import Settings
from jecp_mcp.settings.command_lines import PLAIN
from jecp_mcp.settings.wallet_key import FILE, KEY_VARIABLE, SANDBOX_FILE, WalletKey, store_wallet_key
from jecp_mcp.wire.x402.assets import SANDBOX_ASSET
from jecp_mcp.wire.x402.secp256k1 import PrivateKey
from tests.unit.rails.x402.test_payload import TERMS

OURS, PLAY = b"\x01" * 32, b"\x02" * 32
NODES = {"eip155:8453": ["https://one.example", "https://two.example"]}
HERE = {"merchants": ["http://127.0.0.1:1"], "networks": [SANDBOX_ASSET.network]}


def settings(**paid_http: Any) -> Settings:
    return Settings.model_validate({"paid_http": {"merchants": ["https://api.example.com"]} | paid_http})


def opened(state: Path, given: Settings, key: WalletKey | None = None) -> Way | None:
    parts = Parts(given, state / "catalog", lambda: None, SystemClock(), state, lambda: key, PLAIN)
    return RAILS["x402"](parts)


def test_without_a_merchant_there_is_no_such_way_to_pay(tmp_path: Path) -> None:
    assert opened(tmp_path, Settings()) is None


@pytest.mark.parametrize(
    ("paid_http", "reason"),
    [
        ({"networks": ["eip155:424242"]}, "no token"),
        ({"networks": ["eip155:8453", "eip155:84532"]}, "test money and of money"),
        ({"rpc": {"eip155:424242": NODES["eip155:8453"]}}, "no token"),
        ({"rpc": NODES | {"eip155:84532": NODES["eip155:8453"]}}, "test money and of money"),
        ({"networks": [SANDBOX_ASSET.network]}, "the sandbox's"),
        ({**HERE, "networks": ["eip155:8453"]}, "the merchants are on this machine, where play money"),
        ({**HERE, "networks": [SANDBOX_ASSET.network, "eip155:84532"]}, "test money|play money"),
    ],
)
def test_money_test_money_and_play_money_are_never_in_one_configuration(
    tmp_path: Path, paid_http: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SettingsError, match=reason):
        opened(tmp_path, settings(**paid_http))


def test_a_missing_or_wrong_key_is_said_and_stops_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, said in ((None, "no wallet key"), (WalletKey(bytes(32), "x"), "no number from 1")):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            way = opened(tmp_path, settings(), key)
        assert way is not None
        assert way.rail.ready() is not None
        assert said in caplog.text
    monkeypatch.setattr("jecp_mcp.extras.find_spec", lambda _: None)
    way = opened(tmp_path, settings(), WalletKey(OURS, "x"))
    assert way is not None
    assert way.rail.ready() is not None
    assert "[x402]" in caplog.text


def test_no_key_to_play_money_is_said_with_the_file_and_no_command_that_makes_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert opened(tmp_path, settings(**HERE)) is not None
    assert f"no key to play money in {tmp_path / SANDBOX_FILE}; use --sandbox" in caplog.text
    assert "x402 key" not in caplog.text


def test_that_a_lost_answer_cannot_be_found_out_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = WalletKey(OURS, "x")
    with caplog.at_level(logging.WARNING):
        assert opened(tmp_path, settings(rpc=NODES), key) is not None
        assert "no nodes" not in caplog.text
        assert opened(tmp_path, settings(), key) is not None
    assert "no nodes are configured for eip155:8453" in caplog.text


def test_on_this_machine_only_the_sandboxs_own_key_ever_pays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, OURS.hex())
    far, near = Start(settings(), tmp_path, None), Start(settings(**HERE), tmp_path, None)
    found = far.wallet()
    assert found is not None
    assert found.secret == OURS
    assert near.wallet() is None
    monkeypatch.delenv(KEY_VARIABLE)
    store_wallet_key(tmp_path / FILE, OURS)
    assert near.wallet() is None
    store_wallet_key(tmp_path / SANDBOX_FILE, PLAY)
    assert [one.secret for one in (near.wallet(), far.wallet()) if one is not None] == [PLAY, OURS]
    given = Start(settings(**HERE), tmp_path, None, play_wallet=WalletKey(b"\x03" * 32, "given")).wallet()
    assert given is not None
    assert given.source == "given"


@pytest.mark.parametrize(("version", "valid_after"), [(2, 0), (1, 999_400)])
@pytest.mark.parametrize("nodes", [NODES, {}])
def test_what_is_written_down_is_one_authorization_from_now_on(
    tmp_path: Path, version: int, valid_after: int, nodes: dict[str, Any]
) -> None:
    way = opened(tmp_path, settings(rpc=nodes, timeout_seconds=20), WalletKey(OURS, "x"))
    assert way is not None
    terms = TERMS.__class__(**{name: getattr(TERMS, name) for name in TERMS.__slots__} | {"version": version})
    payer = PrivateKey(OURS).address
    quote = Quote(MicroUSDC(10_000), "exact", "https://api.example.com", payer, payload=terms.pack())  # type: ignore[arg-type]
    asked = {"url": "https://api.example.com/x", "method": "POST", "headers": {}, "body": "{}"}

    def prepare(hold: int = 10_000, call_id: str = "call_0123456789abcdef") -> Any:
        return way.rail.prepare(call_id, None, asked, quote, MicroUSDC(hold), 1_000_000_000)  # type: ignore[arg-type]

    request = prepare()
    assert prepare() == request, "the same inputs give the same bytes"
    kept = Payload.unpack(request.payload)
    signed = kept.authorization
    assert (signed.sender, signed.to, signed.value) == (payer, terms.pay_to, 10_000)
    assert (signed.valid_after, signed.valid_before) == (valid_after, 1_000_060)
    assert signed.nonce != Payload.unpack(prepare(call_id="call_0123456789abcdeg").payload).authorization.nonce
    assert (request.provable_until, kept.seconds) == (None if nodes else 1_000_060_000, 60)
    for hold in (9_999, 10_001):
        with pytest.raises(WireError):
            prepare(hold)
