"""A line of standard input has a bound, whatever standard input is; a longer one is refused, and costs nobody others."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest

from jecp_mcp.server import pipe, stdio
from jecp_mcp.server.invalid_messages import valid_messages
from jecp_mcp.server.long_lines import LongLine
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
LONG = None
TAKEN = ["a" * 999, "b" * 1_000, LONG, LONG, "", "é", LONG]


async def read_all(lines: PipeLines | ThreadLines) -> list[str | None]:
    with anyio.fail_after(30):
        return [LONG if isinstance(line, LongLine) else line.rstrip("\n") async for line in lines]


@pytest.mark.parametrize("size", [1, 7, 999, 1_000_000])
async def test_lines_of_a_pipe_are_bounded_however_they_come_in(size: int) -> None:
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


async def test_lines_of_a_file_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(b"".join(GIVEN))
    lines = ThreadLines(os.open(path, os.O_RDONLY)).start()
    assert await read_all(lines) == TAKEN
    lines._receive.close()


async def test_never_more_is_held_of_a_long_line_than_the_longest_may_have() -> None:
    lines = PipeLines()
    for _ in range(1_000):
        lines.data_received(b"x" * 999)
        assert len(lines._partial) <= MOST
        assert lines._too_long is None or len(lines._too_long) <= 8_192
    lines.data_received(b"\nnext\n")
    lines.eof_received()
    assert await read_all(lines) == [LONG, "next"]


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


X = "x" * 20_000
PARAMS = {"name": "a", "arguments": {"id": 9, "text": f'{X},"id":9}}'}}
CALL = {"jsonrpc": "2.0", "method": "tools/call", "params": PARAMS}
SHAPES: dict[str, tuple[str, object]] = {
    "id first": (json.dumps({"jsonrpc": "2.0", "id": 7, **CALL}), 7),
    "id last": (json.dumps(CALL | {"id": 'sieben \\ "7"'}), 'sieben \\ "7"'),
    "id last but one": (json.dumps({"method": "tools/call", "params": PARAMS, "id": 7, "jsonrpc": "2.0"}), 7),
    "written wide": (json.dumps({"id": -7, **CALL}, indent=1).replace("\n", " \t"), -7),
    "the last of two": (json.dumps({"id": 5, **CALL})[:-1] + ',"id":7}', 7),
    "ends with an id of its arguments": (json.dumps(CALL | {"params": {"text": X, "id": 9}}), None),
    "no id": (json.dumps(CALL), None),
    "an id of a wrong kind": (json.dumps({"id": True, **CALL}), None),
    "an id without an end": (json.dumps({"id": X, **CALL}), None),
    "no object": (json.dumps([CALL]), None),
    "no JSON": (X, None),
    "cut off": (json.dumps({"id": 7, **CALL})[:-9], 7),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [7, 4_096, 1_000_000])
async def test_whoever_sent_a_longer_line_is_answered_by_the_id_that_it_shows(
    shape: str, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    line, asked = SHAPES[shape]
    (said,) = await refusals(line, size)
    assert (said["id"], said["error"]["code"]) == (asked, -32600)
    assert "Nothing was charged" in said["error"]["message"]
    assert "4 MiB" in said["error"]["message"]
    assert "nothing was bought by it" in caplog.text


@pytest.mark.parametrize("answer", [{"result": {"text": X}}, {"error": {"code": 1, "message": X}}])
async def test_a_longer_line_that_answers_a_question_of_ours_is_not_answered(answer: dict[str, Any]) -> None:
    for said in (answer | {"id": 7}, {"jsonrpc": "2.0", "id": 7, **answer}):
        assert await refusals(json.dumps(said), 4_096) == []


async def refusals(line: str, size: int) -> list[Any]:
    """What is said to whoever sends a line in pieces of that size, followed by one that can be read."""
    lines, said = PipeLines(), list[Any]()
    data = line.encode() + b"\n" + PING.encode() + b"\n"
    for at in range(0, len(data), size):
        lines.data_received(data[at : at + size])
    lines.eof_received()

    async def answer(text: str) -> None:
        said.append(json.loads(text))

    assert [one async for one in valid_messages(lines, answer)] == [PING]
    return said


PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}'
