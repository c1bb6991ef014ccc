"""``jecp-mcp files``: what the store keeps, listed, copied and opened; nothing that is there is overwritten."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from jecp_mcp.cli.main import _run
from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.purchases import LOCAL, Principal
from jecp_mcp.settings import ArtifactSettings
from jecp_mcp.tools.artifact_store import ArtifactStore, StoredArtifact
from tests.unit.tools_results.scene import NOW, FixedClock

PDF = b"%PDF-1.7" + bytes(23_000)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[StoredArtifact]:
    """A PDF of the local user and a later picture of somebody else's."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("JECP_MCP_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "80")
    clock = FixedClock()
    store = ArtifactStore(tmp_path / "state" / "artifacts", ArtifactSettings(), clock)
    first = store.put(PDF, "application/pdf", "docs/invoice: render", "call_1", LOCAL)
    clock.at = UnixMs(NOW + 1000)
    return [first, store.put(b"\x89PNG", "image/png", "a picture", "call_2", Principal("someone"))]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["jecp-mcp", "files", *arguments])
        status = _run()
        out, err = capsys.readouterr()
        return status, out, err

    return command


def test_all_files_are_listed_latest_first_with_what_they_are(run: Any, kept: list[StoredArtifact]) -> None:
    pdf, png = kept
    status, out, _ = run()
    lines = [line.split() for line in out.splitlines() if line.split() and line.split()[0] in (pdf.id[:8], png.id[:8])]
    assert status == 0
    assert lines == [
        [png.id[:8], "a", "picture", "PNG", "image", "4", "bytes", "2026-12-21"],
        [pdf.id[:8], "docs/invoice:", "render", "PDF", "23", "kB", "2026-12-21"],
    ]
    listed = json.loads(run("--json")[1])
    assert [(one["id"], one["principal"], one["call_id"]) for one in listed] == [
        (png.id, "someone", "call_2"),
        (pdf.id, "local", "call_1"),
    ]
    assert listed[1]["path"] == str(pdf.path)
    assert "1 more; --limit N shows them" in run("--limit", "1")[2]


def test_an_empty_store_says_so(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JECP_MCP_STATE_DIR", str(tmp_path))
    assert "No file is kept" in run()[1]
    assert run("--json")[1] == "[]\n"


@pytest.mark.parametrize("by", ["id", "uri", "call_id", "name", "path", "id.pdf"])
def test_a_file_is_shown_and_copied_by_any_of_its_names(
    run: Any, kept: list[StoredArtifact], tmp_path: Path, by: str
) -> None:
    pdf = kept[0]
    name = {"id": pdf.id[:5], "id.pdf": f"{pdf.id}.pdf"}.get(by) or str(getattr(pdf, by))
    status, out, _ = run(name)
    assert status == 0
    assert f"kept at {pdf.path}" in out
    status, out, _ = run(name, "--output", str(tmp_path / "mine.pdf"))
    assert (status, (tmp_path / "mine.pdf").read_bytes()) == (0, PDF)
    assert f"saved to {tmp_path / 'mine.pdf'}" in out


def test_nothing_is_overwritten_and_in_a_folder_the_next_free_name_is_taken(
    run: Any, kept: list[StoredArtifact], tmp_path: Path
) -> None:
    mine, link = tmp_path / "mine", tmp_path / "link"
    mine.write_bytes(b"mine")
    link.symlink_to(tmp_path / "nowhere")
    for place in (mine, link):
        status, _, err = run("call_1", "--output", str(place))
        assert status == 1
        assert "is there already and is not overwritten" in err
    assert mine.read_bytes() == b"mine"
    assert not (tmp_path / "nowhere").exists()
    folder = tmp_path / "folder"
    folder.mkdir()
    saved = [json.loads(run("call_1", "--output", str(folder), "--json")[1])["saved"] for _ in range(2)]
    assert saved == [str(folder / "docs-invoice-render.pdf"), str(folder / "docs-invoice-render-2.pdf")]
    status, _, err = run("call_1", "--output", str(tmp_path / "no" / "file"))
    assert (status, "cannot be written" in err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["zz"], 1, "no kept file has the name 'zz', an id that begins so, or came with such a call"),
        ([""], 1, "no kept file"),
        (["jecp://artifact/"], 1, "no kept file"),
        (["--open"], 2, "--open needs a FILE"),
        (["--output", "x"], 2, "--output needs a FILE"),
        (["call_1", "--limit", "3"], 2, "--limit goes with the list"),
    ],
)
def test_what_is_asked_for_wrongly_is_said(
    run: Any, kept: list[StoredArtifact], arguments: list[str], status: int, said: str
) -> None:
    assert kept
    ended, _, err = run(*arguments)
    assert (ended, said in err) == (status, True), err


def test_an_id_that_several_files_share_names_them(run: Any, tmp_path: Path, kept: list[StoredArtifact]) -> None:
    twin = kept[0].id[:6] + "0" * 26
    folder = tmp_path / "state" / "artifacts"
    (folder / f"{twin}.meta").write_bytes((folder / f"{kept[0].id}.meta").read_bytes())
    status, _, err = run(kept[0].id[:6])
    assert status == 1
    assert twin in err
    assert "could be 2 files" in err


def test_a_file_whose_bytes_are_gone_is_neither_copied_nor_opened(
    run: Any, tmp_path: Path, kept: list[StoredArtifact]
) -> None:
    kept[0].path.unlink()
    for option in (["--output", str(tmp_path / "x")], ["--open"]):
        status, _, err = run("call_1", *option)
        assert (status, "cannot be read" in err) == (1, True)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(("ends", "status"), [(0, 0), (3, 1), (None, 1)], ids=["opens", "fails", "none"])
def test_a_file_is_opened_by_what_the_machine_has(
    run: Any, tmp_path: Path, kept: list[StoredArtifact], monkeypatch: pytest.MonkeyPatch, ends: int | None, status: int
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}/usr/bin:/bin" if ends is not None else str(programs))
    for name in ("xdg-open", "open"):
        if ends is not None:
            (programs / name).write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\nexit {ends}\n')
            (programs / name).chmod(0o700)
    ended, _, err = run("call_1", "--open")
    assert ended == status
    if ends is not None:
        assert (tmp_path / "opened").read_text().strip() == str(kept[0].path)
    if status:
        assert f"the file is {kept[0].path}" in err
