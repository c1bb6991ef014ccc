"""Where the files of a call are saved: under our names, beside what is there, through no link."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest

from jecp_mcp.cli import saved_files
from jecp_mcp.cli.saved_files import check_room, remove

DATA = b"bytes"


def save(output: Path, *types: str) -> list[str]:
    saved, problems = saved_files.save(
        [(f"file {place}", mime_type, DATA) for place, mime_type in enumerate(types)], output
    )
    assert problems == []
    return [one.name for one in saved]


def test_names_end_as_the_stores_do_whatever_a_stranger_calls_the_type(tmp_path: Path) -> None:
    types = ["image/png", "audio/mpeg", "image/svg+xml", "image/x.exe", "image/../../x", "text/html"]
    names = ["file-0.png", "file-1.mp3", "file-2.bin", "file-3.bin", "file-4.bin", "file-5.html.txt"]
    assert save(tmp_path, *types) == names
    assert sorted(one.name for one in tmp_path.iterdir()) == names


def test_nothing_that_is_there_is_overwritten_and_no_link_is_followed(tmp_path: Path) -> None:
    folder, mine = tmp_path / "folder", tmp_path / "mine"
    folder.mkdir()
    mine.write_bytes(b"mine")
    (folder / "file-0.png").symlink_to(mine)
    (folder / "file-0-2.png").symlink_to(tmp_path / "nowhere")
    assert save(folder, "image/png") == ["file-0-3.png"]
    assert mine.read_bytes() == b"mine"
    assert not (tmp_path / "nowhere").exists()
    saved, (problem,) = saved_files.save([("picture", "image/png", DATA)], mine)
    assert (saved, mine.read_bytes()) == ([], b"mine")
    assert problem.startswith(f"its file could not be written to {mine}: ")


def test_a_place_that_cannot_take_the_file_is_refused_before_anything_is_bought(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with click.Context(click.Command("call")):
        for place in (tmp_path / "file", tmp_path / "link", tmp_path / "no" / "file"):
            with pytest.raises(click.UsageError, match="nothing was bought"):
                check_room(place)
        for fit in (None, tmp_path, tmp_path / "new"):
            check_room(fit)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file", "link"]


def test_a_place_where_nothing_can_be_written_is_refused_before_anything_is_bought(tmp_path: Path) -> None:
    with click.Context(click.Command("call")):
        for place in (tmp_path / ("x" * 300), Path("/proc")):
            with pytest.raises(click.UsageError, match=r"nothing can be written .*; nothing was bought"):
                check_room(place)


def test_a_file_in_a_folder_is_called_as_the_store_calls_it(tmp_path: Path) -> None:
    files = [("acme thumbnail make", "image/png", DATA), ("../\u202e", "image/png", DATA)]
    saved, problems = saved_files.save(files, tmp_path)
    assert ([one.name for one in saved], problems) == (["acme-thumbnail-make.png", "file.png"], [])


def test_several_files_make_a_folder(tmp_path: Path) -> None:
    assert save(tmp_path / "new", "image/png", "image/gif") == ["file-0.png", "file-1.gif"]
    assert os.access(tmp_path / "new" / "file-1.gif", os.R_OK)


@contextmanager
def disk_full_after(size: int) -> Iterator[None]:
    """The system writes no more than `size` bytes into one file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_what_cannot_be_written_whole_leaves_nothing_in_the_way_of_the_same_call(tmp_path: Path) -> None:
    files = [("", "image/png", DATA), ("", "application/pdf", bytes(100_000))]
    with disk_full_after(50_000):
        for place, given in ((tmp_path / "one.pdf", files[1:]), (tmp_path / "folder", files)):
            saved, (problem,) = saved_files.save(given, place)
            assert saved == []
            assert problem == f"its file could not be written to {place}: File too large"
    assert list(tmp_path.rglob("*.*")) == []
    assert save(tmp_path / "one.pdf", "application/pdf") == ["one.pdf"]


def test_a_file_that_cannot_be_removed_again_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (problem,) = remove([tmp_path / "gone", tmp_path / "folder"])
    assert problem.startswith(f"{tmp_path / 'folder'} is left there (")
