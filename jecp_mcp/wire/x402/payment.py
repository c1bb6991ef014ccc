"""What pays: an EIP-3009 authorization with its signature, as version 1 and version 2 send it. Pure: no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jecp_mcp.errors import WireError
from jecp_mcp.jsontext import JSONObject, nothing
from jecp_mcp.wire.values import mapping, text
from jecp_mcp.wire.x402.values import (
    MAX_SENT_HEADER,
    UINT256,
    address,
    bytes32,
    decode_header,
    encode_header,
    uint,
    version,
)

V1_HEADER: Final = "X-PAYMENT"
V2_HEADER: Final = "PAYMENT-SIGNATURE"

PAYMENT_IDENTIFIER: Final = "payment-identifier"
"""The extension by which a merchant knows a payment's request again."""
_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{16,128}", re.ASCII)
_SIGNATURE = re.compile(r"0x[0-9a-fA-F]{130}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Authorization:
    """EIP-3009's ``TransferWithAuthorization``: who may be given how much of a token, and when.

    Attributes:
        sender, to: addresses in lower case.
        value: in the token's smallest units.
        valid_after, valid_before: Unix seconds, both excluded.
        nonce: 32 bytes; the token takes each of a sender's once.
    """

    sender: str
    to: str
    value: int
    valid_after: int
    valid_before: int
    nonce: bytes

    def __post_init__(self) -> None:
        numbers = (self.value, self.valid_after, self.valid_before)
        assert all(0 <= number < UINT256 for number in numbers), "every number fits the token's type"
        assert len(self.nonce) == 32, "a nonce has 32 bytes"  # noqa: PLR2004 - as the message says


@dataclass(frozen=True, slots=True)
class Payment:
    """A signed authorization with what it answers.

    Attributes:
        version: 1 or 2.
        signature: r, s and v, 65 bytes; never shown.
        accepted: the chosen entry of ``accepts``, unchanged; in version 1 its ``scheme`` and ``network`` alone.
        resource, extensions: version 2's, as the challenge had them; with what the payer adds to `extensions`.
    """

    version: int
    authorization: Authorization
    signature: bytes = field(repr=False)
    accepted: JSONObject
    resource: JSONObject = field(default_factory=nothing)
    extensions: JSONObject = field(default_factory=nothing)

    @property
    def scheme(self) -> str:
        """The scheme it pays by."""
        return str(self.accepted["scheme"])

    @property
    def network(self) -> str:
        """The network as the challenge wrote it."""
        return str(self.accepted["network"])

    @property
    def identifier(self) -> str | None:
        """The payment identifier it carries, if it does."""
        declared = self.extensions.get(PAYMENT_IDENTIFIER)
        info = declared.get("info") if isinstance(declared, Mapping) else None
        found = info.get("id") if isinstance(info, Mapping) else None
        return found if isinstance(found, str) and _IDENTIFIER.fullmatch(found) else None


def payment_header(payment: Payment) -> tuple[str, str]:
    """The header that pays: its name and value.

    What the challenge declared is sent back with version 2, unless the header grew too long by it: then only what this
    side adds goes along.

    Raises:
        WireError: it is longer than servers take.
    """
    name = V1_HEADER if payment.version == 1 else V2_HEADER
    value = encode_header(payment_json(payment))
    if len(value) > MAX_SENT_HEADER and payment.version > 1:
        own = {key: item for key, item in payment.extensions.items() if key == PAYMENT_IDENTIFIER}
        short = Payment(payment.version, payment.authorization, payment.signature, payment.accepted, extensions=own)
        value = encode_header(payment_json(short))
    if len(value) > MAX_SENT_HEADER:
        raise WireError(f"the payment's header is longer than {MAX_SENT_HEADER} characters")
    return name, value


def payment_json(payment: Payment) -> JSONObject:
    """The payment as JSON: what the header holds, and what a facilitator is sent as ``paymentPayload``."""
    authorization = payment.authorization
    payload = {
        "signature": f"0x{payment.signature.hex()}",
        "authorization": {
            "from": authorization.sender,
            "to": authorization.to,
            "value": str(authorization.value),
            "validAfter": str(authorization.valid_after),
            "validBefore": str(authorization.valid_before),
            "nonce": f"0x{authorization.nonce.hex()}",
        },
    }
    if payment.version == 1:
        return {"x402Version": 1, "scheme": payment.scheme, "network": payment.network, "payload": payload}
    written: dict[str, Any] = {"x402Version": 2, "payload": payload, "accepted": payment.accepted}
    if payment.resource:
        written["resource"] = payment.resource
    if payment.extensions:
        written["extensions"] = payment.extensions
    return written


def read_payment(headers: Mapping[str, str]) -> Payment | None:
    """Read the payment that came with a request; None where none did.

    Args:
        headers: with names in lower case.

    Raises:
        WireError: it is not what x402 says, or there are two.
    """
    first, second = headers.get(V1_HEADER.lower()), headers.get(V2_HEADER.lower())
    if first is not None and second is not None:
        raise WireError("the request carries two payments")
    if second is not None:
        return read_payment_json(decode_header(second, V2_HEADER), 2)
    return None if first is None else read_payment_json(decode_header(first, V1_HEADER), 1)


def read_payment_json(found: JSONObject, wanted: int) -> Payment:
    """Read a payment as `payment_json` writes it.

    Raises:
        WireError: it is anything else.
    """
    version(found.get("x402Version"), wanted)
    payload = mapping(found.get("payload"), "payload")
    accepted = mapping(found.get("accepted"), "accepted") if wanted > 1 else found
    kept = {"scheme": text(accepted.get("scheme"), "scheme"), "network": text(accepted.get("network"), "network")}
    signature = payload.get("signature")
    if not isinstance(signature, str) or _SIGNATURE.fullmatch(signature) is None:
        raise WireError("signature is no 65 bytes in hexadecimal")
    resource, extensions = found.get("resource"), found.get("extensions")
    return Payment(
        version=wanted,
        authorization=_authorization(mapping(payload.get("authorization"), "authorization")),
        signature=bytes.fromhex(signature[2:]),
        accepted=accepted if wanted > 1 else kept,
        resource=nothing() if resource is None or wanted == 1 else mapping(resource, "resource"),
        extensions=nothing() if extensions is None or wanted == 1 else mapping(extensions, "extensions"),
    )


def _authorization(found: JSONObject) -> Authorization:
    return Authorization(
        sender=address(found.get("from"), "from"),
        to=address(found.get("to"), "to"),
        value=uint(found.get("value"), "value"),
        valid_after=uint(found.get("validAfter"), "validAfter"),
        valid_before=uint(found.get("validBefore"), "validBefore"),
        nonce=bytes32(found.get("nonce"), "nonce"),
    )


def with_identifier(extensions: JSONObject, identifier: str) -> JSONObject:
    """The extensions of a challenge with the payment's identifier, where the merchant declares that extension.

    Raises:
        WireError: it declares it in a shape that is not the extension's.
    """
    declared = extensions.get(PAYMENT_IDENTIFIER)
    if declared is None:
        return extensions
    assert _IDENTIFIER.fullmatch(identifier), "an identifier is 16 to 128 letters, digits, dashes and underscores"
    found = mapping(declared, PAYMENT_IDENTIFIER)
    info = {**mapping(found.get("info"), f"the info of {PAYMENT_IDENTIFIER}"), "id": identifier}
    return {**extensions, PAYMENT_IDENTIFIER: {**found, "info": info}}
