"""``jecp-mcp call`` shows what was paid for, whatever its output is; what it cannot show it does not pay for."""

from __future__ import annotations

import base64
import json
import os
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.cli.test_processes import account, environment
from tests.acceptance.roads import SandboxHub, sandbox
from tests.daily import mostly_slow

WORD = "日本語\U00020000é"
TOOL = "text-stats_count"
CODE_PAGES = ["latin-1", "ascii", "cp1252", "cp437", "utf-8"]


@pytest.fixture(scope="module")
def sold(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxHub]:
    with sandbox(tmp_path_factory.mktemp("hub") / "hub.sqlite") as running:
        yield running


@pytest.fixture
def hub(sold: SandboxHub) -> SandboxHub:
    return sold.new_agent()


def call(
    hub: SandboxHub,
    state: Path,
    *arguments: str,
    redirect: str = "",
    tool: str = TOOL,
    # With a null for what is left out, as a program may write it.
    sent: str = json.dumps({"text": f"a {WORD}", "language": None}),
    **more: str,
) -> subprocess.CompletedProcess[bytes]:
    """Run the command with its streams redirected as a shell writes it."""
    command = [sys.executable, "-m", "jecp_mcp", "call", tool, sent, *arguments]
    shell = ["/bin/sh", "-c", f'exec "$@" {redirect}', "sh", *command]
    env = environment(state, **account(hub), **more)
    return subprocess.run(shell, capture_output=True, timeout=120, check=False, env=env, stdin=subprocess.DEVNULL)


def paid(hub: SandboxHub) -> int:
    return len(hub.books()["transactions"])


def output_of(done: subprocess.CompletedProcess[bytes], code_page: str = "utf-8") -> Any:
    return json.loads(done.stdout.decode(code_page))


@pytest.mark.parametrize(
    "code_page",
    mostly_slow(CODE_PAGES, {"ascii"}),
)
@pytest.mark.parametrize("option", ["", pytest.param("--json", marks=pytest.mark.slow)])
def test_what_was_paid_for_is_shown_whatever_the_code_page(
    tmp_path: Path, hub: SandboxHub, code_page: str, option: str
) -> None:
    before = paid(hub)
    done = call(hub, tmp_path, *([option] if option else []), PYTHONIOENCODING=code_page)
    assert done.returncode == 0, done.stderr
    shown = output_of(done, code_page)
    assert (shown["output"] if option else shown)["longest_word"] == WORD
    if option:
        assert shown["billing"]["charged"] == "yes"
    else:
        assert b"Paid 0.0005 USDC" in done.stderr
    assert paid(hub) == before + 1


@pytest.mark.parametrize(
    ("redirect", "name"),
    [(">&-", "output"), ("1</dev/null", "output"), ("2>&-", "error"), ("2</dev/null", "error"), (">&- 2>&-", "output")],
)
@pytest.mark.slow
def test_nothing_is_bought_where_nothing_can_be_shown(
    tmp_path: Path, hub: SandboxHub, redirect: str, name: str
) -> None:
    before = paid(hub)
    done = call(hub, tmp_path, redirect=redirect)
    assert done.returncode == 1
    # Where standard error takes nothing either, only the status is left to say it.
    if redirect not in {">&- 2>&-", "2</dev/null"}:
        assert f"standard {name} is closed" in (done.stdout + done.stderr).decode()
    assert b"Traceback" not in done.stderr
    assert paid(hub) == before


@pytest.mark.slow
def test_nothing_is_bought_for_a_reader_that_has_gone(tmp_path: Path, hub: SandboxHub) -> None:
    before = paid(hub)
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "jecp_mcp", "call", TOOL, '{"text":"a"}']
    env = environment(tmp_path, **account(hub))
    done = subprocess.run(
        command, stdout=writing, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=120, check=False, env=env
    )
    os.close(writing)
    assert (done.returncode, paid(hub)) == (1, before)
    assert b"standard output is closed" in done.stderr


