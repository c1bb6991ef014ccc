"""The codes that every rail shares with the paid call: the meaning, what is charged, and who acts next."""

from __future__ import annotations

from typing import Final

ACCOUNT_CHANGED: Final = "ACCOUNT_CHANGED"
"""The account that pays became another one while the call was being prepared. Charged: no. Next: agent."""

TOO_LATE_TO_SEND: Final = "TOO_LATE_TO_SEND"
"""The time in which the call could be sent was over before it left. Charged: no. Next: agent."""

INVALID_REQUEST: Final = "INVALID_REQUEST"
"""The call cannot be written as a request of its protocol. Charged: no. Next: agent."""
