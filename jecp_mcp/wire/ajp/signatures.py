"""AJP's signatures: Ed25519 of agents, HMAC-SHA-256 of people, and what one of them covers. Pure: no I/O.

``cryptography`` is of the extra ``jecp-mcp[ajp]`` and is imported at the first use.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from jecp_mcp.errors import WireError
from jecp_mcp.jsontext import JSONObject
from jecp_mcp.wire.ajp.canonical import LARGE, canonical, legacy_form, unsigned

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ED25519: Final = "ed25519:"
HMAC: Final = "sha256:"
SIX_MEMBERS: Final = ("job_id", "status", "output", "constraints_asserted", "completed_at", "agent")
"""All that ajp-protocol signs of a result: what it cost is not among them."""

# An Ed25519 SubjectPublicKeyInfo in DER before the 32 bytes of its key (RFC 8410 §4).
_SPKI: Final = bytes.fromhex("302a300506032b6570032100")
_SPKI_BYTES: Final = 44
# The field of Ed25519 (RFC 8032 §5.1), and the y of its points of order 1, 2, 4 and 8. Nobody has private keys of
# those, and everybody can make signatures by them, which hold for many a message.
_PRIME: Final = 2**255 - 19
_Y8: Final = int.from_bytes(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little")
_LOW_ORDER: Final = frozenset({0, 1, _PRIME - 1, _Y8, _PRIME - _Y8})
_SIGNATURE_BYTES: Final = 64
_LEAST_SECRET: Final = 8


class Coverage(StrEnum):
    """What a signature proves. `LEGACY`: hardly anything, as agents before ajp-protocol 0.3 sign."""

    WHOLE = "whole"
    SIX_MEMBERS = "six_members"
    LEGACY = "legacy"
    WRONG = "wrong"
    MISSING = "missing"

    @property
    def proves_result(self) -> bool:
        """Whether the result is its agent's; what it cost is only so where it is `WHOLE`."""
        return self in {Coverage.WHOLE, Coverage.SIX_MEMBERS}


class Signer(Protocol):
    """What signs messages."""

    def sign(self, data: bytes) -> str:
        """The signature of bytes, as it stands in a message."""
        ...


class Verifier(Protocol):
    """What proves messages."""

    def proves(self, data: bytes, signature: str) -> bool:
        """Whether `signature`, as it stands in a message, is of these bytes. Anything malformed is not."""
        ...


class PublicKey:
    """An agent's public key.

    Attributes:
        text: base64 of its SubjectPublicKeyInfo in DER, as declarations have it.
        fingerprint: SHA-256 of that DER, hexadecimal.
    """

    __slots__ = ("_raw", "fingerprint", "text")

    def __init__(self, text: str) -> None:
        """Read a key.

        Raises:
            WireError: it is no Ed25519 key in that form, or one by which anybody can sign.
        """
        der = _base64(text)
        if der is None or len(der) != _SPKI_BYTES or not der.startswith(_SPKI):
            raise WireError("the public key is no Ed25519 key in base64 of its SubjectPublicKeyInfo")
        self.text, self.fingerprint = text, hashlib.sha256(der).hexdigest()
        self._raw = der[len(_SPKI) :]
        y = int.from_bytes(self._raw, "little") & (2**255 - 1)
        if y >= _PRIME or y in _LOW_ORDER:
            raise WireError("the public key is a point of low order, or none: by such a key anybody can sign anything")

    def proves(self, data: bytes, signature: str) -> bool:
        """Whether `signature` is of these bytes, by this key."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        raw = _base64(signature.removeprefix(ED25519)) if signature.startswith(ED25519) else None
        if raw is None or len(raw) != _SIGNATURE_BYTES:
            return False
        try:
            Ed25519PublicKey.from_public_bytes(self._raw).verify(raw, data)
        except InvalidSignature:
            return False
        return True


class PrivateKey:
    """An agent's key that signs. Nothing shows it: neither its repr nor a pickle.

    Attributes:
        public: what others check its signatures with.
    """

    __slots__ = ("_key", "public")

    def __init__(self, text: str) -> None:
        """Take a key as base64 of its PKCS #8 in DER.

        Raises:
            WireError: it is no such Ed25519 key; the text is never repeated.
        """
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_der_private_key

        der = _base64("".join(text.split()))
        try:
            key = None if der is None else load_der_private_key(der, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise WireError("the private key is no Ed25519 key in base64 of its PKCS #8")
        self._key = key
        self.public = PublicKey(_public_text(key))

    def sign(self, data: bytes) -> str:
        """Sign bytes. The same bytes give the same signature."""
        return ED25519 + base64.b64encode(self._key.sign(data)).decode("ascii")

    def proves(self, data: bytes, signature: str) -> bool:
        """Whether `signature` is of these bytes, by this key."""
        return self.public.proves(data, signature)

    def __repr__(self) -> str:
        return f"PrivateKey({self.public.fingerprint[:16]}…)"

    def __reduce__(self) -> str:
        raise TypeError("a private key is not written anywhere")


def new_private_key() -> str:
    """Make a key, as the text that `PrivateKey` takes."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    der = Ed25519PrivateKey.generate().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return base64.b64encode(der).decode("ascii")


