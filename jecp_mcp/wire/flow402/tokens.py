"""What a bootstrap key is exchanged for. Pure: no I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from jecp_mcp import jsontext
from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import WireError
from jecp_mcp.wire.flow402.values import instant
from jecp_mcp.wire.values import mapping, text

_MAX_BODY: Final = 16_384
_LONGEST_TOKEN: Final = 8_192
_BEARER: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)


@dataclass(frozen=True, slots=True)
class RuntimeToken:
    """A short-lived token; `expires_at` is by the control plane's clock."""

    token: str = field(repr=False)
    expires_at: UnixMs


def read_token(body: bytes) -> RuntimeToken:
    """Read the answer to an exchange.

    Raises:
        WireError: it is none; the token is never repeated.
    """
    found = mapping(jsontext.loads(body, max_bytes=_MAX_BODY), "the answer")
    token = found.get("token")
    if not isinstance(token, str) or not is_bearer(token):
        raise WireError("token is nothing that an Authorization header can carry")
    try:
        expires_at = instant(found.get("expiresAt"), "expiresAt")
    except WireError:
        # It is not quoted: whoever mixes up the two would have it be the token.
        raise WireError("expiresAt is no instant") from None
    return RuntimeToken(text(token, "token", _LONGEST_TOKEN), expires_at)


def is_bearer(token: str) -> bool:
    """Whether a text can stand in an Authorization header as a bearer token."""
    return len(token) <= _LONGEST_TOKEN and _BEARER.fullmatch(token) is not None
