"""Paying a merchant through a control plane: an unpaid request for the price, one decision, and whatever became of it.

One call is one idempotency key, which has one durable decision. So the same request may be asked again under it, and a
charge whose receipt is provisional is looked at until that is final.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from jecp_mcp import jsontext
from jecp_mcp.clock import Clock, UnixMs
from jecp_mcp.domain.answers import Answer
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.outcomes import AuthorizedCall, Entry, Mark, Outcome, Verdict
from jecp_mcp.domain.quotes import Free, Quote, QuoteKind
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import WireError
from jecp_mcp.http import ExchangeFailed, HttpAnswer
from jecp_mcp.http_gate import HttpGate
from jecp_mcp.masking import Mask, masked
from jecp_mcp.money import ZERO, MicroUSDC
from jecp_mcp.rails.base import Journal, NotNow, OpenCall, Progress, StoredRequest, account_changed
from jecp_mcp.rails.flow402.control_plane import UNAUTHORIZED, ControlPlane, NoReceipt, NoToken, longest_decision
from jecp_mcp.rails.flow402.outcome import (
    Asked,
    Decided,
    Evidence,
    RequestRefused,
    Unclear,
    conclude,
    confirm,
    unconfirmed,
)
from jecp_mcp.rails.flow402.payload import Payload, Terms
from jecp_mcp.rails.flow402.refusals import no_key
from jecp_mcp.rails.flow402.schedule import RESEND_MS, ask_again_at, look_again_at
from jecp_mcp.rails.flow402.selection import MOST_PER_CALL, Payable, narrowed, select
from jecp_mcp.rails.paid_http.answers import answer_of, words_of
from jecp_mcp.rails.paid_http.hints import read_hints
from jecp_mcp.rails.paid_http.lost import Lost
from jecp_mcp.rails.paid_http.probe import QUOTE_MS, Priced, elsewhere, probe
from jecp_mcp.rails.paid_http.refusals import MOST_OFFERS, not_payable, unwritable
from jecp_mcp.rails.paid_http.request import address_of, identity_of, listed_by, read_request
from jecp_mcp.rails.send_permit import SendPermit
from jecp_mcp.settings.flow402 import Flow402Settings
from jecp_mcp.settings.merchants import Place, read_place
from jecp_mcp.wire.flow402.decision import (
    Allowed,
    DecisionRequest,
    Executing,
    ExecutionFailed,
    Inconclusive,
    MerchantResponse,
    PaidAndFailed,
    read_decision,
    write_request,
)
from jecp_mcp.wire.flow402.problem import read_problem

NAME: Final = "402flow"
_MOST_SUPERSEDED: Final = 3
"""How many receipts are followed from one to the one that took its place."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """What became of one attempt, whether its request was refused for its token, and whether it may have left."""

    evidence: Evidence
    unauthorized: bool = False


class Flow402Rail:
    """The rail named ``402flow``."""

    name = NAME
    probes = True
    most_per_call = MOST_PER_CALL

    def __init__(self, gate: HttpGate, settings: Flow402Settings, plane: ControlPlane | None, clock: Clock) -> None:
        """Pay through `plane`, as the settings say; None where there is no key to it."""
        self._gate = gate
        self._settings = settings
        self._plane = plane
        self._clock = clock

    @property
    def account(self) -> str:
        """Who pays: the control plane, the organization and its agent."""
        return self._settings.account

    def ready(self) -> Refusal | None:
        """What is missing before anything can be bought, or None."""
        return no_key() if self._plane is None else None

    def serves(self, account: str, authorized: AuthorizedCall | None = None) -> bool:
        """Whether it can act for an account."""
        del authorized
        return self._plane is not None and account == self.account

    def identity_arguments(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """The request, its address in normal form."""
        return identity_of(arguments)

    async def quote(self, offer: Offer, arguments: Mapping[str, Any]) -> Quote | Free | Refusal:
        """Have a token ready, send the request without a payment, and read what the merchant asks for it.

        An answer that is no question for money is what was wanted, for nothing.
        """
        if self._plane is None:
            return no_key()
        try:
            await self._plane.token()
        except NoToken as exc:
            return exc.refusal
        asked = await probe(self._gate, self._settings, offer, arguments, self.account, NAME)
        return self._quoted(asked) if isinstance(asked, Priced) else asked

    def _quoted(self, asked: Priced) -> Quote | Refusal:
        request, challenge = asked.request, asked.challenge
        taken, rejected = select(challenge, self._settings.networks)
        if not taken:
            return not_payable("none of its ways to pay may be used", rejected)
        odd = [elsewhere(request.place, challenge, one.option, self._listed) for one in taken]
        said = next((one for one in odd if one is not None), None)
        if said is not None and not all(one is None or one[1] for one in odd):
            return not_payable(said[0])
        try:
            headers, body = narrowed(challenge, taken)
        except WireError as exc:
            return not_payable(f"its question for money cannot be passed on: {exc}")
        most = max(one.amount for one in taken)
        terms = Terms(
            version=challenge.version,
            networks=sorted({one.token.network for one in taken}),
            tokens=sorted({text for one in taken for text in (one.token.symbol, one.token.address)}),
            challenge_headers=headers,
            challenge_body=body,
            others=[{"offer": one.label, "why_not": one.reason} for one in rejected[:MOST_OFFERS]],
            hints=read_hints(challenge, taken[0].option),
            warnings=[] if said is None else [said[0]],
            asked_at=self._clock.now(),
            least=min(one.amount for one in taken),
        )
        return Quote(
            most,
            QuoteKind.EXACT if all(one.amount == most for one in taken) else QuoteKind.MAX,
            request.place.origin,
            self.account,
            terms=jsontext.dumps(sorted(_terms_of(one) for one in taken)).decode(),
            good_until=UnixMs(self._clock.now() + QUOTE_MS),
            payload=terms.pack(),
        )

    def prepare(
        self,
        call_id: str,
        offer: Offer,
        arguments: Mapping[str, Any],
        quote: Quote,
        hold: MicroUSDC,
        now: UnixMs,
    ) -> StoredRequest:
        """Write down the request for a decision, from now on good for a while.

        Raises:
            WireError: it cannot be written, or could cost another amount than is held.
        """
        del offer
        request, terms = read_request(arguments), Terms.unpack(quote.payload)
        if hold != quote.amount:
            raise WireError("a control plane is given no limit beside the price, and another amount is held for it")
        payload = Payload(
            organization=str(self._settings.organization),
            agent=str(self._settings.agent),
            url=request.place.url,
            method=request.method,
            headers=request.headers,
            body=request.body,
            challenge_headers=terms.challenge_headers,
            challenge_body=terms.challenge_body,
            tokens=terms.tokens,
            prepared_at=now,
            resend_until=now + RESEND_MS,
            networks=terms.networks,
            least=terms.least,
        )
        until = UnixMs(payload.resend_until)
        return StoredRequest(self.name, quote.account, call_id, hold, payload.pack(), until)

    def arguments_of(self, payload: bytes) -> Mapping[str, Any] | None:
        """The request's method and address, without what may be secret: its query, its headers, its body."""
        return address_of(Payload.unpack, payload)

    async def execute(self, call: OpenCall, journal: Journal, progress: Progress | None = None) -> Outcome:
        """Ask for the decision, once; once more where the token was refused."""
        del progress
        try:
            payload = Payload.unpack(call.request.payload)
        except WireError as exc:
            return Outcome(Verdict.NOT_CHARGED, ZERO, None, unwritable(exc), "never sent: it cannot be read", 0)
        return await self._ask(call, payload, journal, first=True)

    async def find_out(self, call: OpenCall, journal: Journal, progress: Progress | None = None) -> Outcome:
        """Ask for the decision again under the same key; of a charge, look at its receipt."""
        del progress
        try:
            payload = Payload.unpack(call.request.payload)
        except WireError as exc:
            later = ask_again_at(self._clock.now(), attempts=call.attempts)
            return Outcome(Verdict.IN_DOUBT, ZERO, None, unwritable(exc), str(exc), 0, look_again_at=later)
        if call.charged:
            return self._timed(call, payload, await self._followed(call, payload))
        return await self._ask(call, payload, journal, first=False)

    async def _ask(self, call: OpenCall, payload: Payload, journal: Journal, *, first: bool) -> Outcome:
        asked = replace(_asked(call, payload), first=first)
        plane = self._plane
        fault = self._fault(call, payload)
        if plane is None or fault is not None:
            heard: Evidence = Lost(sent=False, reason="it may not be sent from here", refusal=fault or no_key())
            return self._timed(call, payload, conclude(heard, asked))
        try:
            token = await plane.token()
            one = await self._attempt(call, payload, journal, plane, token)
            if one.unauthorized:
                # What was refused for its token was not looked at: the attempt after it is the first that counts.
                asked = replace(asked, attempts=2, first=first and isinstance(one.evidence, RequestRefused))
                token = await plane.token(stale=token)
                one = await self._attempt(call, payload, journal, plane, token)
            heard = one.evidence
            if isinstance(heard, Decided) and call.last(Mark.ACCEPTED) is None:
                await _note(heard, journal)
        except NoToken as exc:
            heard = Lost(sent=False, reason=exc.refusal.code, refusal=exc.refusal)
        return self._timed(call, payload, conclude(heard, asked))

    def _fault(self, call: OpenCall, payload: Payload) -> Refusal | None:
        """Why a stored request may not leave from here: the settings may have changed since.

        What was decided already is asked for all the same: the answer is what there is to know of it.
        """
        if call.request.account != self.account:
            return account_changed()
        if call.last(Mark.ACCEPTED) is not None:
            return None
        try:
            place = read_place(payload.url)
        except ValueError as exc:
            return unwritable(WireError(str(exc)))
        if not self._listed(place):
            return unwritable(WireError("its merchant is not listed any more"))
        gone = sorted(set(payload.networks) - set(self._settings.networks))
        return not_payable(f"the operator does not pay on {gone[0]} any more") if gone else None

    async def _attempt(
        self, call: OpenCall, payload: Payload, journal: Journal, plane: ControlPlane, token: str
    ) -> _Heard:
        permit = SendPermit(UnixMs(payload.resend_until), journal, self._clock)
        try:
            body = write_request(
                DecisionRequest(
                    organization=payload.organization,
                    agent=payload.agent,
                    url=payload.url,
                    method=payload.method,
                    headers=payload.headers,
                    body=payload.body,
                    challenge_headers=payload.challenge_headers,
                    challenge_body=payload.challenge_body,
                    idempotency_key=call.request.call_id,
                )
            )
            heard = await plane.decide(body, token, permit.ask)
        except WireError as exc:
            return _Heard(Lost(sent=False, reason=str(exc), refusal=unwritable(exc)))
        except ExchangeFailed as exc:
            refusal = None if permit.refused is None else permit.refused.refusal
            return _Heard(Lost(exc.sent, exc.reason, refusal))
        evidence = self._read(heard, payload, plane.masks(token))
        return _Heard(evidence, heard.status == UNAUTHORIZED and not isinstance(evidence, Decided))

    def _read(self, heard: HttpAnswer, payload: Payload, masks: tuple[Mask, ...]) -> Evidence:
        try:
            decision = read_decision(heard.body, longest_decision(self._settings.max_response_bytes), masks)
        except WireError as exc:
            said = read_problem(heard.status, heard.body)
            if said is None:
                return Unclear(heard.status, str(exc))
            return RequestRefused(heard.status, masked(said, masks))
        if not isinstance(decision, (Allowed, PaidAndFailed, ExecutionFailed)):
            return Decided(decision)
        answered = _as_http(decision.response)
        return Decided(decision, _answer(answered, payload, masks), words_of(answered, masks))

    async def _followed(self, call: OpenCall, payload: Payload) -> Outcome:
        """How a charge stands by its receipt, or by the one that took its place."""
        hold, receipt_id = call.request.hold, call.reference
        if self._plane is None or receipt_id is None:
            return unconfirmed(hold, "no key or no id of it is here")
        first = None
        for _ in range(_MOST_SUPERSEDED):
            try:
                receipt = await self._plane.receipt(receipt_id)
            except NoToken as exc:
                return unconfirmed(hold, exc.refusal.code)
            except NoReceipt as exc:
                return unconfirmed(hold, str(exc))
            first = first or receipt
            if not receipt.replaces(first):
                return unconfirmed(hold, "the one that took its place is of another payment, or of more money")
            if receipt.superseded_by in {None, receipt_id}:
                return confirm(receipt, _asked(call, payload))
            receipt_id = str(receipt.superseded_by)
        return unconfirmed(hold, "it was superseded again and again")

    def _timed(self, call: OpenCall, payload: Payload, found: Outcome) -> Outcome:
        """The outcome with when to look again: where it is open, or where a charge may yet turn."""
        now = self._clock.now()
        if found.verdict is Verdict.CHARGED and not found.proven:
            return replace(found, look_again_at=look_again_at(now, payload.prepared_at))
        if found.verdict in {Verdict.IN_DOUBT, Verdict.PENDING}:
            return replace(found, look_again_at=ask_again_at(now, attempts=call.attempts + found.attempts))
        return found

    def _listed(self, place: Place) -> bool:
        return listed_by(self._settings.merchants, place) is not None


