"""The one normal form inside the house, whatever dialect the Hub speaks. Pure: no I/O.

`Action` is what can be bought, `Answer` what was delivered, `Refusal` why not. The parsers beside this module
(`jecp_mcp.wire.catalog`, `jecp_mcp.wire.envelope`, `jecp_mcp.wire.errors`) map both dialects onto these and keep
what they do not know in ``extra`` or ``raw``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from jecp_mcp.money import ZERO, MicroUSDC

JSONObject = Mapping[str, Any]
"""A JSON object. Numbers with a fraction are `decimal.Decimal` where they came off the wire."""

NOTHING: JSONObject = MappingProxyType({})
"""The one empty object, immutable and shared."""


def _nothing() -> JSONObject:
    return NOTHING


TIERS = ("bronze", "silver", "gold", "platinum")
"""Trust tiers, lowest first (JECP 01-protocol, trust tiers)."""


TIER_CALLS = MappingProxyType({"bronze": 0, "silver": 100, "gold": 500, "platinum": 2_000})
"""From how many completed calls an agent has a tier (JECP 01-protocol, trust tiers)."""


class PricingModel(StrEnum):
    """How an action is charged (JECP 02-manifest, pricing)."""

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
    rates: JSONObject = field(default_factory=_nothing)

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
    input_schema: JSONObject = field(default_factory=_nothing)
    output_schema: JSONObject = field(default_factory=_nothing)
    examples: tuple[Any, ...] = ()
    streaming: bool = False
    trust_tier_required: str = "bronze"
    rate_limit_rpm: int | None = None
    timeout_ms: int | None = None
    side_effects: JSONObject = field(default_factory=_nothing)
    payment_methods: tuple[str, ...] = ()
    deprecation: Deprecation | None = None
    total_calls: int | None = None
    extra: JSONObject = field(default_factory=_nothing)

    @property
    def key(self) -> str:
        """The action's identity in this Hub's catalog: ``namespace/name:action`` or ``name:action``."""
        return f"{self.capability}:{self.action}"

    @property
    def builtin(self) -> bool:
        """Whether the Hub itself provides it (ids without a slash)."""
        return "/" not in self.capability


@dataclass(frozen=True, slots=True)
class Billing:
    """What the Hub says about money.

    Attributes:
        charged: True, False, or None when the envelope does not say.
        amount: the amount charged (or, when `charged` is False, the price that was not charged), micro-USDC, rounded
            up; None when none was said, or it cannot be read.
        at_least: where `amount` is None: the most that is said to be charged in so far as it can be read.
        balance_after: the wallet afterwards, micro-USDC.
    """

    charged: bool | None = None
    amount: MicroUSDC | None = None
    balance_after: MicroUSDC | None = None
    transaction_id: str | None = None
    method: str | None = None
    raw: JSONObject = field(default_factory=_nothing)
    at_least: MicroUSDC = ZERO


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to know about an otherwise good answer, such as a coming sunset."""

    kind: str
    text: str
    at: str | None = None
    successor: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A completed call. `raw` is the whole parsed envelope, without loss."""

    id: str | None
    output: Any
    billing: Billing
    provider: str | None = None
    version: str | None = None
    duration_ms: int | None = None
    trust_tier: str | None = None
    notices: tuple[Notice, ...] = ()
    raw: JSONObject = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call that was not completed, in the Hub's words or, where there were none, in ours.

    Attributes:
        code: the canonical code (aliases folded); unknown codes pass through as they are.
        wire_code: the code as it stood on the wire; None when the refusal is ours.
        http_status: the status it came with; None when no HTTP answer arrived.
        retry_after_seconds: from the header or the body, whole seconds.
        source: ``hub`` when the Hub said it, ``bridge`` when we concluded it.
    """

    code: str
    message: str
    wire_code: str | None = None
    http_status: int | None = None
    details: JSONObject = field(default_factory=_nothing)
    next_action: JSONObject | None = None
    payment: JSONObject | None = None
    documentation_url: str | None = None
    retry_after_seconds: int | None = None
    id: str | None = None
    source: str = "hub"
    raw: JSONObject = field(default_factory=_nothing, repr=False)
