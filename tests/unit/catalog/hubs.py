"""A Hub in a dictionary, at the seam of one method."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from jecp_mcp.clock import UnixMs
from jecp_mcp.http import ExchangeFailed, HttpAnswer


@dataclass
class FakeClock:
    at: int = 1_800_000_000_000
    ticks: float = 0.0

    def now(self) -> UnixMs:
        return UnixMs(self.at)

    def monotonic(self) -> float:
        return self.ticks


def capability(name: str, *actions: str, price: str = "0.005", **more: Any) -> dict[str, Any]:
    """A capability as the specification's dialect lists it."""
    return {
        "id": name,
        "name": name,
        "description": f"{name} does things",
        "version": "1.0.0",
        "actions": [
            {"id": action, "description": f"to {action}", "price_usdc": price, "input_schema": {"type": "object"}}
            for action in actions
        ],
        **more,
    }


@dataclass
class FakeHub:
    """Answers pages of a catalog; `before` may interfere with a request by answering it or raising."""

    capabilities: list[dict[str, Any]] = field(default_factory=list)
    page_size: int = 2
    etags: bool = True
    before: Callable[[str, Mapping[str, str]], HttpAnswer | None] | None = None
    asked: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    async def exchange(self, method, url, *, headers=None, body=None, timeout=30.0, max_bytes=0) -> HttpAnswer:  # noqa: ASYNC109
        assert method == "GET"
        assert body is None
        self.asked.append((url, headers or {}))
        answer = self.before(url, headers or {}) if self.before else None
        answer = answer or self._page(url, headers or {})
        self.statuses.append(answer.status)
        return answer

    def _page(self, url: str, headers: Mapping[str, str]) -> HttpAnswer:
        query = parse_qs(urlsplit(url).query)
        start = int(query.get("cursor", ["0"])[0])
        end = start + self.page_size
        more = end < len(self.capabilities)
        page = {"jecp": "1.0", "capabilities": self.capabilities[start:end], "next_cursor": str(end) if more else None}
        body = json.dumps(page).encode()
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        if self.etags and headers.get("If-None-Match") == etag:
            return HttpAnswer(304, {"etag": etag}, b"")
        return HttpAnswer(200, {"etag": etag} if self.etags else {}, body)


def unreachable(_url: str, _headers: Mapping[str, str]) -> HttpAnswer | None:
    raise ExchangeFailed(sent=False, phase="connect", reason="the Hub cannot be reached")
