"""What is sent early, offered, or invalid, on real sockets: no answer is lost by it."""

from __future__ import annotations

import asyncio

import pytest

from tests.contract.server.test_http_limits import HttpLimits, hurry, serving

pytestmark = pytest.mark.anyio

LIMITS = HttpLimits(8, 7, 3)
SLOW = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
NEXT = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HALF = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n123"
BROKEN = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy"
MUCH = b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 200_000


@pytest.mark.parametrize(
    "early", [b"\0\r\n\r\n", BROKEN, MUCH, NEXT + b"\0"], ids=["nonsense", "body", "head", "second"]
)
async def test_what_is_invalid_is_refused_after_the_answers_to_what_came_before(early: bytes) -> None:
    async with serving(LIMITS) as running:
        client = await running.connect()
        client.writer.write(SLOW + early[:9])
        await running.until(lambda: running.begun == 1)
        client.writer.write(early[9:])
        # By the time that another has been answered, all of it has been read.
        for _ in range(3):
            other = await running.connect()
            other.writer.write(NEXT)
            assert await other.status() == 200
        running.hold.set()
        statuses = [int(part.split()[0]) for part in (await client.rest()).split(b"HTTP/1.1 ")[1:]]
        assert statuses == [200] * (1 + early.count(NEXT)) + [400]


async def test_half_a_request_costs_nobody_the_answer_to_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(HttpLimits(2, 1, 1)) as running:
        client = await running.connect()
        client.writer.write(SLOW)
        await running.until(lambda: running.begun == 1)
        hurry(monkeypatch)
        client.writer.write(HALF)
        for _ in range(3):
            await (await running.connect()).until_closed()
        running.hold.set()
        assert await client.status() == 200


OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n"
BODIES = [
    b"Content-Length: 6\r\n\r\n{body}",
    b"Transfer-Encoding: chunked\r\n\r\n2\r\n{b\r\n4\r\nody}\r\n0\r\n\r\n",
]


@pytest.mark.parametrize("at_once", [1, 7, 10_000])
@pytest.mark.parametrize("body", BODIES, ids=["length", "chunks"])
async def test_an_offer_of_another_protocol_is_passed_over(body: bytes, at_once: int) -> None:
    async with serving(LIMITS) as running:
        client = await running.connect()
        first = b"POST / HTTP/1.1\r\nHost: x\r\n" + OFFER + body
        second = b"POST / HTTP/1.1\r\nHost: x\r\n" + OFFER + b"Connection: close\r\n" + body
        both = first + second
        for start in range(0, len(both), at_once):
            client.writer.write(both[start : start + at_once])
            await asyncio.sleep(0)
        assert (await client.rest()).count(b"HTTP/1.1 200 OK") == 2
        assert running.bodies == [b"{body}"] * 2


GET = b"GET / HTTP/1.1\r\n"
HOST = b"Host: x\r\n"
HEADS = {
    GET + HOST: 200,
    GET: 400,
    GET + HOST * 2: 400,
    GET + HOST + b"Host: y\r\n": 400,
    GET + b"Host: x \t\r\n": 200,
    b"GET / HTTP/1.0\r\n": 200,
    b"GET / HTTP/1.0\r\n" + HOST * 2: 400,
    b"GET /\r\n": 400,
    GET + HOST + b"Transfer-Encoding: gzip, chunked\r\n": 400,
    GET + HOST + b"Content-Length: 0\r\nContent-Length: 1\r\n": 400,
}


async def test_a_request_says_once_which_host_it_means_and_where_it_ends() -> None:
    async with serving(LIMITS) as running:
        for head, status in HEADS.items():
            before = running.begun
            client = await running.connect()
            client.writer.write(head + b"\r\n")
            assert (await client.status(), running.begun - before) == (status, status == 200), head


async def test_trailers_are_no_headers() -> None:
    async with serving(LIMITS) as running:
        client = await running.connect()
        client.writer.write(
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"1\r\nx\r\n0\r\nMcp-Method: subscriptions/listen\r\nOrigin: null\r\n\r\n" + NEXT
        )
        assert [await client.status(), await client.head(), await client.status()] == [200, b"0\r\n\r\n", 200]
        assert all({name for name, _ in headers} <= {b"host", b"transfer-encoding"} for headers in running.headers)
