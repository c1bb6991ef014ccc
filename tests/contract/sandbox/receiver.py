"""An endpoint for webhooks, over real HTTP from a thread, whose answers a test sets."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from jecp_mcp import WebhookEvent, verify_webhook

SECONDS = 60


class Received(NamedTuple):
    """A request that arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    def event(self, secret: str) -> WebhookEvent:
        return verify_webhook(self.body, self.headers, secret)


@dataclass
class Receiver:
    """What arrives goes into `inbox`; `answers` are given in turn, 204 when there is none."""

    url: str
    inbox: queue.Queue[Received] = field(default_factory=queue.Queue)
    answers: queue.Queue[int] = field(default_factory=queue.Queue)

    def next(self) -> Received:
        return self.inbox.get(timeout=SECONDS)


@contextmanager
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                status = made.answers.get_nowait()
            except queue.Empty:
                status = 204
            # Before it is answered: the sender's next request may come as soon as it has the answer.
            made.inbox.put(Received(self.path, dict(self.headers), body))
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made = Receiver(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
