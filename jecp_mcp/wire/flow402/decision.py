"""What a control plane decides about one paid request, and how it is asked. Pure: no I/O.

The same idempotency key has the same durable decision, so a request whose answer was lost is asked again under its key.
A decision is read from the body whatever HTTP's status is; whatever is none proves nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from jecp_mcp import jsontext
from jecp_mcp.errors import WireError
from jecp_mcp.jsontext import JSONObject
from jecp_mcp.masking import Mask
from jecp_mcp.wire.flow402.receipt import Receipt, read_receipt
from jecp_mcp.wire.flow402.values import MAX_BODY, optional_uuid, reason, uuid, word
from jecp_mcp.wire.values import mapping, preview, text

_LOWEST_STATUS: Final = 100
_HIGHEST_STATUS: Final = 599
_LONGEST_HEADER: Final = 16_384
_MOST_HEADERS: Final = 200


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """A request for a decision.

    Attributes:
        headers: of the merchant's request, names in lower case.
        body: of the merchant's request; None for none.
        challenge_headers: what the merchant answered the unpaid request with, names in lower case.
        challenge_body: the parsed JSON that it answered, where the challenge stands there.
        idempotency_key: 1 to 128 characters.
    """

    organization: str
    agent: str
    url: str
    method: str
    headers: Mapping[str, str]
    body: str | None
    challenge_headers: Mapping[str, str]
    challenge_body: JSONObject | None
    idempotency_key: str


def write_request(request: DecisionRequest) -> bytes:
    """Write it; the same request is always the same bytes.

    Raises:
        WireError: it cannot be written as JSON.
    """
    sent: dict[str, Any] = {"url": request.url, "method": request.method, "headers": dict(request.headers)}
    if request.body:
        sent |= {"body": request.body, "bodyHash": hashlib.sha256(request.body.encode()).hexdigest()}
    challenge: dict[str, Any] = {"protocol": "x402", "headers": dict(request.challenge_headers)}
    if request.challenge_body is not None:
        challenge["body"] = request.challenge_body
    return jsontext.dumps(
        {
            "context": {"organization": request.organization, "agent": request.agent},
            "request": sent,
            "challenge": challenge,
            "idempotencyKey": request.idempotency_key,
        }
    )


@dataclass(frozen=True, slots=True)
class MerchantResponse:
    """What the merchant answered to whoever paid; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True, slots=True)
class Allowed:
    """Paid, and answered by the merchant."""

    code: str
    reason: str
    response: MerchantResponse
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class PaidAndFailed:
    """Paid, and the merchant did not do its work."""

    code: str
    reason: str
    response: MerchantResponse
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class ExecutionFailed:
    """The merchant refused, and nothing proves whether the money moved."""

    code: str
    reason: str
    response: MerchantResponse


@dataclass(frozen=True, slots=True)
class PreflightFailed:
    """Nothing was paid: the control plane has no way to pay this challenge."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Executing:
    """The payment is on its way; the same key is worth asking again."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Inconclusive:
    """The merchant was lost on the way, and nothing proves whether the money moved."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Denied:
    """Nothing was paid: the policy forbids it, or wants a person to look at it first.

    Attributes:
        review_event_id: names what a person is to look at.
    """

    code: str
    reason: str
    review_event_id: str | None = None


_PAID: Final = frozenset({"allow", "paid_fulfillment_failed"})
_BARE: Final[Mapping[str, type[PreflightFailed | Executing | Inconclusive]]] = {
    "preflight_failed": PreflightFailed,
    "executing": Executing,
    "inconclusive": Inconclusive,
}

Decision = Allowed | PaidAndFailed | ExecutionFailed | PreflightFailed | Executing | Inconclusive | Denied


def read_decision(body: bytes, max_bytes: int = MAX_BODY, masks: Iterable[Mask] = ()) -> Decision:
    """Read a decision.

    Args:
        masks: takes out what was sent and is secret, which may be repeated anywhere in it.

    Raises:
        WireError: it is none, or contradicts itself.
    """
    read = jsontext.loads(body, max_bytes=max_bytes)
    for mask in masks:
        read = mask.value(read)
    found = mapping(read, "the decision")
    outcome = text(found.get("outcome"), "the outcome")
    code, why = word(found.get("reasonCode"), "reasonCode"), reason(found.get("reason"))
    if outcome == "deny":
        optional_uuid(found.get("paidRequestId"), "paidRequestId")
        return Denied(code, why, optional_uuid(found.get("policyReviewEventId"), "policyReviewEventId"))
    ids = (uuid(found.get("paidRequestId"), "paidRequestId"), uuid(found.get("paymentAttemptId"), "paymentAttemptId"))
    if outcome in _PAID:
        return _paid(found, (code, why), ids)
    if outcome == "execution_failed":
        return ExecutionFailed(code, why, _response(found))
    bare = _BARE.get(outcome)
    if bare is None:
        raise WireError(f"the outcome is {preview(outcome)}, which the protocol does not have")
    return bare(code, why)


def _paid(found: JSONObject, said: tuple[str, str], ids: tuple[str, str]) -> Allowed | PaidAndFailed:
    fulfilled = found["outcome"] == "allow"
    if not fulfilled:
        if found.get("fulfillmentStatus") != "failed":
            raise WireError(f"fulfillmentStatus is {preview(found.get('fulfillmentStatus'))}, not failed")
        word(found.get("settlementEvidenceClass"), "settlementEvidenceClass")
    made = Allowed if fulfilled else PaidAndFailed
    return made(*said, _response(found), _receipt(found, ids))


def _receipt(found: JSONObject, ids: tuple[str, str]) -> Receipt:
    receipt = read_receipt(mapping(found.get("receipt"), "receipt"))
    if (receipt.paid_request_id, receipt.payment_attempt_id) != ids:
        raise WireError("the receipt is another payment's")
    return receipt


def _response(found: JSONObject) -> MerchantResponse:
    said = mapping(found.get("merchantResponse"), "merchantResponse")
    status, body, headers = said.get("status"), said.get("body"), mapping(said.get("headers"), "its headers")
    if isinstance(status, bool) or not isinstance(status, int) or not _LOWEST_STATUS <= status <= _HIGHEST_STATUS:
        raise WireError(f"the merchant's status is {preview(status)}, no status of HTTP's")
    if not isinstance(body, str):
        raise WireError(f"the merchant's body is {preview(body)}, no text")
    # A name is a name in any case. Whatever is no header is left out: what was paid is not lost for it.
    read = {
        name.lower(): value
        for name, value in islice(headers.items(), _MOST_HEADERS)
        if isinstance(value, str) and len(value) <= _LONGEST_HEADER
    }
    return MerchantResponse(status, read, body)
