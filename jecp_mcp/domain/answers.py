"""What was delivered, and what the payee says it cost. Pure: no I/O.

The parsers of each protocol map what they read onto these, and keep what they do not know in ``raw``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jecp_mcp.jsontext import JSONObject, nothing
from jecp_mcp.money import ZERO, MicroUSDC


@dataclass(frozen=True, slots=True)
class Billing:
    """What the payee says about money.

    Attributes:
        charged: True, False, or None when the envelope does not say.
        amount: the amount charged (or, when `charged` is False, the price that was not charged), micro-USDC, rounded
            up; None when none was said, or it cannot be read.
        at_least: where `amount` is None: the most that is said to be charged in so far as it can be read.
        balance_after: the wallet afterwards, micro-USDC.
        reference: the payee's own name for the payment.
    """

    charged: bool | None = None
    amount: MicroUSDC | None = None
    balance_after: MicroUSDC | None = None
    reference: str | None = None
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
    """A completed call. `raw` is the whole parsed envelope; `standing` is how the payee ranks the buyer."""

    id: str | None
    output: Any
    billing: Billing
    provider: str | None = None
    version: str | None = None
    duration_ms: int | None = None
    standing: str | None = None
    notices: tuple[Notice, ...] = ()
    raw: JSONObject = field(default_factory=nothing)
