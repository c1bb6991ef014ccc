"""A rail for tests to fill in: everything but `execute` and `find_out` is plain and asks nobody."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from jecp_mcp.catalog.sources import OfferSource
from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.outcomes import AuthorizedCall, Refunded
from jecp_mcp.domain.quotes import Free, Quote
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.base import Rail, StoredRequest
from jecp_mcp.rails.jecp.account import HubAccount
from jecp_mcp.rails.jecp.client import HubClient
from jecp_mcp.rails.registry import Rails, Way

WINDOW_MS = 55 * 60 * 1000
MOST = MicroUSDC(1_000_000_000)


class PlainRail:
    """Pays at list price from one account, which it is itself, and which never tells the time."""

    name = "jecp"
    probes = False
    most_per_call = MOST
    account = "hub agent"

    def __init__(self) -> None:
        self.paid_back: list[Refunded] = []

    def ready(self) -> Refusal | None:
        return None

    def serves(self, account: str, authorized: AuthorizedCall | None = None) -> bool:
        return account == self.account

    def identity_arguments(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return arguments

    async def quote(self, offer: Offer, arguments: Mapping[str, Any]) -> Quote | Free | Refusal:
        listed = offer.listed
        terms = repr((offer.price.model, offer.price.rates)) if offer.price.metered else ""
        return Quote(listed.amount, listed.kind, offer.payee, self.account, terms)

    def prepare(
        self, call_id: str, offer: Offer, arguments: Mapping[str, Any], quote: Quote, hold: MicroUSDC, now: UnixMs
    ) -> StoredRequest:
        until = UnixMs(now + WINDOW_MS)
        return StoredRequest(self.name, self.account, call_id, hold, repr(arguments).encode(), until)

    def arguments_of(self, payload: bytes) -> Mapping[str, Any] | None:
        return ast.literal_eval(payload.decode())

    def heard(self) -> float | None:
        return None

    async def skew(self, *, fresh: bool = False) -> float | None:
        return None

    async def paid_refunds(self) -> Sequence[Refunded]:
        return self.paid_back


def alone(rail: Rail, *, beside: Any = None, sources: Sequence[str] = ("",)) -> Rails:
    """A house with one way to pay; `beside` is its account and witness, where that is not the rail itself."""
    other = rail if beside is None else beside
    return Rails([Way(rail=rail, sources=tuple(map(source, sources)), account=other, witness=other)])


def at_hub(rail: Rail, client: HubClient, *, sources: Sequence[str] = ("",)) -> Rails:
    """A house that pays at one Hub."""
    return alone(rail, beside=HubAccount(client), sources=sources)


def source(name: str) -> OfferSource:
    """A source that nobody asks for anything but its name."""
    return SimpleNamespace(name=name)  # type: ignore[return-value]
