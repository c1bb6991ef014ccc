"""Others' implementations of x402 at our merchant and facilitator: ``x402`` and ``x402-conformance``, npm's ``@x402``."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jecp_mcp import jsontext
from jecp_mcp.wire.x402.assets import SANDBOX_ASSET
from jecp_mcp.wire.x402.payment import payment_json
from jecp_mcp.wire.x402.secp256k1 import PrivateKey
from tests.acceptance.foreign.installed import node_folder
from tests.contract.x402.test_facilitator import REFUSALS, SIGNED, Asked
from tests.foreign_facilitator import SandboxChain, require
from tests.x402_sandbox import PaidHttp, Payer, serving

pytestmark = [pytest.mark.slow, pytest.mark.anyio]


@pytest.fixture(scope="module")
def served() -> Iterator[PaidHttp]:
    """A sandbox of these tests' own: a judge takes the machine's time for the chain's, which others move."""
    with serving() as shop:
        yield shop


@pytest.fixture(autouse=True)
def judges() -> None:
    require()


@pytest.fixture
def foreign(shop: PaidHttp, payer: Payer, monkeypatch: pytest.MonkeyPatch) -> Any:
    """x402's own client with the payer's key; it knows the sandbox's chain in version 1 too."""
    from eth_account import Account
    from x402 import x402Client
    from x402.mechanisms.evm.exact import register_exact_evm_client
    from x402.mechanisms.evm.exact.v1.client import ExactEvmSchemeV1
    from x402.mechanisms.evm.signers import EthAccountSigner
    from x402.mechanisms.evm.v1 import constants

    monkeypatch.setitem(constants.V1_NETWORK_CHAIN_IDS, SANDBOX_ASSET.v1_network, SANDBOX_ASSET.chain_id)
    account = Account.create()
    shop.http.post(shop.where["faucet"], json={"address": account.address}).raise_for_status()
    client = x402Client()
    # It knows real tokens only, so its own limits would refuse this one.
    client.set_spend_controls(False)
    signer = EthAccountSigner(account)
    register_exact_evm_client(client, signer)
    client.register_v1(SANDBOX_ASSET.v1_network, ExactEvmSchemeV1(signer))
    client.judged_address = account.address.lower()
    return client


@pytest.mark.parametrize(
    ("path", "method", "price"),
    [
        ("/offers/v2", "GET", 1_000),
        ("/offers/v1", "GET", 1_000),
        ("/offers/both", "GET", 1_000),
        ("/offers/mpp-and-x402", "GET", 1_000),
        ("/offers/solana-first", "GET", 1_000),
        ("/offers/identifier", "GET", 1_000),
        ("/abstract", "POST", 10_000),
        ("/qr-code?text=hello", "GET", 2_000),
    ],
)
async def test_a_foreign_client_buys(shop: PaidHttp, foreign: Any, path: str, method: str, price: int) -> None:
    from x402.http import decode_payment_response_header
    from x402.http.clients.httpx import x402HttpxClient

    body = {"json": {"text": "Rain fell. Nobody slept."}} if method == "POST" else {}
    async with x402HttpxClient(foreign) as http:
        answer = await http.request(method, f"{shop.url}{path}", **body)
    assert answer.status_code == 200, answer.text
    assert shop.chain.paid_by(foreign.judged_address) == [price]
    header = answer.headers.get("payment-response") or answer.headers["x-payment-response"]
    receipt = decode_payment_response_header(header)
    assert receipt.success
    assert receipt.transaction == shop.chain.transfers()[-1]["hash"]


async def test_a_foreign_client_pays_again_where_its_answer_was_lost(shop: PaidHttp, foreign: Any) -> None:
    """What a buyer must not do; it shows that the chain counts each payment."""
    from x402.http.clients.httpx import x402HttpxClient

    shop.merchant.fault("double_402", "/offers/v2")
    async with x402HttpxClient(foreign) as http:
        for _ in range(2):
            await http.get(f"{shop.url}/offers/v2")
    assert shop.chain.paid_by(foreign.judged_address) == [1_000, 1_000]


