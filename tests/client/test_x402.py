"""`JecpClient` that pays by x402 through its mandate: at a real Hub, its facilitator and their chain."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

import jecp_mcp
from jecp_mcp import (
    CallInDoubtError,
    InsufficientPaymentOptionsError,
    JecpClient,
    Mandate,
    SpendingLimitError,
    X402Error,
)
from jecp_mcp.errors import ExtraMissing
from jecp_mcp.extras import Extra
from jecp_mcp.settings import LedgerSettings
from jecp_mcp.settings.wallet_key import FILE, KEY_VARIABLE, SANDBOX_FILE, store_wallet_key
from jecp_mcp.wire.x402.assets import SANDBOX_ASSET
from jecp_mcp.wire.x402.secp256k1 import PrivateKey
from tests.crash.calls.children import ledger_rows
from tests.hub_x402_house import PRICE, TEXT, X402Hub, x402_hub
from tests.x402_sandbox import serving

pytestmark = pytest.mark.anyio

EITHER, ONLY = ("lab/counting", "either", TEXT), ("lab/counting", "only", TEXT)
NETWORK = SANDBOX_ASSET.network
KEY = "0x" + "5a" * 32
OTHER = "0x" + "11" * 20


@pytest.fixture(scope="module")
def served() -> Iterator[X402Hub]:
    with serving() as shop, x402_hub(shop) as hub:
        yield hub


@pytest.fixture
def hub(served: X402Hub) -> Iterator[X402Hub]:
    served.wallet("0")
    yield served
    served.put_right()


class Buyer:
    """A program's folder and its wallet, which is funded."""

    def __init__(self, hub: X402Hub, folder: Path) -> None:
        self.hub, self.folder, secret = hub, folder, secrets.token_bytes(32)
        self.key, self.address = f"0x{secret.hex()}", PrivateKey(secret).address
        hub.shop.http.post(hub.shop.where["faucet"], json={"address": self.address}).raise_for_status()

    def client(self, payment: Any, limits: Mapping[str, str] | None = None, **x402: Any) -> JecpClient:
        return JecpClient(
            self.hub.agent_id,
            self.hub.api_key,
            base_url=self.hub.url,
            mandate=Mandate(self.folder / "ledger.sqlite", **(limits or {})),
            payment=payment,
            wallet_key=self.key,
            x402={"networks": [NETWORK], "rpc": {NETWORK: self.hub.shop.rpc}, **x402},
        )

    @property
    def paid(self) -> list[int]:
        """What left the wallet, each transfer in micro-USDC."""
        return self.hub.shop.chain.paid_by(self.address)

    def rows(self) -> list[tuple[Any, ...]]:
        return ledger_rows(self.folder, "state, held, charged")


@pytest.fixture
def buyer(hub: X402Hub, tmp_path: Path) -> Buyer:
    return Buyer(hub, tmp_path)


@pytest.mark.slow
async def test_a_program_pays_by_x402_within_its_limit(buyer: Buyer) -> None:
    buyer.hub.wallet("0.005")
    async with buyer.client("auto", {"hourly_usdc": "0.015"}) as hub:
        first = await hub.invoke(*EITHER)
        assert (first.charged, buyer.hub.sold()[-1][0], buyer.paid) == (True, "wallet", [])
        second = await hub.invoke(*EITHER)
        assert (second.billing.method, second.cost, second.charged) == ("x402", PRICE, True)
        async with hub.stream(*ONLY) as events:
            heard = [event async for event in events]
        assert (events.result, events.result and events.result.charged) == (heard[-1], True)
        with pytest.raises(SpendingLimitError) as refused:
            await hub.invoke(*EITHER)
        assert (refused.value.charged, refused.value.details["limit"]) == (False, "hourly_usdc")
    async with buyer.client("x402", {"per_call_usdc": "0.004"}) as hub:
        with pytest.raises(SpendingLimitError) as dear:
            await hub.invoke(*ONLY, label="another")
        assert (dear.value.charged, dear.value.code) == (False, "PER_CALL_LIMIT")
    assert buyer.paid == [PRICE, PRICE]
    assert buyer.rows() == [("settled", PRICE, PRICE)] * 3
    assert buyer.key not in repr(vars(hub))


