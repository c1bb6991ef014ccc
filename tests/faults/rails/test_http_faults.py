"""What the HTTP client knows of an exchange that went wrong, against real sockets."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx2
import pytest

from jecp_mcp.http import MAX_BYTES, ExchangeFailed, Http
from tests.faults.rails.raw_hub import (
    RawHub,
    Request,
    Script,
    dangles,
    drips,
    floods,
    hangs,
    raw,
    raw_hub,
    resets,
    says,
    stops_halfway,
    stops_in_a_chunk,
    vanishes,
)
from tests.ports import free_port

pytestmark = pytest.mark.anyio


async def failure(url: str, path: str = "/x", **options: object) -> ExchangeFailed:
    async with Http(url) as http:
        with anyio.fail_after(60), pytest.raises(ExchangeFailed) as caught:
            await http.exchange("POST", url + path, body=b"{}", **options)  # type: ignore[arg-type]
    return caught.value


@asynccontextmanager
async def connected(script: Script) -> AsyncIterator[tuple[RawHub, Http]]:
    """A client that has a connection already: making one takes a busy machine longer than these tests give it."""
    async with raw_hub(says({}), script) as hub, Http(hub.url) as http:
        await http.exchange("POST", hub.url + "/x")
        yield hub, http


async def test_a_refused_connection_proves_that_nothing_was_sent() -> None:
    failed = await failure(f"http://127.0.0.1:{free_port()}")
    assert (failed.sent, failed.phase) == (False, "connect")
    assert failed.__cause__ is not None


async def test_a_server_that_is_not_tls_gets_nothing() -> None:
    async with raw_hub(vanishes) as hub:
        url = hub.url.replace("http://", "https://")
        failed = await failure(url, timeout=3.0)
        assert (failed.sent, failed.phase) == (False, "tls")
        assert hub.heard == []


LOST = {
    "no answer": (vanishes, "answer"),
    "a reset in the head": (resets, "answer"),
    "garbage": (raw(b"\x00\x01 not http\r\n\r\n"), "answer"),
    "a head without end": (raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 30_000), "answer"),
    "half a body": (stops_halfway, "body"),
    "half a chunk": (stops_in_a_chunk, "body"),
    "a chunk that is none": (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "body"),
}


@pytest.mark.parametrize("label", LOST)
async def test_once_the_request_went_out_a_failure_says_so_and_where(label: str) -> None:
    script, phase = LOST[label]
    async with raw_hub(script) as hub:
        failed = await failure(hub.url)
        assert (failed.sent, failed.phase) == (True, phase)


@pytest.mark.parametrize("script", [hangs, drips, dangles], ids=["silence", "a drip", "interim answers"])
async def test_no_server_keeps_an_exchange_past_its_deadline(script: Script) -> None:
    async with connected(script) as (hub, http):
        with anyio.fail_after(60), pytest.raises(ExchangeFailed) as caught:
            await http.exchange("POST", hub.url + "/x", timeout=1.0)
        assert caught.value.sent
        assert "1 s" in caught.value.reason


async def test_a_stream_outlives_slow_bytes() -> None:
    async with connected(drips) as (hub, http), http.stream("POST", hub.url + "/x", timeout=1.0) as answer:
        received = 0
        async for chunk in answer.chunks:
            received += len(chunk)
            # A byte every 20 ms.
            if received > 75:
                break
    assert received > 75


async def test_a_stream_ends_at_a_silence() -> None:
    async with connected(raw(b"HTTP/1.1 200 OK\r\n\r\nx")) as (hub, http):
        with anyio.fail_after(60):
            async with http.stream("POST", hub.url + "/x", timeout=1.0) as answer:
                assert await anext(answer.chunks) == b"x"
                with pytest.raises(ExchangeFailed) as caught:
                    await anext(answer.chunks)
        assert (caught.value.sent, caught.value.phase) == (True, "body")


async def test_a_stream_whose_head_never_comes_is_given_up() -> None:
    async with connected(dangles) as (hub, http):
        with anyio.fail_after(60), pytest.raises(ExchangeFailed) as caught:
            async with http.stream("POST", hub.url + "/x", timeout=1.0):
                pass
        assert caught.value.sent


async def test_more_than_fifty_megabytes_are_not_read() -> None:
    async with raw_hub(floods) as hub:
        failed = await failure(hub.url)
        assert (failed.sent, failed.phase) == (True, "size")
        assert str(MAX_BYTES) in failed.reason


async def test_an_announced_length_above_the_bound_is_not_waited_for() -> None:
    async with raw_hub(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n")) as hub:
        assert (await failure(hub.url, max_bytes=1000)).phase == "size"


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_small_body_that_unfolds_to_a_huge_one_is_stopped_at_the_bound(encoding: str) -> None:
    bomb = b"0" * 30_000_000
    packed = gzip.compress(bomb) if encoding == "gzip" else zlib.compress(bomb)
    async with raw_hub(says(packed, "200 OK", f"Content-Encoding: {encoding}")) as hub:
        assert (await failure(hub.url, max_bytes=1_000_000)).phase == "size"


async def test_an_answer_compressed_unasked_is_read_and_a_damaged_one_is_not() -> None:
    good = gzip.compress(b'{"a":1}')
    scripts = [says(body, "200 OK", "Content-Encoding: gzip") for body in (good, good[:-9], b"no gzip")]
    async with raw_hub(*scripts) as hub, Http(hub.url) as http:
        assert (await http.exchange("POST", hub.url + "/x")).body == b'{"a":1}'
        for _ in range(2):
            with pytest.raises(ExchangeFailed, match="damaged"):
                await http.exchange("POST", hub.url + "/x")
    async with raw_hub(says(b"x", "200 OK", "Content-Encoding: gzip, gzip")) as hub:
        assert "nobody asked for" in (await failure(hub.url)).reason


async def test_a_redirect_is_an_answer_and_no_cookie_comes_back() -> None:
    redirect = says(b"", "302 Found", "Location: http://127.0.0.1:1/elsewhere", "Set-Cookie: id=1; Path=/")
    async with raw_hub(redirect) as hub, Http(hub.url) as http:
        for _ in range(2):
            assert (await http.exchange("POST", hub.url + "/x")).status == 302
        assert [request.headers.get("cookie") for request in hub.heard] == [None, None]
        assert hub.connections == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}.evil.example/x",
        "http://evil.example/x",
        "http://user@127.0.0.1:{port}/x",
        "https://127.0.0.1:{port}/x",
        "//127.0.0.1:{port}/x",
        "http://127.0.0.1:{port}",
    ],
)
async def test_nothing_goes_to_any_address_but_the_hubs(url: str) -> None:
    async with raw_hub(says({})) as hub, Http(hub.url) as http:
        with pytest.raises(ExchangeFailed) as caught:
            await http.exchange("GET", url.format(port=hub.url.rpartition(":")[2]))
        assert (caught.value.sent, caught.value.phase) == (False, "url")
        assert hub.connections == 0


@pytest.mark.parametrize("origin", ["http://jecp.dev", "ftp://jecp.dev", "https://a:b@jecp.dev", "https://jecp.dev/x"])
@pytest.mark.requirement("WIRE-2-2")
def test_only_https_or_loopback_can_be_a_hub(origin: str) -> None:
    with pytest.raises(ValueError, match=r"Hub|http"):
        Http(origin)


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\x00b"])
async def test_a_header_cannot_smuggle_another_one(value: str) -> None:
    async with raw_hub(says({})) as hub, Http(hub.url) as http:
        with pytest.raises(ExchangeFailed, match="cannot be written"):
            await http.exchange("GET", hub.url + "/x", headers={"X-Test": value})
        assert hub.heard == []


@pytest.mark.parametrize("path", ["/a b", "/a\r\nX-Evil: 1", "/\x00"])
async def test_an_address_cannot_smuggle_a_line(path: str) -> None:
    async with raw_hub(says({})) as hub, Http(hub.url) as http:
        try:
            await http.exchange("GET", hub.url + path)
        except ExchangeFailed:
            assert hub.heard == []
        assert all("x-evil" not in request.headers and "\n" not in request.path for request in hub.heard)


async def test_a_pooled_connection_the_server_closed_costs_nothing() -> None:
    async def once(request: Request, writer: asyncio.StreamWriter) -> None:
        await says({})(request, writer)
        writer.close()

    async with raw_hub(once) as hub, Http(hub.url) as http:
        for _ in range(3):
            assert (await http.exchange("POST", hub.url + "/x")).status == 200
        assert (len(hub.heard), hub.connections) == (3, 3)


async def test_answers_at_the_same_time_stay_apart() -> None:
    async def echo(request: Request, writer: asyncio.StreamWriter) -> None:
        await says(request.body)(request, writer)

    async with raw_hub(echo) as hub, Http(hub.url) as http:

        async def one(number: int) -> None:
            answer = await http.exchange("POST", hub.url + "/x", body=str(number).encode())
            assert answer.body == str(number).encode()

        async with anyio.create_task_group() as tasks:
            for number in range(100):
                tasks.start_soon(one, number)
        assert len(hub.heard) == 100


@pytest.mark.parametrize(
    "path",
    ["/", "/x", "/jobs/job_1-2~3.4/ack", "/x/", "/x//y", "/a/../b", "/a/.b", "/a%2Fb", "/a b", "/ä", "/x?a=1&b=c d", "/x?"],
)  # fmt: skip
async def test_an_address_is_asked_for_as_the_library_writes_it(path: str) -> None:
    async with raw_hub(says(b"{}")) as hub, Http(hub.url) as http:
        await http.exchange("GET", hub.url + path)
        assert hub.heard[0].path.encode() == httpx2.URL(hub.url + path).raw_path
