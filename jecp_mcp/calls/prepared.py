"""A prepared call: what is bought, at which price, kept until it is executed once or expires."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from jecp_mcp import jsontext
from jecp_mcp.calls import consent_refusals
from jecp_mcp.calls.orders import Order
from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.quotes import Quote, QuoteKind
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import LedgerDamaged
from jecp_mcp.mandate.grants import Grant, GrantKind, GrantState
from jecp_mcp.mandate.records import MeterReading
from jecp_mcp.money import MicroUSDC

PREPARED_MS: Final = 900_000
"""How long a prepared price holds."""


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """What was prepared.

    Attributes:
        tool: the name it was asked under.
        source, key, version: which offer, as it was.
        quote: what it cost then.
        hold: the most that executing it may cost, micro-USDC.
    """

    tool: str
    source: str
    key: str
    version: str | None
    quote: Quote
    hold: MicroUSDC
    arguments: Mapping[str, Any]

    @classmethod
    def of(cls, order: Order) -> PreparedCall:
        """What preparing an order keeps of it."""
        offer, purchase = order.offer, order.purchase
        hold = order.permit.hold
        return cls(purchase.tool, offer.source, offer.key, offer.version, order.quote, hold, purchase.arguments)

    @classmethod
    def read(cls, grant: Grant) -> PreparedCall:
        """What a grant prepares.

        Raises:
            LedgerDamaged: it is not what `body` writes, perhaps what another version of this program wrote.
        """
        try:
            told: dict[str, Any] = json.loads(grant.body)
            amount, kind, payload, *rest = told.pop("quote")
            payee, account, terms, good_until, because = rest
            seen = base64.b64decode(payload)
            quote = Quote(MicroUSDC(int(amount)), QuoteKind(kind), payee, account, terms, good_until, seen, because)
            return cls(**{**told, "quote": quote, "hold": MicroUSDC(int(told["hold"]))})
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise LedgerDamaged(f"what was prepared as {grant.grant_id} cannot be read") from exc

    def body(self) -> bytes:
        """As a grant keeps it."""
        quote = self.quote
        told: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        payload = base64.b64encode(quote.payload).decode("ascii")
        told["quote"] = [
            quote.amount, quote.kind, payload, quote.payee, quote.account, quote.terms, quote.good_until,
            quote.because,
        ]  # fmt: skip
        return jsontext.dumps(told)

    def is_of(self, offer: Offer) -> bool:
        """Whether it is this offer that was prepared."""
        return (offer.source, offer.key, offer.version) == (self.source, self.key, self.version)

    def quote_at(self, now: UnixMs) -> Quote | None:
        """The quote that it was prepared by, as long as its payee stands by it."""
        good_until = self.quote.good_until
        return self.quote if good_until is not None and now < good_until else None

    def keep(self, order: Order) -> Order | Refusal:
        """The order for no more than preparing it promised; or a refusal where it is not on offer for that any more."""
        if not (self.is_of(order.offer) and self.quote.covers(order.quote)):
            return consent_refusals.price_changed(self.key, self.quote, order.quote)
        return order.at_most(self.hold)


@dataclass(frozen=True, slots=True)
class Preparation:
    """A prepared call and what stands in its way now.

    Attributes:
        full: the caps that have no room for it now.
        approval: why a person must approve it first, and under which code; None when nobody has to.
    """

    grant: Grant
    call: PreparedCall
    full: tuple[MeterReading, ...]
    approval: tuple[str, Grant] | None


def new_prepared_id() -> str:
    """96 bits of randomness: whoever has it may execute the call, within the limits."""
    return f"prep_{secrets.token_hex(12)}"


def new_grant(principal: str, fingerprint: str, call: PreparedCall, now: UnixMs) -> Grant:
    """The grant for a prepared call."""
    return Grant(
        kind=GrantKind.PREPARED,
        grant_id=new_prepared_id(),
        principal=principal,
        subject=fingerprint,
        state=GrantState.GRANTED,
        body=call.body(),
        created_at=now,
        expires_at=UnixMs(now + PREPARED_MS),
    )


def unusable(grant: Grant, now: UnixMs) -> Refusal | None:
    """Why a prepared call cannot be executed as it stands, or None.

    A used one may be good again, or have an answer to give back: that is for its call's row to say.
    """
    if grant.state is GrantState.SUPERSEDED:
        return consent_refusals.prepared_superseded()
    if grant.expires_at <= now and grant.state is not GrantState.USED:
        return consent_refusals.prepared_expired(grant.expires_at)
    return None
