"""A control plane's messages, as its documentation has them."""

from __future__ import annotations

from typing import Any

IDS = {
    "paidRequestId": "11111111-2222-4333-8444-555555555555",
    "paymentAttemptId": "22222222-2222-4333-8444-555555555555",
}
REVIEW = "33333333-2222-4333-8444-555555555555"
RECEIPT = "44444444-2222-4333-8444-555555555555"


def money(minor: int = 10_000, **other: Any) -> dict[str, Any]:
    amount = f"{minor // 10**6}.{minor % 10**6:06d}"
    return {"asset": "USDC", "amount": amount, "amountMinor": str(minor), "precision": 6, "unit": "minor"} | other


def receipt(status: str = "confirmed", **other: Any) -> dict[str, Any]:
    return {
        "receiptId": RECEIPT,
        **IDS,
        "money": money(),
        "authorizationOutcome": "allowed",
        "status": status,
        "reconciliationStatus": "none",
        "createdAt": "2026-11-27T10:00:00.000Z",
    } | other


def decision(outcome: str, /, **other: Any) -> dict[str, Any]:
    """A whole decision with an outcome."""
    said: dict[str, Any] = {"outcome": outcome, "reasonCode": "policy_allow", "reason": "So it is."}
    if outcome == "deny":
        return said | {"reasonCode": "policy_denied"} | other
    said |= IDS
    if outcome in {"allow", "paid_fulfillment_failed", "execution_failed"}:
        said["merchantResponse"] = {"status": 200, "headers": {"Content-Type": "application/json"}, "body": '{"n":1}'}
    if outcome in {"allow", "paid_fulfillment_failed"}:
        said["receipt"] = receipt()
    if outcome == "paid_fulfillment_failed":
        said |= {"settlementEvidenceClass": "settled", "fulfillmentStatus": "failed"}
    return said | other


OUTCOMES = (
    "allow", "paid_fulfillment_failed", "execution_failed", "preflight_failed", "executing", "inconclusive", "deny",
)  # fmt: skip
