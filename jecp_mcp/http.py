"""The one user of the HTTP library: one pooled client, one origin, bounded answers, and what is known of lost ones.

Nothing here raises but `ExchangeFailed` and cancellation. Redirects are answers, never followed; cookies are not kept;
proxies of the environment are not used, because the requests carry the agent's key.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import anyio

from jecp_mcp.errors import JecpMcpError

if TYPE_CHECKING:
    import httpx2

MAX_BYTES: Final = 50 * 1024 * 1024
"""The longest answer read, in bytes, unless the caller says otherwise (JECP 01-protocol, sizes)."""

DEFAULT_SECONDS: Final = 30.0
_CONNECT_SECONDS: Final = 10.0
_CONNECTIONS: Final = 64
_IDLE_CONNECTIONS: Final = 16
_IDLE_SECONDS: Final = 30.0

_SENDING: Final = frozenset({"http11.send_request_headers.started", "http2.send_request_headers.started"})
"""The trace events after which bytes of the request may be on their way."""

_PHASES: Final = {
    "connect_tcp": "connect",
    "start_tls": "tls",
    "send_request_headers": "send",
    "send_request_body": "send",
    "receive_response_headers": "answer",
    "receive_response_body": "body",
}


class ExchangeFailed(JecpMcpError):
    """No whole answer arrived.

    Attributes:
        sent: whether any byte of the request may have left; False is proof that none did.
        phase: where it ended: ``url``, ``connect``, ``tls``, ``send``, ``answer`` or ``body``.
        reason: what happened, for a person; never a header or a body.
    """

    def __init__(self, *, sent: bool, phase: str, reason: str) -> None:
        self.sent, self.phase, self.reason = sent, phase, reason
        super().__init__(f"{reason} ({phase})")


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A whole answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpStream:
    """An answer whose body is still to come. Iterating `chunks` raises `ExchangeFailed` when it breaks off."""

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]


class _Trail:
    """What the library says it did with one request."""

    __slots__ = ("phase", "sent")

    def __init__(self) -> None:
        self.sent = False
        self.phase = "connect"

    async def __call__(self, name: str, _info: Mapping[str, Any]) -> None:
        if name in _SENDING:
            self.sent = True
        step = name.split(".")
        if step[-1] == "started":
            self.phase = _PHASES.get(step[1], self.phase)

    def failed(self, reason: str) -> ExchangeFailed:
        return ExchangeFailed(sent=self.sent, phase=self.phase, reason=reason)


class Http:
    """One pooled HTTP/1.1 client for one origin. Make it anywhere; it opens at its first request."""

    def __init__(self, origin: str) -> None:
        """Allow requests to `origin` (scheme, host and port, no trailing slash) and nothing else."""
        self._origin = origin.rstrip("/")
        self._client: httpx2.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        """Nothing to open yet."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the pool."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the pool; a later request would open another."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = DEFAULT_SECONDS,  # noqa: ASYNC109 - a deadline over the whole exchange, told apart by phase
        max_bytes: int = MAX_BYTES,
    ) -> HttpAnswer:
        """One request and its whole answer, within `timeout` seconds in all.

        Raises:
            ExchangeFailed: no whole answer arrived, or it is longer than `max_bytes`.
        """
        trail = _Trail()
        try:
            with anyio.fail_after(timeout):
                async with self._open(method, url, headers, body, timeout, trail) as response:
                    parts = bytearray()
                    async for chunk in self._bounded(response, max_bytes, trail):
                        parts += chunk
        except TimeoutError as exc:
            raise trail.failed(f"no whole answer within {timeout:g} s") from exc
        return HttpAnswer(response.status_code, _lowered(response), bytes(parts))

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
    ) -> AsyncIterator[HttpStream]:
        """One request whose answer is read as it comes; `timeout` is the longest silence, in seconds.

        Raises:
            ExchangeFailed: no answer began, or (from the chunks) it broke off or grew longer than `max_bytes`.
        """
        trail = _Trail()
        async with self._open(method, url, headers, body, timeout, trail) as response:
            chunks = self._bounded(response, max_bytes, trail)
            yield HttpStream(response.status_code, _lowered(response), chunks)

    @asynccontextmanager
    async def _open(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        body: bytes | None,
        seconds: float,
        trail: _Trail,
    ) -> AsyncIterator[httpx2.Response]:
        import httpx2

        if not url.startswith(f"{self._origin}/"):
            raise ExchangeFailed(sent=False, phase="url", reason="the address is not on the Hub's origin")
        timeout = httpx2.Timeout(seconds, connect=min(_CONNECT_SECONDS, seconds), pool=seconds)
        client = self._opened()
        try:
            request = client.build_request(
                method, url, headers=headers, content=body, timeout=timeout, extensions={"trace": trail}
            )
            response = await client.send(request, stream=True)
        except httpx2.TransportError as exc:
            raise trail.failed(_reason(exc)) from exc
        except (httpx2.InvalidURL, ValueError) as exc:
            raise trail.failed("the request cannot be written as HTTP") from exc
        try:
            yield response
        finally:
            # Closing reads nothing: a connection with an unread body is dropped rather than reused.
            with anyio.CancelScope(shield=True):
                await response.aclose()

    async def _bounded(self, response: httpx2.Response, max_bytes: int, trail: _Trail) -> AsyncIterator[bytes]:
        """The body's chunks after decoding, up to `max_bytes`: a small compressed body may hold a large one."""
        import httpx2

        size = 0
        try:
            async for chunk in response.aiter_bytes():
                size += len(chunk)
                if size > max_bytes:
                    raise ExchangeFailed(sent=True, phase="body", reason=f"the answer is longer than {max_bytes} bytes")
                yield chunk
        except (httpx2.TransportError, httpx2.DecodingError) as exc:
            raise trail.failed(_reason(exc)) from exc

    def _opened(self) -> httpx2.AsyncClient:
        import httpx2

        if self._client is None:
            quiet_library_logs()
            self._client = httpx2.AsyncClient(
                follow_redirects=False,
                trust_env=False,
                # Identity keeps what is counted equal to what is read; a Hub that compresses anyway is still bounded.
                headers={"Accept-Encoding": "identity", "User-Agent": "jecp-mcp"},
                limits=httpx2.Limits(
                    max_connections=_CONNECTIONS,
                    max_keepalive_connections=_IDLE_CONNECTIONS,
                    keepalive_expiry=_IDLE_SECONDS,
                ),
            )
        return self._client


def quiet_library_logs() -> None:
    """Keep the HTTP library from logging requests: at DEBUG it writes headers, and among them is the agent's key."""
    for name in ("httpx2", "httpcore2", "httpcore2.http11", "httpcore2.connection", "httpcore2.http2"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _lowered(response: httpx2.Response) -> Mapping[str, str]:
    return {key.lower(): value for key, value in response.headers.items()}


def _reason(exc: Exception) -> str:
    """A short cause without anything the request held."""
    import httpx2

    known: dict[type[Exception], str] = {
        httpx2.ConnectTimeout: "connecting took too long",
        httpx2.ReadTimeout: "no answer came in time",
        httpx2.WriteTimeout: "the request could not be sent in time",
        httpx2.PoolTimeout: "every connection to the Hub is busy",
        httpx2.ConnectError: "the Hub cannot be reached",
        httpx2.RemoteProtocolError: "the connection broke off",
        httpx2.ReadError: "the connection was lost",
        httpx2.WriteError: "the connection was lost",
        httpx2.DecodingError: "the answer's encoding is damaged",
    }
    return next((words for kind, words in known.items() if isinstance(exc, kind)), "the exchange failed")
