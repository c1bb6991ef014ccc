"""Provenance v2: proof that the holder of an API key made this request (JECP 02-authentication §5). Pure: no I/O.

``v2:<unix_seconds>:<nonce_hex>:<hex(HMAC-SHA256(api_key, "agent_id:unix_seconds:nonce"))>``

A Hub takes the hash into its idempotency key and checks it first (JECP ADR-0001), so a request that carries one cannot
be replayed for its stored answer. Send it only where the Hub's guide requires it.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from enum import StrEnum

from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import WireError

SKEW_SECONDS = 300
"""How far the maker's clock may be off."""
NONCE_MEMORY_SECONDS = 600
"""How long a Hub remembers a nonce: both sides of the skew window."""

_V2 = re.compile(r"v2:(\d{1,12}):([0-9a-fA-F]{16,128}):([0-9a-f]{64})", re.ASCII)
_NONCE = re.compile(r"[0-9a-f]{16,128}", re.ASCII)
_V1 = re.compile(r"[0-9a-fA-F]{64}|v1:.*", re.ASCII | re.DOTALL)


class Subcause(StrEnum):
    """Why a hash was refused: ``details.subcause`` of ``PROVENANCE_MISMATCH``."""

    WIRE_MALFORMED = "wire_malformed"
    CLOCK_SKEW = "clock_skew"
    HMAC_MISMATCH = "hmac_mismatch"
    NONCE_REPLAY = "nonce_replay"
    V1_LEGACY_MISMATCH = "v1_legacy_mismatch"
    V1_UNAVAILABLE = "v1_unavailable"


def build(agent_id: str, api_key: str, *, at: UnixMs, nonce: str) -> str:
    """Make a provenance hash.

    Args:
        agent_id: whose request it is.
        api_key: the secret that signs.
        at: now.
        nonce: at least 16 lower-case hexadecimal digits, never used before.

    Raises:
        WireError: the nonce is not that.
    """
    if not _NONCE.fullmatch(nonce):
        raise WireError("a provenance nonce is 16 to 128 lower-case hexadecimal digits")
    seconds = str(at // 1000)
    return f"v2:{seconds}:{nonce}:{_digest(agent_id, api_key, seconds, nonce)}"


def verify(value: object, agent_id: str, api_key: str, *, now: UnixMs, seen: Callable[[str], bool]) -> Subcause | None:
    """Check a provenance hash; None means it is good and that `seen` was asked about its nonce.

    Args:
        value: the hash as it came.
        agent_id: who claims to have made it.
        api_key: their key.
        now: the verifier's clock.
        seen: whether this agent's nonce was used within `NONCE_MEMORY_SECONDS`. Asked only for an authentic hash, so
            nobody else can burn an agent's nonces.
    """
    match = _V2.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        legacy = isinstance(value, str) and _V1.fullmatch(value)
        return Subcause.V1_UNAVAILABLE if legacy else Subcause.WIRE_MALFORMED
    seconds, nonce, digest = match.groups()
    if abs(now // 1000 - int(seconds)) > SKEW_SECONDS:
        return Subcause.CLOCK_SKEW
    if not hmac.compare_digest(digest, _digest(agent_id, api_key, seconds, nonce)):
        return Subcause.HMAC_MISMATCH
    return Subcause.NONCE_REPLAY if seen(nonce.lower()) else None


def drift_seconds(value: str, now: UnixMs) -> int | None:
    """How far the maker's clock is ahead of `now` (negative: behind), for ``details.drift_seconds``."""
    match = _V2.fullmatch(value)
    return int(match.group(1)) - now // 1000 if match else None


def _digest(agent_id: str, api_key: str, seconds: str, nonce: str) -> str:
    message = f"{agent_id}:{seconds}:{nonce}".encode()
    return hmac.new(api_key.encode(), message, "sha256").hexdigest()