@pytest.mark.parametrize("version", [1, 2])
async def test_a_foreign_merchants_client_has_payments_verified_and_settled(payer: Payer, version: int) -> None:
    from x402.http import FacilitatorConfig, HTTPFacilitatorClient
    from x402.schemas import PaymentPayload, PaymentRequirements
    from x402.schemas.v1 import PaymentPayloadV1, PaymentRequirementsV1

    asked = Asked(payer, version)
    payload_type, terms_type = (
        (PaymentPayloadV1, PaymentRequirementsV1) if version == 1 else (PaymentPayload, PaymentRequirements)
    )
    payload = payload_type.model_validate(jsontext.plain(payment_json(asked.payment)))
    terms = terms_type.model_validate(asked.requirements)
    client = HTTPFacilitatorClient(FacilitatorConfig(url=payer.shop.where["facilitator"]))
    try:
        kinds = {(kind.x402_version, str(kind.network)) for kind in client.get_supported().kinds}
        assert kinds == {(2, SANDBOX_ASSET.network), (1, SANDBOX_ASSET.v1_network)}
        assert (await client.verify(payload, terms)).is_valid
        settled = await client.settle(payload, terms)
        assert settled.success
        assert payer.used(asked.payment)
        refused = await client.verify(payload, terms)
        assert refused.invalid_reason == "invalid_exact_evm_nonce_already_used"
    finally:
        await client.aclose()


STRICTER = {"another scheme is asked for", "another name", "another version", "permit2", "no price"}
"""What ours refuses and theirs leaves to whoever asks it, or to a simulation on the chain."""
FOREIGN_CHECKS = [name for name in REFUSALS if name not in STRICTER]


@pytest.mark.parametrize("change", [None, "used", *FOREIGN_CHECKS, *SIGNED])
def test_a_foreign_facilitator_comes_to_the_same_verdict(payer: Payer, change: str | None) -> None:
    from x402 import SchemeNotFoundError, x402FacilitatorSync
    from x402.mechanisms.evm.exact import register_exact_evm_facilitator
    from x402.schemas import PaymentPayload, PaymentRequirements

    other: Callable[[int], dict[str, Any]] = SIGNED[change][0] if change in SIGNED else lambda _now: {}
    asked = Asked(payer, **other(payer.shop.chain.now()))
    if change in REFUSALS:
        REFUSALS[change][0](asked)
    elif change == "used":
        assert asked.post("/settle")["success"]
    judge = x402FacilitatorSync()
    register_exact_evm_facilitator(judge, SandboxChain(payer.shop), [SANDBOX_ASSET.network, "eip155:8453"])
    body = asked.body()
    ours = asked.post("/verify")
    try:
        theirs = judge.verify(
            PaymentPayload.model_validate(body["paymentPayload"]),
            PaymentRequirements.model_validate(body["paymentRequirements"]),
        ).is_valid
    except SchemeNotFoundError:
        theirs = False
    assert theirs is ours["isValid"] is (change is None)


def conformance(*arguments: str) -> list[dict[str, Any]]:
    ran = subprocess.run(
        [sys.executable, "-m", "x402conf", *arguments, "--fail-on-error"], capture_output=True, check=False, timeout=120
    )
    assert ran.stdout, ran.stderr
    return json.loads(ran.stdout)["results"]


def test_every_offer_conforms(shop: PaidHttp) -> None:
    paths = ["v2", "v1", "both", "solana-first", "many", "identifier", "upfront", "mpp-and-x402"]
    for result in conformance("resource", *(f"{shop.url}/offers/{path}" for path in paths), f"{shop.url}/qr-code"):
        failed = [check for check in result["checks"] if not check["pass"]]
        assert not failed, (result["target"], failed)


def test_the_facilitator_conforms(shop: PaidHttp) -> None:
    (result,) = conformance("live", str(shop.where["facilitator"]))
    failed = [check for check in result["checks"] if not check["pass"]]
    assert not failed, failed


def test_the_typescript_client_buys(shop: PaidHttp) -> None:
    folder = node_folder(Path(__file__).with_name("buy.mjs"))
    key = secrets.token_bytes(32)
    shop.http.post(shop.where["faucet"], json={"address": PrivateKey(key).address}).raise_for_status()
    sold = {"/offers/v2": "GET", "/offers/both": "GET", "/offers/solana-first": "GET", "/abstract": "POST"}
    asked = [part for path, method in sold.items() for part in (method, f"{shop.url}{path}")]
    node = str(folder / "node_modules" / ".bin" / "node")
    ran = subprocess.run(
        [node, "buy.mjs", f"0x{key.hex()}", str(shop.where["facilitator"]), *asked],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-2_000:]
    found = json.loads(ran.stdout)
    assert found["address"].lower() == PrivateKey(key).address
    assert [(each["status"], each["receipt"]["success"]) for each in found["bought"]] == [(200, True)] * len(sold)
    assert shop.chain.paid_by(PrivateKey(key).address) == [1_000, 1_000, 1_000, 10_000]
    assert found["kinds"] == 2
