"""The codes of paying a Hub: the meaning, what is charged, and who acts next.

What a Hub itself refuses with stands in `jecp_mcp.wire.jecp.codes`.
"""

from __future__ import annotations

from typing import Final

CREDENTIALS_MISSING: Final = "CREDENTIALS_MISSING"
"""There is no agent account for the Hub on this machine. Charged: no. Next: agent, operator."""

HUB_UNREACHABLE: Final = "HUB_UNREACHABLE"
"""The Hub could not be reached, and no purchase was sent. Charged: no. Next: agent."""

HUB_LOST_ANSWER: Final = "HUB_LOST_ANSWER"
"""The call was sent and its answer was lost; its price stays held. Charged: unknown. Next: agent."""

HUB_MISBEHAVED: Final = "HUB_MISBEHAVED"
"""What the Hub sent cannot be used; a call's price stays held. Charged: no, unknown. Next: agent, operator."""

PAYMENT_METHOD_OFF: Final = "PAYMENT_METHOD_OFF"
"""The action takes no method of payment that the operator's settings allow. Charged: no. Next: operator."""

CHALLENGE_REFUSED: Final = "CHALLENGE_REFUSED"
"""What the Hub asks for by x402 may not be paid, or is more than is held. Charged: no. Next: operator."""
