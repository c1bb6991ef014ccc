"""The codes of what the mandate does not allow: the meaning, what is charged, and who acts next."""

from __future__ import annotations

from typing import Final

DENIED_BY_POLICY: Final = "DENIED_BY_POLICY"
"""The mandate's allow and deny patterns leave the action out. Charged: no. Next: operator."""

MANDATE_EXPIRED: Final = "MANDATE_EXPIRED"
"""The mandate has ended. Charged: no. Next: operator."""

PRICE_UNKNOWN: Final = "PRICE_UNKNOWN"
"""The action shows no price, and the mandate buys nothing at an unknown one. Charged: no. Next: operator."""

PER_CALL_LIMIT: Final = "PER_CALL_LIMIT"
"""The price is above the most that one call may cost. Charged: no. Next: agent, human."""