@pytest.mark.parametrize("redirect", [">/dev/full", pytest.param("2>/dev/full", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_what_is_paid_and_not_shown_is_status_3_and_not_paid_again(
    tmp_path: Path, hub: SandboxHub, redirect: str
) -> None:
    before = paid(hub)
    done = call(hub, tmp_path, redirect=redirect)
    assert done.returncode == 3
    if redirect.startswith(">"):
        line = done.stderr.decode().splitlines()[-1]
        assert "is paid, but it could not be shown" in line
        assert "the same call again is not charged" in line
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr
    again = call(hub, tmp_path)
    assert (again.returncode, output_of(again)["longest_word"]) == (0, WORD)
    assert b"not bought again" in again.stderr
    assert paid(hub) == before + 1
    # It has been shown now, so the next one is a new purchase.
    assert call(hub, tmp_path).returncode == 0
    assert paid(hub) == before + 2


def test_the_status_is_told_in_the_help() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jecp_mcp", "call", "--help"], capture_output=True, text=True, check=True
    )
    assert "3 when" in " ".join(done.stdout.split())


@pytest.mark.parametrize("given", ["\udcff", '{"text":"\udcff"}'])
@pytest.mark.slow
def test_arguments_that_are_no_text_are_refused_before_anything_is_bought(
    tmp_path: Path, hub: SandboxHub, given: str
) -> None:
    before = paid(hub)
    env = environment(tmp_path, **account(hub))
    command = [sys.executable, "-m", "jecp_mcp", "call", TOOL]
    by_hand = subprocess.run([*command, given], capture_output=True, timeout=120, check=False, env=env)
    piped = subprocess.run(
        [*command, "-"], input=os.fsencode(given), capture_output=True, timeout=120, check=False, env=env
    )
    for done in (by_hand, piped):
        assert done.returncode == 2
        assert b"not UTF-8" in done.stderr
    assert paid(hub) == before


def noise_png(side: int) -> str:
    """A picture that no encoder makes small, in base64."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    noise = random.Random(1)
    rows = zlib.compress(b"".join(b"\0" + noise.randbytes(side * 3) for _ in range(side)), 1)
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return base64.b64encode(png).decode()


def picture(hub: SandboxHub, home: Path, *options: str, side: int, redirect: str = "") -> Any:
    """Buy a picture of about three bytes a pixel where the store of artifacts cannot keep anything."""
    home.mkdir(exist_ok=True)
    (home / "artifacts").touch()
    arguments = json.dumps({"image": noise_png(side), "size": side - 1})
    command = [sys.executable, "-m", "jecp_mcp", "call", "inkwell_thumbnail_make", "-", *options]
    shell = ["/bin/sh", "-c", f'exec "$@" {redirect}', "sh", *command]
    env = environment(home, **account(hub), JECP_MCP_STATE_DIR=str(home))
    return subprocess.run(shell, input=arguments.encode(), capture_output=True, timeout=120, check=False, env=env)


@pytest.mark.parametrize(
    "side", [pytest.param(32, marks=pytest.mark.slow), 450], ids=["within a frame", "larger than a frame"]
)
@pytest.mark.slow
def test_the_file_is_saved_though_the_store_cannot_keep_it(tmp_path: Path, hub: SandboxHub, side: int) -> None:
    before, path = paid(hub), tmp_path / "small.png"
    lost = picture(hub, tmp_path / "state", side=side)
    # Without a place to save it to the file would be gone: it stays to be asked for again.
    assert lost.returncode == 3, lost.stderr
    assert b"--output PATH saves it" in lost.stderr
    done = picture(hub, tmp_path / "state", "--output", str(path), side=side)
    assert done.returncode == 0, done.stderr
    assert path.read_bytes().startswith(b"\x89PNG")
    assert b"not bought again" in done.stderr
    assert paid(hub) == before + 1


@pytest.mark.slow
def test_what_could_not_be_shown_leaves_no_file_in_the_way_of_the_same_call(tmp_path: Path, hub: SandboxHub) -> None:
    before, path = paid(hub), tmp_path / "small.png"
    options = ("--output", str(path))
    assert picture(hub, tmp_path / "state", *options, side=32, redirect=">/dev/full").returncode == 3
    assert not path.exists()
    assert picture(hub, tmp_path / "state", *options, side=32).returncode == 0
    assert path.exists()
    assert paid(hub) == before + 1


@pytest.mark.slow
def test_that_a_result_has_no_file_is_said(tmp_path: Path, hub: SandboxHub) -> None:
    path = tmp_path / "none"
    for option in ([], ["--json"]):
        done = call(hub, tmp_path, "--output", str(path), *option)
        assert done.returncode == 0
        assert f"nothing was saved to {path}: the result has no file" in done.stderr.decode()
    assert not path.exists()


@pytest.mark.slow
def test_the_same_call_is_known_however_its_numbers_are_written(tmp_path: Path, hub: SandboxHub) -> None:
    before = paid(hub)
    tool, sent = "inkwell_abstract_extract", '{"text": "A cat sat. A dog ran.", "sentences": %s}'
    assert call(hub, tmp_path, redirect=">/dev/full", tool=tool, sent=sent % "1").returncode == 3
    again = call(hub, tmp_path, tool=tool, sent=sent % "10e-1")
    assert (again.returncode, b"not bought again" in again.stderr) == (0, True)
    assert paid(hub) == before + 1


@pytest.mark.slow
def test_a_call_is_bought_for_no_more_than_it_is_given_and_as_the_copy_it_is_labelled(
    tmp_path: Path, hub: SandboxHub
) -> None:
    before = paid(hub)
    refused = call(hub, tmp_path, "--max-usdc", "0.000001")
    assert (refused.returncode, b"PRICE_ABOVE_MAXIMUM" in refused.stderr) == (1, True)
    assert paid(hub) == before
    told = [json.loads(call(hub, tmp_path, "--json", "--label", "two", "--max-usdc", "0.01").stdout) for _ in range(2)]
    assert [one["billing"]["copy"] for one in told] == [1, 2]
    assert paid(hub) == before + 2
