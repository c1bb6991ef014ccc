"""Offers in a few words for people: what they do, and what they cost."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_SENTENCE: Final = re.compile(r"(?<=[^.\s]{2})[.!?](?=\s+[^a-z\s])")
"""The end of a sentence: behind more than an initial, and before no small letter."""


def purpose(description: str, title: str) -> str:
    """What a thing does: the first sentence of its description, or else its title, which may be no more than a verb."""
    return _SENTENCE.split(description, maxsplit=1)[0].rstrip(".") or title


def ending(found: Mapping[str, Any]) -> str | None:
    """When what was found is sold no more, and what takes its place; None of what stays."""
    if "withdrawn_at" not in found:
        return None
    when = found["withdrawn_at"][: len("2027-01-31")]
    since = f"no longer sold since {when}" if found.get("withdrawn") else f"sold until {when}"
    return f"{since}; replaced by {found['replaced_by']}".replace("by none named", "by nothing that is named")


def price(amount: str | None, *, metered: bool) -> str:
    """A price in USDC, decimal text, as it stands in a column."""
    if amount is None:
        return "unknown"
    if metered:
        return "metered"
    return "free" if not amount.strip("0.") else amount


def price_of(found: Mapping[str, Any]) -> str:
    """The price of what ``jecp_search`` or ``jecp_describe`` found."""
    return price(found.get("price_usdc"), metered=bool(found.get("metered")))
