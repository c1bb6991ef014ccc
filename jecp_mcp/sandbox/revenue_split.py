"""Who gets what of a price: 85 % the provider, 10 % the Hub, 5 % the payment. Pure: no I/O."""

from __future__ import annotations

from typing import NamedTuple

from jecp_mcp.money import MicroUSDC

PROVIDER_PERCENT = 85
HUB_PERCENT = 10
PAYMENT_PERCENT = 100 - PROVIDER_PERCENT - HUB_PERCENT


class Split(NamedTuple):
    """The parts of a price, in micro-USDC. They sum to it exactly."""

    provider: MicroUSDC
    hub: MicroUSDC
    payment: MicroUSDC


class SoldStep(NamedTuple):
    """A step of a composite action, whose provider is owed its share of `price`, micro-USDC, out of the whole."""

    step_id: str
    capability: str
    price: MicroUSDC


def split(price: MicroUSDC) -> Split:
    """Divide a price; what does not divide goes to the payment's part."""
    provider, hub = price * PROVIDER_PERCENT // 100, price * HUB_PERCENT // 100
    return Split(MicroUSDC(provider), MicroUSDC(hub), MicroUSDC(price - provider - hub))
