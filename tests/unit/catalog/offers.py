"""Actions as a Hub offers them, and a catalog of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jecp_mcp.catalog.contents import Catalog, revision_of
from jecp_mcp.catalog.pins import Pins
from jecp_mcp.catalog.rows import Rows
from jecp_mcp.catalog.search import Index
from jecp_mcp.domain.offers import Offer, Price
from jecp_mcp.money import MicroUSDC
from jecp_mcp.settings import CatalogSettings
from tests.unit.catalog.hubs import FakeClock

HUB = "https://hub.example"
SCHEMA = {
    "type": "object",
    "properties": {"text": {"type": "string", "maxLength": 100, "description": "what to count"}},
    "required": ["text"],
    "additionalProperties": False,
}


def offer(key: str = "acme/count:run", price: int | None = 5_000, **more: Any) -> Offer:
    capability, _, name = key.partition(":")
    fields: dict[str, Any] = {
        "version": "1.0.0",
        "title": "Count words",
        "description": f"Counts the words of a text, as {key} always has.",
        "input_schema": SCHEMA,
        "source": HUB,
    }
    amount = None if price is None else MicroUSDC(price)
    given = more.pop("pricing", Price(amount))
    return Offer(capability, name, capability.partition("/")[0], given, **fields | more)


def catalog(*actions: Offer) -> Catalog:
    rows = Rows.of(actions)
    return Catalog(revision_of(rows), rows)


def opened(path: Path, hub: str = HUB, clock: FakeClock | None = None, **settings: Any) -> Pins:
    return Pins(path / "pins.sqlite", [hub], CatalogSettings(**settings), clock or FakeClock())


def of_one_template(actions: int) -> Index:
    """An index of actions that say the same."""
    return Index(
        Offer(
            f"ns{number % 40}/documents",
            f"convert-{number}",
            f"ns{number % 40}",
            Price(MicroUSDC(5_000)),
            title=f"Convert document {number}",
            description="Converts a document or an invoice from Word to PDF and translates its text to German.",
        )
        for number in range(actions)
    )
