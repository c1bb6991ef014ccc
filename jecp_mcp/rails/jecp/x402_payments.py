"""Paying a Hub for one call by x402, where the wallet there cannot or may not, and finding out what became of that.

The Hub says what it asks for only while the call runs, so what it asks can never raise what was reserved: it is judged,
and refused before anything is signed. What is to be signed is written down before it is; a call has one nonce, so no
second authorization can be taken. Afterwards the Hub is asked first, by the call's id, and then the chain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from jecp_mcp.clock import Clock, UnixMs
from jecp_mcp.domain.answers import Answer
from jecp_mcp.domain.outcomes import Entry, Mark, Outcome, Verdict
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import WireError
from jecp_mcp.http import BeforeSending, ExchangeFailed
from jecp_mcp.jsontext import JSONObject
from jecp_mcp.masking import Mask, Masks
from jecp_mcp.money import ZERO, MicroUSDC, format_usdc
from jecp_mcp.rails.authorizations import authorize, sign, why_not_signed
from jecp_mcp.rails.base import Journal, NotNow, OpenCall
from jecp_mcp.rails.jecp import schedule
from jecp_mcp.rails.jecp.client import HubClient, mask_of
from jecp_mcp.rails.jecp.codes import CHALLENGE_REFUSED
from jecp_mcp.rails.jecp.outcome import Evidence, Lost, Replied, answering, in_doubt
from jecp_mcp.rails.jecp.payload import Payload
from jecp_mcp.rails.jecp.stream import lost, read_reply
from jecp_mcp.rails.jecp.x402_outcome import Heard, conclude_payment, never_taken, with_chain
from jecp_mcp.rails.send_permit import SendPermit
from jecp_mcp.rails.stored_form import read_form, write_form
from jecp_mcp.rails.x402.outcome import OnChain, Paid, confirm
from jecp_mcp.rails.x402.rail import Pays
from jecp_mcp.rails.x402.schedule import MARGIN_SECONDS, SAFE_TO_SEND_SECONDS, look_again_at, proven_at
from jecp_mcp.rails.x402.selection import Wanted, choose, judge
from jecp_mcp.settings import Credentials
from jecp_mcp.wire.jecp.envelope import with_mandate
from jecp_mcp.wire.jecp.provenance import build
from jecp_mcp.wire.jecp.x402 import VERSION, read_payment_challenge, read_receipt
from jecp_mcp.wire.x402.assets import Asset, find_asset
from jecp_mcp.wire.x402.challenge import Challenge, read_option
from jecp_mcp.wire.x402.payment import Authorization, Payment, payment_header
from jecp_mcp.wire.x402.settlement import Settlement

_FORM: Final = 1
_SHORTEST: Final = 20
"""The shortest time, in seconds, for which a payment is worth signing."""
_LONGEST_WORK_MS: Final = 300_000
"""How long a Hub works on one call at most (JECP 01-protocol §8)."""
_SIGNED: Final = ("scheme", "network", "asset", "payTo", "maxAmountRequired", "maxTimeoutSeconds")


@dataclass(frozen=True, slots=True)
class Authorized:
    """What is signed for a call, as the ledger keeps it; no signature, which follows from the key.

    Attributes:
        option: what the Hub asked for, in x402's names, without its words.
        network: the chain's CAIP-2 id.
    """

    option: JSONObject
    network: str
    authorization: Authorization

    def pack(self) -> str:
        """As one text."""
        signed = {name: getattr(self.authorization, name) for name in Authorization.__slots__}
        signed["nonce"] = self.authorization.nonce.hex()
        fields = {"option": self.option, "network": self.network, "authorization": signed}
        return write_form(_FORM, fields).decode()

    @classmethod
    def unpack(cls, stored: str) -> Authorized:
        """Read what `pack` wrote.

        Raises:
            WireError: it is something else.
        """
        found = read_form(_FORM, stored.encode(), "what was to be signed")
        try:
            signed = dict(found["authorization"])
            authorization = Authorization(**{**signed, "nonce": bytes.fromhex(signed["nonce"])})
            return cls(dict(found["option"]), str(found["network"]), authorization)
        except (KeyError, TypeError, ValueError, AssertionError) as exc:
            raise WireError("what was to be signed cannot be read; the ledger is not what was written") from exc


@dataclass(frozen=True, slots=True)
class Terms:
    """What the operator lets a Hub be paid with.

    Attributes:
        networks: the chains, dearest trust first.
        pay_to: the only recipients taken; none where the first one paid is pinned.
        max_valid_seconds: how long a signed payment can be taken at most.
    """

    networks: Sequence[str]
    pay_to: Sequence[str]
    max_valid_seconds: int


@dataclass(frozen=True, slots=True)
class Sale:
    """One call of an execution: what it is, who makes it, and who is told."""

    call: OpenCall
    payload: Payload
    identity: Credentials
    journal: Journal

    @property
    def hold(self) -> MicroUSDC:
        """What is held for it, micro-USDC."""
        return self.call.request.hold

    @property
    def until(self) -> UnixMs:
        """The last instant at which anything of it may leave."""
        until = self.call.request.provable_until
        assert until is not None, "every request of this rail has a last instant"
        return until


@dataclass(frozen=True, slots=True)
class _Signed:
    """A payment as it is sent: the header's value, and the signature in it."""

    header: str
    signature: bytes


