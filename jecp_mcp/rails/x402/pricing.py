"""What a merchant asks for a request: the request without a payment, its answer, and the choice among what it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from jecp_mcp import jsontext
from jecp_mcp.clock import Clock, UnixMs
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.quotes import Free, Quote, QuoteKind
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.http_gate import HttpGate
from jecp_mcp.rails.paid_http.hints import read_hints
from jecp_mcp.rails.paid_http.probe import QUOTE_MS, Priced, elsewhere, probe
from jecp_mcp.rails.paid_http.refusals import MOST_OFFERS, not_payable
from jecp_mcp.rails.paid_http.request import listed_by
from jecp_mcp.rails.payee_pins import PayeePins
from jecp_mcp.rails.x402.payload import Terms
from jecp_mcp.rails.x402.selection import Wanted, choose
from jecp_mcp.settings import PaidHttpSettings
from jecp_mcp.settings.merchants import Place
from jecp_mcp.wire.x402.assets import Asset

METHOD: Final = "x402"
"""How a receipt names what is paid so."""


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
        asked = await probe(self._gate, self._settings, offer, arguments, self._payer, METHOD)
        return self._quoted(asked) if isinstance(asked, Priced) else asked

    def _quoted(self, asked: Priced) -> Quote | Refusal:
        request, merchant, challenge = asked.request, asked.merchant, asked.challenge
        found, rejected = choose(challenge, self.wanted(merchant))
        if found is None:
            return not_payable("none of its ways to pay may be used", rejected)
        odd = elsewhere(request.place, challenge, found.option, self._listed)
        if odd is not None and not odd[1]:
            return not_payable(odd[0])
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
            warnings=[*([] if odd is None else [odd[0]]), *self._unproven(found.asset.network)],
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

    def _unproven(self, network: str) -> Sequence[str]:
        """What is lost where no node tells what became of a payment."""
        if network in self._settings.rpc:
            return ()
        return (f"No node of {network} is configured here: if its answer is lost, the price stays counted as spent.",)

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
