"""Signatures and digests, byte for byte as eth-account 0.14, viem and ethers make them (written down beside)."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.errors import WireError
from jecp_mcp.wire.x402.assets import ASSETS, SANDBOX_ASSET, Asset, find_asset, network_of
from jecp_mcp.wire.x402.payment import Authorization
from jecp_mcp.wire.x402.secp256k1 import ORDER, PrivateKey, keccak256, recover
from jecp_mcp.wire.x402.typed_data import authorization_digest, domain_separator
from tests.unit.wire.x402.javascript_vectors import FILE, payments, signed

VECTORS = json.loads(Path(__file__).with_name("signatures.json").read_text(encoding="utf-8"))
JAVASCRIPT = json.loads(FILE.read_text(encoding="utf-8"))["signed"]
ALL = (*ASSETS, SANDBOX_ASSET)
SECRET = b"\x01" * 32
# What the contracts themselves answer to DOMAIN_SEPARATOR().
DEPLOYED = {
    "eip155:8453": "02fa7265e7c5d81118673727957699e4d68f74cd74b7db77da710fe8a2c7834f",
    "eip155:1": "06c37168a7db5138defc7866392bb87a741f9b3d104deb5094588ce041cae335",
    "eip155:84532": "71f17a3b2ff373b803d70a5a07c046c1a2bc8e89c09ef722fcb047abe94c9818",
}


def authorization(vector: dict[str, str]) -> Authorization:
    return Authorization(
        vector["from"],
        vector["to"],
        int(vector["value"]),
        int(vector["validAfter"]),
        int(vector["validBefore"]),
        bytes.fromhex(vector["nonce"]),
    )


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["network"])
def test_a_signature_is_the_same_byte_for_byte(vector: dict[str, Any]) -> None:
    [asset] = [asset for asset in ALL if asset.network == vector["network"]]
    key = PrivateKey(bytes.fromhex(vector["key"]))
    digest = authorization_digest(asset, authorization(vector))
    assert domain_separator(asset).hex() == vector["domain"]
    assert digest.hex() == vector["digest"]
    assert key.address == vector["from"]
    assert key.sign(digest).hex() == vector["signature"]
    assert recover(digest, bytes.fromhex(vector["signature"])) == key.address


@pytest.mark.parametrize("library", ["viem", "ethers"])
def test_what_javascript_signs_is_the_same_byte_for_byte(library: str) -> None:
    assert [{name: one[name] for name in ("key", "domain", "message")} for one in JAVASCRIPT] == payments()
    for vector in JAVASCRIPT:
        asset = find_asset(ALL, f"eip155:{vector['domain']['chainId']}", vector["domain"]["verifyingContract"])
        assert asset is not None
        said = vector["message"]
        digest = authorization_digest(asset, authorization(said | {"nonce": said["nonce"][2:]}))
        assert f"0x{digest.hex()}" == vector[library]["digest"]
        key = PrivateKey(bytes.fromhex(vector["key"][2:]))
        assert f"0x{key.sign(digest).hex()}" == vector[library]["signature"]


@pytest.mark.slow
def test_javascript_signs_what_was_written_down() -> None:
    assert signed() == JAVASCRIPT


def test_every_token_of_the_table_has_a_vector_and_a_domain_of_its_own() -> None:
    assert {vector["network"] for vector in VECTORS} == {asset.network for asset in ALL}
    assert len({domain_separator(asset) for asset in ALL}) == len(ALL)
    assert {asset.network: domain_separator(asset).hex() for asset in ALL if asset.network in DEPLOYED} == DEPLOYED


@pytest.mark.parametrize("name", ["sender", "to", "value", "valid_after", "valid_before", "nonce"])
def test_each_field_is_signed(name: str) -> None:
    fields = {"sender": "0x" + "1" * 40, "to": "0x" + "2" * 40, "value": 1, "valid_after": 2, "valid_before": 3}
    other = {"sender": "0x" + "3" * 40, "to": "0x" + "4" * 40, "nonce": b"\x02" * 32}
    made: dict[str, Any] = {**fields, "nonce": b"\x01" * 32}
    assert authorization_digest(ALL[0], Authorization(**made)) != authorization_digest(
        ALL[0], Authorization(**made | {name: other.get(name, 9)})
    )


def test_another_domain_is_another_signature() -> None:
    made = Authorization("0x" + "1" * 40, "0x" + "2" * 40, 1, 2, 3, b"\x01" * 32)
    base = ASSETS[0]
    named = Asset(base.network, base.v1_network, base.address, base.symbol, "USDC", base.version, 6, testnet=False)
    assert authorization_digest(base, made) != authorization_digest(named, made)


def test_a_key_is_shown_by_its_address_alone() -> None:
    key = PrivateKey(SECRET)
    assert repr(key) == f"PrivateKey({key.address})"
    with pytest.raises(TypeError):
        pickle.dumps(key)


@pytest.mark.parametrize(
    "secret", [b"", b"\x01" * 31, b"\x01" * 33, bytes(32), b"\xff" * 32, ORDER.to_bytes(32, "big")]
)
def test_what_is_no_key_is_refused_without_quoting_it(secret: bytes) -> None:
    with pytest.raises(WireError) as caught:
        PrivateKey(secret)
    assert not secret or secret.hex() not in str(caught.value)


def test_the_other_signature_of_a_pair_is_refused_as_tokens_do() -> None:
    digest = keccak256(b"x")
    good = PrivateKey(SECRET).sign(digest)
    s = ORDER - int.from_bytes(good[32:64], "big")
    with pytest.raises(WireError, match="upper half"):
        recover(digest, good[:32] + s.to_bytes(32, "big") + bytes([55 - good[64]]))


@pytest.mark.parametrize(
    "signature", [b"", bytes(64), bytes(65), bytes(64) + b"\x1b", b"\xff" * 32 + bytes(32) + b"\x1b"]
)
def test_what_is_no_signature_is_refused(signature: bytes) -> None:
    with pytest.raises(WireError):
        recover(keccak256(b"x"), signature)


def test_another_digest_belongs_to_another_key() -> None:
    key = PrivateKey(SECRET)
    assert recover(keccak256(b"y"), key.sign(keccak256(b"x"))) != key.address


def test_the_sandboxs_money_is_no_token_and_its_chain_no_network() -> None:
    assert find_asset(ASSETS, SANDBOX_ASSET.network, SANDBOX_ASSET.address) is None
    assert SANDBOX_ASSET.network not in {asset.network for asset in ASSETS}
    assert network_of(ASSETS, SANDBOX_ASSET.v1_network) is None


def test_a_token_is_found_on_its_own_chain_alone() -> None:
    base, ethereum = ASSETS[0], ASSETS[1]
    assert find_asset(ASSETS, base.network, base.address) is base
    assert find_asset(ASSETS, ethereum.network, base.address) is None
    assert (network_of(ASSETS, "base"), network_of(ASSETS, "solana")) == (base.network, None)


@pytest.mark.parametrize(
    ("decimals", "units", "micro"), [(6, 10_000, 10_000), (18, 10**16, 10_000), (18, 1, 1), (7, 11, 2)]
)
def test_units_are_rounded_up_to_micro_usdc(decimals: int, units: int, micro: int) -> None:
    base = ASSETS[0]
    asset = Asset(base.network, "", base.address, "X", "X", "1", decimals, testnet=False)
    assert asset.micro(units) == micro
