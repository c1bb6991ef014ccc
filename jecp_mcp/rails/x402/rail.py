"""Paying a merchant: an unpaid request for the price, one authorization, and whatever became of it.

One call has one nonce, which the token takes once. So the same bytes may be sent again for as long as they are good,
and once they no longer are, the chain knows what became of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from jecp_mcp.clock import Clock, UnixMs
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.outcomes import AuthorizedCall, Outcome, Verdict
from jecp_mcp.domain.quotes import Free, Quote
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import WireError
from jecp_mcp.http import ExchangeFailed, HttpAnswer
from jecp_mcp.http_gate import HttpGate
from jecp_mcp.masking import Mask
from jecp_mcp.money import ZERO, MicroUSDC
from jecp_mcp.rails.authorizations import authorize, sign, why_not_signed
from jecp_mcp.rails.base import Journal, OpenCall, Progress, StoredRequest, account_changed
from jecp_mcp.rails.paid_http.answers import answer_of, words_of
from jecp_mcp.rails.paid_http.lost import Lost
from jecp_mcp.rails.paid_http.probe import OUR_HEADERS, PAYMENT_REQUIRED
from jecp_mcp.rails.paid_http.refusals import no_wallet, not_payable, unwritable
from jecp_mcp.rails.paid_http.request import address_of, identity_of, listed_by, read_request
from jecp_mcp.rails.payee_pins import PayeePins
from jecp_mcp.rails.send_permit import SendPermit
from jecp_mcp.rails.x402.chain import ChainReader
from jecp_mcp.rails.x402.outcome import Answered, Evidence, OnChain, Paid, conclude, confirm
from jecp_mcp.rails.x402.payload import Payload, Terms
from jecp_mcp.rails.x402.pricing import Pricing
from jecp_mcp.rails.x402.schedule import MARGIN_SECONDS, SAFE_TO_SEND_SECONDS, look_again_at, proven_at, valid_seconds
from jecp_mcp.rails.x402.selection import MOST_PER_CALL, judge
from jecp_mcp.settings import PaidHttpSettings
from jecp_mcp.settings.merchants import read_place
from jecp_mcp.wire.x402.assets import Asset, find_asset
from jecp_mcp.wire.x402.challenge import Challenge, read_challenge, read_option
from jecp_mcp.wire.x402.payment import Payment, payment_header, with_identifier
from jecp_mcp.wire.x402.secp256k1 import PrivateKey
from jecp_mcp.wire.x402.settlement import Settlement, read_settlement

NAME: Final = "x402"

_LONGEST_WAIT: Final = 120.0
"""How long a merchant that asks for it is waited for at most, in seconds."""
_V1_BACKDATED: Final = 600
"""How far before now a version 1 payment is valid from, in seconds: its merchants' clocks may be behind."""


@dataclass(frozen=True, slots=True)
class Pays:
    """What the rail pays with.

    Attributes:
        key: signs; None where there is none, and then nothing is bought.
        assets: the tokens that are known here.
        chain: asks what became of payments.
        recipients: who was paid before, and who may be paid.
    """

    key: PrivateKey | None
    assets: Sequence[Asset]
    chain: ChainReader
    recipients: PayeePins


