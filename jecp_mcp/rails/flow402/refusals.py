"""Why a control plane did not pay, in our words with its own beside them. Pure: no I/O."""

from __future__ import annotations

from typing import Any, Final

from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.rails.codes import (
    CONTROL_PLANE_KEY_MISSING,
    CONTROL_PLANE_REFUSED,
    CONTROL_PLANE_UNREACHABLE,
    PAYMENT_DENIED,
    PAYMENT_NOT_POSSIBLE,
)

_NOT_PAYABLE: Final = "challenge_"
"""What the reason codes begin with of a challenge that nothing can pay, whatever the policy says."""


def no_key() -> Refusal:
    """No key to the control plane."""
    return Refusal(
        CONTROL_PLANE_KEY_MISSING,
        "There is no bootstrap key on this machine for the 402flow control plane that pays this merchant. Nothing was "
        "charged.",
        source="bridge",
    )


def denied(code: str, reason: str, review_event_id: str | None) -> Refusal:
    """Its policy forbids the payment, or waits for a person; or nothing can pay the challenge."""
    if code.startswith(_NOT_PAYABLE):
        return impossible(code, reason)
    details: dict[str, Any] = {"reason_code": code, "control_plane_says": reason}
    said = "The policy of the 402flow control plane denied this payment"
    if review_event_id is not None:
        details["review_event_id"] = review_event_id
        said = f"The 402flow control plane wants a person to review this payment first, as event {review_event_id}"
    return Refusal(PAYMENT_DENIED, f"{said}. Nothing was charged.", details=details, source="bridge")


def impossible(code: str, reason: str) -> Refusal:
    """It has no way to pay this challenge."""
    return Refusal(
        PAYMENT_NOT_POSSIBLE,
        "The 402flow control plane cannot pay this merchant. Nothing was charged.",
        details={"reason_code": code, "control_plane_says": reason},
        source="bridge",
    )


def refused_request(status: int, said: str) -> Refusal:
    """It does not take our requests: the key, the ids, or the version that this program speaks."""
    return Refusal(
        CONTROL_PLANE_REFUSED,
        f"The 402flow control plane refused the request itself, with status {status}. Nothing was paid and nothing was "
        "charged.",
        http_status=status,
        details={"status": status, "control_plane_says": said},
        source="bridge",
    )


def no_token(reason: str) -> Refusal:
    """It gave no token, so nothing could be asked of it."""
    return Refusal(
        CONTROL_PLANE_UNREACHABLE,
        f"The 402flow control plane gave no token to ask it with: {reason}. It was asked to pay nothing, and nothing "
        "was charged.",
        source="bridge",
    )
