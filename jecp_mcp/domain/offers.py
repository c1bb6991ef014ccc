"""What can be bought, and at what price. Pure: no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from jecp_mcp.jsontext import JSONObject, nothing
from jecp_mcp.money import MicroUSDC


class PricingModel(StrEnum):
    """How an action is charged (JECP 04-manifest §5)."""

    FLAT = "flat"
    PER_CALL = "per_call"
    PER_TOKEN = "per_token"  # noqa: S105  # a pricing model, not a password
    PER_CHUNK = "per_chunk"
    PER_SECOND = "per_second"
    TIERED = "tiered"


@dataclass(frozen=True, slots=True)
class Price:
    """A price in micro-USDC.

    Attributes:
        amount: the price of one call (exact models) or the base price (metered models); None when unknown.
        model: how it is charged; a model this version does not know reads as None.
        problem: why the amount is unknown, for the operator.
        rates: the provider's unit rates as they stand in the manifest, for metered models.
    """

    amount: MicroUSDC | None
    model: PricingModel | None = PricingModel.PER_CALL
    problem: str | None = None
    rates: JSONObject = field(default_factory=nothing)

    @property
    def exact(self) -> bool:
        """Whether the price is known before the call."""
        return self.amount is not None and self.model in (PricingModel.FLAT, PricingModel.PER_CALL)


@dataclass(frozen=True, slots=True)
class Deprecation:
    """An action on its way out. `sunset_at` is RFC 3339 text as the Hub gave it."""

    status: str
    sunset_at: str | None = None
    successor: str | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that can be bought from a Hub: a capability's action at a version and a price.

    Attributes:
        capability: ``namespace/name``, or a bare ``name`` for a Hub's built-in. Never with ``@version``.
        action: the action's id.
        namespace: the provider's namespace; ``""`` for built-ins.
        version: semver the catalog showed, None when it showed none.
        input_schema: JSON Schema as the provider wrote it. Foreign: bound and clean before use.
    """

    capability: str
    action: str
    namespace: str
    price: Price
    version: str | None = None
    title: str = ""
    description: str = ""
    capability_name: str = ""
    capability_description: str = ""
    tags: tuple[str, ...] = ()
    input_schema: JSONObject = field(default_factory=nothing)
    output_schema: JSONObject = field(default_factory=nothing)
    examples: tuple[Any, ...] = ()
    streaming: bool = False
    trust_tier_required: str = "bronze"
    rate_limit_rpm: int | None = None
    timeout_ms: int | None = None
    side_effects: JSONObject = field(default_factory=nothing)
    payment_methods: tuple[str, ...] = ()
    deprecation: Deprecation | None = None
    total_calls: int | None = None
    extra: JSONObject = field(default_factory=nothing)

    @property
    def key(self) -> str:
        """The action's identity in this Hub's catalog: ``namespace/name:action`` or ``name:action``."""
        return f"{self.capability}:{self.action}"

    @property
    def builtin(self) -> bool:
        """Whether the Hub itself provides it (ids without a slash)."""
        return "/" not in self.capability
