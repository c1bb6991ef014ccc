"""A file in words for a reader: what kind it is and how large. Pure."""

from __future__ import annotations

from typing import Final

EXTENSIONS: Final = {
    "application/pdf": ".pdf",
    "application/json": ".json",
    "application/zip": ".zip",
    "text/csv": ".csv",
    "text/html": ".html.txt",  # never opened by a browser on a double click: the page is a stranger's
    "text/markdown": ".md",
    "text/plain": ".txt",
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/gif": ".gif",
    "image/webp": ".webp",
    "audio/mpeg": ".mp3",
    "audio/wav": ".wav",
    "audio/ogg": ".ogg",
    "audio/flac": ".flac",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
}

_KINDS: Final = {
    "text/csv": "CSV table",
    "text/html": "HTML page",
    "text/markdown": "Markdown text",
    "text/plain": "text",
    "application/octet-stream": "file of unknown kind",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "Word document",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "Excel workbook",
}
_WHOLE_BYTES: Final = 1_000
_UNITS: Final = ("kB", "MB", "GB")


def extension(mime_type: str) -> str:
    """How the name of a file of this type ends; ``.bin`` for a type that is not known here."""
    return EXTENSIONS.get(mime_type, ".bin")


def kind(mime_type: str) -> str:
    """What a file of this type is to people, such as ``PDF`` or ``PNG image``; an unknown type as it is."""
    if mime_type in _KINDS:
        return _KINDS[mime_type]
    ending = EXTENSIONS.get(mime_type)
    if ending is None:
        return mime_type
    of = mime_type.partition("/")[0]
    return ending[1:].upper() + (f" {of}" if of in {"image", "audio"} else "")


def size(size_bytes: int) -> str:
    """A number of bytes with three digits: ``812 bytes``, ``23.4 kB``, ``1.2 MB`` (powers of a thousand)."""
    if size_bytes < _WHOLE_BYTES:
        return f"{size_bytes} bytes"
    amount, units = size_bytes / 1_000, list(_UNITS)
    while round(amount) >= _WHOLE_BYTES and len(units) > 1:
        amount, units = amount / 1_000, units[1:]
    return f"{amount:.3g} {units[0]}" if amount < _WHOLE_BYTES else f"{amount:.0f} {units[0]}"
