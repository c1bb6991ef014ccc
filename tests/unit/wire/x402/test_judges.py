"""Somebody else's signatures beside ours, where eth-account is installed."""

from __future__ import annotations

import random

import pytest

from jecp_mcp.wire.x402.assets import ASSETS, SANDBOX_ASSET
from jecp_mcp.wire.x402.payment import Authorization
from jecp_mcp.wire.x402.secp256k1 import ORDER, PrivateKey, recover
from jecp_mcp.wire.x402.typed_data import authorization_digest
from tests.lacking import lacking

pytestmark = pytest.mark.slow

TYPES = {
    "TransferWithAuthorization": [
        {"name": name, "type": kind}
        for name, kind in {
            "from": "address",
            "to": "address",
            "value": "uint256",
            "validAfter": "uint256",
            "validBefore": "uint256",
            "nonce": "bytes32",
        }.items()
    ]
}


def test_eth_account_signs_the_same_bytes() -> None:
    try:
        from eth_account import Account
        from eth_account.messages import encode_typed_data
    except ImportError:
        lacking("eth-account is not installed", "REQUIRE_JUDGES")
    dice = random.Random(3009)
    for _ in range(40):
        asset = dice.choice((*ASSETS, SANDBOX_ASSET))
        secret = dice.randrange(1, ORDER).to_bytes(32, "big")
        key = PrivateKey(secret)
        made = Authorization(
            key.address,
            f"0x{dice.randrange(1, 1 << 160):040x}",
            dice.randrange(1 << dice.choice([8, 64, 256])),
            dice.randrange(1 << 33),
            dice.randrange(1 << 33),
            dice.randbytes(32),
        )
        domain = {
            "name": asset.name,
            "version": asset.version,
            "chainId": asset.chain_id,
            "verifyingContract": asset.address,
        }
        message = {
            "from": made.sender,
            "to": made.to,
            "value": made.value,
            "validAfter": made.valid_after,
            "validBefore": made.valid_before,
            "nonce": made.nonce,
        }
        signed = Account.from_key(secret).sign_message(encode_typed_data(domain, TYPES, message))
        digest = authorization_digest(asset, made)
        assert key.sign(digest) == bytes(signed.signature)
        assert recover(digest, bytes(signed.signature)) == key.address
