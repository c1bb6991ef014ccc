"""Saving bought files where the user says: what is there already is never overwritten, and no link is followed."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from jecp_mcp.tools.publishing.file_words import extension

_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9]+")
_MOST_ALIKE: Final = 1_000
"""How many files of one name a folder may have."""


def check_room(output: Path | None) -> None:
    """Refuse a place that cannot take the file before the call is paid: one is made there, and taken away again.

    Raises:
        click.UsageError: something is there already, or nothing can be written there.
    """
    if output is None:
        return
    try:
        into_folder = output.is_dir()
        if not into_folder and os.path.lexists(output):
            raise click.UsageError(
                f"{output} is there already and is not overwritten; nothing was bought", click.get_current_context()
            )
        if not into_folder and not output.parent.is_dir():
            raise click.UsageError(
                f"there is no folder {output.parent}; nothing was bought", click.get_current_context()
            )
        write_new(output / _probe() if into_folder else output, b"").unlink()
    except OSError as exc:
        raise click.UsageError(
            f"nothing can be written to {output}: {exc.strerror}; nothing was bought", click.get_current_context()
        ) from exc


def check_folder(folder: Path) -> None:
    """Make a folder, and refuse one that cannot be made or written into.

    Raises:
        click.UsageError: it is none, or no file can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_new(folder / _probe(), b"").unlink()
    except OSError as exc:
        raise click.UsageError(
            f"nothing can be written to {folder}: {exc.strerror}", click.get_current_context()
        ) from exc


def file_name(name: str, mime_type: str) -> str:
    """What a kept file of that name and type is called in a folder of a person's."""
    return f"{_NOT_IN_NAMES.sub('-', name).strip('-') or 'file'}{extension(mime_type)}"


def save(files: Sequence[tuple[str, str, bytes]], output: Path) -> tuple[list[Path], list[str]]:
    """Write files, each a name, a media type and its bytes, to `output`: one there, several, or one to a folder.

    Returns those that were written, and what stood in the way: then nothing of them is left there.
    """
    saved: list[Path] = []
    into_folder = output.is_dir() or len(files) > 1
    try:
        if into_folder:
            output.mkdir(exist_ok=True)
        for name, mime_type, data in files:
            called = file_name(name, mime_type)
            saved.append(write_beside(output, called, data) if into_folder else write_new(output, data))
    except OSError as exc:
        return [], [f"its file could not be written to {output}: {exc.strerror}", *remove(saved)]
    return saved, []


def remove(saved: Sequence[Path]) -> list[str]:
    """Clear the way for the same call again, which saves the same files; what is left is named."""
    left: list[str] = []
    for path in saved:
        try:
            path.unlink(missing_ok=True)
        except OSError as exc:
            left.append(f"{path} is left there ({exc.strerror})")
    return left


def _probe() -> str:
    return f".jecp-mcp-{secrets.token_hex(8)}"


def write_beside(folder: Path, name: str, data: bytes) -> Path:
    """Write a file of that name, or of the next one that is free."""
    stem, dot, ending = name.partition(".")
    for number in range(2, _MOST_ALIKE):
        try:
            return write_new(folder / name, data)
        except FileExistsError:
            name = f"{stem}-{number}{dot}{ending}"
    return write_new(folder / name, data)


def write_new(path: Path, data: bytes) -> Path:
    """Write a file that is not there yet, whole or not at all; what is, a link too, stays as it is.

    Raises:
        OSError: it is there, or cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except BaseException:
        # Half a file would stand in the way of the same call again.
        path.unlink(missing_ok=True)
        raise
    return path
