"""What the model reads about an action: our own lines first, then who sells it, in quoted words. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from jecp_mcp.domain.offers import Offer
from jecp_mcp.money import MicroUSDC
from jecp_mcp.tools.publishing.cleaning import (
    TITLE_LENGTH,
    clean,
    provider_of,
    provider_words,
    sunset_words,
    unchecked_words,
)
from jecp_mcp.tools.publishing.pricing import price_words
from jecp_mcp.tools.schemas.concise_schema import without_full_stop

_WORDS: Final = 400
"""The most characters of a provider's description that are shown."""

_QUOTES: Final = str.maketrans({"«": '"', "»": '"'})
_MOST_LOST: Final = 4


def describe(
    action: Offer,
    warning: str | None = None,
    successor: str | None = None,
    lost: Sequence[str] = (),
    *,
    against: str = "",
    most: MicroUSDC | None = None,
) -> str:
    """What the model reads about an action: our own lines first, then the provider's words, bounded and marked.

    Args:
        warning: a sentence of ours that must not be missed.
        successor: the tool that takes its place.
        lost: what of the provider's schema the published one does not say.
        against: what keeps it from being bought, or bought at once: the first words.
        most: the most that a call can come to, micro-USDC.
    """
    tier = f"Needs trust tier {clean(action.tier, TITLE_LENGTH, one_line=True)}. " if action.tier_rank else ""
    streams = " Streams progress." if action.streaming else ""
    lines = [f"{against}{tier}{price_words(action, most)}.{streams}"]
    if warning is not None:
        lines.append(warning)
    if action.deprecation is not None and action.deprecation.status != "active":
        lines.append(sunset_words(action.deprecation, successor))
    if lost:
        lines.append(unchecked_words(lost, _MOST_LOST))
    version = clean(action.version, TITLE_LENGTH, one_line=True)
    origin = f"{provider_of(action)}{f' {version}' if version else ''}"
    words = provider_words(action, _WORDS, one_line=True)
    lines.append(f"{origin}: «{without_full_stop(words).translate(_QUOTES)}»" if words else f"From {origin}.")
    return "\n".join(lines)
