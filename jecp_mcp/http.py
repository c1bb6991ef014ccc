"""One pooled HTTP client for one origin: bounded answers, and what is known of lost ones.

Requests raise nothing but `ExchangeFailed` and cancellation. Redirects are answers, never followed; cookies are not
kept; proxies of the environment are not used, because the requests carry the agent's key. Certificates are checked
against the system's store.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

import anyio
import anyio.to_thread

from jecp_mcp.errors import HeldBack, JecpMcpError
from jecp_mcp.http_failures import failure_words, library_faults

if TYPE_CHECKING:
    import httpcore2

MAX_BYTES: Final = 50 * 1024 * 1024
"""The longest answer read, in bytes, unless the caller says otherwise (JECP 01-protocol §7)."""

DEFAULT_SECONDS: Final = 30.0
_CONNECT_SECONDS: Final = 10.0
_CLOSE_SECONDS: Final = 1.0

_HEADERS: Final = {"Accept-Encoding": "identity", "User-Agent": "jecp-mcp"}

_PHASES: Final = {
    "connection.connect_tcp.started": "connect",
    "connection.start_tls.started": "tls",
    "http11.send_request_headers.started": "send",
    "http11.receive_response_headers.started": "answer",
    "http11.receive_response_body.started": "body",
}
"""What begins with each trace event."""

_CONNECTED: Final = "connection.connect_tcp.complete"
_NOT_SENDING: Final = "connection."
"""How the only trace events begin that come before the first byte of a request. One by any other name counts as
sending, so that a library that renames its events leaves money held, never released."""

_PLAIN_PATH: Final = re.compile(r"(?:/[\w~-][\w~.-]*)+", re.ASCII)
"""A path that is sent as it is written: no query, nothing to encode, no dot segment."""

BeforeSending = Callable[[], Awaitable[None]]
"""Awaited with the connection up, right before the first byte of a request. May raise `HeldBack`: then none leaves."""


class ExchangeFailed(JecpMcpError):
    """No whole answer arrived.

    Attributes:
        sent: whether any byte of the request may have left; False is proof that none did.
        phase: where it ended: ``url``, ``connect``, ``tls``, ``send``, ``answer``, ``body``, or ``size`` when the
            answer is longer than asked for.
        reason: what happened, for a person; never a header or a body.
    """

    def __init__(self, *, sent: bool, phase: str, reason: str) -> None:
        self.sent, self.phase, self.reason = sent, phase, reason
        super().__init__(f"{reason} ({phase})")


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A whole answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class HttpStream:
    """An answer whose body is still to come. Iterating `chunks` raises `ExchangeFailed` when it breaks off."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    chunks: AsyncIterator[bytes] = field(repr=False)


class _Trail:
    """What the library says it did with one request."""

    __slots__ = ("_before_sending", "_over", "phase", "sent", "socket", "whole")

    def __init__(self, before_sending: BeforeSending | None = None) -> None:
        self.sent = self.whole = False
        self.phase = "connect"
        self.socket: Any = None
        self._before_sending = before_sending
        self._over = False

    async def __call__(self, name: str, info: Mapping[str, Any]) -> None:
        if self._over:
            # The library closes the connection of a request that was held back, and says so.
            return
        self.phase = _PHASES.get(name, self.phase)
        if name == _CONNECTED:
            self.socket = info["return_value"]
        elif not name.startswith(_NOT_SENDING) and not self.sent:
            self.socket = None
            await self._ask()
            self.sent = True

    async def _ask(self) -> None:
        if self._before_sending is None:
            return
        self._over = True
        await self._before_sending()
        self._over = False

    def failed(self, reason: str) -> ExchangeFailed:
        return ExchangeFailed(sent=self.sent, phase=self.phase, reason=reason)

    def cause(self, exc: Exception) -> Exception | None:
        """What may stand in a traceback: once sent, the library quotes the Hub, and a Hub may repeat the key."""
        return None if self.sent else exc


