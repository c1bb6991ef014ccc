"""The unpaid request: what a merchant asks for it, or the answer itself where it asks for nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.quotes import Free
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import WireError
from jecp_mcp.http import ExchangeFailed, HttpAnswer
from jecp_mcp.http_gate import HttpGate
from jecp_mcp.rails.paid_http.answers import answer_of
from jecp_mcp.rails.paid_http.refusals import not_listed, not_payable, refused, unreachable, unwritable
from jecp_mcp.rails.paid_http.request import PaidRequest, listed_by, read_request
from jecp_mcp.settings.merchants import Place, read_place
from jecp_mcp.wire.x402.challenge import Challenge, OtherProtocol, PaymentOption, read_challenge

QUOTE_MS: Final = 120_000
"""How long a merchant's word on its price is gone by before it is asked again."""

OUR_HEADERS: Final[Mapping[str, str]] = {"Cache-Control": "no-store"}
"""What goes along with every request: no cache between may keep a question for money, or what was paid for."""

PAYMENT_REQUIRED: Final = 402
_PROTOCOLS: Final[Mapping[str, str]] = {"l402": "L402 (Lightning)", "mpp": "MPP (Payment authentication)"}


class Listing(Protocol):
    """Who may be asked, and how much of an answer is read."""

    @property
    def merchants(self) -> Sequence[str]:
        """The merchants, as `jecp_mcp.settings.merchants.check_merchant` gives them."""
        ...

    @property
    def timeout_seconds(self) -> float:
        """How long one answer may take."""
        ...

    @property
    def max_response_bytes(self) -> int:
        """The longest answer read."""
        ...


@dataclass(frozen=True, slots=True)
class Priced:
    """A merchant's question for money.

    Attributes:
        merchant: its entry in the list.
    """

    request: PaidRequest
    merchant: str
    heard: HttpAnswer
    challenge: Challenge


async def probe(
    gate: HttpGate, listing: Listing, offer: Offer, arguments: Mapping[str, Any], payer: str, method: str
) -> Priced | Free | Refusal:
    """Send the request without a payment. An answer that is no question for money is what was wanted, for nothing.

    Args:
        payer: the account that would pay.
        method: how payments are made, as a receipt names it.
    """
    try:
        request = read_request(arguments)
    except WireError as exc:
        return unwritable(exc)
    merchant = listed_by(listing.merchants, request.place)
    if merchant is None:
        return not_listed()
    try:
        heard = await gate.exchange(
            request.method,
            request.place,
            headers={**OUR_HEADERS, **request.headers},
            body=request.sent_body,
            timeout=listing.timeout_seconds,
            max_bytes=listing.max_response_bytes,
        )
    except ExchangeFailed as exc:
        return unreachable(exc)
    if heard.status != PAYMENT_REQUIRED:
        return refused(heard) or Free(answer_of(heard, request.place.origin, method=method), offer.payee, payer)
    challenge = _challenge(heard)
    return challenge if isinstance(challenge, Refusal) else Priced(request, merchant, heard, challenge)


def _challenge(heard: HttpAnswer) -> Challenge | Refusal:
    try:
        challenge = read_challenge(heard.headers, heard.body)
    except WireError as exc:
        return not_payable(f"its question for money cannot be read: {exc}")
    if challenge is None:
        return not_payable("it asks for money without saying how it is paid")
    if isinstance(challenge, OtherProtocol):
        return not_payable(f"it is paid by {_PROTOCOLS[challenge.name]}, which this wallet is not")
    return challenge


def elsewhere(
    place: Place, challenge: Challenge, option: PaymentOption, listed: Callable[[Place], bool]
) -> tuple[str, bool] | None:
    """What is odd about the resource that a challenge names, and whether it may be paid for all the same."""
    named = challenge.resource.get("url") if challenge.version > 1 else option.resource
    if not isinstance(named, str):
        return None
    try:
        other = read_place(named)
    except ValueError:
        return None if named.startswith("/") else ("what it asks money for is no address", False)
    if (other.host, other.port) == (place.host, place.port):
        return None
    if other.host == place.host:
        return f"it asks money for {other.origin}, the same host by another scheme or port", True
    if listed(other):
        return f"it asks money for {other.origin}, another merchant of the operator's", True
    return f"it asks money for {other.origin}, which is not who was asked", False
