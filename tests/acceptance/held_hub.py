"""A Hub that holds its next purchase until the test lets it go: what happens meanwhile is up to the test, not to time."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

from tests.acceptance.roads import SandboxHub
from tests.served import served

PATIENCE = 90
"""Seconds after which what does not come is given up: a bound, not a measure."""

PURCHASES = {"/v1/jecp", "/v1/invoke"}


@dataclass(frozen=True)
class Held:
    """The Hub as a server is to reach it. Only the first purchase is held; later ones, and all else, pass."""

    hub: SandboxHub
    arrived: threading.Event
    let_go: threading.Event

    def wait(self) -> None:
        """Until the purchase is there: whatever precedes it in the server has happened, and it is in the ledger."""
        assert self.arrived.wait(PATIENCE), "no purchase has come to the Hub"


@contextmanager
def holding(hub: SandboxHub) -> Iterator[Held]:
    """A relay before `hub`; what it still holds at the end is let go."""
    there = urlsplit(hub.url).netloc
    arrived, let_go = threading.Event(), threading.Event()

    class Relay(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path in PURCHASES and not arrived.is_set():
                arrived.set()
                let_go.wait(PATIENCE)
            line = http.client.HTTPConnection(there, timeout=PATIENCE)
            try:
                line.request(self.command, self.path, body, dict(self.headers))
                answer = line.getresponse()
                content = answer.read()
            finally:
                line.close()
            try:
                self.send_response_only(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                # The server that asked has ended.
                self.close_connection = True

        def do_GET(self) -> None:
            self._pass_on()

        def do_POST(self) -> None:
            self._pass_on()

        def log_message(self, *_: object) -> None:
            pass

    with served(Relay) as url:
        try:
            yield Held(replace(hub, url=url), arrived, let_go)
        finally:
            let_go.set()
