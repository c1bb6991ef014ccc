"""A line of standard input has a bound, whatever standard input is, and a longer one costs nobody the others."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import anyio
import pytest

from jecp_mcp.server import pipe, stdio
from jecp_mcp.server.pipe import PipeLines
from jecp_mcp.server.stdio import ThreadLines

pytestmark = pytest.mark.anyio

MOST = 1_000


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipe, "MOST_LINE_BYTES", MOST)
    monkeypatch.setattr(stdio, "MOST_LINE_BYTES", MOST)


GIVEN = [
    b"a" * 999 + b"\n",
    b"b" * 1_000 + b"\n",
    b"c" * 1_001 + b"\n",
    b"d" * 300_000 + b"\n",
    b"\n",
    "é\n".encode(),
    b"e" * 5_000,
]
TAKEN = ["a" * 999, "b" * 1_000, "", "é"]


async def read_all(lines: PipeLines | ThreadLines) -> list[str]:
    with anyio.fail_after(30):
        return [line.rstrip("\n") async for line in lines]


@pytest.mark.parametrize("size", [1, 7, 999, 1_000_000])
async def test_lines_of_a_pipe_are_bounded_however_they_come_in(size: int, caplog: pytest.LogCaptureFixture) -> None:
    source, sink = os.pipe()

    def write() -> None:
        with os.fdopen(sink, "wb", buffering=0) as file:
            data = b"".join(GIVEN)
            for at in range(0, len(data), size):
                file.write(data[at : at + size])

    writer = threading.Thread(target=write)
    lines = await PipeLines.open(source)
    writer.start()
    assert await read_all(lines) == TAKEN
    writer.join()
    lines.close()
    assert caplog.messages == ["a message of more than 1000 bytes was not read; nothing was bought by it"] * 3


async def test_lines_of_a_file_are_bounded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "input"
    path.write_bytes(b"".join(GIVEN))
    lines = ThreadLines(os.open(path, os.O_RDONLY)).start()
    assert await read_all(lines) == TAKEN
    lines._receive.close()
    assert len(caplog.messages) == 3


async def test_never_more_is_held_of_a_long_line_than_the_longest_may_have() -> None:
    lines = PipeLines()
    for _ in range(1_000):
        lines.data_received(b"x" * 999)
        assert len(lines._partial) <= MOST
    lines.data_received(b"\nnext\n")
    lines.eof_received()
    assert await read_all(lines) == ["next"]


async def test_what_is_read_ahead_is_bounded_in_bytes_too() -> None:
    class Transport:
        paused = False

        def pause_reading(self) -> None:
            self.paused = True

        def resume_reading(self) -> None:
            self.paused = False

    lines, transport = PipeLines(), Transport()
    lines.connection_made(transport)  # type: ignore[arg-type]
    lines.data_received(b"x" * 600 + b"\n")
    assert not transport.paused
    lines.data_received(b"y" * 600 + b"\n")
    assert transport.paused
    iterator = lines.__aiter__()
    assert len([await anext(iterator) for _ in range(2)]) == 2
    assert not transport.paused
