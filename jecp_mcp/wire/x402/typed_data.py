"""What is signed: the EIP-712 digest of an EIP-3009 transfer in a token's own domain. Pure: no I/O."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from jecp_mcp.wire.x402.assets import Asset
from jecp_mcp.wire.x402.payment import Authorization
from jecp_mcp.wire.x402.secp256k1 import keccak256

_DOMAIN: Final = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
_TRANSFER: Final = (
    b"TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,"
    b"bytes32 nonce)"
)


@lru_cache(maxsize=64)
def domain_separator(asset: Asset) -> bytes:
    """The hash of a token's EIP-712 domain, 32 bytes."""
    return keccak256(
        keccak256(_DOMAIN)
        + keccak256(asset.name.encode())
        + keccak256(asset.version.encode())
        + _word(asset.chain_id)
        + _address(asset.address)
    )


def authorization_digest(asset: Asset, authorization: Authorization) -> bytes:
    """The 32 bytes that the payer signs."""
    struct = keccak256(
        _transfer_type()
        + _address(authorization.sender)
        + _address(authorization.to)
        + _word(authorization.value)
        + _word(authorization.valid_after)
        + _word(authorization.valid_before)
        + authorization.nonce
    )
    return keccak256(b"\x19\x01" + domain_separator(asset) + struct)


@lru_cache(maxsize=1)
def _transfer_type() -> bytes:
    return keccak256(_TRANSFER)


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")


def _address(address: str) -> bytes:
    return bytes.fromhex(address[2:]).rjust(32, b"\0")