class SharedSecret:
    """A secret that a person shares with an agent. Nothing shows it."""

    __slots__ = ("_secret",)

    def __init__(self, secret: str) -> None:
        """Take a secret.

        Raises:
            WireError: it is too short to be one.
        """
        if len(secret) < _LEAST_SECRET:
            raise WireError(f"a shared secret has at least {_LEAST_SECRET} characters")
        self._secret = secret.encode()

    def sign(self, data: bytes) -> str:
        """Sign bytes. The same bytes give the same signature."""
        return HMAC + hmac.new(self._secret, data, hashlib.sha256).hexdigest()

    def proves(self, data: bytes, signature: str) -> bool:
        """Whether `signature` is of these bytes, by this secret."""
        return hmac.compare_digest(self.sign(data).encode(), signature.encode("utf-8", "replace"))

    def __repr__(self) -> str:
        return "SharedSecret(…)"

    def __reduce__(self) -> str:
        raise TypeError("a secret is not written anywhere")


def seal(message: JSONObject, signer: Signer) -> bytes:
    """The bytes of a message with its signature over all of it; they are canonical themselves.

    Raises:
        WireError: it has no canonical form.
    """
    body = unsigned(message)
    return canonical({**body, "signature": signer.sign(canonical(body))})


def seal_canonical(message: bytes, signer: Signer) -> bytes:
    """The bytes of a message with its signature over all of it, made of its canonical form without one."""
    return message[:-1] + b',"signature":"' + signer.sign(message).encode("ascii") + b'"}'


def coverage(message: JSONObject, verifier: Verifier, *, result: bool = False) -> Coverage:
    """What the signature of a message proves. `Coverage.LEGACY` is told of no large one, for it proves nothing either.

    Args:
        result: whether the six members that ajp-protocol signs of a result will do.
    """
    signature = message.get("signature")
    if signature is None:
        return Coverage.MISSING
    if not isinstance(signature, str):
        return Coverage.WRONG
    try:
        whole = canonical(unsigned(message))
        if verifier.proves(whole, signature):
            return Coverage.WHOLE
        signed = {key: message[key] for key in SIX_MEMBERS if key in message}
        if result and verifier.proves(canonical(signed), signature):
            return Coverage.SIX_MEMBERS
        possible = [] if len(whole) > LARGE else [message, *([signed] if result else [])]
        legacy = [legacy_form(one) for one in possible]
    except WireError:
        return Coverage.WRONG
    return Coverage.LEGACY if any(verifier.proves(form, signature) for form in legacy) else Coverage.WRONG


def _base64(text: str) -> bytes | None:
    """The bytes of text in base64 (RFC 4648 §4), of which only the one form of each is taken."""
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return found if base64.b64encode(found).decode("ascii") == text else None


def _public_text(key: Ed25519PrivateKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return base64.b64encode(_SPKI + raw).decode("ascii")