class X402Rail:
    """The rail named ``x402``."""

    name = NAME
    probes = True
    most_per_call = MOST_PER_CALL

    def __init__(self, gate: HttpGate, settings: PaidHttpSettings, pays: Pays, clock: Clock) -> None:
        """Pay through `gate`, as the settings say."""
        self._gate = gate
        self._settings = settings
        self._pays = pays
        self._clock = clock
        self._pricing = Pricing(gate, settings, pays.assets, self.account, pays.recipients, clock)

    @property
    def account(self) -> str:
        """Who pays: the wallet's address; ``""`` where there is no key."""
        return "" if self._pays.key is None else self._pays.key.address

    def ready(self) -> Refusal | None:
        """What is missing before anything can be bought, or None."""
        return no_wallet() if self._pays.key is None else None

    def serves(self, account: str, authorized: AuthorizedCall | None = None) -> bool:
        """Whether it can act for an account: its key is here, or the chain can be asked what became of its payments."""
        del authorized
        return account == self.account or bool(self._settings.rpc)

    def identity_arguments(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """The request, its address in normal form."""
        return identity_of(arguments)

    async def quote(self, offer: Offer, arguments: Mapping[str, Any]) -> Quote | Free | Refusal:
        """Send the request without a payment, and read what the merchant asks for it.

        An answer that is no question for money is what was wanted, for nothing.
        """
        return await self._pricing.quote(offer, arguments)

    def prepare(
        self,
        call_id: str,
        offer: Offer,
        arguments: Mapping[str, Any],
        quote: Quote,
        hold: MicroUSDC,
        now: UnixMs,
    ) -> StoredRequest:
        """Write down the request and the one authorization that pays for it, from now on good for a while.

        Raises:
            WireError: it cannot be written, or would move another amount than is held.
        """
        del offer
        request, terms = read_request(arguments), Terms.unpack(quote.payload)
        if hold != quote.amount:
            raise WireError("a payment moves exactly its price, and another amount is held for it")
        seconds = now // 1000
        authorization = authorize(
            call_id,
            payer=quote.account,
            to=terms.pay_to,
            value=terms.amount,
            worth=quote.amount,
            hold=hold,
            valid_after=0 if terms.version > 1 else seconds - _V1_BACKDATED,
            valid_before=seconds + valid_seconds(terms.max_timeout_seconds, self._settings.max_valid_seconds),
        )
        payload = Payload(
            url=request.place.url,
            method=request.method,
            headers=request.headers,
            body=request.body,
            terms=_identified(terms, call_id),
            authorization=authorization,
            seconds=max(self._settings.timeout_seconds, min(float(terms.max_timeout_seconds), _LONGEST_WAIT)),
        )
        # Without a node nobody can find out afterwards; then it counts as spent from the payment's end on.
        until = None if self._pays.chain.reads(terms.network) else UnixMs(authorization.valid_before * 1000)
        return StoredRequest(self.name, quote.account, call_id, hold, payload.pack(), until)

    def arguments_of(self, payload: bytes) -> Mapping[str, Any] | None:
        """The request's method and address, without what may be secret: its query, its headers, its body."""
        return address_of(Payload.unpack, payload)

    async def execute(self, call: OpenCall, journal: Journal, progress: Progress | None = None) -> Outcome:
        """Sign, and send the request with its payment, once."""
        del progress
        try:
            payload = Payload.unpack(call.request.payload)
        except WireError as exc:
            return _unsent(unwritable(exc))
        return await self._send(call, payload, journal, first=True)

    async def find_out(self, call: OpenCall, journal: Journal, progress: Progress | None = None) -> Outcome:
        """Send the identical bytes again while they are good; after that, ask the chain."""
        del progress
        try:
            payload = Payload.unpack(call.request.payload)
        except WireError as exc:
            later = UnixMs(self._clock.now() + MARGIN_SECONDS * 1000)
            return Outcome(Verdict.IN_DOUBT, ZERO, None, unwritable(exc), str(exc), 0, look_again_at=later)
        if call.charged:
            return self._looked_at_later(call, payload, confirm(await self._on_chain(payload), call.request.hold))
        if call.request.account == self.account and self._is_good(payload):
            found = await self._send(call, payload, journal, first=False)
            if found.verdict is not Verdict.IN_DOUBT:
                return found
        else:
            found = conclude(Lost(sent=False, reason="it is no longer valid"), self._paid(call, payload, first=False))
        if self._pays.chain.reads(payload.terms.network):
            said = conclude(await self._on_chain(payload), self._paid(call, payload, first=False))
            if said.verdict is not Verdict.IN_DOUBT:
                return said
            found = replace(found, evidence=f"{found.evidence}; {said.evidence}")
        return self._looked_at_later(call, payload, found)

    async def _on_chain(self, payload: Payload) -> OnChain:
        asset = find_asset(self._pays.assets, payload.terms.network, payload.terms.asset)
        if asset is None:
            return OnChain(None, reason="its token is not known to this version")
        return await self._pays.chain.find(asset, payload.authorization)

    async def _send(self, call: OpenCall, payload: Payload, journal: Journal, *, first: bool) -> Outcome:
        paid = self._paid(call, payload, first=first)
        key = self._pays.key
        if key is None or call.request.account != key.address:
            return self._never(call, payload, no_wallet() if key is None else account_changed(), first=first)
        checked = self._checked(call, payload, key)
        if isinstance(checked, str):
            return self._never(call, payload, unwritable(WireError(checked)), first=first)
        origin, terms = read_place(payload.url).origin, payload.terms
        admitted = await self._pays.recipients.admit(origin, terms.pay_to, agreed=terms.agreed)
        if first and not admitted:
            return self._never(call, payload, not_payable("another recipient was paid there first"), first=first)
        until = UnixMs((payload.authorization.valid_before - SAFE_TO_SEND_SECONDS) * 1000)
        permit = SendPermit(until, journal, self._clock)
        heard = await self._exchanged(payload, checked, key, permit)
        if isinstance(heard, Lost) and permit.refused is not None:
            heard = replace(heard, refusal=permit.refused.refusal)
        return self._looked_at_later(call, payload, conclude(heard, paid))

    async def _exchanged(self, payload: Payload, asset: Asset, key: PrivateKey, permit: SendPermit) -> Evidence:
        terms = payload.terms
        accepted = (
            terms.option
            if terms.version > 1
            else {"scheme": terms.option["scheme"], "network": terms.option["network"]}
        )
        signature = sign(key, asset, payload.authorization)
        payment = Payment(terms.version, payload.authorization, signature, accepted, terms.resource, terms.extensions)
        place = read_place(payload.url)
        try:
            name, value = payment_header(payment)
            heard = await self._gate.exchange(
                payload.method,
                place,
                headers={**OUR_HEADERS, **payload.headers, name: value},
                body=None if payload.body is None else payload.body.encode(),
                timeout=payload.seconds,
                max_bytes=self._settings.max_response_bytes,
                before_sending=permit.ask,
            )
        except WireError as exc:
            return Lost(sent=False, reason=str(exc), refusal=unwritable(exc))
        except ExchangeFailed as exc:
            return Lost(exc.sent, exc.reason)
        masks = (Mask(value), Mask(signature.hex()))
        return Answered(
            heard.status,
            answer_of(heard, place.origin, masks=masks),
            _settlement(heard),
            _asked_again(heard),
            words_of(heard, masks),
        )

    def _checked(self, call: OpenCall, payload: Payload, key: PrivateKey) -> Asset | str:
        """The token of a stored request, or why it must not be signed: it is judged once more by what is signed."""
        terms, signed = payload.terms, payload.authorization
        try:
            place, option = read_place(payload.url), read_option(0, terms.option, terms.version)
        except (ValueError, WireError) as exc:
            return str(exc)
        merchant = listed_by(self._settings.merchants, place)
        if merchant is None:
            return "its merchant is not listed any more"
        found = judge(option, terms.version, self._pricing.wanted(merchant))
        if isinstance(found, str):
            return found
        hold = call.request.hold
        wrong = why_not_signed(signed, call.request.call_id, found, payer=key.address, hold=hold)
        if wrong is not None:
            return wrong
        if (found.asset.network, found.asset.address) != (terms.network, terms.asset):
            return "what would be signed is not what was agreed"
        return found.asset if found.amount == hold else "it would move another amount than is held"

    def _is_good(self, payload: Payload) -> bool:
        return self._clock.now() // 1000 < payload.authorization.valid_before - SAFE_TO_SEND_SECONDS

    def _paid(self, call: OpenCall, payload: Payload, *, first: bool) -> Paid:
        terms = payload.terms
        return Paid(
            amount=call.request.hold,
            units=payload.authorization.value,
            payer=payload.authorization.sender,
            networks=frozenset({terms.network, str(terms.option.get("network"))}),
            first=first,
        )

    def _never(self, call: OpenCall, payload: Payload, refusal: Refusal, *, first: bool) -> Outcome:
        lost = Lost(sent=False, reason=refusal.code, refusal=refusal)
        return self._looked_at_later(call, payload, conclude(lost, self._paid(call, payload, first=first)))

    def _looked_at_later(self, call: OpenCall, payload: Payload, found: Outcome) -> Outcome:
        """The outcome with when to look again: where it is open, or where the chain can tell a charge from none."""
        if found.verdict is Verdict.CHARGED and not found.proven:
            if not self._pays.chain.reads(payload.terms.network):
                return found
            return replace(found, look_again_at=proven_at(self._clock.now(), payload.authorization.valid_before))
        if found.verdict is not Verdict.IN_DOUBT:
            return found
        again = look_again_at(
            self._clock.now(), payload.authorization.valid_before, attempts=call.attempts + found.attempts
        )
        return replace(found, look_again_at=again)


def _identified(terms: Terms, call_id: str) -> Terms:
    """The terms with the payment's identifier, where the merchant wants one."""
    extensions = with_identifier(terms.extensions, call_id)
    return terms if extensions is terms.extensions else replace(terms, extensions=extensions)


def _settlement(heard: HttpAnswer) -> Settlement | None:
    try:
        return read_settlement(heard.headers)
    except WireError:
        return None


def _asked_again(heard: HttpAnswer) -> str:
    """Why a merchant asks for money once more, in its own word."""
    if heard.status != PAYMENT_REQUIRED:
        return ""
    try:
        challenge = read_challenge(heard.headers, heard.body)
    except WireError:
        return ""
    return challenge.error or "" if isinstance(challenge, Challenge) else ""


def _unsent(refusal: Refusal) -> Outcome:
    return Outcome(Verdict.NOT_CHARGED, ZERO, None, refusal, f"never sent: {refusal.code}", 0)
