"""Who was paid at each merchant first, or since by a person's word: another recipient there waits for a person.

They stand among the pins of the state folder (`jecp_mcp.catalog.pinfile`), under the merchant's origin. A recipient is
pinned before the first payment to it leaves, so that of two that are new at once a merchant gets one.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Final

import anyio.to_thread

from jecp_mcp import jsontext
from jecp_mcp.catalog.pinfile import PinFile, Pinned, PinRow
from jecp_mcp.catalog.pins import FILE
from jecp_mcp.clock import Clock
from jecp_mcp.errors import PinsUnusable, WireError
from jecp_mcp.settings.merchants import PAID_HTTP

log = logging.getLogger(__name__)

_MOST_BYTES: Final = 65_536
_MOST_RECIPIENTS: Final = 50


class Recipients:
    """The recipients that were paid, by the merchant's origin, the latest last. Every process of a user shares them."""

    def __init__(self, state: Path, clock: Clock) -> None:
        """Look at nothing yet; `state` is the folder of the pins."""
        self._path = state / FILE
        self._file = PinFile(self._path)
        self._clock = clock

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def of(self, origin: str) -> tuple[str, ...] | None:
        """Those that were paid at an origin; None where that cannot be read, which is said in the log."""
        try:
            with self._file.reading() as pinned:
                return _read(pinned, origin)
        except PinsUnusable as exc:
            log.warning("who was paid before cannot be read: %s", exc)
            self._file.close()
            return None

    async def admit(self, origin: str, pay_to: str, *, agreed: bool) -> bool:
        """Whether a recipient may be paid; it is pinned then.

        Args:
            agreed: whether it may be paid whoever was before: a person or the settings say so.
        """
        if pay_to in (self.of(origin) or ()):
            return True
        try:
            return await anyio.to_thread.run_sync(self._pin, origin, pay_to, agreed)
        except PinsUnusable as exc:
            log.warning("that %s is paid at %s cannot be written down: %s", pay_to, origin, exc)
            return agreed

    def _pin(self, origin: str, pay_to: str, agreed: bool) -> bool:
        # The connection that reads beside everybody's calls is not this thread's to use.
        file = PinFile(self._path)
        try:
            with file.writing() as pinned:
                known = _read(pinned, origin)
                if pay_to in known:
                    return True
                if known and not agreed:
                    return False
                document = jsontext.dumps([*known, pay_to][-_MOST_RECIPIENTS:])
                row = PinRow(PAID_HTTP, origin, pay_to, hashlib.sha256(document).digest(), None)
                pinned.keep([(row, document)], self._clock.now())
                return True
        finally:
            file.close()


def _read(pinned: Pinned, origin: str) -> tuple[str, ...]:
    """Raises `PinsUnusable`."""
    if not pinned.find([(PAID_HTTP, origin)]):
        return ()
    try:
        found = jsontext.loads(pinned.document((PAID_HTTP, origin)), max_bytes=_MOST_BYTES)
    except WireError as exc:
        raise PinsUnusable(f"the recipients of {origin}: {exc}") from exc
    if not isinstance(found, list) or not found:
        raise PinsUnusable(f"the recipients of {origin} are no list")
    return tuple(map(str, found))
