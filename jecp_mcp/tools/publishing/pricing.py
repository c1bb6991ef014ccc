"""The words of a price, the same for a model and for people. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from jecp_mcp.domain.offers import Offer, Price
from jecp_mcp.money import MicroUSDC, format_usdc
from jecp_mcp.tools.publishing.cleaning import TITLE_LENGTH, safe_text

_UNITS: Final = {
    "input_per_token_usdc": "input token",
    "output_per_token_usdc": "output token",
    "per_chunk_usdc": "chunk",
    "audio_per_second_usdc": "second of audio",
}
"""The unit of each rate (JECP 04-manifest §5)."""

_MODELS: Final = {"per_token": "token", "per_chunk": "chunk", "per_second": "second"}
"""The unit of a model whose rates are not stated."""

_FINEST: Final = -18
_LARGEST: Final = 9
"""Between which powers of ten a rate is shown: a number of any length would flood its reader."""


def price_words(offer: Offer, most: MicroUSDC | None = None) -> str:
    """An offer's price in words: exact, its most, metered with its rates and units, free or unknown.

    Args:
        most: the most that a call can come to, micro-USDC, said of a price that is not exact; None where the bound is
            not known.
    """
    price = offer.price
    bound = "" if most is None else f", at most {format_usdc(most)} USDC per call"
    if price.amount is None:
        reason = safe_text(price.problem, TITLE_LENGTH, one_line=True)
        return f"Price unknown{f' ({reason})' if reason else ''}{bound}"
    if price.kind.exact:
        return f"Costs {format_usdc(price.amount)} USDC" if price.amount else "Free"
    if price.bounded:
        return f"Costs up to {format_usdc(price.amount)} USDC"
    # The Hub asks for a budget of that much; what is used may come to less.
    base = f"listed at {format_usdc(price.amount)}"
    return f"Metered: {metering(price)}; {base}{bound or ' USDC per call'}"


def price_note(offer: Offer, most: MicroUSDC) -> str:
    """What beside its amount is to be known of a price that is not exact, for a model; `most` is in micro-USDC."""
    price = offer.price
    if price.amount is None:
        return price_words(offer, most)
    if price.bounded:
        return "at most"
    # The listed price of what is metered is what its payee wants to be let have at the least.
    least = f"; max_usdc no less than {format_usdc(price.amount)}" if price.amount else ""
    return f"{metering(price)}; at most {format_usdc(most)} USDC per call{least}"


def price_kind(price: Price) -> str:
    """What is known of a price, in one word: ``exact``, ``most``, ``metered`` or ``unknown``."""
    if price.amount is None:
        return "unknown"
    if price.kind.exact:
        return "exact"
    return "most" if price.bounded else "metered"


def metering(price: Price) -> str:
    """By what a metered price grows: its rates and their units, or its units alone where no rate is stated."""
    rates = list(_rates(price))
    if rates:
        (first, unit), *others = rates
        return ", ".join([f"{first} USDC per {unit}", *(f"{rate} per {unit}" for rate, unit in others)])
    model = _MODELS.get(price.model or "")
    return "by use" if model is None else f"per {model}"


def _rates(price: Price) -> Iterator[tuple[str, str]]:
    """The rates that can be read, in USDC as decimal text, each with its unit; others are not guessed at."""
    for key, unit in _UNITS.items():
        stated = price.rates.get(key)
        if isinstance(stated, bool) or not isinstance(stated, int | Decimal):
            continue
        rate = Decimal(stated)
        if rate.is_finite() and rate > 0 and rate.adjusted() <= _LARGEST:
            plain = rate.normalize()
            if isinstance(exponent := plain.as_tuple().exponent, int) and exponent >= _FINEST:
                yield f"{plain:f}", unit


def paid_with(by: object) -> dict[str, str]:
    """What is told of how an action is paid, where that does not go without saying.

    Args:
        by: ``x402``, ``auto`` for the wallet first, ``bill`` for what no wallet pays, or anything else.
    """
    return {"paid_with": _PAID_WITH[by]} if isinstance(by, str) and by in _PAID_WITH else {}


OWED_TO_AGENT: Final = "nothing now: what it costs is owed to the agent, who bills the operator; no wallet pays"
_PAID_WITH: Final = {
    "x402": "x402, from the operator's own wallet",
    "bill": OWED_TO_AGENT,
    "auto": "the wallet at the Hub or, where it is not enough, x402 from the operator's own",
}
