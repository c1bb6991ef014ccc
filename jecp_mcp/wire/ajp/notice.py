"""Notices that an agent publishes of itself, to read whether its old key vouches for a new one. Pure: no I/O."""

from __future__ import annotations

from typing import Final

from jecp_mcp import jsontext
from jecp_mcp.errors import WireError
from jecp_mcp.jsontext import JSONObject
from jecp_mcp.wire.ajp.canonical import MAX_DEPTH, canonical, unsigned
from jecp_mcp.wire.ajp.signatures import ED25519, PublicKey

MAX_BYTES: Final = 65_536
"""The longest list of notices read, in bytes."""
NOTICES: Final = "/.well-known/provenance/notices"
"""Where a domain publishes its latest notices."""

_PREFIX: Final = b"provenance-notice-v1:"
_ROTATION: Final = "key-rotation"
_MOST: Final = 100


def vouches(raw: bytes, agent_id: str, old: PublicKey, new: PublicKey) -> bool:
    """Whether one of the published notices is signed by an agent's old key, and says that the new one follows it."""
    try:
        found = jsontext.loads(raw, max_bytes=MAX_BYTES, max_depth=MAX_DEPTH)
    except WireError:
        return False
    notices = found if isinstance(found, list) else []
    return any(isinstance(one, dict) and _vouches(one, agent_id, old, new) for one in notices[:_MOST])


def _vouches(notice: JSONObject, agent_id: str, old: PublicKey, new: PublicKey) -> bool:
    claims, signature = notice.get("claims"), notice.get("signature")
    said = (notice.get("event"), notice.get("provenance_id"), notice.get("key_fingerprint"))
    if said != (_ROTATION, agent_id, old.fingerprint) or not isinstance(signature, str):
        return False
    if not isinstance(claims, dict) or claims.get("new_public_key") != new.text:
        return False
    try:
        return old.proves(_PREFIX + canonical(unsigned(notice)), ED25519 + signature)
    except WireError:
        return False
