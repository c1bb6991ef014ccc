"""What a client may take of the HTTP server, on real sockets: connections, time, requests, streams and bytes."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import uvicorn
from starlette.routing import Route

from jecp_mcp.server import http_guard, http_limits
from jecp_mcp.server.http_guard import HttpGuard
from jecp_mcp.server.http_limits import Connections, HttpLimits, bounded_protocol
from jecp_mcp.server.transports import listen
from jecp_mcp.settings import ServerSettings

pytestmark = pytest.mark.anyio

OPEN = "http://allowed.example"


@dataclass
class Running:
    """A guarded application on a port of its own, and what came of its requests."""

    port: int
    connections: Connections
    guard: HttpGuard = None  # type: ignore[assignment]
    begun: int = 0
    ended: int = 0
    bodies: list[bytes] = field(default_factory=list)
    headers: list[list[tuple[bytes, bytes]]] = field(default_factory=list)
    clients: list[Client] = field(default_factory=list)
    taken_on: int = 0
    before_next: Callable[[], object] = bool
    """Called as a connection is taken on, before its place is found."""
    after_next: Callable[[], object] = bool
    """Called when that is done, within the same turn of the event loop."""
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def until(self, true: Callable[[], bool]) -> None:
        with anyio.fail_after(30):
            async with self.changed:
                await self.changed.wait_for(true)

    async def connect(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self.clients.append(client)
        return client


@dataclass
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, method: str = "GET", path: str = "/", body: bytes = b"", **headers: str) -> None:
        lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await self.writer.drain()

    async def head(self) -> bytes:
        with anyio.fail_after(30):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def status(self) -> int:
        return int((await self.head()).split()[1])

    async def until_closed(self) -> None:
        await self.rest()

    async def rest(self) -> bytes:
        """What still arrives until the server closes."""
        arrived = bytearray()
        with anyio.fail_after(30), contextlib.suppress(ConnectionResetError):
            while some := await self.reader.read(65_536):
                arrived += some
        return bytes(arrived)


@asynccontextmanager
async def serving(limits: HttpLimits) -> AsyncIterator[Running]:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()

    async def changed() -> None:
        async with running.changed:
            running.changed.notify_all()

    class Watched(Connections):
        def add(self, connection: Any) -> None:
            running.taken_on += 1
            running.before_next()
            super().add(connection)
            running.after_next()

        def discard(self, connection: Any) -> None:
            super().discard(connection)
            noticing.add(asyncio.ensure_future(changed()))

    noticing: set[asyncio.Future[None]] = set()
    running = Running(listener.getsockname()[1], Watched(limits.connections))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        running.begun += 1
        running.bodies.append((await receive())["body"])
        running.headers.append(scope["headers"])
        await changed()
        if scope["path"] in {"/stream", "/slow"}:
            await running.hold.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * (20_000_000 if scope["path"] == "/large" else 0)})
        running.ended += 1
        await changed()

    running.guard = guard = HttpGuard(
        app, limits, [OPEN, "http://any.example:*"], streams=["/stream"], pages=[Route("/page", app, methods=["GET"])]
    )
    config = uvicorn.Config(
        guard,
        http=bounded_protocol(running.connections),
        ws="none",
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    with contextlib.ExitStack() as stack:
        stack.enter_context(listener)
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
        task = asyncio.create_task(server.serve([listener]))
        try:
            yield running
        finally:
            running.hold.set()
            server.should_exit = True
            for client in running.clients:
                client.writer.close()
            await task
            for client in running.clients:
                with contextlib.suppress(ConnectionError):
                    await client.writer.wait_closed()


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on a request must be there at once."""
    monkeypatch.setattr(http_limits, "REQUEST_SECONDS", 0.05)