@pytest.mark.slow
async def test_a_payment_that_nobody_waits_for_any_more_has_its_end(
    buyer: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with buyer.client("x402") as hub:
        post = hub._hub.post
        with anyio.CancelScope() as scope:

            async def leaving(*given: Any, **more: Any) -> Any:
                if more.get("payment") is not None:
                    scope.cancel()
                return await post(*given, **more)

            monkeypatch.setattr(hub._hub, "post", leaving)
            await hub.invoke(*ONLY)
        assert scope.cancelled_caught
    assert (buyer.paid, buyer.rows()) == ([PRICE], [("settled", PRICE, PRICE)])
    async with buyer.client("x402") as hub:
        again = await hub.invoke(*ONLY)
        assert (again.charged, again.output["words"]) == (True, 2)
    assert buyer.paid == [PRICE], "its answer waited for whoever asks again"


@pytest.mark.slow
async def test_a_payment_whose_answer_was_lost_is_found_out_by_the_next_program(buyer: Buyer) -> None:
    buyer.hub.fault("drop_after_charge")
    async with buyer.client("x402", {"daily_usdc": "0.005"}) as hub:
        with pytest.raises(CallInDoubtError) as lost:
            await hub.invoke(*EITHER)
        assert lost.value.charged is None
        with pytest.raises(SpendingLimitError):
            await hub.invoke(*ONLY)
    assert buyer.rows() == [("in_doubt", PRICE, 0)]
    # One that makes no payments any more finds out about those that were made.
    async with buyer.client("wallet") as hub:
        found = await hub.find_out(str(lost.value.request_id))
        assert (found.charged, found.cost, found.output["words"]) == (True, PRICE, 2)
        assert await hub.open_calls() == ()
    assert buyer.paid == [PRICE]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("X402_PAYMENT_INVALID", jecp_mcp.X402PaymentInvalidError),
        ("X402_NOT_ACCEPTED", jecp_mcp.X402NotAcceptedError),
        ("X402_SETTLEMENT_TIMEOUT", jecp_mcp.X402SettlementTimeoutError),
        ("X402_FACILITATOR_UNREACHABLE", jecp_mcp.X402FacilitatorUnreachableError),
        ("X402_SETTLEMENT_REUSED", jecp_mcp.X402SettlementReusedError),
    ],
)
async def test_what_the_hub_says_of_a_payment_is_an_error_of_its_kind_and_still_counted(
    buyer: Buyer, code: str, kind: type[X402Error]
) -> None:
    buyer.hub.fault(f"code:{code}")
    async with buyer.client("x402") as hub:
        with pytest.raises(kind) as refused:
            await hub.invoke(*ONLY)
        error = refused.value
        assert (type(error), error.code, error.charged) == (kind, code, None)
        assert (error.next_action or {})["type"] == "find_out", "whatever the Hub advises, nothing is signed anew"
        assert await hub.open_calls() == (error.request_id,)
    assert buyer.rows() == [("in_doubt", PRICE, 0)]


@pytest.mark.slow
async def test_what_may_not_be_paid_is_not_signed(buyer: Buyer) -> None:
    async with buyer.client("wallet") as hub:
        with pytest.raises(InsufficientPaymentOptionsError) as off:
            await hub.invoke(*ONLY)
    async with buyer.client("x402", x402_pay_to=[OTHER]) as hub:
        with pytest.raises(InsufficientPaymentOptionsError) as another:
            await hub.invoke(*ONLY)
    for error, code in ((off.value, "PAYMENT_METHOD_OFF"), (another.value, "CHALLENGE_REFUSED")):
        assert (error.code, error.charged, (error.next_action or {})["actor"]) == (code, False, "operator")
    assert buyer.paid == []
    assert {state for state, _, _ in buyer.rows()} <= {"released"}


