"""HTTP/1.1 as the server speaks it: uvicorn's protocol over httptools, where that departs from the standard (RFC 9112).

uvicorn takes the request that arrived last for the one that is being answered. Here no work goes on for a client that
has left, and what was sent after a request takes nothing from its answer: whoever reads there that a request was
invalid would send it again, though it has been paid.

httptools lets pass what leaves open which host a request means or where it ends. And of a request that offers another
protocol it takes the body for that protocol's, where a server may pass the offer over (RFC 9110 §7.8): Java's client
offers HTTP/2 with what it sends first.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from httptools import HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

_VERSIONS: Final = frozenset({"1.0", "1.1"})


class InvalidRequest(Exception):
    """Raised while a request is parsed, ends the parsing: its client is told, and the connection closes."""


class HttpProtocol(HttpToolsProtocol):
    """An HTTP connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Begin to read."""
        super().connection_made(transport)
        self.parser = _Parser(self)  # type: ignore[assignment]  # As much of one as uvicorn uses.
        self._active: RequestResponseCycle | None = None
        self._refusal: str | None = None

    @property
    def answering(self) -> RequestResponseCycle | None:
        """The request whose answer is under way, be it still arriving."""
        return None if self._active is None or self._active.response_complete else self._active

    @property
    def refuses(self) -> bool:
        """Whether no more is read, for what has arrived is invalid."""
        return self._refusal is not None

    def data_received(self, data: bytes) -> None:
        """Take some of a request."""
        if not self.refuses:
            super().data_received(data)

    def send_400_response(self, msg: str) -> None:
        """Take no more, and say why, after the answers to what was sent before."""
        if self.refuses:
            return
        self._refusal = msg
        if self.pipeline and self.cycle.more_body:
            # It will never be whole.
            self.pipeline.popleft()
        self._conclude()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header has arrived, or a trailer."""
        super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        """The head of a request has arrived."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            raise InvalidRequest
        if self.parser.should_upgrade():
            return  # It comes again, without its offer.
        _check(self.parser.get_http_version(), self.url, self.headers)
        super().on_headers_complete()
        if len(self.pipeline) == 1:
            # uvicorn would read nothing until the answer has gone out, nor see that the client leaves.
            self.flow.resume_reading()
        # What still arrives are trailers, and nobody reads those as if they were headers (RFC 9110 §6.5.1).
        self.headers = []

    def on_message_complete(self) -> None:
        """A request is whole."""
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer has gone out whole."""
        super().on_response_complete()
        if self.refuses and not self.transport.is_closing():
            self._conclude()

    def shutdown(self) -> None:
        """Answer what is being answered, and begin nothing more."""
        super().shutdown()
        if self.answering is not None:
            self.answering.keep_alive = False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, and whoever works for its client learns it."""
        if self.answering is not None:
            self.answering.disconnected = True
            self.answering.message_event.set()
        super().connection_lost(exc)

    def _conclude(self) -> None:
        """Refuse what is invalid as soon as it is its turn."""
        assert self._refusal is not None
        begun = self.answering
        if begun is None or (begun.more_body and not begun.response_started):
            super().send_400_response(self._refusal)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._active = cycle
        super()._start_asgi_task(cycle, app)


class _Parser:
    """httptools' parser, for a server that passes over every offer of another protocol."""

    def __init__(self, connection: HttpProtocol) -> None:
        self._connection = connection
        self._renew()

    def _renew(self) -> None:
        self._parser = parser = HttpRequestParser(self._connection)
        self.get_method, self.get_http_version = parser.get_method, parser.get_http_version
        self.should_keep_alive, self.should_upgrade = parser.should_keep_alive, parser.should_upgrade
        # As uvicorn: what follows the last request is not looked at before that is answered.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def feed_data(self, data: bytes) -> None:
        """Parse some more.

        Raises:
            httptools.HttpParserError: it is invalid.
        """
        while True:
            try:
                self._parser.feed_data(data)
            except HttpParserUpgrade as offer:
                data = self._head_without_offer() + data[offer.args[0] :]
                self._renew()
            else:
                return

    def _head_without_offer(self) -> bytes:
        of = self._connection
        version = self.get_http_version().encode()
        headers = [name + b": " + value for name, value in of.headers if name != b"upgrade"]
        return b"\r\n".join([self.get_method() + b" " + of.url + b" HTTP/" + version, *headers, b"", b""])


def _check(version: str, target: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """Refuse a request that leaves open which host it means, or where it ends.

    Raises:
        InvalidRequest: it does.
    """
    hosts = [value.lower() for name, value in headers if name == b"host"]
    codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
    named = len(hosts) == 1 or (not hosts and version == "1.0")
    # Of an absolute target the Host says the same (RFC 9112 §3.2.2).
    here = target.startswith(b"/") or target == b"*"
    if not here:
        here = named and target.partition(b"://")[2].lower().startswith(b"".join(hosts) + b"/")
    if version not in _VERSIONS or not named or not here or codings not in ([], [b"chunked"]):
        raise InvalidRequest
