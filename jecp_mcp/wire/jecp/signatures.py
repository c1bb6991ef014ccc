"""What a Hub signs: the calls it forwards to a provider, and its webhooks. Pure: no I/O.

Both are signed alike, by the secret that the Hub gave out: HMAC-SHA256 (RFC 2104) over the timestamp, a dot and the
body's exact bytes. Only the names of the headers differ.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final, NamedTuple

from jecp_mcp.errors import WireError

WINDOW_SECONDS: Final = 300
"""How far a timestamp may lie from the clock, in either direction."""
LEAST_SECRET_BYTES: Final = 16
_MOST_DIGITS: Final = 12
_SCHEME: Final = "v1="


class SignedHeaders(NamedTuple):
    """The names of the headers that carry a signature and its time, in lower case."""

    signature: str
    timestamp: str


CALL: Final = SignedHeaders("x-jecp-signature", "x-jecp-timestamp")
"""Those of a call that is forwarded to a provider."""
WEBHOOK: Final = SignedHeaders("x-jecp-webhook-signature", "x-jecp-webhook-timestamp")
"""Those of a webhook."""


class SignatureInvalid(WireError):
    """Bytes that the Hub did not sign, or not now.

    Attributes:
        code: ``MISSING_SIGNATURE`` or ``INVALID_SIGNATURE``.
    """

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


def read_secret(text: str) -> bytes:
    """The secret's bytes, of the base64 text that a Hub shows once.

    Raises:
        ValueError: it is no such text, or too short to protect anything. The message does not quote it.
    """
    try:
        secret = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise ValueError("the secret is not base64 text; copy it whole, as the Hub showed it") from exc
    if len(secret) < LEAST_SECRET_BYTES:
        raise ValueError(f"the secret has fewer than {LEAST_SECRET_BYTES} bytes; copy it whole, as the Hub showed it")
    return secret


def sign(secret: bytes, timestamp: int, body: bytes) -> str:
    """The signature of `body` at `timestamp`, Unix seconds: ``v1=`` and base64."""
    mac = hmac.digest(secret, b"%d." % timestamp + body, hashlib.sha256)
    return _SCHEME + base64.b64encode(mac).decode("ascii")


def verify(names: SignedHeaders, headers: Mapping[str, str], body: bytes, secrets: tuple[bytes, ...], now: int) -> int:
    """The instant at which the Hub signed `body`, Unix seconds.

    Args:
        names: which headers carry the signature.
        headers: the request's, their names in lower case.
        body: its exact bytes.
        secrets: any of these may have signed it; more than one while one replaces another.
        now: the clock, Unix seconds.

    Raises:
        SignatureInvalid: it did not, or not within five minutes of `now`.
    """
    signature, timestamp = headers.get(names.signature), headers.get(names.timestamp)
    if not signature or not timestamp:
        raise SignatureInvalid("MISSING_SIGNATURE", f"{names.signature} and {names.timestamp} are required")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= _MOST_DIGITS):
        raise SignatureInvalid("INVALID_SIGNATURE", f"{names.timestamp} is not a number of Unix seconds")
    at = int(timestamp)
    # The text that was signed is the number as it stands: with a leading zero it is another one.
    given = signature.encode()
    fits = [hmac.compare_digest(sign(secret, at, body).encode(), given) for secret in secrets]
    if not any(fits) or str(at) != timestamp:
        raise SignatureInvalid("INVALID_SIGNATURE", "the signature is not that of this body under this secret")
    if abs(now - at) > WINDOW_SECONDS:
        raise SignatureInvalid(
            "INVALID_SIGNATURE", f"it was signed more than {WINDOW_SECONDS} seconds from now; compare the clocks"
        )
    return at
