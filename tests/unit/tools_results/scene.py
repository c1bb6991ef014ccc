"""One action, one call and the context it is refused in, shared by the tests of this folder."""

from __future__ import annotations

from typing import Any

from jecp_mcp.calls.ports import CallEnd, Charge
from jecp_mcp.clock import UnixMs, parse_iso
from jecp_mcp.domain.offers import Offer, Price
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.money import MicroUSDC
from jecp_mcp.tools.next_actions.case import Context
from jecp_mcp.tools.own.definitions import own_cards
from jecp_mcp.tools.publishing.links import LinkPolicy

HUB = "https://jecp.dev"
NOW = parse_iso("2026-11-21T10:00:00Z")
TOOL = "docs_invoice_render"
ARGUMENTS = {"number": "2026-17", "total": "120.00"}
CALL_ID = "c_0123456789abcdef"
ACTION = Offer(
    capability="docs/invoice",
    action="render",
    payee="docs",
    price=Price(MicroUSDC(50_000)),
    version="1.2.0",
    title="Render an invoice",
    input_schema={"type": "object"},
)


class FixedClock:
    """A clock that a test sets."""

    def __init__(self, at: UnixMs = NOW) -> None:
        self.at = at

    def now(self) -> UnixMs:
        return self.at

    def monotonic(self) -> float:
        return self.at / 1000


def context(*, registered: bool = True, hub: str = HUB, **changes: Any) -> Context:
    fields: dict[str, Any] = {
        "tool": TOOL,
        "arguments": ARGUMENTS,
        "own": frozenset(card.name for card in own_cards(registered=registered)),
        "links": LinkPolicy(hub),
        "now": NOW,
        "target": TOOL,
        "action": ACTION,
    }
    return Context(**(fields | changes))


def refused(refusal: Refusal, charge: Charge = Charge.NO, call_id: str | None = None, held: int = 0) -> CallEnd:
    return CallEnd(charge, call_id=call_id, offer=ACTION, refusal=refusal, held=MicroUSDC(held))
