"""What was delivered, and what the payee says it cost. Pure: no I/O.

The parsers of each protocol (`jecp_mcp.wire`) map what they read onto these, and keep what they do not know in ``raw``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jecp_mcp.jsontext import JSONObject, nothing
from jecp_mcp.money import ZERO, MicroUSDC


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
    raw: JSONObject = field(default_factory=nothing)
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
    raw: JSONObject = field(default_factory=nothing)
