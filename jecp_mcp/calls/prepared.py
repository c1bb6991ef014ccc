"""A prepared call: what is bought, at which price, kept until it is executed once or expires."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from jecp_mcp import jsontext
from jecp_mcp.calls import refusals
from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.offers import Action, Price
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.mandate.ledger import MeterReading
from jecp_mcp.mandate.slips import Slip, SlipKind, SlipState
from jecp_mcp.money import MicroUSDC

PREPARED_MS: Final = 900_000
"""How long a prepared price holds."""


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """What was prepared.

    Attributes:
        tool: the name it was asked under.
        key: the action's key in the catalog.
        quoted: the price, or for metered models its base, micro-USDC; None when it was unknown.
        exact: whether `quoted` is the whole price.
        terms: a digest of how it is charged beyond `quoted`: the model and its rates.
        hold: the most that executing it may cost, micro-USDC.
    """

    tool: str
    key: str
    version: str | None
    quoted: MicroUSDC | None
    exact: bool
    terms: str
    hold: MicroUSDC
    arguments: Mapping[str, Any]

    @classmethod
    def read(cls, slip: Slip) -> PreparedCall:
        """What a slip prepares."""
        told: Mapping[str, Any] = json.loads(slip.body)
        quoted = None if told["quoted"] is None else MicroUSDC(int(told["quoted"]))
        return cls(**{**told, "quoted": quoted, "hold": MicroUSDC(int(told["hold"]))})

    def body(self) -> bytes:
        """As a slip keeps it."""
        return jsontext.dumps({name: getattr(self, name) for name in self.__slots__})

    def still(self, action: Action) -> bool:
        """Whether the catalog still offers what was prepared, at the same price."""
        price = action.price
        return (action.key, action.version, price.amount, price.exact, terms_of(price)) == (
            self.key,
            self.version,
            self.quoted,
            self.exact,
            self.terms,
        )


@dataclass(frozen=True, slots=True)
class Preparation:
    """A prepared call and what stands in its way now.

    Attributes:
        full: the caps that have no room for it now.
        approval: why a person must approve it first, and under which code; None when nobody has to.
    """

    slip: Slip
    call: PreparedCall
    full: tuple[MeterReading, ...]
    approval: tuple[str, Slip] | None


def terms_of(price: Price) -> str:
    """What `PreparedCall.terms` holds of a price."""
    return hashlib.sha256(jsontext.dumps([price.model, dict(sorted(price.rates.items()))])).hexdigest()


def new_prepared_id() -> str:
    """96 bits of randomness: whoever has it may execute the call, within the limits."""
    return f"prep_{secrets.token_hex(12)}"


def new_slip(principal: str, fingerprint: str, call: PreparedCall, now: UnixMs) -> Slip:
    """The slip for a prepared call."""
    return Slip(
        kind=SlipKind.PREPARED,
        slip_id=new_prepared_id(),
        principal=principal,
        subject=fingerprint,
        state=SlipState.GRANTED,
        body=call.body(),
        created_at=now,
        expires_at=UnixMs(now + PREPARED_MS),
    )


def unusable(slip: Slip, now: UnixMs) -> Refusal | None:
    """Why a prepared call cannot be executed as it stands, or None.

    A used one may be good again, or have an answer to give back: that is for its call's row to say.
    """
    if slip.state is SlipState.SUPERSEDED:
        return refusals.prepared_superseded()
    if slip.expires_at <= now and slip.state is not SlipState.USED:
        return refusals.prepared_expired(slip.expires_at)
    return None