class X402Payments:
    """Payments to one Hub."""

    def __init__(self, client: HubClient, terms: Terms, pays: Pays, clock: Clock) -> None:
        self._client = client
        self._terms = terms
        self._pays = pays
        self._clock = clock

    @property
    def payer(self) -> str:
        """Whose money it is: the key's address; ``""`` where there is none."""
        return "" if self._pays.key is None else self._pays.key.address

    async def pay(self, sale: Sale, asked: Refusal) -> Outcome | None:
        """Pay for a call that the Hub refused for want of money, and for nothing else; None where it asks for no x402.

        No attempt of the call may be in doubt.
        """
        try:
            challenge = read_payment_challenge(asked)
        except WireError as exc:
            return _unpaid(_refused(str(exc)))
        if challenge is None:
            # Under a mandate for nothing, every Hub says that it is too small.
            silent = sale.payload.paid_by == "x402" and asked.code == "INSUFFICIENT_BUDGET"
            return _unpaid(_refused("it does not say what it asks for")) if silent else None
        authorized = await self._authorized(sale, challenge)
        if isinstance(authorized, Refusal):
            return _unpaid(authorized)
        try:
            await sale.journal.keep(Entry(Mark.AUTHORIZED, authorized.pack()))
        except NotNow as exc:
            return _unpaid(exc.refusal)
        return await self._send(sale, authorized)

    async def find_out(self, sale: Sale, stored: Entry) -> Outcome:
        """Send the identical bytes again while the payment is good; then ask the Hub harmlessly, and the chain."""
        try:
            authorized = Authorized.unpack(stored.data)
        except WireError as exc:
            later = schedule.look_again_at(self._clock.now(), sale.until, attempts=sale.call.attempts, left=True)
            doubt = in_doubt([Lost(sent=False, reason=str(exc))], sale.hold, replay=True)
            return Outcome(Verdict.IN_DOUBT, ZERO, None, doubt, str(exc), 0, look_again_at=later)
        paid = self._paid(sale, authorized, first=False)
        if sale.call.charged:
            return await self._standing(sale, authorized, paid)
        heard = await self._exchanged(sale, authorized)
        if sale.call.answer is not None and not (
            isinstance(heard.evidence, Replied) and isinstance(heard.evidence.reply, Answer)
        ):
            # What the Hub billed once is not undone by what it says now.
            heard = replace(heard, evidence=Replied(sale.call.answer))
        found = conclude_payment(heard, paid)
        if found.verdict is Verdict.IN_DOUBT and self._pays.chain.reads(authorized.network):
            found = with_chain(heard, await self._on_chain(authorized), paid)
        return self._later(sale, authorized, found)

    async def _standing(self, sale: Sale, authorized: Authorized, paid: Paid) -> Outcome:
        """How a charge stands by the chain; where that says that nothing was taken, by what the Hub says then."""
        said = await self._on_chain(authorized)
        if said.used is not False:
            return self._later(sale, authorized, confirm(said, paid.amount))
        found = never_taken(await self._asked_harmlessly(sale, authorized), paid)
        now, attempts = self._clock.now(), sale.call.attempts + found.attempts
        if found.proven or now >= sale.until:
            return found
        return replace(found, look_again_at=schedule.look_again_at(now, sale.until, attempts=attempts, left=True))

    async def _authorized(self, sale: Sale, challenge: Challenge) -> Authorized | Refusal:
        """What is to be signed, or why nothing is."""
        found, rejected = choose(challenge, self._wanted())
        if found is None:
            reasons = "; ".join(f"{one.label}: {one.reason}" for one in rejected)
            return _refused(f"none of what it takes may be used ({reasons[:500]})")
        option, call_id = found.option, sale.call.request.call_id
        seconds = self._clock.now() // 1000
        # Which is as long as it may be valid at most (JECP 06-x402-integration §2.2).
        valid = min(option.max_timeout_seconds, self._terms.max_valid_seconds)
        if valid < _SHORTEST:
            return _refused(f"a payment would have to be taken within {valid} seconds")
        if (seconds + valid + MARGIN_SECONDS) * 1000 > sale.until:
            return _refused("it knows a call for too short a time to find out what became of a payment")
        try:
            authorization = authorize(
                call_id,
                payer=self.payer,
                to=option.pay_to,
                value=option.amount,
                worth=found.amount,
                hold=sale.hold,
                valid_after=0,
                valid_before=seconds + valid,
            )
        except WireError:
            return _refused(
                f"it asks for {format_usdc(found.amount)} USDC, and {format_usdc(sale.hold)} USDC are held for the call"
            )
        if not await self._pays.recipients.admit(self._client.origin, option.pay_to, agreed=bool(self._terms.pay_to)):
            return _refused(
                f"it asks for payment to {option.pay_to}, and the first payment there was signed for another; hub."
                "x402_pay_to in the settings names who may be paid"
            )
        kept = {name: option.raw[name] for name in _SIGNED}
        named = {name: option.extra[name] for name in ("name", "version") if name in option.extra}
        return Authorized({**kept, "extra": named}, found.asset.network, authorization)

    async def _send(self, sale: Sale, authorized: Authorized) -> Outcome:
        heard = await self._exchanged(sale, authorized)
        return self._later(sale, authorized, conclude_payment(heard, self._paid(sale, authorized, first=True)))

    async def _exchanged(self, sale: Sale, authorized: Authorized) -> Heard:
        """One attempt with the payment; once it is no longer good, one that can spend nothing."""
        expires = _expires(authorized)
        if self._clock.now() >= expires:
            return await self._asked_harmlessly(sale, authorized)
        signed = self._signed(sale, authorized)
        call_id, permit = sale.call.request.call_id, SendPermit(min(expires, sale.until), sale.journal, self._clock)
        if isinstance(signed, str):
            return Heard(call_id, sale.hold, Lost(sent=False, reason=signed, again=False))
        evidence, receipt = await self._ask(sale, signed, sale.hold, permit.ask)
        if isinstance(evidence, Lost) and permit.refused is not None:
            evidence = replace(evidence, reason=permit.refused.refusal.message)
        return Heard(call_id, sale.hold, evidence, receipt)

    async def _asked_harmlessly(self, sale: Sale, authorized: Authorized) -> Heard:
        """What the Hub says of the call's id under a mandate for nothing, with the payment, which is no longer good.

        It takes no room in a limit, and is asked also where the operator has forbidden the action since. Where the
        payment cannot be signed any more it is left out: a Hub that has a sale still says so (JECP ADR-0004 Decision).
        """
        over = self._clock.now() >= _expires(authorized) + _LONGEST_WORK_MS
        signed = self._signed(sale, authorized)
        evidence, receipt = await self._ask(sale, None if isinstance(signed, str) else signed, ZERO, None)
        return Heard(sale.call.request.call_id, sale.hold, evidence, receipt, harmless=over)

    def _signed(self, sale: Sale, authorized: Authorized) -> _Signed | str:
        """The payment as it is sent, or why it must not be signed."""
        key, asset = self._pays.key, self._checked(sale, authorized)
        if isinstance(asset, str):
            return asset
        assert key is not None, "it was checked"
        signature = sign(key, asset, authorized.authorization)
        accepted = {name: authorized.option[name] for name in ("scheme", "network")}
        _, header = payment_header(Payment(VERSION, authorized.authorization, signature, accepted))
        return _Signed(header, signature)

    async def _ask(
        self,
        sale: Sale,
        signed: _Signed | None,
        budget: MicroUSDC,
        before_sending: BeforeSending | None,
    ) -> tuple[Evidence, Settlement | None]:
        request, payload, identity = sale.call.request, sale.payload, sale.identity
        secrets = () if signed is None else (Mask(signed.header), Mask(signed.signature.hex()))
        masks = Masks(mask_of(identity), *secrets)
        try:
            body = self._body(sale, budget)
            answer = await self._client.post(
                payload.path,
                body,
                identity,
                seconds=payload.timeout_seconds,
                before_sending=before_sending,
                payment=None if signed is None else signed.header,
            )
        except WireError as exc:
            return Lost(sent=False, reason=str(exc), again=False), None
        except ExchangeFailed as exc:
            return lost(exc), None
        headers = {name: masks.text(value) for name, value in answer.headers.items()}
        heard = await read_reply(answer.status, headers, answer.body, self._clock.now(), masks)
        evidence = answering(request.call_id, heard)
        if not (isinstance(evidence, Replied) and isinstance(evidence.reply, Answer)):
            return evidence, None
        return evidence, read_receipt(answer.headers, evidence.reply.billing.raw)

    def _body(self, sale: Sale, budget: MicroUSDC) -> bytes:
        """The call's bytes. Where the Hub demands provenance, each attempt proves itself anew."""
        key, proof = sale.identity.api_key.get_secret_value(), None
        if sale.payload.provenance:
            now = self._clock.now()
            nonce = hashlib.sha256(f"{sale.call.request.call_id}:x402:{now}".encode()).hexdigest()[:32]
            proof = build(sale.identity.agent_id, key, at=now, nonce=nonce)
        return with_mandate(
            sale.payload.body,
            agent_id=sale.identity.agent_id,
            api_key=key,
            budget=budget,
            expires_at=sale.until,
            provenance_hash=proof,
        )

    def _checked(self, sale: Sale, authorized: Authorized) -> Asset | str:
        """The token of what was written down, or why it must not be signed: judged once more by what is signed."""
        key = self._pays.key
        if key is None:
            return "there is no wallet key on this machine"
        try:
            option = read_option(0, authorized.option, VERSION)
        except WireError as exc:
            return str(exc)
        found = judge(option, VERSION, self._wanted())
        if isinstance(found, str):
            return found
        signed, call_id = authorized.authorization, sale.call.request.call_id
        wrong = why_not_signed(signed, call_id, found, payer=key.address, hold=sale.hold)
        return found.asset if wrong is None else wrong

    def _wanted(self) -> Wanted:
        terms = self._terms
        return Wanted(self._pays.assets, terms.networks, self.payer, terms.pay_to or None)

    def _asset(self, authorized: Authorized) -> Asset | None:
        return find_asset(self._pays.assets, authorized.network, str(authorized.option["asset"]).lower())

    async def _on_chain(self, authorized: Authorized) -> OnChain:
        asset = self._asset(authorized)
        if asset is None:
            return OnChain(None, reason="its token is not known to this version")
        return await self._pays.chain.find(asset, authorized.authorization)

    def _worth(self, authorized: Authorized, sale: Sale) -> MicroUSDC:
        asset = self._asset(authorized)
        return sale.hold if asset is None else asset.micro(authorized.authorization.value)

    def _paid(self, sale: Sale, authorized: Authorized, *, first: bool) -> Paid:
        signed = authorized.authorization
        networks = frozenset({authorized.network, str(authorized.option["network"])})
        return Paid(self._worth(authorized, sale), signed.value, signed.sender, networks, first)

    def _later(self, sale: Sale, authorized: Authorized, found: Outcome) -> Outcome:
        """The outcome with when to look again: where it is open, or where the chain can tell a charge from none."""
        now, ends = self._clock.now(), authorized.authorization.valid_before
        if found.verdict is Verdict.CHARGED and not found.proven:
            if not self._pays.chain.reads(authorized.network):
                return found
            return replace(found, look_again_at=proven_at(now, ends))
        if found.verdict is not Verdict.IN_DOUBT:
            return found
        attempts = sale.call.attempts + found.attempts
        if now < (ends + MARGIN_SECONDS) * 1000:
            return replace(found, look_again_at=look_again_at(now, ends, attempts=attempts))
        return replace(found, look_again_at=schedule.look_again_at(now, sale.until, attempts=attempts, left=True))


def _expires(authorized: Authorized) -> UnixMs:
    """When a payment is no longer sent."""
    return UnixMs((authorized.authorization.valid_before - SAFE_TO_SEND_SECONDS) * 1000)


def _refused(reason: str) -> Refusal:
    return Refusal(
        CHALLENGE_REFUSED,
        f"The Hub cannot be paid by x402 for this call: {reason}. Nothing was signed and nothing was charged.",
        source="bridge",
    )


def _unpaid(refusal: Refusal) -> Outcome:
    return Outcome(Verdict.NOT_CHARGED, ZERO, None, refusal, f"refused for want of money; not signed: {refusal.code}")