async def _note(heard: Decided, journal: Journal) -> None:
    """Write down that there is a decision under the key, where it is to be asked for again: that decides nothing anew.

    Without it, it is asked for as long as nothing forbids a new one.
    """
    if isinstance(heard.decision, (Executing, Inconclusive, ExecutionFailed)):
        with contextlib.suppress(NotNow):
            await journal.keep(Entry(Mark.ACCEPTED))


def _asked(call: OpenCall, payload: Payload) -> Asked:
    return Asked(call.request.hold, payload.tokens, first=False, least=MicroUSDC(payload.least))


def _terms_of(one: Payable) -> list[Any]:
    return [one.option.scheme, one.token.network, one.token.address, one.option.pay_to, str(one.amount)]


def _as_http(response: MerchantResponse) -> HttpAnswer:
    """As it would have come from the merchant itself; what was decoded for us is text in UTF-8, whatever it was."""
    media_type, _, parameters = response.headers.get("content-type", "").partition(";")
    kept = [one for one in parameters.split(";") if one.strip() and not one.strip().lower().startswith("charset")]
    headers = dict(response.headers)
    if media_type:
        headers["content-type"] = ";".join([media_type, *kept])
    return HttpAnswer(response.status, headers, response.body.encode("utf-8", "replace"))


def _answer(answered: HttpAnswer, payload: Payload, masks: tuple[Mask, ...]) -> Answer:
    return answer_of(answered, read_place(payload.url).origin, masks=masks, method=NAME)