@pytest.fixture
def stalled_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is answered must be taken at once."""
    monkeypatch.setattr(http_limits, "STALLED_SECONDS", 0.05)


@pytest.mark.parametrize(
    "half",
    [
        b"",
        b"POST / HTTP/1.1\r\nHost:",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
    ],
    ids=["silence", "head", "body", "chunks"],
)
async def test_a_request_that_never_becomes_whole_is_dropped(monkeypatch: pytest.MonkeyPatch, half: bytes) -> None:
    hurry(monkeypatch)
    async with serving(HttpLimits(8, 7, 3)) as running:
        client = await running.connect()
        client.writer.write(half)
        await client.until_closed()
        assert (len(running.connections), running.begun) == (0, 0)


async def test_a_request_that_never_becomes_whole_after_one_that_did_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving(HttpLimits(8, 7, 3)) as running:
        client = await running.connect()
        await client.send(path="/slow")
        await running.until(lambda: running.begun == 1)
        client.writer.write(b"GET / HT")
        hurry(monkeypatch)
        running.hold.set()
        assert await client.status() == 200
        await client.until_closed()
        assert (len(running.connections), running.begun) == (0, 1)


@pytest.mark.usefixtures("stalled_soon")
async def test_a_client_that_takes_nothing_of_its_answer_is_dropped() -> None:
    async with serving(HttpLimits(8, 7, 3)) as running:
        client = await running.connect()
        await client.send(path="/large")
        await running.until(lambda: running.ended == 1)
        # It reads nothing, so only the server can end this.
        await running.until(lambda: len(running.connections) == 0)


@pytest.fixture
def unpaused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left of an answer is never so much that the server stops writing."""
    monkeypatch.setattr(http_limits.BoundedConnection, "pause_writing", lambda _self: None)


@pytest.mark.usefixtures("stalled_soon", "unpaused")
async def test_a_client_that_leaves_the_rest_of_its_last_answer_is_dropped() -> None:
    async with serving(HttpLimits(8, 7, 3)) as running:
        client = await running.connect()
        await client.send(path="/large", Connection="close")
        await running.until(lambda: running.ended == 1)
        await running.until(lambda: len(running.connections) == 0)


@pytest.mark.usefixtures("unpaused")
async def test_a_newcomer_takes_the_place_of_whoever_leaves_the_rest_of_a_last_answer() -> None:
    async with serving(HttpLimits(4, 3, 2)) as running:
        for number in range(12):
            client = await running.connect()
            await client.send(path="/large")
            await running.until(lambda number=number: running.ended == number + 1)
        newcomer = await running.connect()
        await newcomer.send()
        assert await newcomer.status() == 200


async def test_a_request_that_is_answered_slowly_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    async with serving(HttpLimits(8, 7, 3)) as running:
        dialled = socket.create_connection(("127.0.0.1", running.port))
        # It has arrived when its connection is taken on, however late that is.
        dialled.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        slow = Client(*await asyncio.open_connection(sock=dialled))
        running.clients.append(slow)
        await running.until(lambda: running.begun == 1)
        # By the time this one is dropped, the other has been answered for as long.
        await (await running.connect()).until_closed()
        running.hold.set()
        assert await slow.status() == 200


@pytest.mark.slow
async def test_a_newcomer_takes_the_place_of_whoever_waits_longest() -> None:
    async with serving(HttpLimits(4, 3, 2)) as running:
        slow = await running.connect()
        await slow.send(path="/slow")
        await running.until(lambda: running.begun == 1)
        waiting = [await running.connect() for _ in range(3)]
        waiting[2].writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n1")
        for number, oldest in enumerate(waiting):
            client = await running.connect()
            await client.send()
            assert await client.status() == 200
            await oldest.until_closed()
            assert len(running.connections) <= 4
            assert running.ended == number + 1
        running.hold.set()
        assert await slow.status() == 200


@dataclass
class BlockingClient:
    """A client that needs no turn of the event loop: what it sends has arrived when `send` returns."""

    socket: socket.socket

    def send(self) -> None:
        self.socket.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

    def closed(self) -> bool:
        """Whether the server has closed the connection by now."""
        try:
            return not self.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False


Dial = Callable[[Running], Awaitable[BlockingClient]]


@pytest.fixture
def dial() -> Iterator[Dial]:
    with contextlib.ExitStack() as stack:

        async def connect(running: Running) -> BlockingClient:
            before = running.taken_on
            client = stack.enter_context(socket.create_connection(("127.0.0.1", running.port)))
            with anyio.fail_after(30):
                while running.taken_on == before:
                    await anyio.lowlevel.checkpoint()
            return BlockingClient(client)

        yield connect


async def test_whoever_has_sent_what_is_not_yet_read_keeps_his_place(dial: Dial) -> None:
    async with serving(HttpLimits(3, 2, 1)) as running:
        oldest, other, young = [await dial(running) for _ in range(3)]
        closed: list[tuple[bool, ...]] = []
        running.before_next = oldest.send
        running.after_next = lambda: closed.append((oldest.closed(), other.closed(), young.closed()))
        newcomer = await dial(running)
        # Within the same turn: a client that would send its next request there learns in time that it is not read.
        assert closed == [(False, True, False)]
        await running.until(lambda: running.ended == 1)
        assert not newcomer.closed()


