"""The operator's part of the catalog. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from jecp_mcp.domain.offers import Offer
from jecp_mcp.settings import CatalogSettings
from jecp_mcp.settings.patterns import ids_of, matches

BUILT_IN: Final = "built-in"
"""What stands for a source's own capabilities, which have no namespace, in ``catalog.namespaces``."""


class CatalogFilter:
    """The operator's part of a catalog: what passes every one of the filters there are."""

    def __init__(self, settings: CatalogSettings, highest_rank: int | None = None) -> None:
        """Read ``[catalog]``; `highest_rank` is that of ``catalog.max_tier`` where the source has tiers."""
        self._namespaces = frozenset(settings.namespaces)
        self._tags = frozenset(settings.tags)
        self._only, self._without = settings.only, settings.without
        self._most = settings.max_price_usdc
        self._highest_rank = highest_rank
        self._tests: Final[tuple[tuple[str, Callable[[Offer], bool]], ...]] = (
            ("catalog.namespaces", self._in_namespaces),
            ("catalog.tags", self._has_tag),
            ("catalog.only", self._among_only),
            ("catalog.max_tier", self._in_tier),
            ("catalog.max_price_usdc", self._within_price),
        )

    def excluding(self, action: Offer) -> list[str]:
        """The patterns that leave an action out, whatever else is said of it."""
        return [pattern for pattern in self._without if matches(pattern, _ids(action))]

    def leaving_out(self, action: Offer, excluding: Sequence[str]) -> str | None:
        """The first setting that leaves an action out; None for what the operator wants to see.

        Args:
            excluding: what `excluding` gave for it.
        """
        if excluding:
            return "catalog.without"
        return next((setting for setting, passes in self._tests if not passes(action)), None)

    def _in_namespaces(self, action: Offer) -> bool:
        return not self._namespaces or (action.payee or BUILT_IN) in self._namespaces

    def _has_tag(self, action: Offer) -> bool:
        return not self._tags or not self._tags.isdisjoint(action.tags)

    def _in_tier(self, action: Offer) -> bool:
        return self._highest_rank is None or action.tier_rank <= self._highest_rank

    def _within_price(self, action: Offer) -> bool:
        amount = action.price.amount
        return self._most is None or (amount is not None and amount <= self._most)

    def _among_only(self, action: Offer) -> bool:
        return not self._only or any(matches(pattern, _ids(action)) for pattern in self._only)


def _ids(action: Offer) -> tuple[str, ...]:
    return ids_of(action.key)
