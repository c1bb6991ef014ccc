"""Whatever a host writes on stdin, whoever asked gets an answer, and the server goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import jsonrpc_message_adapter
from pydantic import ValidationError

from jecp_mcp.server.invalid_messages import error_for
from tests.acceptance.cli.test_processes import NOWHERE, environment

HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}


class Host:
    """A host that writes what it likes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def write(self, line: bytes) -> None:
        assert self._process.stdin
        self._process.stdin.write(line + b"\n")
        self._process.stdin.flush()

    def read(self) -> Any:
        assert self._process.stdout
        return json.loads(self._process.stdout.readline())


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    command = [sys.executable, "-m", "jecp_mcp", "serve", "--hub", NOWHERE]
    env = environment(tmp_path_factory.mktemp("state"))
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=env) as process:
        found = Host(process)
        found.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}).encode())
        assert "serverInfo" in found.read()["result"]
        found.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
        yield found
        process.kill()


def asking(value: str, asked: str = "2") -> bytes:
    params = f'{{"name":"jecp_search","arguments":{{"query":{value}}}}}'
    return f'{{"jsonrpc":"2.0","id":{asked},"method":"tools/call","params":{params}}}'.encode()


ARGUMENTS = {
    "a lone high surrogate": r'"\ud800"',
    "a lone low surrogate": r'"a\udfffb"',
    "five thousand levels": "[" * 5_000 + "]" * 5_000,
    "five thousand objects": '{"a":' * 5_000 + "1" + "}" * 5_000,
    "five thousand digits": "9" * 5_000,
    "five thousand decimals": "0." + "9" * 5_000,
    "an exponent beyond measure": "1e999999999",
    "not a number": "NaN",
}


@pytest.mark.parametrize("label", ARGUMENTS)
@pytest.mark.parametrize("asked", ["2", '"two"'])
def test_an_argument_that_no_model_should_send_gets_an_error(host: Host, label: str, asked: str) -> None:
    host.write(asking(ARGUMENTS[label], asked))
    found = host.read()
    assert found["id"] == json.loads(asked)
    if "error" in found:
        assert "Nothing was charged" in found["error"]["message"]
    else:
        assert found["result"]["isError"]
        assert found["result"]["structuredContent"]["charged"] == "no"


@pytest.mark.parametrize(
    ("line", "asked", "code"),
    [
        (b"{", None, -32700),
        (b'{"jsonrpc":"2.0","id":7,', None, -32700),
        (b"\xff\xfe", None, -32700),
        (b"[]", None, -32600),
        (b"7", None, -32600),
        (b'{"jsonrpc":"2.0","id":7}', 7, -32600),
        (b'{"jsonrpc":"1.0","id":7,"method":"ping"}', 7, -32600),
        (b'{"jsonrpc":"2.0","id":7,"method":9}', 7, -32600),
        (b'{"jsonrpc":"2.0","id":"\\ud800","method":"ping"}', "\ufffd", -32600),
    ],
)
def test_a_line_that_is_no_message_gets_an_error(host: Host, line: bytes, asked: object, code: int) -> None:
    host.write(line)
    found = host.read()
    assert (found["id"], found["error"]["code"]) == (asked, code)


SEARCH = '"method":"tools/call","params":{"name":"jecp_search"'


@pytest.mark.parametrize(
    ("request_", "place", "reason"),
    [
        (f'{SEARCH},"arguments":[]}}', "params/arguments", "dictionary"),
        (f'{SEARCH},"arguments":"{{}}"}}', "params/arguments", "dictionary"),
        (f'{SEARCH},"_meta":{{"progressToken":null}}}}', "params/_meta/progressToken", "string or input"),
        ('"method":"tools/list","params":{"cursor":5}', "params/cursor", "string"),
        ('"method":"tools/list","params":{"cursor":"jecp_search"}', "tools/list", "cursor"),
        ('"method":"tools/list","params":{"cursor":"after:"}', "tools/list", "cursor"),
        ('"method":"prompts/list","params":{"cursor":"1"}', "prompts/list", "cursor"),
        ('"method":"resources/list","params":{"cursor":"1"}', "resources/list", "cursor"),
        ('"method":"resources/templates/list","params":{"cursor":"1"}', "resources/templates/list", "cursor"),
    ],
)
def test_parameters_of_the_wrong_kind_get_an_error_that_says_which(
    host: Host, request_: str, place: str, reason: str
) -> None:
    host.write(f'{{"jsonrpc":"2.0","id":8,{request_}}}'.encode())
    found = host.read()
    assert (found["id"], found["error"]["code"]) == (8, -32602)
    assert place in found["error"]["message"]
    assert reason in found["error"]["message"]


@pytest.mark.parametrize("what", ["tools", "prompts", "resources", "resources/templates"])
def test_an_empty_cursor_asks_for_the_first_page(host: Host, what: str) -> None:
    pages = []
    for params in ("{}", '{"cursor":""}'):
        host.write(f'{{"jsonrpc":"2.0","id":9,"method":"{what}/list","params":{params}}}'.encode())
        pages.append(host.read()["result"])
    assert pages[0] == pages[1]


def test_a_notification_that_cannot_be_read_and_an_empty_line_get_none(host: Host) -> None:
    host.write(b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"a":"\\ud800"}}')
    host.write(b"")
    host.write(b'{"jsonrpc":"2.0","id":9,"method":"ping"}')
    assert host.read() == {"jsonrpc": "2.0", "id": 9, "result": {}}


@given(line=st.text() | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["jsonrpc", "id", "method", "params", "a"]), inner)
).map(json.dumps))  # fmt: skip
def test_whatever_the_sdk_does_not_read_is_refused_or_is_a_notification(line: str) -> None:
    try:
        jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValidationError as exc:
        found = error_for(line, exc)
        if found is None:
            assert "id" not in json.loads(line)
        else:
            assert json.loads(json.dumps(found))["error"]["message"]
