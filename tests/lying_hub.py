"""A Hub that does not keep the protocol: a relay before a real one, whose purchases the test answers as it likes."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from tests.hub_x402_house import X402Hub
from tests.served import served

_SECONDS = 60
_PURCHASES = {"/v1/jecp", "/v1/invoke"}
_REFUNDS = "/v1/refunds"
_HOPS = {"content-length", "transfer-encoding", "connection", "host", "accept-encoding"}


@dataclass
class Said:
    """An answer: a status, JSON, and headers."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def refusal(cls, code: str, status: int, **more: Any) -> Said:
        """A failed envelope."""
        error = {"code": code, "message": "No."}
        return cls(status, {"jecp": "1.0", "status": "failed", "error": error, **more})


@dataclass
class Asked:
    """A purchase that came.

    Attributes:
        paying: whether a payment came with it.
        budget: what its mandate lets the Hub charge, USDC.
    """

    paying: bool
    budget: float
    send: Callable[[bool], Said]

    def by_wallet(self) -> Said:
        """Let the real Hub sell it from the wallet, whatever came with it."""
        return self.send(False)

    def honestly(self) -> Said:
        """Let the real Hub answer."""
        return self.send(True)


Lie = Callable[[Asked], Said | None]
"""What the Hub says; None for nothing, and a connection that is cut."""


@dataclass
class LyingHub:
    """The relay; the real Hub's methods are at `hub`.

    Attributes:
        lie: what it says to purchases.
        refunds: what it lists as refunds; None for what the real Hub lists.
    """

    hub: X402Hub
    lie: Lie
    refunds: list[Mapping[str, Any]] | None = None


@contextmanager
def lying(real: X402Hub) -> Iterator[LyingHub]:
    """A relay before `real` that tells the truth until it is told what to say."""
    there = urlsplit(real.url).netloc

    class Relay(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _ask(self, body: bytes, headers: Mapping[str, str]) -> Said:
            line = http.client.HTTPConnection(there, timeout=_SECONDS)
            try:
                line.request(self.command, self.path, body, dict(headers))
                answer = line.getresponse()
                kept = {name: value for name, value in answer.getheaders() if name.lower() not in _HOPS}
                return Said(answer.status, json.loads(answer.read() or b"null"), kept)
            finally:
                line.close()

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOPS}
            plain = {name: value for name, value in headers.items() if name.lower() != "x-payment"}
            said: Said | None
            if self.path in _PURCHASES:
                budget = float(json.loads(body)["mandate"]["budget_usdc"])
                asked = Asked(plain != headers, budget, lambda paying: self._ask(body, headers if paying else plain))
                said = relay.lie(asked)
            elif self.path.startswith(_REFUNDS) and relay.refunds is not None:
                said = Said(200, {"refunds": relay.refunds})
            else:
                said = self._ask(body, headers)
            self.close_connection = said is None
            if said is None:
                return
            content = json.dumps(said.body).encode()
            self.send_response_only(said.status)
            for name, value in {"Content-Type": "application/json", **said.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _answer  # noqa: N815 - the base class looks these names up

        def log_message(self, *_: object) -> None:
            pass

    with served(Relay) as url:
        relay = LyingHub(replace(real, url=url), Asked.honestly)
        yield relay
