"""A sale: a payment that is good for something that was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request

from jecp_mcp.jsontext import JSONObject
from jecp_mcp.sandbox.paid_http.merchant.answers import Answer
from jecp_mcp.sandbox.paid_http.merchant.routes import Route
from jecp_mcp.wire.x402.payment import Payment
from jecp_mcp.wire.x402.settlement import Settlement, settlement_header


@dataclass(frozen=True, slots=True)
class Sale:
    """One sale.

    Attributes:
        terms: the merchant's own entry of ``accepts`` that is paid.
        delivery: what is delivered, without a receipt.
        purchase: the digest of what was asked for.
    """

    route: Route
    request: Request
    payment: Payment
    terms: JSONObject
    delivery: Answer
    purchase: str

    @property
    def identifier(self) -> str | None:
        """Under what the payment is known again."""
        return self.payment.identifier if self.route.identifier != "none" else None

    def receipt(self, settlement: Settlement) -> Mapping[str, str]:
        """The header that says what became of the payment."""
        name, value = settlement_header(self.payment.version, settlement)
        return {name.lower(): value}

    def unsettled(self) -> Settlement:
        """What became of a payment with which nothing was done."""
        return Settlement(False, "", self.payment.network, self.payment.authorization.sender)