async def test_where_all_have_sent_what_is_not_yet_read_a_few_more_are_let_in(
    dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the event loop never came to read any of them.
    monkeypatch.setattr(http_limits.BoundedConnection, "unread", lambda _: True)
    async with serving(HttpLimits(3, 2, 1)) as running:
        clients = [await dial(running) for _ in range(3 + http_limits._UNREAD)]
        assert not any(client.closed() for client in clients)
        await dial(running)
        assert clients[0].closed()
        assert not any(client.closed() for client in clients[1:])


async def test_a_wait_begins_anew_with_each_request(dial: Dial) -> None:
    async with serving(HttpLimits(3, 2, 1)) as running:
        begun = await dial(running)
        silent = await dial(running)
        first = next(iter(running.connections._waiting))
        begun.socket.sendall(b"GET / HTTP/1.1\r\n")
        with anyio.fail_after(30):
            while next(iter(running.connections._waiting)) is first:
                await anyio.lowlevel.checkpoint()
        await dial(running)
        await dial(running)
        assert silent.closed()
        assert not begun.closed()


async def test_many_may_wait_to_be_accepted_though_few_are_at_once() -> None:
    with contextlib.ExitStack() as stack:
        bound = stack.enter_context(listen(ServerSettings(port=0)))
        bound.listen(http_limits.ACCEPTED)  # As asyncio does.
        for _ in range(50):
            stack.enter_context(socket.create_connection(bound.getsockname(), timeout=30))


async def test_where_places_are_scarce_an_answer_says_that_its_connection_closes() -> None:
    async with serving(HttpLimits(4, 3, 2)) as running:
        one, two, three = await running.connect(), await running.connect(), await running.connect()
        for client, closes in ((three, True), (two, False), (two, False)):
            await client.send()
            assert (b"connection: close" in await client.head()) is closes
            if closes:
                await client.until_closed()
                await running.until(lambda: len(running.connections) == 2)
        assert not one.reader.at_eof()


async def test_beyond_so_many_requests_the_answer_is_to_come_again() -> None:
    async with serving(HttpLimits(8, 3, 2)) as running:
        slow = [await running.connect() for _ in range(3)]
        for client in slow:
            await client.send(path="/slow")
        await running.until(lambda: running.begun == 3)
        more = await running.connect()
        await more.send()
        assert await more.status() == 503
        running.hold.set()
        assert [await client.status() for client in slow] == [200, 200, 200]
        again = await running.connect()
        await again.send()
        assert await again.status() == 200


@pytest.mark.parametrize("how", [{"path": "/stream"}, {"method": "POST", "mcp_method": "subscriptions/listen", "path": "/slow"}])  # fmt: skip
async def test_idle_streams_leave_room_for_other_requests(how: dict[str, str]) -> None:
    async with serving(HttpLimits(8, 6, 2)) as running:
        for number in range(2):
            await (await running.connect()).send(**how)
            await running.until(lambda number=number: running.begun == number + 1)
        refused, other = await running.connect(), await running.connect()
        await refused.send(**how)
        assert await refused.status() == 503
        await other.send(method="POST", path="/", body=b"call")
        assert await other.status() == 200
        assert running.bodies[-1] == b"call"


async def test_a_body_is_bounded_whether_its_size_is_stated_or_not() -> None:
    async with serving(HttpLimits(8, 6, 2)) as running:
        stated, chunked, just = await running.connect(), await running.connect(), await running.connect()
        stated.writer.write(
            f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {http_guard.MOST_BYTES + 1}\r\n\r\n".encode()
        )
        assert await stated.status() == 413
        chunked.writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        part = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
        with contextlib.suppress(ConnectionError):
            for _ in range(5):
                chunked.writer.write(part)
                await chunked.writer.drain()
        assert await chunked.status() == 413
        await just.send(method="POST", body=b"x" * http_guard.MOST_BYTES)
        assert await just.status() == 200
        assert [len(body) for body in running.bodies] == [http_guard.MOST_BYTES]


async def test_large_bodies_together_are_bounded_and_small_ones_still_get_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_guard, "_MOST_LARGE", 300_000)
    async with serving(HttpLimits(8, 6, 2)) as running:
        half, refused, small = await running.connect(), await running.connect(), await running.connect()
        half.writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 400000\r\n\r\n" + b"x" * 300_000)
        with anyio.fail_after(30):
            while running.guard._large < 300_000 - 65_536:
                await anyio.lowlevel.checkpoint()
        await refused.send(method="POST", body=b"x" * 300_000)
        assert await refused.status() == 503
        await small.send(method="POST", body=b"small")
        assert await small.status() == 200
        half.writer.close()
        await half.until_closed()
        after = await running.connect()
        await after.send(method="POST", body=b"x" * 300_000)
        assert await after.status() == 200


