"""The words of a price: its rates with their units, where it begins and what it comes to at most."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from jecp_mcp.domain.offers import Offer, Price
from jecp_mcp.money import MicroUSDC
from jecp_mcp.tools.publishing.pricing import price_note, price_words

BASE = MicroUSDC(5_000)
RATES = {"output_per_token_usdc": Decimal("0.000004"), "input_per_token_usdc": Decimal("1E-6")}


def offer(price: Price) -> Offer:
    return Offer("text/model", "complete", "text", price)


def metered(rates: dict[str, Any], model: str | None = "per_token") -> Offer:
    return offer(Price(BASE, model, rates=rates, metered=True))


@pytest.mark.parametrize(
    ("one", "most", "words"),
    [
        (offer(Price(BASE)), 250_000, "Costs 0.005 USDC"),
        (offer(Price(MicroUSDC(0))), None, "Free"),
        (offer(Price(None)), None, "Price unknown"),
        (offer(Price(None, problem="it is\nnegative")), 20_000, "Price unknown (it is negative), at most 0.02 USDC per call"),
        (
            metered(RATES),
            250_000,
            "Metered: 0.000001 USDC per input token, 0.000004 per output token; listed at 0.005, at most 0.25 USDC per call",
        ),
        (metered(RATES), None, "Metered: 0.000001 USDC per input token, 0.000004 per output token; listed at 0.005 USDC per call"),
        (metered({"per_chunk_usdc": 2}, "per_chunk"), None, "Metered: 2 USDC per chunk; listed at 0.005 USDC per call"),
        (metered({}, "per_second"), None, "Metered: per second; listed at 0.005 USDC per call"),
        (metered({}, None), None, "Metered: by use; listed at 0.005 USDC per call"),
    ],
)  # fmt: skip
def test_a_price_says_its_rates_and_units_and_its_most(one: Offer, most: int | None, words: str) -> None:
    assert price_words(one, None if most is None else MicroUSDC(most)) == words


@pytest.mark.parametrize(
    ("price", "note"),
    [
        (Price(BASE, "per_token", rates=RATES, metered=True),
         "0.000001 USDC per input token, 0.000004 per output token; at most 0.25 USDC per call; max_usdc no less than 0.005"),
        (Price(MicroUSDC(0), "per_second", metered=True), "per second; at most 0.25 USDC per call"),
        (Price(None), "Price unknown, at most 0.25 USDC per call"),
    ],
)  # fmt: skip
def test_a_model_is_told_beside_a_price_how_it_grows_and_between_which_bounds(price: Price, note: str) -> None:
    """What `max_usdc` below the listed price comes to is refused, which nobody needs to find out by trying."""
    assert price_note(offer(price), MicroUSDC(250_000)) == note


@pytest.mark.parametrize(
    "rate", [True, "0.01", None, Decimal("1E-19"), Decimal("1E+400"), Decimal("NaN"), Decimal(-1), Decimal("1E-400")]
)
def test_a_rate_that_is_no_price_is_not_said(rate: object) -> None:
    assert price_words(metered({"input_per_token_usdc": rate, "else": 1})).startswith("Metered: per token; ")
