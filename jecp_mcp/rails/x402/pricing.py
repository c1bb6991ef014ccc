"""What a merchant asks for a request: the request without a payment, its answer, and the choice among what it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from jecp_mcp import jsontext
from jecp_mcp.clock import Clock, UnixMs
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.quotes import Free, Quote, QuoteKind
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import WireError
from jecp_mcp.http import ExchangeFailed, HttpAnswer
from jecp_mcp.http_gate import HttpGate
from jecp_mcp.rails.payee_pins import PayeePins
from jecp_mcp.rails.x402.answers import answer_of
from jecp_mcp.rails.x402.hints import read_hints
from jecp_mcp.rails.x402.payload import Terms
from jecp_mcp.rails.x402.refusals import MOST_OFFERS, not_listed, not_payable, refused, unreachable, unwritable
from jecp_mcp.rails.x402.request import PaidRequest, listed_by, read_request
from jecp_mcp.rails.x402.selection import Wanted, choose
from jecp_mcp.settings import PaidHttpSettings
from jecp_mcp.settings.merchants import Place, read_place
from jecp_mcp.wire.x402.assets import Asset
from jecp_mcp.wire.x402.challenge import Challenge, OtherProtocol, PaymentOption, read_challenge

QUOTE_MS: Final = 120_000
"""How long a merchant's word on its price is gone by before it is asked again."""

OUR_HEADERS: Final[Mapping[str, str]] = {"Cache-Control": "no-store"}
"""What goes along with every request: no cache between may keep a question for money, or what was paid for."""

PAYMENT_REQUIRED: Final = 402
_PROTOCOLS: Final[Mapping[str, str]] = {"l402": "L402 (Lightning)", "mpp": "MPP (Payment authentication)"}


class Pricing:
    """Asks merchants for their prices."""

    def __init__(
        self,
        gate: HttpGate,
        settings: PaidHttpSettings,
        assets: Sequence[Asset],
        payer: str,
        recipients: PayeePins,
        clock: Clock,
    ) -> None:
        """Ask through `gate`.

        Args:
            assets: the tokens that are known.
            payer: the wallet's address; ``""`` where there is no key.
            recipients: who was paid before.
        """
        self._gate = gate
        self._settings = settings
        self._assets = assets
        self._payer = payer
        self._recipients = recipients
        self._clock = clock

    async def quote(self, offer: Offer, arguments: Mapping[str, Any]) -> Quote | Free | Refusal:
        """Send the request without a payment, and read what the merchant asks for it.

        An answer that is no question for money is what was wanted, for nothing.
        """
        try:
            request = read_request(arguments)
        except WireError as exc:
            return unwritable(exc)
        merchant = listed_by(self._settings.merchants, request.place)
        if merchant is None:
            return not_listed()
        try:
            heard = await self._gate.exchange(
                request.method,
                request.place,
                headers={**OUR_HEADERS, **request.headers},
                body=request.sent_body,
                timeout=self._settings.timeout_seconds,
                max_bytes=self._settings.max_response_bytes,
            )
        except ExchangeFailed as exc:
            return unreachable(exc)
        if heard.status != PAYMENT_REQUIRED:
            return refused(heard) or Free(answer_of(heard, request.place.origin), offer.payee, self._payer)
        return self._quoted(request, merchant, heard)

    def _quoted(self, request: PaidRequest, merchant: str, heard: HttpAnswer) -> Quote | Refusal:
        try:
            challenge = read_challenge(heard.headers, heard.body)
        except WireError as exc:
            return not_payable(f"its question for money cannot be read: {exc}")
        if challenge is None:
            return not_payable("it asks for money without saying how it is paid")
        if isinstance(challenge, OtherProtocol):
            return not_payable(f"it is paid by {_PROTOCOLS[challenge.name]}, which this wallet is not")
        found, rejected = choose(challenge, self.wanted(merchant))
        if found is None:
            return not_payable("none of its ways to pay may be used", rejected)
        elsewhere = _elsewhere(request.place, challenge, found.option, self._listed)
        if elsewhere is not None and not elsewhere[1]:
            return not_payable(elsewhere[0])
        option = found.option
        listed = not self._settings.pin_pay_to or merchant in self._settings.pay_to
        because = None if listed else self._stranger(request.place, option.pay_to)
        terms = Terms(
            version=challenge.version,
            network=found.asset.network,
            asset=found.asset.address,
            pay_to=option.pay_to,
            amount=option.amount,
            max_timeout_seconds=option.max_timeout_seconds,
            option=option.raw,
            resource=challenge.resource,
            extensions=challenge.extensions,
            others=[{"offer": one.label, "why_not": one.reason} for one in rejected[:MOST_OFFERS]],
            hints=read_hints(challenge, option),
            warnings=[] if elsewhere is None else [elsewhere[0]],
            asked_at=self._clock.now(),
            agreed=listed or because is not None,
        )
        return Quote(
            found.amount,
            QuoteKind.EXACT,
            request.place.origin,
            self._payer,
            terms=jsontext.dumps([option.scheme, found.asset.network, found.asset.address, option.pay_to]).decode(),
            good_until=UnixMs(self._clock.now() + QUOTE_MS),
            payload=terms.pack(),
            because=because,
        )

    def _stranger(self, place: Place, pay_to: str) -> str | None:
        """Why a person must agree to a recipient; None where nobody must."""
        known = self._recipients.of(place.origin)
        if known is None:
            return (
                f"Who was paid at {place.host} before cannot be read, so its recipient needs the approval of a person, "
                f"{_PINNED}."
            )
        if not known or pay_to in known:
            return None
        return (
            f"{place.host} asks for payment to {pay_to}, which is not who was paid there before ({known[-1]}). "
            f"That needs the approval of a person, {_PINNED}."
        )

    def wanted(self, merchant: str) -> Wanted:
        """What a merchant of the list may be paid with."""
        return Wanted(
            assets=self._assets,
            networks=self._settings.networks,
            payer=self._payer,
            pay_to=self._settings.pay_to.get(merchant),
            upfront=self._settings.upfront,
        )

    def _listed(self, place: Place) -> bool:
        return listed_by(self._settings.merchants, place) is not None


_PINNED: Final = "for the setting paid_http.pin_pay_to is true"


def _elsewhere(
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