@pytest.mark.parametrize(
    ("head", "more"),
    [
        (b"", b"\r\n"),
        (b"GET /", b"x"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: ", b"x"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"X: x\r\n"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;", b"x"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", b"X: x\r\n"),
    ],
    ids=["nothing", "path", "header", "headers", "chunk extension", "trailers"],
)
async def test_what_is_no_body_is_bounded_too(monkeypatch: pytest.MonkeyPatch, head: bytes, more: bytes) -> None:
    monkeypatch.setattr(http_limits, "REQUEST_SECONDS", 600)
    async with serving(HttpLimits(8, 6, 2)) as running:
        client = await running.connect()
        client.writer.write(head)
        with contextlib.suppress(ConnectionError):
            for _ in range(64):
                client.writer.write(more * (8192 // len(more)))
                await client.writer.drain()
        await client.until_closed()
        assert running.bodies == []


async def test_a_body_may_come_in_chunks_of_the_usual_size() -> None:
    async with serving(HttpLimits(8, 6, 2)) as running:
        client = await running.connect()
        client.writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.writer.write((b"400\r\n" + b"x" * 1024 + b"\r\n") * 4096 + b"0\r\n\r\n")
        assert await client.status() == 200
        assert [len(body) for body in running.bodies] == [http_guard.MOST_BYTES]


def test_the_limits_go_by_the_descriptors_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for soft, connections in ((128, 44), (1024, 252), (resource.RLIM_INFINITY, 252), (20, 12)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, soft=soft: (soft, soft))
        limits = HttpLimits.of_process()
        assert limits.connections == connections
        assert limits.streams < limits.requests < limits.connections


SITE = "Sec_Fetch_Site"
NAVIGATION = {SITE: "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}


SITES: list[tuple[int, dict[str, str]]] = [
    (200, {}),
    (200, {SITE: "same-origin"}),
    (200, {SITE: "none"}),
    (200, {"Origin": "http://elsewhere.example"}),  # Judged by the transport itself.
    (200, {SITE: "cross-site", "Origin": OPEN}),
    (200, {SITE: "same-site", "Origin": "http://any.example:9"}),
    (200, {"path": "/page", **NAVIGATION}),
    (403, {"path": "/stream", **NAVIGATION}),
    (403, {"path": "/page", "method": "POST", **NAVIGATION}),
    (403, {"path": "/page", **NAVIGATION, "Sec_Fetch_Dest": "iframe"}),
    (403, {"path": "/page", **NAVIGATION, "Sec_Fetch_Mode": "no-cors"}),
    (403, {"path": "/page", SITE: "cross-site"}),
    (403, {SITE: "cross-site"}),
    (403, {SITE: "same-site"}),
    (403, {SITE: ""}),
    (403, {SITE: "Same-Origin"}),
    (403, {SITE: "same-origin", "sec_fetch_site": "cross-site"}),
    (403, {SITE: "cross-site", "Origin": "http://elsewhere.example"}),
    (403, {SITE: "cross-site", "Origin": "http://any.example.evil:9"}),
    (403, {SITE: "cross-site", "Origin": "null"}),
    (403, {"Origin": ""}),
    (403, {"Origin": " "}),
    (403, {"Origin": OPEN, "origin": OPEN}),
    (403, {"Origin": OPEN, "origin": ""}),
]


async def test_what_another_web_site_sends_is_refused() -> None:
    async with serving(HttpLimits(8, 6, 2)) as running:
        running.hold.set()
        for expected, request in SITES:
            before = running.begun
            client = await running.connect()
            await client.send(**request)
            assert (await client.status(), running.begun - before) == (expected, expected == 200), request
