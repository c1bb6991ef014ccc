"""Why a merchant was not paid, in our words. Pure: no I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import WireError
from jecp_mcp.http import ExchangeFailed, HttpAnswer
from jecp_mcp.rails.codes import (
    INVALID_REQUEST,
    MERCHANT_NOT_LISTED,
    MERCHANT_REFUSED,
    MERCHANT_UNREACHABLE,
    PAYMENT_NOT_POSSIBLE,
    WALLET_MISSING,
)
from jecp_mcp.rails.paid_http.answers import words_of

MOST_OFFERS: Final = 8
"""How many ways to pay are named that may not be used."""
_REDIRECTS: Final = range(300, 400)
_LONGEST_LOCATION: Final = 300
_METHOD_NOT_ALLOWED: Final = 405
_METHOD: Final = re.compile("[A-Z]{1,20}")
_LONGEST_ALLOW: Final = 100
_LONGEST_WAIT: Final = 40


@dataclass(frozen=True, slots=True)
class Rejected:
    """A merchant's way to pay that is not taken: `label` names it, as far as it can be read."""

    index: int
    label: str
    reason: str


def not_listed() -> Refusal:
    """Why an address is not asked at all."""
    return Refusal(
        MERCHANT_NOT_LISTED,
        "This address belongs to no merchant that the operator listed. Nothing was sent there and nothing was charged.",
        source="bridge",
    )


def refused(heard: HttpAnswer) -> Refusal | None:
    """A merchant's answer to an unpaid request that is neither what was wanted nor a question for money."""
    if heard.status < _REDIRECTS.start:
        return None
    details: dict[str, Any] = {"status": heard.status}
    words = words_of(heard)
    if words:
        details["merchant_says"] = words
    said = f"answered with status {heard.status}"
    methods = _METHOD.findall(heard.headers.get("allow", "")[:_LONGEST_ALLOW])
    if heard.status == _METHOD_NOT_ALLOWED and methods:
        details["allowed_methods"] = methods
        said += f": it takes {' and '.join(methods)} there, no other method"
    if "retry-after" in heard.headers:
        details["retry_after"] = heard.headers["retry-after"][:_LONGEST_WAIT]
    if heard.status in _REDIRECTS:
        details["redirects_to"] = heard.headers.get("location", "")[:_LONGEST_LOCATION]
        said = "sends to another address, which is not followed"
    return Refusal(
        MERCHANT_REFUSED,
        f"The merchant {said}. No payment was asked for and nothing was charged.",
        http_status=heard.status,
        details=details,
        source="bridge",
    )


def unreachable(exc: ExchangeFailed) -> Refusal:
    """A merchant that gave no whole answer to the unpaid request."""
    sent = "The request may have arrived, without a payment" if exc.sent else "Nothing was sent"
    return Refusal(
        MERCHANT_UNREACHABLE,
        f"The merchant gave no whole answer: {exc.reason}. {sent}, and nothing was charged.",
        source="bridge",
    )


def not_payable(reason: str, rejected: Sequence[Rejected] = ()) -> Refusal:
    """A merchant that asks for money in a way that this wallet does not give it."""
    offers = [{"offer": one.label, "why_not": one.reason} for one in rejected[:MOST_OFFERS]]
    return Refusal(
        PAYMENT_NOT_POSSIBLE,
        f"The merchant cannot be paid: {reason}. Nothing was signed and nothing was charged.",
        details={"offers": offers} if offers else {},
        source="bridge",
    )


def no_wallet() -> Refusal:
    """No key to pay with."""
    return Refusal(
        WALLET_MISSING,
        "There is no wallet key on this machine that pays merchants. Nothing was charged.",
        source="bridge",
    )


def unwritable(cause: WireError) -> Refusal:
    """A request that cannot be sent as it is."""
    return Refusal(
        INVALID_REQUEST,
        f"The request cannot be sent: {cause}. No payment was sent and nothing was charged.",
        source="bridge",
    )
