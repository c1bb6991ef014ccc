"""What a tool is called, from the key of the action that it sells alone. Pure: no I/O.

`jecp_mcp.tools.publishing.naming` says when a name is which of these.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final

NAME_LENGTH: Final = 48
"""The longest name: hosts allow 60 to 64 characters for the server's and the tool's name together."""

OWN_PREFIX: Final = "jecp_"
"""Names of the bridge's own tools begin so; no foreign name ever does."""

HASH_LENGTHS: Final = (8, 16, 32)
"""How many digits of a hash a name ends in: the fewest that no other name has."""

_GRAMMAR: Final = re.compile(r"(?:[a-z][a-z0-9]*::)?(?:[a-z][a-z0-9-]*/)?[a-z][a-z0-9-]*:[a-z][a-z0-9-]*")
"""An action's key within the protocol's grammar."""

_FOREIGN: Final = re.compile(r"[^a-zA-Z0-9_-]+")
_SOUND: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]*")
_JOINTS: Final = str.maketrans({"/": "_", ":": "_"})


def is_grammatical(key: str) -> bool:
    """Whether an action's key is within the protocol's grammar: its name is never that of another."""
    return _GRAMMAR.fullmatch(key) is not None


def usual_name(key: str) -> str:
    """What a tool is called whose name no other has: the plain name, or one that ends in a hash."""
    plain = plain_name(key)
    return hashed_name(key) if plain is None else plain


def plain_name(key: str, most: int = NAME_LENGTH) -> str | None:
    """The name that loses nothing of an action key, or None when none has at most `most` characters."""
    name = key.translate(_JOINTS)
    if len(name) > most or not _SOUND.fullmatch(name) or name.lower().startswith(OWN_PREFIX):
        return None
    return name


def hashed_name(key: str, length: int = HASH_LENGTHS[0], most: int = NAME_LENGTH) -> str:
    """The name of an action key that has no plain one: what fits of it, and `length` base-32 digits of its SHA-256.

    Args:
        most: how many characters it may have.
    """
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
    suffix = base64.b32encode(digest)[:length].decode("ascii").lower()
    # Some model APIs want a letter first.
    stem = _FOREIGN.sub("-", key.translate(_JOINTS)[: NAME_LENGTH * 2]).lstrip("_-0123456789")
    if stem.lower().startswith(OWN_PREFIX):
        stem = f"by_{stem}"
    stem = stem[: most - length - 1].rstrip("_-") or "action"
    return f"{stem}_{suffix}"
