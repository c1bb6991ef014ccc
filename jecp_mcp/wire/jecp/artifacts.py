"""Binary output inside a JSON answer (JECP 01-protocol §3.5). Pure: no I/O.

The reference Hub wraps a provider's non-text answer as ``{"artifact": {...}}``; the specification's built-ins put
base64 into a named field such as ``pdf``. A named field counts only when the bytes begin as its name promises.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,64}/[A-Za-z0-9!#$&^_.+-]{1,64}", re.ASCII)
OCTETS = "application/octet-stream"
_HEAD = 48
_LEAST = 16

_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_SOUNDS = ("audio/wav", "audio/mpeg", "audio/ogg", "audio/flac")
MEDIA = frozenset({*_IMAGES, *_SOUNDS})
"""The images and sounds that are known by their first bytes."""
_FIELDS: dict[str, tuple[str, ...]] = {
    "pdf": ("application/pdf",),
    "image": _IMAGES,
    "png": ("image/png",),
    "jpeg": ("image/jpeg",),
    "jpg": ("image/jpeg",),
    "gif": ("image/gif",),
    "webp": ("image/webp",),
    "audio": _SOUNDS,
    "wav": ("audio/wav",),
    "mp3": ("audio/mpeg",),
    "zip": ("application/zip",),
    "file": ("application/pdf", *_IMAGES, *_SOUNDS, "application/zip"),
}
_SUFFIXES = ("_base64", "_b64", "_data")


@dataclass(frozen=True, slots=True)
class Artifact:
    """A binary part of an output.

    Attributes:
        content_type: a media type without parameters.
        size_bytes: how many bytes it has, counted from the data where there is some.
        data_base64: the bytes in standard padded base64, checked; None when the Hub did not send them inline.
        field: the key of the output it stood under.
        note: the Hub's words about it.
    """

    content_type: str
    size_bytes: int | None
    data_base64: str | None
    field: str
    note: str | None = None

    @property
    def media_type(self) -> str:
        """What the bytes are: `content_type`, but for an image or a sound only where they begin as one of its kind.

        An image or a sound of another kind is what the Hub calls it, and one that is none of that name is octets.
        """
        found = _sniffed(self.data_base64 or "")
        if self.content_type.partition("/")[0] in {"image", "audio"} and found in MEDIA:
            return found
        return OCTETS if self.content_type in MEDIA else self.content_type

    def decode(self) -> bytes:
        """The bytes; empty when they did not come inline."""
        return binascii.a2b_base64(self.data_base64 or "")


def artifact_of(output: Any) -> Artifact | None:
    """The binary part of an answer's output, or None when it has none that can be trusted to be one."""
    if not isinstance(output, Mapping):
        return None
    wrapped = output.get("artifact")
    if isinstance(wrapped, Mapping):
        return _wrapped(wrapped)
    for key, value in output.items():
        if isinstance(key, str) and isinstance(value, str) and len(value) >= _LEAST:
            expected = _FIELDS.get(_bare(key))
            found = _sniffed(value) if expected else None
            if expected and found in expected:
                size = _size(value)
                if size is not None:
                    return Artifact(found, size, value, key)
    return None


def may_hold_file(field: str) -> bool:
    """Whether `artifact_of` may find a binary part under this name."""
    return field == "artifact" or _bare(field) in _FIELDS


def _wrapped(artifact: Mapping[str, Any]) -> Artifact | None:
    said, note, size, data = (artifact.get(key) for key in ("content_type", "note", "size_bytes", "data_base64"))
    if not isinstance(said, str) and not isinstance(data, str):
        return None
    content_type = said.partition(";")[0].strip().lower() if isinstance(said, str) else ""
    if not _TYPE.fullmatch(content_type):
        content_type = OCTETS
    counted = _size(data) if isinstance(data, str) else None
    if counted is None and not isinstance(said, str):
        return None
    stated = size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None
    return Artifact(
        content_type=content_type,
        size_bytes=stated if counted is None else counted,
        data_base64=data if counted is not None else None,
        field="artifact",
        note=note if isinstance(note, str) else None,
    )


def _bare(key: str) -> str:
    name = key.lower()
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def _size(data: str) -> int | None:
    """The number of bytes in standard, padded base64; None when it is not that."""
    try:
        return len(binascii.a2b_base64(data, strict_mode=True))
    except ValueError:  # binascii.Error, and a non-ASCII character
        return None


def _sniffed(data: str) -> str | None:
    try:
        head = binascii.a2b_base64(data[: _HEAD - _HEAD % 4])
    except ValueError:
        return None
    for magic, content_type in _MAGIC:
        if head.startswith(magic):
            return content_type
    if head[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(head[8:12])
    return None


_MAGIC = (
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"ID3\x02", "audio/mpeg"),
    (b"ID3\x03", "audio/mpeg"),
    (b"ID3\x04", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"PK\x03\x04", "application/zip"),
)
