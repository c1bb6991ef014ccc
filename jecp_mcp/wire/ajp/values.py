"""The values AJP's messages are made of, read strictly: ids, instants, amounts, addresses. Pure: no I/O."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from jecp_mcp import jsontext
from jecp_mcp.clock import UnixMs, parse_iso
from jecp_mcp.errors import MoneyError, WireError
from jecp_mcp.jsontext import JSONObject
from jecp_mcp.money import MicroUSDC, parse_usdc
from jecp_mcp.wire.ajp.canonical import MAX_DEPTH, double
from jecp_mcp.wire.values import mapping, preview, text

VERSION: Final = "0.1"
"""What ``ajp`` says in every message there is."""
MOST_SECONDS: Final = 86_400 * 7
"""The longest job, in seconds: agents on Node break off at 2,147,483 at once."""
MOST_TOKENS: Final = 10**12
MAX_INSTRUCTION: Final = 262_144
"""The longest instruction, in characters."""
_MOST_TEXTS: Final = 100

JOB_ID: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._~-]{7,127}", re.ASCII)
_PROVENANCE: Final = re.compile(r"provenance:[a-z][a-z0-9]{0,19}:[A-Za-z0-9._~:/@-]{1,200}", re.ASCII)
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)


def message(raw: bytes, what: str, most: int, marks: int = jsontext.MAX_MARKS) -> JSONObject:
    """Read a JSON object of at most `most` bytes, and so many commas and brackets.

    Raises:
        WireError: it is anything else, or nests too deep to be signed.
    """
    return mapping(jsontext.loads(raw, max_bytes=most, max_depth=MAX_DEPTH, max_marks=marks), what)


def optional_text(value: object, what: str, longest: int = 200) -> str | None:
    """As `text`, or None for null.

    Raises:
        WireError: it is anything else.
    """
    return None if value is None else text(value, what, longest)


def texts(value: object, what: str) -> tuple[str, ...]:
    """Read a list of at most 100 short texts; null is none.

    Raises:
        WireError: it is anything else.
    """
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > _MOST_TEXTS:
        raise WireError(f"{what} is {preview(value)}, no list of at most {_MOST_TEXTS} texts")
    return tuple(text(one, f"an entry of {what}") for one in value)


def one_of(value: object, what: str, known: tuple[str, ...]) -> str:
    """Read one of a few words.

    Raises:
        WireError: it is anything else.
    """
    if not isinstance(value, str) or value not in known:
        raise WireError(f"{what} is {preview(value)}, none of {', '.join(known)}")
    return value


def job_id(value: object) -> str:
    """Read a job's id, which stands in addresses as it is.

    Raises:
        WireError: it is none.
    """
    if not isinstance(value, str) or JOB_ID.fullmatch(value) is None:
        raise WireError(f"job_id is {preview(value)}, no id of 8 to 128 letters, digits and any of . _ ~ -")
    return value


def provenance_id(value: object, what: str) -> str:
    """Read an agent's id, such as ``provenance:domain:agent.example``.

    Raises:
        WireError: it is none.
    """
    if not isinstance(value, str) or _PROVENANCE.fullmatch(value) is None:
        raise WireError(f"{what} is {preview(value)}, no id such as provenance:domain:agent.example")
    return value


def version(value: object) -> None:
    """See that a message is of the version there is.

    Raises:
        WireError: it is of another, or of none.
    """
    if value != VERSION:
        raise WireError(f'ajp is {preview(value)} where "{VERSION}" is meant')


def instant(value: object, what: str) -> UnixMs:
    """Read an RFC 3339 instant.

    Raises:
        WireError: it is none.
    """
    if not isinstance(value, str) or _INSTANT.fullmatch(value) is None:
        raise WireError(f"{what} is {preview(value)}, no instant such as 2026-11-26T12:00:00.000Z")
    try:
        return parse_iso(value)
    except (ValueError, OverflowError) as exc:
        raise WireError(f"{what} is {preview(value)}, an instant that does not exist") from exc


def number(value: object, what: str, least: int, most: int) -> Decimal:
    """Read a JSON number from `least` to `most`.

    Raises:
        WireError: it is anything else.
    """
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise WireError(f"{what} is {preview(value)}, no number")
    found = double(value)
    if not least <= found <= most:
        raise WireError(f"{what} is not from {least} to {most}")
    return found


def usd(value: object, what: str) -> MicroUSDC:
    """Read an amount of money in USD that is exact in micro-USDC.

    Raises:
        WireError: it is no number, negative, too large, or has more than six decimals.
    """
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise WireError(f"{what} is {preview(value)}, no number of USD")
    try:
        return parse_usdc(double(value))
    except MoneyError as exc:
        raise WireError(f"{what}: {exc}") from exc
