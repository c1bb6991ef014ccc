"""Who was paid at each payee first, or since by a person's word: another one there waits for a person.

At a merchant that is a recipient, and of an agent its key and endpoint. They stand among the pins of the state folder
(`jecp_mcp.catalog.pinfile`), under the payee's origin or id. Each is pinned before the first payment to it leaves, so
that of two that are new at once a payee gets one.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio.to_thread

from jecp_mcp import jsontext
from jecp_mcp.catalog.pinfile import PinFile, Pinned, PinRow
from jecp_mcp.catalog.pins import FILE
from jecp_mcp.clock import Clock
from jecp_mcp.errors import PinsUnusable, WireError
from jecp_mcp.http_gate import HttpGate

log = logging.getLogger(__name__)

_MOST_BYTES: Final = 65_536
_MOST_KNOWN: Final = 50


class PayeePins:
    """Who was paid, by the payee, the latest last. Every process of a user shares them."""

    def __init__(self, state: Path, source: str, clock: Clock) -> None:
        """Look at nothing yet; `state` is the folder of the pins, and `source` tells them from others there."""
        self._path = state / FILE
        self._source = source
        self._file = PinFile(self._path)
        self._clock = clock

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def of(self, payee: str) -> tuple[str, ...] | None:
        """Those that were paid at a payee; None where that cannot be read, which is said in the log."""
        try:
            with self._file.reading() as pinned:
                return _read(pinned, self._source, payee)
        except PinsUnusable as exc:
            log.warning("who was paid before cannot be read: %s", exc)
            self._file.close()
            return None

    async def admit(self, payee: str, who: str, *, agreed: bool) -> bool:
        """Whether somebody may be paid; they are pinned then.

        Args:
            agreed: whether they may be paid whoever was before: a person or the settings say so.
        """
        if who in (self.of(payee) or ()):
            return True
        try:
            return await anyio.to_thread.run_sync(self._pin, payee, who, agreed)
        except PinsUnusable as exc:
            log.warning("that %s is paid at %s cannot be written down: %s", who, payee, exc)
            return agreed

    def _pin(self, payee: str, who: str, agreed: bool) -> bool:
        # The connection that reads beside everybody's calls is not this thread's to use.
        file = PinFile(self._path)
        try:
            with file.writing() as pinned:
                known = _read(pinned, self._source, payee)
                if who in known:
                    return True
                if known and not agreed:
                    return False
                document = jsontext.dumps([*known, who][-_MOST_KNOWN:])
                row = PinRow(self._source, payee, who, hashlib.sha256(document).digest(), None)
                pinned.keep([(row, document)], self._clock.now())
                return True
        finally:
            file.close()


@asynccontextmanager
async def gate_with_pins(gate: HttpGate, pins: PayeePins) -> AsyncIterator[None]:
    """A gate and who is known to be paid through it, both open within."""
    async with gate:
        try:
            yield
        finally:
            pins.close()


def _read(pinned: Pinned, source: str, payee: str) -> tuple[str, ...]:
    """Raises `PinsUnusable`."""
    if not pinned.find([(source, payee)]):
        return ()
    try:
        found = jsontext.loads(pinned.document((source, payee)), max_bytes=_MOST_BYTES)
    except WireError as exc:
        raise PinsUnusable(f"who is paid at {payee}: {exc}") from exc
    if not isinstance(found, list) or not found:
        raise PinsUnusable(f"who is paid at {payee} is no list")
    return tuple(map(str, found))
