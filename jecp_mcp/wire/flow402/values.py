"""The values that 402flow's messages are made of, read strictly: ids, instants, reasons. Pure: no I/O."""

from __future__ import annotations

import re
from typing import Final

from jecp_mcp.clock import UnixMs, parse_iso
from jecp_mcp.errors import WireError
from jecp_mcp.wire.values import preview, text

VERSION_HEADER: Final = "x-402flow-sdk-version"
SDK_VERSION: Final = "0.1.2"
"""The version of 402flow's own client whose messages these are. A control plane may refuse a version."""

TOKENS_PATH: Final = "/api/sdk/runtime-tokens"
DECISIONS_PATH: Final = "/api/sdk/payment-decisions"
RECEIPTS_PATH: Final = "/api/sdk/receipts/"

MAX_BODY: Final = 4 * 1024 * 1024
"""The longest message read beside a merchant's answer in it, in bytes."""
LONGEST_ID: Final = 64
"""The longest id of an organization or an agent."""
_SHORTEST_ID: Final = 3
_LONGEST_REASON: Final = 2_000
_LONGEST_TIME: Final = 40

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_SLUG: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*", re.ASCII)
_WORD: Final = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)


def uuid(value: object, what: str) -> str:
    """Read a UUID; it is given in lower case.

    Raises:
        WireError: it is none.
    """
    if not isinstance(value, str) or _UUID.fullmatch(value) is None:
        raise WireError(f"{what} is {preview(value)}, no UUID")
    return value.lower()


def optional_uuid(value: object, what: str) -> str | None:
    """The same, where it may be missing.

    Raises:
        WireError: it is something else.
    """
    return None if value is None else uuid(value, what)


def slug(value: object, what: str) -> str:
    """Read the id of an organization or an agent: 3 to 64 of a-z and 0-9, in words joined by ``-``.

    Raises:
        WireError: it is none.
    """
    if not isinstance(value, str) or _SLUG.fullmatch(value) is None or not _SHORTEST_ID <= len(value) <= LONGEST_ID:
        raise WireError(f"{what} is {preview(value)}, not {_SHORTEST_ID} to {LONGEST_ID} of a-z, 0-9 and single dashes")
    return value


def word(value: object, what: str) -> str:
    """Read one of the protocol's words, such as a reason code: later versions may have others.

    Raises:
        WireError: it is none.
    """
    if not isinstance(value, str) or _WORD.fullmatch(value) is None:
        raise WireError(f"{what} is {preview(value)}, no word of the protocol")
    return value


def reason(value: object) -> str:
    """Read the sentence that says why; it may be empty.

    Raises:
        WireError: it is no text.
    """
    return "" if value == "" else text(value, "reason", _LONGEST_REASON)


def instant(value: object, what: str) -> UnixMs:
    """Read an instant.

    Raises:
        WireError: it is none.
    """
    try:
        return parse_iso(text(value, what, _LONGEST_TIME))
    except (ValueError, OverflowError) as exc:
        raise WireError(f"{what} is {preview(value)}, no instant") from exc
