"""The key of the wallet that pays merchants: from the environment or a file of its own, never from the settings."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from jecp_mcp.errors import SettingsError
from jecp_mcp.settings.credentials import ENVIRONMENT
from jecp_mcp.settings.key_file import store_key, stored_key

KEY_VARIABLE: Final = "JECP_X402_PRIVATE_KEY"
FILE: Final = "x402.key"
"""The operator's key, in the state folder."""
SANDBOX_FILE: Final = "x402-sandbox.key"
"""The sandbox's throw-away key."""
WITH_SANDBOX: Final = "use --sandbox, which brings a Hub and a wallet of play money of its own"
"""What helps where something on this machine is to be paid and there is no such key."""

_HEX: Final = re.compile(r"(?:0x)?([0-9a-fA-F]{64})", re.ASCII)


@dataclass(frozen=True, slots=True)
class WalletKey:
    """A private key and where it came from.

    Attributes:
        secret: 32 bytes.
    """

    secret: bytes = field(repr=False)
    source: str


def read_wallet_key(text: str, source: str) -> WalletKey:
    """Read a key from 64 hexadecimal digits, with or without ``0x``.

    Raises:
        SettingsError: it is none; the text is never repeated.
    """
    found = _HEX.fullmatch(text.strip())
    if found is None:
        raise SettingsError(source, "", "is no private key: 64 hexadecimal digits, with or without 0x before them")
    return WalletKey(bytes.fromhex(found[1]), source)


def find_wallet_key(environ: Mapping[str, str], state: Path) -> WalletKey | None:
    """The operator's key: ``JECP_X402_PRIVATE_KEY``, or the file that `store_wallet_key` writes. None for neither.

    Raises:
        SettingsError: there are both, or it is no key, or other users can read it.
    """
    given = environ.get(KEY_VARIABLE, "").strip()
    if not given:
        return stored_wallet_key(state / FILE)
    if os.path.lexists(state / FILE):
        reason = f"is set, and {state / FILE} is there too; neither is used, for which wallet is to pay is not clear"
        raise SettingsError(ENVIRONMENT, KEY_VARIABLE, reason)
    return read_wallet_key(given, f"the environment variable {KEY_VARIABLE}")


def stored_wallet_key(path: Path) -> WalletKey | None:
    """The key in a file, or None where there is no file.

    Raises:
        SettingsError: it cannot be read, is no key, or others than its owner can read it.
    """
    text = stored_key(path)
    return None if text is None else read_wallet_key(text, str(path))


def store_wallet_key(path: Path, secret: bytes) -> None:
    """Write a key durably, readable by its owner only.

    Raises:
        FileExistsError: there is one already; a wallet with money in it is never overwritten.
        OSError: it cannot be written.
    """
    store_key(path, f"0x{secret.hex()}")
