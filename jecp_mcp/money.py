"""Money: integers of micro-USDC. Pure: no I/O.

One USDC is 1 000 000 micro-USDC, and one USD is one USDC. Amounts enter as decimal text, ``Decimal`` or ``int``
and never pass through a float. A price, a setting or an argument that cannot be represented exactly is refused rather
than rounded; what a payee says it has charged is rounded up, and a balance or what came back down.
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, Inexact
from typing import NewType

from jecp_mcp.errors import MoneyError, TooMuchMoney

MicroUSDC = NewType("MicroUSDC", int)
"""An amount of money in millionths of one USDC. Never negative."""

MICRO_PER_USDC = 1_000_000
MOST_USDC = 1_000_000_000
"""The largest amount accepted, in USDC: a bound on arithmetic, far above any price."""

ZERO = MicroUSDC(0)

_EXACT = Context(prec=40, traps=[Inexact])

_CURRENCIES = frozenset({"USD", "USDC"})
_PLAIN = re.compile(r"\d{1,10}(?:\.\d+)?", re.ASCII)
_SAID = re.compile(r"\$?\s{0,4}(\d{1,4000}(?:\.\d{1,4000})?(?:[eE][+-]?\d{1,4})?)\s{0,4}(?:USDC?)?", re.ASCII)


def parse_usdc(value: object) -> MicroUSDC:
    """Read an amount in USDC.

    Args:
        value: decimal text such as ``"0.25"``, a ``Decimal``, or a whole number of USDC.

    Raises:
        MoneyError: for a float, a negative or non-finite amount, more than six decimals, or more than 10^9 USDC.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        amount = Decimal(value)
    elif isinstance(value, Decimal):
        amount = value
    elif isinstance(value, str):
        text = value.strip()
        if not _PLAIN.fullmatch(text):
            raise MoneyError(f"{text[:40]!r} is not an amount in USDC such as '0.25'")
        amount = Decimal(text)
    else:
        raise MoneyError(f"an amount must be decimal text, not {type(value).__name__}")
    if not amount.is_finite():
        raise MoneyError("an amount must be a finite number")
    if amount < 0:
        raise MoneyError("an amount must not be negative")
    if amount > MOST_USDC:
        raise MoneyError(f"an amount must not exceed {MOST_USDC} USDC")
    try:
        micro = _EXACT.multiply(amount, MICRO_PER_USDC)
    except Inexact as exc:
        # The default context would round a long tail away and call the rest whole.
        raise MoneyError("an amount has at most six decimals") from exc
    whole = int(micro)
    if micro != whole:
        raise MoneyError("an amount has at most six decimals")
    return MicroUSDC(whole)


def parse_price(value: object, currency: object = "USD") -> MicroUSDC:
    """Read a catalog price: ``"$0.005"``, ``"0.005"``, a ``Decimal`` or an ``int``, quoted in USD or USDC.

    Raises:
        MoneyError: as `parse_usdc`, and for any other currency.
    """
    if not isinstance(currency, str) or currency.upper() not in _CURRENCIES:
        raise MoneyError(f"the currency {str(currency)[:20]!r} is unknown; prices are in USD or USDC")
    if isinstance(value, str):
        value = value.strip().removeprefix("$").strip()
    return parse_usdc(value)


def parse_charge(value: object) -> MicroUSDC:
    """Read what a payee says it has charged, rounded up to the micro-USDC.

    Args:
        value: a JSON number, or text such as ``"0.25"``, ``"$5.00"`` or ``"5 USDC"``.

    Raises:
        MoneyError: it is no such thing, or negative.
        TooMuchMoney: it is more than 10^9 USDC.
    """
    return _rounded(value, ROUND_CEILING)


def parse_balance(value: object) -> MicroUSDC:
    """As `parse_charge`, for what a payee says is left or came back: rounded down."""
    return _rounded(value, ROUND_FLOOR)


def _rounded(value: object, rounding: str) -> MicroUSDC:
    if isinstance(value, str):
        said = _SAID.fullmatch(value.strip())
        amount = Decimal(said[1]) if said is not None else None
    elif isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        amount = Decimal(value)
    else:
        amount = None
    if amount is None or not amount.is_finite() or amount < 0:
        raise MoneyError("no amount of USDC was said")
    if amount > MOST_USDC:
        raise TooMuchMoney(f"an amount of more than {MOST_USDC} USDC was said")
    # Both steps round the same way, so a tail beyond the context's digits is not lost.
    micro = Context(rounding=rounding).multiply(amount, MICRO_PER_USDC)
    return MicroUSDC(int(micro.to_integral_value(rounding)))


def format_usdc(amount: MicroUSDC | int) -> str:
    """Write an amount as decimal text in USDC, with at least two decimals: ``0.005``, ``2.00``."""
    sign = "-" if amount < 0 else ""
    whole, micro = divmod(abs(amount), MICRO_PER_USDC)
    decimals = f"{micro:06d}".rstrip("0").ljust(2, "0")
    return f"{sign}{whole}.{decimals}"
