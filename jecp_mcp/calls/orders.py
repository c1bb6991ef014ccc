"""From a wish to an order: what it costs, and whether the mandate lets it be bought. Nothing is spent here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from jecp_mcp.calls import refusals, stored
from jecp_mcp.calls.clock_check import clock_fault
from jecp_mcp.calls.ports import Caller, Question
from jecp_mcp.clock import Clock
from jecp_mcp.domain.answers import Answer
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.purchases import Purchase
from jecp_mcp.domain.quotes import Free, Quote, QuoteKind
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.mandate.caps import names_of
from jecp_mcp.mandate.grants import GrantRef
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.mandate.policy import Permit, Policy, authorise, forbids
from jecp_mcp.mandate.records import Reservation
from jecp_mcp.money import ZERO, MicroUSDC, format_usdc
from jecp_mcp.rails.base import Rail, StoredRequest
from jecp_mcp.rails.registry import Rails

_NO_LIMIT: Final = MicroUSDC(2**53)


@dataclass(frozen=True, slots=True)
class Order:
    """An authorised purchase on its way to the ledger.

    Attributes:
        quote: what it costs, from here to the receipt.
        because: why a person must agree, as one sentence; None when nobody must.
        uses: the grants that paying for it uses.
        answer: the answer, where asking for the price brought it: then there is nothing to pay.
    """

    purchase: Purchase
    principal: str
    fingerprint: str
    rail: Rail
    quote: Quote
    permit: Permit
    because: str | None = None
    uses: tuple[GrantRef, ...] = ()
    answer: Answer | None = None

    @property
    def offer(self) -> Offer:
        """What is bought."""
        return self.purchase.offer

    @property
    def least(self) -> MicroUSDC:
        """What must be held at least, micro-USDC."""
        return self.quote.least(self.permit.hold)

    def question(self, because: str) -> Question:
        """What a person is asked."""
        return Question(
            principal=self.principal,
            payee=self.quote.payee,
            account=self.quote.account,
            action=self.offer.key,
            amount=self.permit.hold,
            kind=self.quote.kind,
            terms=self.quote.terms,
            fingerprint=self.fingerprint,
            because=because,
            arguments=self.purchase.arguments,
        )

    def lifted(self, label: str, by: GrantRef) -> Order:
        """The same order, let past one limit by an approval. What it costs is counted there all the same."""
        meters = tuple(
            replace(meter, limit=_NO_LIMIT) if meter.label == label else meter for meter in self.permit.meters
        )
        return replace(self, permit=Permit(self.permit.hold, meters), uses=(*self.uses, by))

    def at_most(self, hold: MicroUSDC) -> Order:
        """The same order for no more than `hold`, micro-USDC: what was promised for it."""
        return replace(self, permit=replace(self.permit, hold=min(self.permit.hold, hold)))

    def reservation(self, request: StoredRequest, session: str) -> Reservation:
        """What the ledger is asked for."""
        return Reservation(
            call_id=request.call_id,
            principal=self.principal,
            session=session,
            rail=request.rail,
            account=request.account,
            tool=self.purchase.tool,
            payee=self.quote.payee,
            source=self.offer.source,
            offer=self.offer.key,
            names=names_of(self.offer, self.purchase.tool),
            version=self.offer.version,
            fingerprint=self.fingerprint,
            quoted=self.quote.amount,
            hold=request.hold,
            meters=self.permit.meters,
            request=request.payload,
            kind=self.quote.kind.value,
            terms=self.quote.terms,
            provable_until=request.provable_until,
            send=request.sent_first,
            uses=self.uses,
        )


class Orders:
    """Decides; the ledger is only read."""

    def __init__(self, policy: Policy, ledger: Ledger, rails: Rails, clock: Clock) -> None:
        self._policy = policy
        self._ledger = ledger
        self._rails = rails
        self._clock = clock

    async def place(self, purchase: Purchase, caller: Caller, fingerprint: str) -> Order | Refusal:
        """An order for this call, whether or not a person must still agree to it.

        Args:
            fingerprint: the call's identity (`identity_of`).

        Raises:
            LedgerError: the ledger cannot be read.
        """
        rail = self._rails.selling(purchase.offer)
        if rail is None:
            return refusals.no_rail(purchase.offer)
        fault = rail.ready() or await clock_fault(self._rails, rail.name)
        if fault is None and rail.probes:
            # Who must not be bought from is not asked for a price.
            fault = forbids(self._policy, purchase.offer, purchase.tool, self._clock.now())
        if fault is not None:
            return fault
        found = await rail.quote(purchase.offer, purchase.arguments)
        if isinstance(found, Refusal):
            return found
        quote, answer = (found, None) if isinstance(found, Quote) else (_nothing(found), found.answer)
        permit = authorise(
            self._policy,
            purchase.offer,
            purchase.tool,
            quote,
            now=self._clock.now(),
            principal=caller.principal,
            session=self._ledger.session,
            most_per_call=rail.most_per_call,
        )
        if isinstance(permit, Refusal):
            return permit
        because = None if answer is not None else await self._because(caller.principal, rail.name, quote, permit.hold)
        return Order(
            purchase=purchase,
            principal=caller.principal,
            fingerprint=fingerprint,
            rail=rail,
            quote=quote,
            permit=permit,
            because=because,
            answer=answer,
        )

    async def _because(self, principal: str, rail: str, quote: Quote, hold: MicroUSDC) -> str | None:
        if self._policy.needs_approval(hold):
            return f"A call that may cost {format_usdc(hold)} USDC needs the approval of a person."
        if not self._policy.approve_new_payees:
            return None
        if not await self._ledger.has_paid(principal, rail, quote.account, quote.payee):
            payee = quote.payee or "the Hub itself"
            return f"Nothing was ever bought from {payee} before, which needs the approval of a person."
        return None


def _nothing(found: Free) -> Quote:
    return Quote(ZERO, QuoteKind.EXACT, found.payee, found.account)


def identity_of(purchase: Purchase, principal: str) -> str:
    """The fingerprint of a purchase: what makes two of them the same call."""
    return stored.fingerprint(principal, purchase.offer.source, purchase.offer.key, purchase.arguments)
