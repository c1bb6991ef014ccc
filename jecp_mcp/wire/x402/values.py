"""The values x402's messages are made of, read strictly: amounts, addresses, nonces, base64 headers. Pure: no I/O."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final

from jecp_mcp import jsontext
from jecp_mcp.errors import WireError
from jecp_mcp.jsontext import JSONObject
from jecp_mcp.wire.values import mapping, preview

MAX_HEADER: Final = 64 * 1024
"""The longest base64 header read, in characters."""
MAX_SENT_HEADER: Final = 8 * 1024
"""The longest header sent: the line that common servers still take."""

UINT256: Final = 1 << 256

_MAX_DEPTH: Final = 32
_UINT = re.compile(r"0|[1-9]\d{0,77}", re.ASCII)
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_BYTES32 = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
_CAIP2 = re.compile(r"[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}", re.ASCII)
_EIP155 = re.compile(r"eip155:([1-9]\d{0,15})", re.ASCII)


def uint(value: object, what: str) -> int:
    """Read an unsigned 256-bit integer, which x402 writes as decimal text without a sign, point or leading zero.

    Raises:
        WireError: it is anything else, a JSON number included.
    """
    if not isinstance(value, str) or _UINT.fullmatch(value) is None or int(value) >= UINT256:
        raise WireError(f"{what} is {preview(value)}, no whole number written as decimal text")
    return int(value)


def address(value: object, what: str) -> str:
    """Read an EVM address; it is given in lower case.

    Raises:
        WireError: it is none, or the zero address, which nobody owns.
    """
    if not isinstance(value, str) or _ADDRESS.fullmatch(value) is None:
        raise WireError(f"{what} is {preview(value)}, no EVM address")
    if int(value, 16) == 0:
        raise WireError(f"{what} is the zero address")
    return value.lower()


def bytes32(value: object, what: str) -> bytes:
    """Read 32 bytes written as ``0x`` and 64 hexadecimal digits.

    Raises:
        WireError: it is anything else.
    """
    if not isinstance(value, str) or _BYTES32.fullmatch(value) is None:
        raise WireError(f"{what} is {preview(value)}, no 32 bytes in hexadecimal")
    return bytes.fromhex(value[2:])


def is_caip2(text: str) -> bool:
    """Whether `text` is a network's CAIP-2 id, such as ``eip155:8453``."""
    return _CAIP2.fullmatch(text) is not None


def chain_id(network: str) -> int | None:
    """The chain id in an EVM network's CAIP-2 id; None where it is no such id."""
    match = _EIP155.fullmatch(network)
    return None if match is None else int(match[1])


def whole(value: object, what: str, most: int) -> int:
    """Read a JSON integer from 1 to `most`.

    Raises:
        WireError: it is anything else.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise WireError(f"{what} is {preview(value)}, no whole number from 1 to {most}")
    return value


def version(value: object, wanted: int) -> int:
    """Read ``x402Version``.

    Raises:
        WireError: it is not `wanted`.
    """
    if value != wanted or isinstance(value, bool) or not isinstance(value, int):
        raise WireError(f"x402Version is {preview(value)} where {wanted} is meant")
    return wanted


def decode_header(value: str, name: str) -> JSONObject:
    """Read a JSON object out of a base64 header (RFC 4648 §4, padded).

    Raises:
        WireError: it is too long, or no such thing.
    """
    if len(value) > MAX_HEADER:
        raise WireError(f"the header {name} is longer than {MAX_HEADER} characters")
    try:
        raw = base64.b64decode(value.strip(" \t"), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise WireError(f"the header {name} is not base64") from exc
    return mapping(jsontext.loads(raw, max_bytes=MAX_HEADER, max_depth=_MAX_DEPTH), f"the header {name}")


def encode_header(value: Any) -> str:
    """Write a JSON value as a base64 header.

    Raises:
        WireError: it cannot be written as JSON.
    """
    return base64.b64encode(jsontext.dumps(value)).decode("ascii")
