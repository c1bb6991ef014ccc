"""Who was paid at each merchant: another recipient there waits for a person. A file of the state folder."""

from __future__ import annotations

import json
import logging
import os
import secrets
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

FILE: Final = "paid-http-recipients.json"
_MOST_BYTES: Final = 1_048_576
_MOST_RECIPIENTS: Final = 50


class Recipients:
    """The recipients that were paid, by the merchant's origin. Every process of a user adds to the same file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def of(self, origin: str) -> tuple[str, ...] | None:
        """Those that were paid at an origin; None where it cannot be read, which is said in the log."""
        known = self._read()
        return None if known is None else tuple(known.get(origin, ()))

    def note(self, origin: str, pay_to: str) -> None:
        """Remember a recipient that was paid. One that cannot be written is asked for again."""
        import fcntl

        if pay_to in (self.of(origin) or ()):
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                known = self._read() or {}
                known[origin] = [*known.get(origin, []), pay_to][-_MOST_RECIPIENTS:]
                self._write(known)
            finally:
                os.close(lock)
        except OSError as exc:
            log.warning("that %s was paid at %s was not written down: %s", pay_to, origin, exc)

    def _write(self, known: dict[str, list[str]]) -> None:
        beside = self._path.with_name(f"{self._path.name}.{secrets.token_hex(6)}")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(known, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)

    def _read(self) -> dict[str, list[str]] | None:
        try:
            with self._path.open("rb") as file:
                found = json.loads(file.read(_MOST_BYTES))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as exc:
            log.warning("who was paid before cannot be read from %s: %s", self._path, exc)
            return None
        if not isinstance(found, dict):
            log.warning("who was paid before cannot be read from %s: it is no object", self._path)
            return None
        return {str(origin): [str(one) for one in some] for origin, some in found.items() if isinstance(some, list)}
