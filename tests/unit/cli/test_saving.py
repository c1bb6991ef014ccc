"""Where the files of a call are saved: under our names, beside what is there, through no link."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from jecp_mcp.cli.call import _check_room, _save
from jecp_mcp.tools.forms import Audio, Embedded, Image, ToolResult

DATA = base64.b64encode(b"bytes").decode()
NOTHING_KEPT: Any = SimpleNamespace(store=SimpleNamespace(find=lambda _: None))


def save(output: Path, *blocks: Any) -> list[str]:
    return [one.name for one in _save(NOTHING_KEPT, ToolResult(blocks), output)[0]]


def test_names_end_as_the_stores_do_whatever_a_stranger_calls_the_type(tmp_path: Path) -> None:
    blocks = [
        Image(DATA, "image/png"),
        Audio(DATA, "audio/mpeg"),
        Image(DATA, "image/svg+xml"),
        Image(DATA, "image/x.exe"),
    ]
    blocks += [Image(DATA, "image/../../x"), Embedded("jecp://artifact/unstored", DATA, "text/html")]
    names = ["file-0.png", "file-1.mp3", "file-2.bin", "file-3.bin", "file-4.bin", "file-5.html.txt"]
    assert save(tmp_path, *blocks) == names
    assert sorted(one.name for one in tmp_path.iterdir()) == names


def test_nothing_that_is_there_is_overwritten_and_no_link_is_followed(tmp_path: Path) -> None:
    folder, mine = tmp_path / "folder", tmp_path / "mine"
    folder.mkdir()
    mine.write_bytes(b"mine")
    (folder / "file-0.png").symlink_to(mine)
    (folder / "file-0-2.png").symlink_to(tmp_path / "nowhere")
    assert save(folder, Image(DATA, "image/png")) == ["file-0-3.png"]
    assert mine.read_bytes() == b"mine"
    assert not (tmp_path / "nowhere").exists()
    saved, (problem,) = _save(NOTHING_KEPT, ToolResult((Image(DATA, "image/png"),)), mine)
    assert (saved, mine.read_bytes()) == ([], b"mine")
    assert problem.startswith(f"its file could not be written to {mine}: ")


def test_a_place_that_cannot_take_the_file_is_refused_before_anything_is_bought(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with click.Context(click.Command("call")):
        for place in (tmp_path / "file", tmp_path / "link", tmp_path / "no" / "file"):
            with pytest.raises(click.UsageError, match="nothing was bought"):
                _check_room(place)
        for fit in (None, tmp_path, tmp_path / "new"):
            _check_room(fit)


def test_several_files_make_a_folder(tmp_path: Path) -> None:
    assert save(tmp_path / "new", Image(DATA, "image/png"), Image(DATA, "image/gif")) == ["file-0.png", "file-1.gif"]
    assert os.access(tmp_path / "new" / "file-1.gif", os.R_OK)
