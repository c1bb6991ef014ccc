"""Answers no decent server gives: the client reads them or says that they broke off, and nothing else happens."""

from __future__ import annotations

import asyncio
import gzip
import random
import zlib

import anyio
import pytest

from jecp_mcp.http import ExchangeFailed, Http, HttpAnswer
from tests.faults.rails.raw_hub import Request, Script, raw, raw_hub, says

pytestmark = pytest.mark.anyio

BODY = b'{"jecp":"1.0","status":"success","result":1}'
MODELS = [
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 44\r\n\r\n" + BODY,
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2c\r\n" + BODY + b"\r\n0\r\nTrailer: x\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 Slow\r\nRetry-After: 5\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 302 Found\r\nLocation: https://hub.example/x?y=z\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n" + gzip.compress(BODY),
]
ODD = [
    b"\r\n",
    b"\n",
    b"\x00",
    b"\xff\xfe",
    b":",
    b" ",
    b"HTTP/1.1 200 OK\r\n",
    b"9" * 5_000,
    b"a" * 70_000,
    b"\r\n\r\n",
]


def mutated(rng: random.Random) -> bytes:
    text = bytearray(rng.choice(MODELS))
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(text))
        match rng.randrange(4):
            case 0:
                text[at] = rng.randrange(256)
            case 1:
                del text[at : at + rng.randrange(1, 9)]
            case 2:
                text[at:at] = rng.choice(ODD)
            case _:
                del text[at:]
        text = text or bytearray(b"x")
    return bytes(text)


async def test_any_bytes_are_an_answer_or_a_failure_after_sending() -> None:
    rng = random.Random(20_261_121)
    kinds: set[str] = set()

    async def odd(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(mutated(rng))
        await writer.drain()
        writer.close()

    async with raw_hub(odd) as hub, Http(hub.url) as http:
        for _ in range(200):
            try:
                with anyio.fail_after(60):
                    answer = await http.exchange("POST", hub.url + "/x", body=b"{}", max_bytes=100_000, timeout=30)
            except ExchangeFailed as failed:
                kinds.add(failed.phase if failed.sent else "never sent")
            else:
                assert len(answer.body) <= 100_000
                kinds.add("whole")
    assert {"whole", "answer", "body"} <= kinds
    assert "never sent" not in kinds


LOCATIONS = [
    "http://[", "//", "http://a b/", "javascript:alert(1)", "http://xn--/", f"http://{'a' * 70}.example/", "\xff\xfe",
    "http://h:99999999/", "\t", "http://%00/", "?" * 5_000, "http://user:pw@evil.example/",
]  # fmt: skip


@pytest.mark.parametrize("location", LOCATIONS)
async def test_wherever_a_redirect_points_it_is_not_followed(location: str) -> None:
    async with raw_hub(says(b"", "307 Temporary Redirect", f"Location: {location}")) as hub, Http(hub.url) as http:
        try:
            status = (await http.exchange("POST", hub.url + "/x", body=b"{}")).status
        except ExchangeFailed as failed:
            status = 307 if failed.sent else 0
        assert (status, len(hub.heard)) == (307, 1)


async def test_a_length_of_thousands_of_digits_is_no_answer() -> None:
    script = raw(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n")
    async with raw_hub(script) as hub, Http(hub.url) as http:
        with anyio.fail_after(60), pytest.raises(ExchangeFailed) as caught:
            await http.exchange("POST", hub.url + "/x", body=b"{}")
        assert caught.value.sent


async def test_a_head_of_many_equal_lines_is_read_whole_or_refused() -> None:
    lines = b"X: " + b"y" * 60 + b"\r\n"
    scripts = [raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + lines * count + b"\r\n") for count in (900, 9_000)]
    async with raw_hub(*scripts) as hub, Http(hub.url) as http:
        assert len((await http.exchange("POST", hub.url + "/x", body=b"{}")).headers["x"]) > 50_000
        with pytest.raises(ExchangeFailed):
            await http.exchange("POST", hub.url + "/x", body=b"{}")


def endless(first: bytes, piece: bytes) -> Script:
    """A compressed body that says nothing more and never ends."""

    async def script(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n\r\n" + first)
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()

    return script


EMPTY_BLOCK = b"\x00\x00\x00\xff\xff"


@pytest.mark.parametrize(
    ("script", "phase"),
    [
        (endless(b"\x78\x9c", EMPTY_BLOCK * 1_000), "size"),
        (endless(zlib.compress(b"{}"), b"more" * 1_000), "body"),
        (says(gzip.compress(b"{}") * 2, "200 OK", "Content-Encoding: gzip"), "body"),
    ],
    ids=["blocks that hold nothing", "something after the end", "two in one"],
)
async def test_compressed_bytes_that_unfold_to_nothing_are_bounded_too(script: Script, phase: str) -> None:
    async with raw_hub(script) as hub, Http(hub.url) as http:
        with anyio.fail_after(60), pytest.raises(ExchangeFailed) as caught:
            await http.exchange("POST", hub.url + "/x", body=b"{}", max_bytes=200_000)
        assert (caught.value.sent, caught.value.phase) == (True, phase)


async def test_an_encoding_of_no_body_at_all_is_no_damage() -> None:
    head = b"HTTP/1.1 304 Not Modified\r\nContent-Encoding: gzip\r\nETag: x\r\n\r\n"
    async with raw_hub(raw(head)) as hub, Http(hub.url) as http:
        answer = await http.exchange("GET", hub.url + "/x")
        assert (answer.status, answer.body) == (304, b"")


async def test_an_upgrade_nobody_asked_for_ends_the_exchange() -> None:
    script = raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\nPRI * HTTP/2.0")
    async with raw_hub(script) as hub, Http(hub.url) as http:
        with anyio.fail_after(60), pytest.raises(ExchangeFailed) as caught:
            await http.exchange("POST", hub.url + "/x", body=b"{}")
        assert caught.value.sent


async def test_a_body_of_single_bytes_does_not_stop_the_others() -> None:
    async def crumbs(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.path == "/other":
            await says({})(request, writer)
            return
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"1\r\nx\r\n" * 5_000)
            await writer.drain()

    async with raw_hub(crumbs) as hub, Http(hub.url) as http, anyio.create_task_group() as tasks:

        async def swallow() -> None:
            with pytest.raises(ExchangeFailed):
                await http.exchange("POST", hub.url + "/x", body=b"{}", timeout=1.0, max_bytes=100_000)

        tasks.start_soon(swallow)
        for _ in range(5):
            with anyio.fail_after(60):
                assert (await http.exchange("POST", hub.url + "/other", body=b"{}")).status == 200


def test_what_a_hub_sent_stands_in_no_repr() -> None:
    answer = HttpAnswer(200, {"x-echo": "secret"}, b"secret")
    assert "secret" not in repr(answer)
    assert "200" in repr(answer)