class Http:
    """One pooled HTTP/1.1 client for one origin. Make it anywhere; it opens at its first request."""

    def __init__(self, origin: str, *, peer: str = "the Hub") -> None:
        """Allow requests to `origin` and nothing else.

        Args:
            peer: what to call who is there, where something fails.

        Raises:
            ValueError: it is no https origin, nor plain http on loopback.
        """
        from jecp_mcp.settings import check_hub_url

        self._origin = check_hub_url(origin)
        self._peer = peer
        self._pool: httpcore2.AsyncConnectionPool | None = None
        self._opening = anyio.Lock()

    async def __aenter__(self) -> Self:
        """Nothing to open yet."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the pool."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the pool; a later request would open another."""
        pool, self._pool = self._pool, None
        if pool is not None:
            with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
                await pool.aclose()

    async def exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = DEFAULT_SECONDS,  # noqa: ASYNC109 - a deadline over the whole exchange, told apart by phase
        max_bytes: int = MAX_BYTES,
        before_sending: BeforeSending | None = None,
        address: str | None = None,
    ) -> HttpAnswer:
        """One request and its whole answer, within `timeout` seconds in all.

        Args:
            address: the IP address to connect to; the certificate must be the origin's all the same. None resolves
                the origin's name.

        Raises:
            ExchangeFailed: no whole answer arrived, or it is longer than `max_bytes`.
        """
        trail = _Trail(before_sending)
        try:
            with anyio.fail_after(timeout):
                response = await self._send(method, url, headers, body, timeout, None, trail, address)
                head = _lowered(response)
                try:
                    whole = bytearray()
                    async for chunk in _chunks(response, head, max_bytes, trail, self._peer):
                        whole += chunk
                finally:
                    await _close(response, trail)
        except TimeoutError as exc:
            raise trail.failed(f"no whole answer within {timeout:g} s") from exc
        return HttpAnswer(response.status, head, bytes(whole))

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = DEFAULT_SECONDS,  # noqa: ASYNC109 - the longest silence, not a deadline
        max_bytes: int = MAX_BYTES,
        before_sending: BeforeSending | None = None,
        address: str | None = None,
    ) -> AsyncIterator[HttpStream]:
        """One request whose answer is read as it comes; `timeout` is the longest silence, in seconds.

        Args:
            address: as `exchange` has it.

        Raises:
            ExchangeFailed: no answer began, or (from the chunks) it broke off or grew longer than `max_bytes`.
        """
        trail = _Trail(before_sending)
        try:
            with anyio.fail_after(timeout):
                response = await self._send(method, url, headers, body, timeout, timeout, trail, address)
        except TimeoutError as exc:
            raise trail.failed(f"no answer began within {timeout:g} s") from exc
        head = _lowered(response)
        try:
            async with aclosing(_chunks(response, head, max_bytes, trail, self._peer)) as chunks:
                yield HttpStream(response.status, head, chunks)
        finally:
            await _close(response, trail)

    async def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        body: bytes | None,
        seconds: float,
        silence: float | None,
        trail: _Trail,
        address: str | None = None,
    ) -> httpcore2.Response:
        """The answer's head, within `seconds`, which the caller sees to; the body is still to be read.

        Args:
            silence: the longest that the body may pause; None where the caller sees to that, too.
        """
        if not url.startswith(f"{self._origin}/"):
            raise ExchangeFailed(sent=False, phase="url", reason=f"the address is not on {self._peer}'s origin")
        pool = self._pool or await self._opened()
        import httpx2

        from jecp_mcp import http_connections

        # TCP and TLS have this long each, and so end before the deadline: what was not sent can be tried again.
        connect = min(_CONNECT_SECONDS, seconds / 3)
        extensions: dict[str, Any] = {"trace": trail, "timeout": {"connect": connect, "read": silence}}
        if _PLAIN_PATH.fullmatch(path := url.removeprefix(self._origin)) is not None:
            # One of many at an origin, such as a job's: the library need not take each apart.
            extensions["target"], url = path.encode("ascii"), f"{self._origin}/"
        try:
            place = http_connections.place(url, address)
            if address is not None:
                extensions["sni_hostname"] = place.certified
            request = http_connections.request(method, place, {**_HEADERS, **(headers or {})}, body, extensions)
            return await pool.handle_async_request(request)
        except library_faults() as exc:
            raise trail.failed(failure_words(exc, self._peer)) from trail.cause(exc)
        except (httpx2.InvalidURL, ValueError) as exc:
            # The library's parser lets some of a server's oddities through as ValueError.
            reason = "the answer is not HTTP" if trail.sent else "the request cannot be written as HTTP"
            raise trail.failed(reason) from trail.cause(exc)
        except HeldBack as exc:
            raise trail.failed(str(exc)) from exc
        finally:
            if trail.socket is not None:
                # Cancelled in its TLS handshake, the library leaves the socket open.
                with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
                    await trail.socket.aclose()

    async def _opened(self) -> httpcore2.AsyncConnectionPool:
        async with self._opening:
            if self._pool is None:
                self._pool = await anyio.to_thread.run_sync(_new_pool, self._origin.startswith("https:"))
            return self._pool


def _new_pool(tls: bool) -> httpcore2.AsyncConnectionPool:
    from jecp_mcp.http_connections import new_pool

    return new_pool(tls)


async def _close(response: httpcore2.Response, trail: _Trail) -> None:
    # Closing reads nothing: a connection with an unread body is dropped rather than reused.
    if not trail.whole:
        with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
            await response.aclose()


async def _chunks(
    response: httpcore2.Response, head: Mapping[str, str], max_bytes: int, trail: _Trail, peer: str
) -> AsyncGenerator[bytes, None]:
    """The body as it comes, decoded, up to `max_bytes`.

    No compression is asked for. A Hub that compresses anyway is decoded here, within the bound at every step: a few
    compressed bytes may hold gigabytes.
    """
    import zlib

    too_long = ExchangeFailed(sent=True, phase="size", reason=f"the answer is longer than {max_bytes} bytes")
    encoding = head.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "", "gzip", "x-gzip", "deflate"}:
        raise trail.failed("the answer comes in an encoding nobody asked for")
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 32) if encoding not in {"identity", ""} else None
    declared = head.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:18]) > max_bytes:
        raise too_long
    size = received = 0
    try:
        async with aclosing(response.aiter_stream()) as raws:
            async for raw in raws:
                chunk = raw if inflater is None else inflater.decompress(raw, max_bytes - size + 1)
                size += len(chunk)
                received += len(raw)
                # Compressed bytes count too: there is no end to those that unfold to nothing.
                if max(size, received) > max_bytes:
                    raise too_long
                if inflater is not None and inflater.unused_data:
                    raise trail.failed("the answer's encoding is damaged")
                if chunk:
                    yield chunk
        await response.aclose()
        trail.whole = True
    except library_faults(ValueError) as exc:
        raise trail.failed(failure_words(exc, peer)) from trail.cause(exc)
    except zlib.error:
        raise trail.failed("the answer's encoding is damaged") from None
    if inflater is not None and received and not inflater.eof:
        raise trail.failed("the answer's encoding is damaged")


def _lowered(response: httpcore2.Response) -> Mapping[str, str]:
    head: dict[str, str] = {}
    for raw_name, raw_value in response.headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        head[name] = f"{head[name]}, {value}" if name in head else value
    return head
