"""A Hub that sells nothing but the hostile corpus, over HTTP, in pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from jecp_mcp.domain.offers import Offer
from jecp_mcp.money import format_usdc
from tests.served import served
from tests.unit.tools_publishing.hostile import CASES
from tests.unit.tools_publishing.hostile_families import FAMILIES
from tests.unit.tools_publishing.hostile_pages import GOOD, RAW

PAGE = 100


def listed(action: Offer) -> str | None:
    """A capability as its provider would list it; None for what no JSON can carry."""
    entry: dict[str, Any] = {
        "id": action.capability,
        "name": action.capability_name,
        "description": action.capability_description,
        "version": action.version,
        "trust_tier_required": action.tier,
        "tags": list(action.tags)[:8],
        "actions": [
            {
                "id": action.action,
                "name": action.title,
                "description": action.description,
                "price_usdc": None if action.price.amount is None else format_usdc(action.price.amount),
                "input_schema": dict(action.input_schema),
                "examples": list(action.examples),
                "side_effects": dict(action.side_effects),
            }
        ],
    }
    if action.deprecation is not None:
        said = action.deprecation
        entry["deprecation"] = {"status": said.status, "sunset_at": said.sunset_at, "successor": said.successor}
    try:
        return json.dumps(entry, default=lambda value: float(value) if isinstance(value, Decimal) else [][value])
    except (TypeError, ValueError, OverflowError):
        return None


def corpus() -> list[str]:
    """Every manifest that JSON can carry, and one good one on each page."""
    entries = [entry for case in CASES + FAMILIES if (entry := listed(case.action)) is not None]
    # Each raw one in a namespace of its own, so that they do not stand for each other.
    entries += [raw.replace('"evil/cap"', f'"raw-{at}/cap"') for at, raw in enumerate(RAW.values())]
    return entries


@contextmanager
def serving() -> Iterator[tuple[str, int]]:
    """The Hub's origin, and how many manifests it lists."""
    entries = corpus()
    pages = [entries[at : at + PAGE] for at in range(0, len(entries), PAGE)]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            target = urlsplit(self.path)
            if target.path != "/v1/capabilities":
                self._say(404, b"{}")
                return
            at = int(parse_qs(target.query).get("cursor", ["0"])[0])
            more = json.dumps(str(at + 1)) if at + 1 < len(pages) else "null"
            good = GOOD.replace("good/one", f"good-{chr(97 + at)}/one")
            body = f'{{"jecp":"1.0","capabilities":[{good},{",".join(pages[at])}],"next_cursor":{more}}}'
            self._say(200, body.encode())

        def _say(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with served(Handler) as url:
        yield url, len(entries)
