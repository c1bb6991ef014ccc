"""The codes of rails beside a Hub's own: the meaning, what is charged, and who acts next."""

from __future__ import annotations

from typing import Final

ACCOUNT_CHANGED: Final = "ACCOUNT_CHANGED"
"""The account that pays became another one while the call was being prepared. Charged: no. Next: agent."""

TOO_LATE_TO_SEND: Final = "TOO_LATE_TO_SEND"
"""The time in which the call could be sent was over before it left. Charged: no. Next: agent."""

INVALID_REQUEST: Final = "INVALID_REQUEST"
"""The call cannot be written as a request of its protocol. Charged: no. Next: agent."""

MERCHANT_NOT_LISTED: Final = "MERCHANT_NOT_LISTED"
"""The address belongs to no merchant that the operator listed. Charged: no. Next: agent."""

WALLET_MISSING: Final = "WALLET_MISSING"
"""There is no key on this machine that pays merchants. Charged: no. Next: operator."""

MERCHANT_UNREACHABLE: Final = "MERCHANT_UNREACHABLE"
"""The merchant could not be reached, and no payment was sent. Charged: no. Next: agent."""

MERCHANT_REFUSED: Final = "MERCHANT_REFUSED"
"""The merchant answered the unpaid request with an error or a redirect. Charged: no. Next: agent."""

PAYMENT_NOT_POSSIBLE: Final = "PAYMENT_NOT_POSSIBLE"
"""None of the ways to pay that the merchant offers may be used. Charged: no. Next: agent."""

PAYMENT_IN_DOUBT: Final = "PAYMENT_IN_DOUBT"
"""A payment was sent, and whether it was taken is not known; it stays held. Charged: unknown. Next: agent."""

PAID_AND_REFUSED: Final = "PAID_AND_REFUSED"
"""The payee took the payment, and answered with an error. Charged: yes. Next: human."""

PAID_ANSWER_LOST: Final = "PAID_ANSWER_LOST"
"""The payment was taken, and its answer was lost for good. Charged: yes. Next: human."""

PAYMENT_NEVER_TAKEN: Final = "PAYMENT_NEVER_TAKEN"
"""The payment can no longer be taken, and the chain shows that it never was. Charged: no. Next: agent."""

CONTROL_PLANE_KEY_MISSING: Final = "CONTROL_PLANE_KEY_MISSING"
"""There is no bootstrap key for the control plane that pays the merchant. Charged: no. Next: operator."""

CONTROL_PLANE_UNREACHABLE: Final = "CONTROL_PLANE_UNREACHABLE"
"""The control plane gave no token or could not be reached, and was asked to pay nothing. Charged: no. Next: agent."""

CONTROL_PLANE_REFUSED: Final = "CONTROL_PLANE_REFUSED"
"""The control plane refused the request itself, whatever it was to pay. Charged: no. Next: operator."""

PAYMENT_DENIED: Final = "PAYMENT_DENIED"
"""The control plane's policy denied the payment, or a person must review it there. Charged: no. Next: operator."""

AGENT_KEY_MISSING: Final = "AGENT_KEY_MISSING"
"""There is no key, or no shared secret, to sign a job's offer with. Charged: no. Next: operator."""

AGENT_UNREACHABLE: Final = "AGENT_UNREACHABLE"
"""The agent or its declaration could not be reached, and no job was offered. Charged: no. Next: agent."""

AGENT_NOT_TRUSTED: Final = "AGENT_NOT_TRUSTED"
"""The agent's declaration is not what the settings ask for, or proves nothing. Charged: no. Next: operator."""

AGENT_REFUSED: Final = "AGENT_REFUSED"
"""The agent did not take the job. Charged: no. Next: agent."""

AGENT_BUSY: Final = "AGENT_BUSY"
"""The agent has too much to do to take the job. Charged: no. Next: agent."""

JOB_FAILED: Final = "JOB_FAILED"
"""The agent took the job and did not do it; nothing was acknowledged. Charged: no. Next: agent."""

JOB_IN_DOUBT: Final = "JOB_IN_DOUBT"
"""A job was offered, and how it stands is not known; what it may cost stays held. Charged: unknown. Next: agent."""

RESULT_UNVERIFIED: Final = "RESULT_UNVERIFIED"
"""A job's result came that nothing proves to be its agent's; it is withheld. Charged: unknown. Next: operator."""

LEGACY_SIGNATURE: Final = "LEGACY_SIGNATURE"
"""A job's result whose signature covers next to nothing of it; it is withheld. Charged: unknown. Next: operator."""