@pytest.mark.slow
async def test_the_servers_settings_say_how_it_is_paid(buyer: Buyer, tmp_path: Path) -> None:
    store_wallet_key(tmp_path / SANDBOX_FILE, bytes.fromhex(buyer.key[2:]))
    config, rpc = tmp_path / "config.toml", json.dumps(buyer.hub.shop.rpc)
    config.write_text(
        f'[hub]\nbase_url = "{buyer.hub.url}"\nx402_pay_to = ["{OTHER}"]\n'
        f'[paid_http]\nnetworks = ["{NETWORK}"]\nrpc = {{ "{NETWORK}" = {rpc} }}\n'
    )
    account = buyer.hub.agent_id, buyer.hub.api_key
    for x402, paid in ((None, []), ({"x402_pay_to": []}, [PRICE])):
        mandate = Mandate.from_settings(config, state=tmp_path)
        async with JecpClient(*account, base_url=buyer.hub.url, mandate=mandate, payment="x402", x402=x402) as hub:
            if paid:
                assert (await hub.invoke(*ONLY)).charged
            else:
                with pytest.raises(InsufficientPaymentOptionsError, match="does not let"):
                    await hub.invoke(*ONLY)
        assert buyer.paid == paid


def made(folder: Path, url: str = "https://hub.example", **options: Any) -> JecpClient:
    return JecpClient("agent-1", "key-0123456789", base_url=url, mandate=Mandate(folder / "ledger.sqlite"), **options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"payment": "x402"}, f"needs a wallet's key: give wallet_key, or set {KEY_VARIABLE}"),
        ({"payment": "auto", "wallet_key": "0xfeedbeef"}, "wallet_key: is no private key"),
        ({"payment": "auto", "wallet_key": "00" * 32}, "private key"),
        (
            {"payment": "auto", "wallet_key": KEY, "x402": {"networks": ["eip155:8453", NETWORK]}},
            "is the sandbox's|one kind",
        ),
        ({"payment": "auto", "wallet_key": KEY, "url": "http://127.0.0.1:9"}, "the Hub is on this machine"),
        ({"x402": {"nodes": ["https://feedbeef.example"]}}, "x402 has no nodes: it takes confirmations, max_valid"),
        ({"x402": {"rpc": {"eip155:8453": ["https://node.example/feedbeef"]}}}, "rpc"),
        ({"payment": "cash"}, "payment: .*'wallet', 'x402' or 'auto'"),
    ],
)
def test_what_cannot_pay_by_x402_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], says: str
) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    with pytest.raises(ValueError, match=says) as refused:
        made(tmp_path, **options)
    assert "feedbeef" not in str(refused.value)


def test_the_key_comes_from_the_environment_or_from_beside_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    made(tmp_path, payment="x402")
    monkeypatch.delenv(KEY_VARIABLE)
    store_wallet_key(tmp_path / FILE, bytes.fromhex(KEY[2:]))
    made(tmp_path, payment="x402")
    with pytest.raises(ValueError, match="needs a wallet's key"):
        # On this machine no key of real money signs, unless the program itself gives it.
        made(tmp_path, "http://127.0.0.1:9", payment="x402", x402={"networks": [NETWORK]})


def test_without_a_mandate_nothing_is_paid_by_x402() -> None:
    for options in ({"payment": "x402"}, {"payment": "auto", "wallet_key": KEY}, {"wallet_key": KEY}, {"x402": {}}):
        with pytest.raises(ValueError, match="payment by x402 goes with a mandate"):
            JecpClient("agent-1", "key-0123456789", **options)


def test_what_signs_is_asked_for_by_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Extra, "missing", lambda self: ["coincurve"] if self.name == "x402" else [])
    with pytest.raises(ExtraMissing, match=r"coincurve.*\[x402\]"):
        made(tmp_path, payment="x402", wallet_key=KEY)
    made(tmp_path, wallet_key=KEY)


def test_a_ledger_whose_servers_settings_are_not_known_loses_nothing_before_any_server_would(tmp_path: Path) -> None:
    kept = Mandate(tmp_path / "ledger.sqlite").ledger_settings
    for more in ({"keep_bodies_days": kept.keep_bodies_days + 1}, {"keep_bodies_mb": kept.keep_bodies_mb + 1}):
        with pytest.raises(ValueError, match="keep_bodies"):
            LedgerSettings.model_validate(more)
    (tmp_path / "config.toml").write_text("[ledger]\nkeep_bodies_days = 7\n")
    known = Mandate.from_settings(tmp_path / "config.toml", state=tmp_path).ledger_settings
    assert known.keep_bodies_days == 7
