"""Saving files where the user says: what is there already is not overwritten unasked, and no link is followed."""

from __future__ import annotations

import io
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TextIO

import click

from jecp_mcp.cli.options import NamedPath
from jecp_mcp.errors import JecpMcpError
from jecp_mcp.tools.publishing.file_words import extension

_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9]+")
_MOST_ALIKE: Final = 1_000
"""How many files of one name a folder may have."""


class NotWritten(JecpMcpError):
    """The file that was asked for cannot be written."""


class TargetPath(NamedPath):
    """Where a file is written. What ends in a slash means a folder, and never a file of that name."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As click's."""
        if isinstance(value, str) and value.endswith(os.sep) and not os.path.isdir(value):  # noqa: PTH112 - a Path has no slash
            self.fail(f"there is no folder {value}; make it, or leave the slash out to name a file", param, ctx)
        return super().convert(value, param, ctx)


def taken(path: Path) -> str:
    """What is said of a place where something is already."""
    return f"{path} is there already and is not overwritten"


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
            raise click.UsageError(f"{taken(output)}; nothing was bought", click.get_current_context())
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


@contextmanager
def new_text_file(path: Path, *, overwrite: bool) -> Iterator[TextIO]:
    """A text file of this user's own that is there whole or not at all.

    Raises:
        NotWritten: it is there already and is not to be overwritten, or it cannot be written.
    """
    if path.is_dir():
        raise NotWritten(f"{path} is a folder; name a file")
    if os.path.lexists(path) and not overwrite:
        raise NotWritten(f"{taken(path)}; name another file, or add --force")
    made = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        file = io.open(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8", newline="")  # noqa: SIM115, UP020 - a descriptor made with its permissions
        try:
            with file:
                yield file
            made.replace(path)
        finally:
            made.unlink(missing_ok=True)
    except OSError as exc:
        raise NotWritten(f"{path} cannot be written: {exc.strerror or exc}") from exc
