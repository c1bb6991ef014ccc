"""What can be bought, from whom, and at what price. Pure: no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jecp_mcp.domain.quotes import Quote, QuoteKind
from jecp_mcp.jsontext import JSONObject, nothing
from jecp_mcp.money import ZERO, MicroUSDC
from jecp_mcp.source_names import NAMED


@dataclass(frozen=True, slots=True)
class Price:
    """A listed price in micro-USDC.

    Attributes:
        amount: the price of one call or, where `metered`, where it begins; None when unknown.
        model: how it is charged, in the source's word; None for one that this version does not know.
        metered: whether the call's work decides what it comes to.
        problem: why the amount is unknown, for the operator.
        rates: the payee's unit rates as it states them, where metered.
        bounded: whether `amount` is the most that a call can come to, and what it came to is known afterwards.
    """

    amount: MicroUSDC | None
    model: str | None = "per_call"
    problem: str | None = None
    rates: JSONObject = field(default_factory=nothing)
    metered: bool = False
    bounded: bool = False

    @property
    def kind(self) -> QuoteKind:
        """What is known of it."""
        if self.amount is None:
            return QuoteKind.UNKNOWN
        if self.bounded:
            return QuoteKind.MAX
        return QuoteKind.FROM if self.metered else QuoteKind.EXACT


@dataclass(frozen=True, slots=True)
class Deprecation:
    """An offer on its way out. `sunset_at` is RFC 3339 text as the source gave it."""

    status: str
    sunset_at: str | None = None
    successor: str | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """One thing that can be bought: an action of a capability, at a version and a price.

    Attributes:
        capability: what the action belongs to, ``payee/name``, or a bare ``name`` where the source itself provides it.
        action: the action's id within it.
        payee: who earns the money; ``""`` for the source itself. Approvals bind to it.
        version: the version or other pin that was shown, None when there was none.
        input_schema: JSON Schema as the payee wrote it. Foreign: bound and clean before use.
        tier: the standing that a buyer needs, in the source's word; ``""`` where anybody may buy.
        tier_rank: how high that is; 0 for anybody.
        timeout_ms: how long the payee may take, by its own word.
        total_calls: how often it was bought, by the source's count.
        extra: what has no place here, without loss.
        source: where it is on offer: its rail and its prices come from there.
        source_name: what the operator calls that source, which every key of its offers begins with; ``""`` for those
            whose keys need none.
        known_as: what the source knows the action as, where the operator chose its name; ``""`` where that is its id.
    """

    capability: str
    action: str
    payee: str
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
    tier: str = ""
    tier_rank: int = 0
    timeout_ms: int | None = None
    side_effects: JSONObject = field(default_factory=nothing)
    deprecation: Deprecation | None = None
    total_calls: int | None = None
    extra: JSONObject = field(default_factory=nothing)
    source: str = ""
    source_name: str = ""
    known_as: str = ""

    @property
    def key(self) -> str:
        """The offer's identity: ``payee/name:action`` or ``name:action``, behind ``source::`` where that has a name."""
        return f"{self.full_capability}:{self.action}"

    @property
    def own_key(self) -> str:
        """The same without what the operator calls the source or the action: what it is there, however called."""
        return f"{self.capability}:{self.known_as or self.action}"

    @property
    def full_capability(self) -> str:
        """The capability as the key begins: ``payee/name``, ``name`` or, of a named source, ``source::payee/name``."""
        return f"{self.source_name}{NAMED}{self.capability}" if self.source_name else self.capability

    @property
    def listed(self) -> Quote:
        """What a call costs by the list alone; who would pay is not known yet."""
        return Quote(ZERO if self.price.amount is None else self.price.amount, self.price.kind, self.payee, "")
