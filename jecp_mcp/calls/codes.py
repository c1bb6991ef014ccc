"""The codes of a paid call that was not made, or not finished: the meaning, what is charged, and who acts next."""

from __future__ import annotations

from typing import Final

LIMIT_REACHED: Final = "LIMIT_REACHED"
"""A limit has no room for what the call may cost. Charged: no. Next: agent, human, operator."""

NO_WAY_TO_PAY: Final = "NO_WAY_TO_PAY"
"""No rail of this server pays for what the source offers. Charged: no. Next: operator."""

CLOCK_WRONG: Final = "CLOCK_WRONG"
"""This machine's clock is too far off, or leapt, for the limits to mean anything. Charged: no. Next: operator."""

LEDGER_UNAVAILABLE: Final = "LEDGER_UNAVAILABLE"
"""The ledger cannot be written, or not be read for what became of a call. Charged: no, unknown. Next: operator."""

LEDGER_DAMAGED: Final = "LEDGER_DAMAGED"
"""The ledger is not what was written. Charged: no, unknown. Next: operator."""

PRICE_KEEPS_CHANGING: Final = "PRICE_KEEPS_CHANGING"
"""The price was another one each time that a person had been asked. Charged: no. Next: operator."""

SHUTTING_DOWN: Final = "SHUTTING_DOWN"
"""The server is ending; the price of a call that was running stays held. Charged: no, unknown. Next: agent."""

BRIDGE_FAULT: Final = "BRIDGE_FAULT"
"""This program failed; the price of a call that was running stays held. Charged: no, unknown. Next: agent."""

CALL_IN_PROGRESS: Final = "CALL_IN_PROGRESS"
"""The identical call is running already, and was not bought twice. Charged: unknown. Next: agent."""

CALL_IN_DOUBT: Final = "CALL_IN_DOUBT"
"""The identical call was sent, its answer was lost; its price stays held. Charged: unknown. Next: agent, operator."""

CALL_OVER: Final = "CALL_OVER"
"""The call ended, and there is no answer to give back. Charged: no, yes. Next: agent, human."""

CALL_WRITTEN_OFF: Final = "CALL_WRITTEN_OFF"
"""What became of the call can no longer be proven; it counts as spent. Charged: no, unknown. Next: operator."""

ACCOUNT_NOT_HERE: Final = "ACCOUNT_NOT_HERE"
"""Another account or wallet sent the call, and only its server can ask. Charged: no, unknown. Next: operator."""

PRICE_ABOVE_MAXIMUM: Final = "PRICE_ABOVE_MAXIMUM"
"""The price is above what the agent itself gave as the most. Charged: no. Next: agent, human."""

APPROVAL_REQUIRED: Final = "APPROVAL_REQUIRED"
"""A person must approve the call, and did not do so in the host. Charged: no. Next: human."""

APPROVAL_PENDING: Final = "APPROVAL_PENDING"
"""A person is being asked. Charged: no. Next: human."""

APPROVAL_DENIED: Final = "APPROVAL_DENIED"
"""A person refused the call. Charged: no. Next: human."""

APPROVAL_SPENT: Final = "APPROVAL_SPENT"
"""The approval was used or ran out just now. Charged: no. Next: agent."""

NOT_SHOWABLE: Final = "NOT_SHOWABLE"
"""A person must approve the call, and its arguments cannot be shown whole. Charged: no. Next: agent."""

TOO_MANY_QUESTIONS: Final = "TOO_MANY_QUESTIONS"
"""A person must approve the call, and no more questions may wait for them. Charged: no. Next: human."""

PREPARED_NOT_FOUND: Final = "PREPARED_NOT_FOUND"
"""Whoever asks has no prepared call of this id. Charged: no. Next: agent."""

PREPARED_EXPIRED: Final = "PREPARED_EXPIRED"
"""The time for which the prepared call's price was held is over. Charged: no. Next: agent."""

PREPARED_SUPERSEDED: Final = "PREPARED_SUPERSEDED"
"""The same call was prepared again since, and only the latest counts. Charged: no. Next: agent."""

PRICE_CHANGED: Final = "PRICE_CHANGED"
"""What was prepared has another price, kind of price or version by now. Charged: no. Next: agent."""
