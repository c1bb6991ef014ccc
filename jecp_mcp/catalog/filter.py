"""The operator's part of the catalog. Pure: no I/O."""

from __future__ import annotations

from typing import Final

from jecp_mcp.domain.offers import Action
from jecp_mcp.settings import CatalogSettings
from jecp_mcp.settings.patterns import matches
from jecp_mcp.wire.jecp.tiers import TIERS

BUILT_IN: Final = "built-in"
"""What stands for a Hub's own capabilities, which have no namespace, in ``catalog.namespaces``."""


class CatalogFilter:
    """The operator's part of the catalog: what passes every one of the filters there are.

    Attributes:
        query: what is asked of the Hub; the specification's dialect ignores it, so everything is filtered here too.
    """

    def __init__(self, settings: CatalogSettings) -> None:
        self._namespaces = frozenset(settings.namespaces)
        self._tags = frozenset(settings.tags)
        self._only, self._without = settings.only, settings.without
        self._most = settings.max_price_usdc
        self._tiers = None if settings.max_tier is None else frozenset(TIERS[: TIERS.index(settings.max_tier) + 1])
        self.query: dict[str, str] = {}
        if len(self._namespaces) == 1 and BUILT_IN not in self._namespaces:
            self.query["namespace"] = settings.namespaces[0]
        if len(self._tags) == 1:
            self.query["tags"] = settings.tags[0]

    def excluding(self, action: Action) -> list[str]:
        """The patterns that leave an action out, whatever else is said of it."""
        return [pattern for pattern in self._without if matches(pattern, _ids(action))]

    def passes(self, action: Action) -> bool:
        """Whether the operator wants to see this action, as far as nothing excludes it."""
        if self._namespaces and (action.namespace or BUILT_IN) not in self._namespaces:
            return False
        if self._tags and self._tags.isdisjoint(action.tags):
            return False
        if self._tiers is not None and action.trust_tier_required not in self._tiers:
            return False
        amount = action.price.amount
        if self._most is not None and (amount is None or amount > self._most):
            return False
        return not self._only or any(matches(pattern, _ids(action)) for pattern in self._only)


def _ids(action: Action) -> tuple[str, str]:
    return (action.key, action.capability)
