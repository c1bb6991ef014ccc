"""The operator's part of the catalog. Pure: no I/O."""

from __future__ import annotations

from typing import Final

from jecp_mcp.domain.offers import Offer
from jecp_mcp.settings import CatalogSettings
from jecp_mcp.settings.patterns import matches

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

    def excluding(self, action: Offer) -> list[str]:
        """The patterns that leave an action out, whatever else is said of it."""
        return [pattern for pattern in self._without if matches(pattern, _ids(action))]

    def passes(self, action: Offer) -> bool:
        """Whether the operator wants to see this action, as far as nothing excludes it."""
        if self._namespaces and (action.payee or BUILT_IN) not in self._namespaces:
            return False
        if self._tags and self._tags.isdisjoint(action.tags):
            return False
        if self._highest_rank is not None and action.tier_rank > self._highest_rank:
            return False
        amount = action.price.amount
        if self._most is not None and (amount is None or amount > self._most):
            return False
        return not self._only or any(matches(pattern, _ids(action)) for pattern in self._only)


def _ids(action: Offer) -> tuple[str, str]:
    return (action.key, action.capability)
