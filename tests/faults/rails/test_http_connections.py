"""How requests leave, and how an idle connection is asked whether its peer is still there."""

from __future__ import annotations

import asyncio
import select
import socket
from contextlib import suppress
from typing import Any

import anyio
import httpcore2
import pytest

from jecp_mcp.http import ExchangeFailed, Http
from tests.faults.rails.raw_hub import Request, raw_hub, says

pytestmark = pytest.mark.anyio


class Peer(httpcore2.AsyncNetworkStream):
    """A connection whose peer answers anything by ``204``; `deaf`, it has stopped reading before."""

    def __init__(self, *, deaf: bool) -> None:
        self.written: list[bytes] = []
        self._deaf = deaf
        self._ours, self._theirs = socket.socketpair()

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - the library's
        self.written.append(buffer)
        if self._deaf:
            raise httpcore2.WriteError("broken pipe")

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - likewise
        return b"HTTP/1.1 204 No Content\r\n\r\n"

    async def aclose(self) -> None:
        self._ours.close()
        self._theirs.close()

    def get_extra_info(self, info: str) -> Any:
        return self._ours if info == "socket" else None


def meets(monkeypatch: pytest.MonkeyPatch, peer: Peer) -> None:
    """Let the next connection be to `peer`."""

    class Backend(httpcore2.AnyIOBackend):
        async def connect_tcp(self, *_: Any, **__: Any) -> httpcore2.AsyncNetworkStream:
            return peer

    monkeypatch.setattr(httpcore2, "AnyIOBackend", Backend)


async def test_a_small_request_leaves_as_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = Peer(deaf=False)
    meets(monkeypatch, peer)
    async with Http("http://127.0.0.1:9") as http:
        await http.exchange("POST", "http://127.0.0.1:9/x", headers={"X-One": "1"}, body=b'{"a":1}')
    (sent,) = peer.written
    head, _, body = sent.partition(b"\r\n\r\n")
    assert body == b'{"a":1}'
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /x HTTP/1.1"
    assert {b"Host: 127.0.0.1:9", b"Content-Length: 7", b"X-One: 1"} < set(lines)


@pytest.mark.parametrize("behind", [b"HTTP/1.1 402 Payment Required\r\nContent-Length: 0\r\n\r\n", b"\r\n", b"?"])
@pytest.mark.parametrize("size", [0, 2, 100_000])
async def test_whatever_comes_behind_an_answer_the_next_request_leaves_before_any_is_taken_for_its_answer(
    behind: bytes, size: int
) -> None:
    """Else it would be told to have been answered, and leave later, with another, when nobody allowed it any more."""
    arrived = asyncio.Queue[str]()

    async def overhasty(request: Request, writer: asyncio.StreamWriter) -> None:
        arrived.put_nowait(request.path)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" + behind)
        await writer.drain()

    async with raw_hub(overhasty) as hub, Http(hub.url) as http:
        for number in range(4):
            with suppress(ExchangeFailed):
                await http.exchange("POST", f"{hub.url}/{number}", body=b"x" * size)
            with anyio.fail_after(60):
                assert await arrived.get() == f"/{number}"
            assert arrived.empty()


@pytest.mark.parametrize("size", [2, 100_000])
async def test_what_a_peer_says_counts_that_did_not_read_the_request(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = Peer(deaf=True)
    meets(monkeypatch, peer)
    async with Http("http://127.0.0.1:9") as http:
        assert (await http.exchange("POST", "http://127.0.0.1:9/x", body=b"x" * size)).status == 204
    assert peer.written


@pytest.mark.parametrize("size", [0, 60_000, 65_536, 1_000_000])
async def test_a_request_of_any_size_arrives_whole(size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    async with raw_hub(says({})) as hub, Http(hub.url) as http:
        for method in ("POST", "PUT"):
            assert (await http.exchange(method, hub.url + "/x", body=body[:size])).status == 200
        assert [one.body for one in hub.heard] == [body[:size]] * 2
        assert {one.headers["content-length"] for one in hub.heard} == {str(size)}


async def test_a_get_says_nothing_of_a_body() -> None:
    async with raw_hub(says({})) as hub, Http(hub.url) as http:
        await http.exchange("GET", hub.url + "/x")
        assert "content-length" not in hub.heard[0].headers


@pytest.mark.parametrize("polls", [True, False], ids=["with poll", "where there is none"])
async def test_a_connection_that_its_peer_has_left_is_not_used_again(
    polls: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not polls:
        monkeypatch.delattr(select, "poll")

    async def once(request: Request, writer: asyncio.StreamWriter) -> None:
        await says({})(request, writer)
        writer.close()
        await writer.wait_closed()

    async with raw_hub(once) as hub, Http(hub.url) as http:
        for _ in range(3):
            assert (await http.exchange("POST", hub.url + "/x", body=b"{}")).status == 200
        assert (len(hub.heard), hub.connections) == (3, 3)
    async with raw_hub(says({})) as hub, Http(hub.url) as http:
        for _ in range(3):
            await http.exchange("POST", hub.url + "/x", body=b"{}")
        assert (len(hub.heard), hub.connections) == (3, 1)
