"""A key in a file of its own, which only its owner can read."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from jecp_mcp.errors import SettingsError
from jecp_mcp.settings.credentials import OTHERS

_MOST_BYTES: Final = 4_096


def stored_key(path: Path) -> str | None:
    """The text of a key in a file, or None where there is no file.

    Raises:
        SettingsError: it cannot be read, or others than its owner can read it.
    """
    try:
        with path.open("rb") as file:
            about = os.fstat(file.fileno())
            data = file.read(_MOST_BYTES)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise SettingsError(str(path), "", f"cannot be read: {exc.strerror or type(exc).__name__}") from exc
    if about.st_mode & OTHERS:
        raise SettingsError(str(path), "", f"other users may read it; run: chmod 600 {path}")
    if about.st_uid not in {os.geteuid(), 0}:
        raise SettingsError(str(path), "", "it belongs to another user")
    return data.decode("ascii", "replace")


def store_key(path: Path, text: str) -> None:
    """Write a key durably, readable by its owner only.

    Raises:
        FileExistsError: there is one already, which is never overwritten.
        OSError: it cannot be written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{text}\n")
            file.flush()
            os.fsync(file.fileno())
        # A link is made only where nothing is: what is there stays.
        os.link(beside, path)
    finally:
        beside.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
