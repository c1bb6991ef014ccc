"""What a merchant asks for with status 402: x402's payment requirements, or another protocol by name. Pure: no I/O.

Version 2 stands in the header ``PAYMENT-REQUIRED``, version 1 in the JSON body. A challenge is a stranger's word:
nothing in it is believed before it agrees with `jecp_mcp.wire.x402.assets` and the operator's settings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jecp_mcp import jsontext
from jecp_mcp.errors import WireError
from jecp_mcp.jsontext import JSONObject, nothing
from jecp_mcp.wire.values import mapping, text
from jecp_mcp.wire.x402.values import address, decode_header, is_caip2, uint, version, whole

REQUIRED_HEADER: Final = "payment-required"

MAX_BODY: Final = 256 * 1024
"""The longest version 1 body read, in bytes."""
MAX_OPTIONS: Final = 50
"""The most ways to pay that one challenge may offer."""
_LONGEST_URL: Final = 2_048
_LONGEST_TIMEOUT: Final = 10**9

# The first word of a challenge in WWW-Authenticate, or of one after another (RFC 9110 §11.6.1).
_SCHEME = re.compile(r"(?:^|,)\s{0,8}(L402|LSAT|Payment)(?:\s|$)", re.ASCII | re.IGNORECASE)
_OTHERS: Final[Mapping[str, str]] = {"l402": "l402", "lsat": "l402", "payment": "mpp"}


@dataclass(frozen=True, slots=True)
class PaymentOption:
    """One way to pay: an entry of ``accepts``.

    Attributes:
        index: where it stands in the challenge.
        network: as it is written: a CAIP-2 id, or a name in version 1.
        amount: in the asset's smallest units.
        asset, pay_to: as they are written where the network is none of EVM, else in lower case.
        max_timeout_seconds: how long an answer may take, and how long a payment must be valid.
        resource: the URL that is paid for, where the option names one.
        extra: what the scheme needs beyond that.
        raw: the entry itself, to be sent back unchanged.
    """

    index: int
    scheme: str
    network: str
    amount: int
    asset: str
    pay_to: str
    max_timeout_seconds: int
    resource: str | None
    extra: JSONObject
    raw: JSONObject = field(repr=False)


@dataclass(frozen=True, slots=True)
class UnreadableOption:
    """An entry of ``accepts`` that is not what the protocol says, and why."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class Challenge:
    """An x402 challenge.

    Attributes:
        version: 1 or 2.
        options: every way to pay, in the merchant's order.
        error: why it asks, in its own words.
        resource: what is paid for: ``url``, ``description``, ``mimeType``; empty in version 1, where options say it.
        extensions: the protocol extensions it declares, by name.
    """

    version: int
    options: tuple[PaymentOption | UnreadableOption, ...]
    error: str | None = None
    resource: JSONObject = field(default_factory=nothing)
    extensions: JSONObject = field(default_factory=nothing)


@dataclass(frozen=True, slots=True)
class OtherProtocol:
    """A challenge of a protocol that is recognised and not spoken: ``l402`` (Lightning) or ``mpp``."""

    name: str


def read_challenge(headers: Mapping[str, str], body: bytes) -> Challenge | OtherProtocol | None:
    """Read what came with status 402.

    Args:
        headers: with names in lower case.

    Returns:
        The challenge, another protocol's name, or None where neither is to be seen. Where a merchant speaks several
        protocols, x402 is what is read.

    Raises:
        WireError: it is x402's, and not what x402 says.
    """
    header = headers.get(REQUIRED_HEADER)
    if header is not None:
        return _read(decode_header(header, "PAYMENT-REQUIRED"), 2)
    found = _body(headers, body)
    if found is not None:
        return _read(found, 1)
    scheme = _SCHEME.search(headers.get("www-authenticate", ""))
    return None if scheme is None else OtherProtocol(_OTHERS[scheme[1].lower()])


def _body(headers: Mapping[str, str], body: bytes) -> JSONObject | None:
    """The version 1 challenge in a body; None where the body is something else."""
    media_type = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        return None
    if b'"x402Version"' not in body:
        return None
    found = jsontext.loads(body, max_bytes=MAX_BODY)
    return found if isinstance(found, Mapping) and "x402Version" in found else None


def _read(found: JSONObject, wanted: int) -> Challenge:
    if wanted == 1 and found.get("x402Version") == 2:  # noqa: PLR2004 - the protocol's version
        raise WireError("the body is x402 version 2, which stands in the header PAYMENT-REQUIRED; there is none")
    version(found.get("x402Version"), wanted)
    entries = found.get("accepts")
    if not isinstance(entries, list) or not entries:
        raise WireError("accepts is no list with ways to pay")
    if len(entries) > MAX_OPTIONS:
        raise WireError(f"accepts has more than {MAX_OPTIONS} ways to pay")
    error = found.get("error")
    return Challenge(
        version=wanted,
        options=tuple(_option(index, entry, wanted) for index, entry in enumerate(entries)),
        error=error if isinstance(error, str) and error else None,
        resource=_optional(found, "resource") if wanted > 1 else nothing(),
        extensions=_optional(found, "extensions") if wanted > 1 else nothing(),
    )


def _optional(found: JSONObject, name: str) -> JSONObject:
    value = found.get(name)
    return nothing() if value is None else mapping(value, name)


def _option(index: int, entry: Any, wanted: int) -> PaymentOption | UnreadableOption:
    try:
        return read_option(index, mapping(entry, "the entry"), wanted)
    except WireError as exc:
        return UnreadableOption(index, str(exc))


def read_option(index: int, entry: JSONObject, wanted: int) -> PaymentOption:
    """Read one entry of ``accepts``.

    Raises:
        WireError: it is not what x402 in version `wanted` says.
    """
    network = text(entry.get("network"), "network", 80)
    if wanted > 1 and not is_caip2(network):
        raise WireError(f"network is {network!a}, no CAIP-2 id")
    evm = network.startswith("eip155:") if wanted > 1 else str(entry.get("asset")).startswith("0x")
    resource = entry.get("resource")
    return PaymentOption(
        index=index,
        scheme=text(entry.get("scheme"), "scheme", 40),
        network=network,
        amount=uint(entry.get("amount" if wanted > 1 else "maxAmountRequired"), "the amount"),
        asset=address(entry.get("asset"), "asset") if evm else text(entry.get("asset"), "asset"),
        pay_to=address(entry.get("payTo"), "payTo") if evm else text(entry.get("payTo"), "payTo"),
        max_timeout_seconds=whole(entry.get("maxTimeoutSeconds"), "maxTimeoutSeconds", _LONGEST_TIMEOUT),
        resource=None if resource is None else text(resource, "resource", _LONGEST_URL),
        extra=_optional(entry, "extra"),
        raw=entry,
    )
