"""The catalog over a real connection, in both dialects, and from a Hub that means harm."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import anyio
import pytest

from jecp_mcp.clock import SystemClock
from jecp_mcp.errors import PayeeError
from jecp_mcp.http import Http
from jecp_mcp.rails.jecp.catalog_source import CatalogSource
from jecp_mcp.settings import CatalogSettings, ToolSettings
from jecp_mcp.tools.publishing.tool_registry import ToolRegistry

pytestmark = pytest.mark.anyio

Page = Callable[[dict[str, list[str]]], tuple[int, dict[str, str], bytes]]
SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
BUILT_IN = {
    "id": "echo",
    "name": "Echo",
    "description": "says it again",
    "pricing": {"min": 0, "max": 0.001},
    "actions": [{"id": "say", "name": "Say", "description": "again", "input_schema": SCHEMA, "price_usdc": 0.001}],
}


def third_party(place: int) -> dict:
    manifest = {
        "namespace": "acme",
        "capability": f"cap-{place}",
        "version": "1.2.0",
        "description": "A provider's capability.",
        "actions": [
            {
                "id": "run",
                "description": "Runs.",
                "pricing": {"base": "$0.005", "currency": "USDC", "model": "per_call"},
                "input_schema": SCHEMA,
                "output_schema": {},
            }
        ],
    }
    listed = {"id": f"acme/cap-{place}", "namespace": "acme", "name": f"cap-{place}", "version": "1.2.0", "tags": ["x"]}
    return listed | {
        "total_calls": place,
        "actions": [{"id": "run", "payment_methods": ["wallet"]}],
        "manifest": manifest,
    }


def reference(query: dict[str, list[str]]) -> tuple[int, dict[str, str], bytes]:
    """450 capabilities in pages of `page_size`, the built-ins on each."""
    size = int(query["page_size"][0])
    start = int(query.get("cursor", ["0"])[0])
    more = start + size < 450
    page = {
        "jecp": "1.0",
        "engine": "ref",
        "capabilities": [BUILT_IN],
        "third_party_capabilities": [third_party(place) for place in range(start, min(start + size, 450))],
        "third_party_count": 450,
        "page_size": size,
        "has_more": more,
        "next_cursor": str(start + size) if more else None,
        "paginated": True,
    }
    return 200, {}, json.dumps(page).encode()


def specified(query: dict[str, list[str]]) -> tuple[int, dict[str, str], bytes]:
    """250 capabilities in pages of `limit`."""
    limit = int(query["limit"][0])
    start = int(query.get("cursor", ["0"])[0])
    listed = [
        {
            "id": f"acme/cap-{place}",
            "provider": "acme",
            "name": f"Cap {place}",
            "version": "1.0.0",
            "actions": [{"id": "run", "description": "Runs.", "price_usdc": "0.005", "input_schema": SCHEMA}],
        }
        for place in range(start, min(start + limit, 250))
    ]
    cursor = str(start + limit) if start + limit < 250 else None
    page = {"jecp": "1.0", "capabilities": listed, "total": 250, "version": "7", "next_cursor": cursor}
    return 200, {}, json.dumps(page).encode()


@contextmanager
def serving(page: Page) -> Iterator[tuple[str, list[int]]]:
    """A Hub on loopback that answers with entity tags, and the statuses it answered."""
    statuses: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, headers, body = page(parse_qs(urlsplit(self.path).query))
            etag = f'"{hashlib.sha256(body).hexdigest()[:12]}"'
            if self.headers.get("If-None-Match") == etag:
                status, body = 304, b""
            statuses.append(status)
            self.send_response(status)
            for name, value in {"ETag": etag, "Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", statuses
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(("page", "actions", "pages"), [(reference, 451, 3), (specified, 250, 2)])
async def test_either_dialect_is_fetched_whole_then_conditionally_then_from_disk(page, actions, pages, tmp_path):
    with serving(page) as (url, statuses), anyio.fail_after(60):
        async with Http(url) as http:
            source = CatalogSource(http, url, tmp_path / "catalog", CatalogSettings(), SystemClock())
            diff = await source.refresh()
            assert len(source.current.actions) == len(diff.added) == actions
            assert (await source.refresh()).unchanged
            assert statuses == [200] * pages + [304] * pages
            again = CatalogSource(http, url, tmp_path / "catalog", CatalogSettings(), SystemClock())
            assert dict(again.current.actions) == dict(source.current.actions)
            assert again.current.revision == source.current.revision
            assert (await again.refresh()).unchanged
            assert statuses[-pages:] == [304] * pages
            registry = ToolRegistry(ToolSettings(mode="direct"))
            assert registry.publish(again.current)
            assert len(registry.cards) == actions


@pytest.mark.parametrize(
    "answer",
    [
        (502, {}, b"<html>Bad Gateway</html>"),
        (302, {"Location": "http://127.0.0.1:1/v1/capabilities"}, b""),
        (200, {}, b'{"capabilities": [{"id": "a/b"'),
        (200, {}, b'{"capabilities": NaN}'),
        (200, {}, b'{"capabilities":' + b"[" * 50_000),
        (200, {}, b" " * (17 * 1024 * 1024)),
        (404, {}, b"{}"),
        (429, {"Retry-After": "30"}, b"{}"),
    ],
    ids=["html", "redirect", "cut", "nan", "deep", "huge", "missing", "busy"],
)
async def test_a_hub_that_misbehaves_is_a_clear_error_and_costs_nothing(answer):
    with serving(lambda _: answer) as (url, _), anyio.fail_after(60):
        async with Http(url) as http:
            source = CatalogSource(http, url, None, CatalogSettings(), SystemClock())
            with pytest.raises(PayeeError):
                await source.refresh()
            assert dict(source.current.actions) == {}


async def test_a_hub_that_is_not_there_is_a_clear_error():
    with anyio.fail_after(60):
        async with Http("http://127.0.0.1:9") as http:
            source = CatalogSource(http, "http://127.0.0.1:9", None, CatalogSettings(), SystemClock())
            with pytest.raises(PayeeError, match="HUB_UNREACHABLE"):
                await source.refresh()
