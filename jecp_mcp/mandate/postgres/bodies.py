"""Bodies that are too large to go with a batch: they go before it, in parts, and keep nobody from writing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

INLINE: Final = 64 * 1024
"""The longest body that goes with the batch that names it, in bytes."""

PART: Final = 256 * 1024
"""The length of a part, in bytes: what a slow line takes in a second or so."""

BATCH: Final = 256 * 1024
"""How many bytes of bodies go with one batch: the other replicas wait meanwhile."""

LONGEST: Final = 50 * 1024 * 1024
"""The longest body that is kept, in bytes."""

ABANDONED_MS: Final = 86_400_000
"""How old the parts of a body are that no call names when they are dropped: whoever sent them has ended."""


class UploadedBody(bytes):
    """A body whose parts the server has."""

    upload: str

    @classmethod
    def of(cls, body: bytes, upload: str) -> UploadedBody:
        """A body, and the name of its parts."""
        made = cls(body)
        made.upload = upload
        return made


def parts_of(body: bytes) -> Iterator[tuple[int, bytes]]:
    """The parts of a body, numbered from 0."""
    for start in range(0, len(body), PART):
        yield start // PART, body[start : start + PART]
