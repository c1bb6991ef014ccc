"""The tiny rail's way into the house: a payee that listens, its one offer, and what the list of rails names."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import anyio

from jecp_mcp.catalog.contents import Catalog, CatalogDiff
from jecp_mcp.catalog.rows import Rows
from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.offers import Offer, Price
from jecp_mcp.http import Http
from jecp_mcp.rails.registry import Parts, Way
from tests.served import served
from tests.tiny_rail.payee import Payee
from tests.tiny_rail.rail import TinyRail

SOURCE = "echo"
ECHO = Offer(
    "echo/job",
    "run",
    "echo",
    Price(None, problem="only a quote tells"),
    version="1",
    title="Echo",
    description="Says a text again.",
    input_schema={"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    source=SOURCE,
)


class EchoSource:
    """One offer, always the same."""

    name = SOURCE
    current = Catalog("echo-1", Rows.of([ECHO]), (), UnixMs(1))
    outage = None
    was_asked = True

    def subscribe(self, callback: Callable[[CatalogDiff], Awaitable[None] | None]) -> Callable[[], None]:
        return lambda: None

    def until_refresh(self) -> float:
        return 3_600.0

    async def refresh(self) -> CatalogDiff:
        return CatalogDiff()

    async def keep_fresh(self) -> None:
        await anyio.sleep_forever()


def open_tiny(url: str) -> Callable[[Parts], Way]:
    """What stands in the list of rails, for an echo at `url`."""

    def opened(parts: Parts) -> Way:
        http = Http(url)
        return Way(rail=TinyRail(url, http, parts.clock), sources=(EchoSource(),), opened=http)

    return opened


@contextmanager
def listening(payee: Payee) -> Iterator[str]:
    """The payee behind a real socket; yields its origin."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, said = payee.answer(self.command, self.path, body)
            data = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST  # noqa: N815 the library's name

        def log_message(self, *_: object) -> None:
            return

    with served(Handler) as url:
        yield url
