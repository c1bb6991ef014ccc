"""What the HTTP library is given by `jecp_mcp.http`: a pool, whose connections cost less, and requests.

The library's client is left out: it adds redirects, cookies and proxies, all unwanted here. The library writes a
request's head and its body apart, each under a deadline and with a turn of the loop of its own, and the peer reads
twice; and twice a request it asks every idle connection whether its peer has left. Here a small request leaves as one,
when it ends, and an idle connection is asked in one system call. Connecting, TLS, the protocol and every deadline are
the library's.
"""

from __future__ import annotations

import logging
import select
import ssl
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

import httpcore2
import httpx2

_MOST_HELD: Final = 64 * 1024
"""How many bytes of a request wait for the rest of it."""

_CONNECTIONS: Final = 64
_IDLE_CONNECTIONS: Final = 16
_IDLE_SECONDS: Final = 30.0

_LOGGERS: Final = ("httpcore2.connection", "httpcore2.http11", "httpcore2.http2", "httpcore2.proxy")
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
"""Methods of which a server expects a body (RFC 9110 §8.6): that there is none is said."""


def _worth_logging(record: logging.LogRecord) -> bool:
    """Keep back what the library logs at DEBUG: the headers of answers, in which a Hub may repeat what it was sent.

    A filter, because anybody may lower a logger's level again.
    """
    return record.levelno >= logging.WARNING


def new_pool(tls: bool) -> httpcore2.AsyncConnectionPool:
    """A pool for one origin. Reading the system's certificates takes a tenth of a second."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_worth_logging)
    return httpcore2.AsyncConnectionPool(
        # Without TLS nobody's certificates are trusted.
        ssl_context=httpx2.create_ssl_context(trust_env=False) if tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        max_connections=_CONNECTIONS,
        max_keepalive_connections=_IDLE_CONNECTIONS,
        keepalive_expiry=_IDLE_SECONDS,
        network_backend=_Backend(),
    )


class Place(NamedTuple):
    """Where a request goes: what is connected to and asked for, the Host header, and the certificate's name."""

    url: httpcore2.URL
    host: bytes
    certified: str


@lru_cache(maxsize=64)
def place(url: str, address: str | None) -> Place:
    """A URL read once: most requests go to the same few addresses for ever.

    Args:
        address: the IP address to connect to in the host's place.

    Raises:
        httpx2.InvalidURL: it is no URL.
    """
    parsed = httpx2.URL(url)
    at = parsed if address is None else parsed.copy_with(host=address)
    reached = httpcore2.URL(scheme=at.raw_scheme, host=at.raw_host, port=at.port, target=at.raw_path)
    return Place(reached, parsed.netloc, parsed.host)


def request(
    method: str, to: Place, headers: Mapping[str, str], body: bytes | None, extensions: dict[str, Any]
) -> httpcore2.Request:
    """A request, with the Host header and the length of its body.

    Raises:
        UnicodeEncodeError: a header that is not ASCII.
    """
    sent = [(b"Host", to.host), *((name.encode("ascii"), value.encode("ascii")) for name, value in headers.items())]
    if body or method in _WITH_BODY:
        sent.append((b"Content-Length", b"%d" % len(body or b"")))
    return httpcore2.Request(method, to.url, headers=sent, content=body, extensions=extensions)


class _Backend(httpcore2.AsyncNetworkBackend):
    """How the pool connects."""

    def __init__(self) -> None:
        self._library = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - as the library has it
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        return _Stream(await self._library.connect_tcp(host, port, timeout, local_address, socket_options))


class _Stream(httpcore2.AsyncNetworkStream):
    """One connection. What is written of a request waits for its end, unless there is much of it.

    The library writes nothing more, as no bytes, where a request ends. That is when what was held must leave: it may
    take bytes that a peer sent unasked for the answer, and then reads none.
    """

    def __init__(self, library: httpcore2.AsyncNetworkStream) -> None:
        self._library = library
        self._held = b""
        self._socket = library.get_extra_info("socket")
        self._poll = None
        if hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(self._socket.fileno(), select.POLLIN)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - likewise
        if self._held:
            # The library says of each request that it ends; one of which it did not must not wait here for its answer.
            await self._send_held(timeout)
        return await self._library.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - likewise
        if buffer and len(self._held) + len(buffer) <= _MOST_HELD:
            self._held += buffer
            return
        if self._held:
            await self._send_held(timeout)
        if buffer:
            await self._library.write(buffer, timeout)

    async def aclose(self) -> None:
        self._held = b""
        await self._library.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - likewise
    ) -> httpcore2.AsyncNetworkStream:
        return _Stream(await self._library.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable" and self._poll is not None:
            # One that is closed is at its end, as in the library.
            return self._socket.fileno() < 0 or bool(self._poll.poll(0))
        return self._library.get_extra_info(info)

    async def _send_held(self, seconds: float | None) -> None:
        held, self._held = self._held, b""
        await self._library.write(held, seconds)
