"""Signatures on secp256k1 as EVM chains read them, and the addresses of their keys. Pure: no I/O.

The libraries are the extra ``jecp-mcp[x402]`` and are imported at the first use.
"""

from __future__ import annotations

from typing import Final

from jecp_mcp.errors import WireError

ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""How many keys there are."""

_V: Final = 27
_SIGNATURE_BYTES: Final = 65
_KEY_BYTES: Final = 32


def keccak256(data: bytes) -> bytes:
    """Keccak-256 as Ethereum uses it, which is not SHA3-256."""
    from Crypto.Hash import keccak

    return keccak.new(data=data, digest_bits=256).digest()


class PrivateKey:
    """A key that signs. Nothing shows it: neither its repr nor a pickle.

    Attributes:
        address: of its account, in lower case.
    """

    __slots__ = ("_key", "address")

    def __init__(self, secret: bytes) -> None:
        """Take the 32 bytes of a key.

        Raises:
            WireError: they are none.
        """
        if len(secret) != _KEY_BYTES or not 0 < int.from_bytes(secret, "big") < ORDER:
            raise WireError("the private key is no number from 1 to the order of secp256k1, in 32 bytes")
        import coincurve

        self._key = coincurve.PrivateKey(secret)
        self.address = _address(self._key.public_key)

    def sign(self, digest: bytes) -> bytes:
        """Sign 32 bytes: r, s and v (27 or 28), 65 bytes. The same digest gives the same signature (RFC 6979)."""
        found = self._key.sign_recoverable(digest, hasher=None)
        return found[:64] + bytes([found[64] + _V])

    def __repr__(self) -> str:
        return f"PrivateKey({self.address})"

    def __reduce__(self) -> str:
        raise TypeError("a private key is not written anywhere")


def recover(digest: bytes, signature: bytes) -> str:
    """The address whose key signed `digest`, in lower case.

    Raises:
        WireError: the signature is none, or one of the pair that tokens refuse (EIP-2).
    """
    import coincurve

    if len(signature) != _SIGNATURE_BYTES or signature[64] not in {_V, _V + 1}:
        raise WireError("the signature is not r, s and v in 65 bytes with v 27 or 28")
    if int.from_bytes(signature[32:64], "big") > ORDER // 2:
        raise WireError("the signature's s is in the upper half of the order")
    try:
        key = coincurve.PublicKey.from_signature_and_message(
            signature[:64] + bytes([signature[64] - _V]), digest, hasher=None
        )
    except ValueError as exc:
        raise WireError("the signature belongs to no key") from exc
    return _address(key)


def _address(key: object) -> str:
    import coincurve

    assert isinstance(key, coincurve.PublicKey)
    return "0x" + keccak256(key.format(compressed=False)[1:])[12:].hex()
