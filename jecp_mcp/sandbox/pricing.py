"""What an action costs. Pure: no I/O. Amounts are micro-USDC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from typing import Any

from jecp_mcp.errors import MoneyError
from jecp_mcp.money import MICRO_PER_USDC, MOST_USDC, MicroUSDC, format_usdc, parse_price

UNIT_OF_RATE: Mapping[str, str] = {
    "input_per_token_usdc": "input_tokens",
    "output_per_token_usdc": "output_tokens",
    "per_chunk_usdc": "chunks",
    "audio_per_second_usdc": "audio_seconds",
}
"""A manifest's unit rates (JECP 04-manifest §5) and the unit each of them prices."""

_UNIT_NAMES: Mapping[str, str] = {
    "input_tokens": "input token",
    "output_tokens": "output token",
    "chunks": "chunk",
    "audio_seconds": "second of audio",
}

MOST_UNITS = 10**15
"""The most of a unit that one call may use."""

_METERED = frozenset({"per_token", "per_chunk", "per_second"})


@dataclass(frozen=True, slots=True)
class Tariff:
    """An action's price.

    Attributes:
        base: the price of a call or, when metered, the least a mandate must allow.
        rates: USDC per unit, by unit; empty unless metered. A rate may be finer than a micro-USDC.
    """

    base: MicroUSDC
    model: str = "per_call"
    rates: Mapping[str, Decimal] = field(default_factory=dict)

    @property
    def metered(self) -> bool:
        """Whether the price is known only after the work."""
        return bool(self.rates)

    @property
    def metering(self) -> str:
        """By what a metered price grows, for people, in USD."""
        rates = (f"${rate.normalize():f} per {_UNIT_NAMES[unit]}" for unit, rate in self.rates.items())
        return f"{', '.join(rates)}, at most the call's budget"

    def charge(self, units: Mapping[str, int], most: MicroUSDC | None) -> MicroUSDC:
        """The price of what was used, rounded up to a whole micro-USDC and never above `most`, the mandate.

        Raises:
            MoneyError: that is more than there can be.
        """
        if not self.metered:
            return self.base
        used = [(rate, units.get(unit, 0)) for unit, rate in self.rates.items()]
        if any(count > MOST_UNITS for _, count in used):
            raise MoneyError(f"more than {MOST_UNITS} units have no price")
        exact = sum((rate * count for rate, count in used), Decimal(0))
        if exact > MOST_USDC:
            raise MoneyError(f"a price must not exceed {MOST_USDC} USDC")
        amount = MicroUSDC(int((exact * MICRO_PER_USDC).to_integral_value(ROUND_CEILING)))
        return amount if most is None else min(amount, most)


def read_tariff(action: Mapping[str, Any]) -> Tariff:
    """Read an action's price from a manifest (``pricing``) or a built-in (``price_usdc``).

    Raises:
        MoneyError: it has none that is exact.
    """
    pricing = action.get("pricing")
    if not isinstance(pricing, Mapping):
        return Tariff(parse_price(action.get("price_usdc")))
    model = str(pricing.get("model", "per_call"))
    currency = pricing.get("currency", "USD")
    base = parse_price(pricing.get("base"), "USD" if currency == "both" else currency)
    rates = {}
    for key, unit in UNIT_OF_RATE.items():
        rate = pricing.get(key)
        if model in _METERED and rate is not None:
            if isinstance(rate, bool) or not isinstance(rate, (int, Decimal)) or rate < 0:
                raise MoneyError(f"{key} is not a rate in USDC")
            rates[unit] = Decimal(rate)
    return Tariff(base, model, rates)


def usd(amount: MicroUSDC | int) -> Decimal:
    """An amount as an exact JSON number of USDC."""
    return Decimal(format_usdc(amount))
