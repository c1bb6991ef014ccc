"""From a wish to an order: what it costs, and whether the mandate lets it be bought. Nothing is spent here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Protocol

from jecp_mcp.calls import refusals, stored
from jecp_mcp.calls.clock_check import ClockCheck
from jecp_mcp.calls.ports import Question
from jecp_mcp.clock import Clock, UnixMs
from jecp_mcp.domain.answers import Answer
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.purchases import Principal, Purchase
from jecp_mcp.domain.quotes import Free, Quote, QuoteKind
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.mandate.grants import GrantRef
from jecp_mcp.mandate.ledger import Ledger
from jecp_mcp.mandate.naming import stored_names
from jecp_mcp.mandate.policy import Permit, Policy, authorise, forbids
from jecp_mcp.mandate.records import AlreadyOpen, Reservation, Undelivered
from jecp_mcp.money import ZERO, MicroUSDC, format_usdc
from jecp_mcp.rails.base import Rail, StoredRequest
from jecp_mcp.rails.registry import Rails

_NO_LIMIT: Final = MicroUSDC(2**53)


class Promise(Protocol):
    """What was promised for a purchase before."""

    def quote_at(self, now: UnixMs) -> Quote | None:
        """The payee's quote where it is still good, so that it need not be asked again; else None."""
        ...

    def keep(self, order: Order) -> Order | Refusal:
        """The order for no more than was promised; or why the promise does not hold for it."""
        ...


@dataclass(frozen=True, slots=True)
class Wish:
    """A purchase on its way to an order.

    Attributes:
        identity: what all copies of a call have in common.
        fingerprint: what makes two purchases the same call.
        former: the fingerprint that an earlier version of this program gave it; None where that is the same.
        uses: the grants that buying it uses.
        promise: what was promised for it; None where nothing was.
    """

    purchase: Purchase
    principal: Principal
    identity: str
    fingerprint: str
    former: str | None = None
    uses: tuple[GrantRef, ...] = ()
    promise: Promise | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """An authorised purchase on its way to the ledger.

    Attributes:
        quote: what it costs, from here to the receipt.
        because: why a person must agree, as one sentence; None when nobody must.
        uses: the grants that paying for it uses.
        answer: the answer, where asking for the price brought it: then there is nothing to pay.
        let_past: whether a person lets it past a full limit.
        lapses: how often its price lapsed while a person thought, and was another one then.
    """

    wish: Wish
    rail: Rail
    quote: Quote
    permit: Permit
    because: str | None = None
    uses: tuple[GrantRef, ...] = ()
    answer: Answer | None = None
    let_past: bool = False
    lapses: int = 0

    @property
    def purchase(self) -> Purchase:
        """What is bought, as it was asked for."""
        return self.wish.purchase

    @property
    def offer(self) -> Offer:
        """What is bought."""
        return self.wish.purchase.offer

    @property
    def least(self) -> MicroUSDC:
        """What must be held at least, micro-USDC."""
        return self.quote.least(self.permit.hold)

    def question(self, because: str) -> Question:
        """What a person is asked."""
        return Question(
            principal=self.wish.principal,
            payee=self.quote.payee,
            account=self.quote.account,
            action=self.offer.key,
            amount=self.permit.hold,
            kind=self.quote.kind,
            terms=self.quote.terms,
            fingerprint=self.wish.fingerprint,
            because=because,
            arguments=self.purchase.arguments,
        )

    def lifted(self, label: str, by: GrantRef) -> Order:
        """The same order, let past one limit by an approval. What it costs is counted there all the same."""
        meters = tuple(
            replace(meter, limit=_NO_LIMIT) if meter.label == label else meter for meter in self.permit.meters
        )
        return replace(self, permit=Permit(self.permit.hold, meters), uses=(*self.uses, by), let_past=True)

    def renewed(self, now: Order) -> Order:
        """The same order at what it costs now, with what was agreed to for it."""
        permit = replace(self.permit, hold=now.permit.hold)
        return replace(self, quote=now.quote, permit=permit, answer=now.answer)

    def at_most(self, hold: MicroUSDC) -> Order:
        """The same order for no more than `hold`, micro-USDC."""
        return self if self.permit.hold <= hold else replace(self, permit=replace(self.permit, hold=hold))

    def reservation(self, request: StoredRequest, session: str) -> Reservation:
        """What the ledger is asked for."""
        return Reservation(
            call_id=request.call_id,
            principal=self.wish.principal,
            session=session,
            rail=request.rail,
            account=request.account,
            tool=self.purchase.tool,
            payee=self.quote.payee,
            source=self.offer.source,
            offer=self.offer.key,
            names=stored_names(self.offer, self.purchase.tool),
            version=self.offer.version,
            fingerprint=self.wish.fingerprint,
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

    def __init__(self, policy: Policy, ledger: Ledger, rails: Rails, clock: Clock, clock_check: ClockCheck) -> None:
        self._policy = policy
        self._ledger = ledger
        self._rails = rails
        self._clock = clock
        self._clock_check = clock_check

    def wish(
        self,
        purchase: Purchase,
        principal: Principal,
        uses: tuple[GrantRef, ...] = (),
        promise: Promise | None = None,
    ) -> Wish:
        """The wish of a principal; which call it is, its rail says where there is one."""
        offer, arguments, label = purchase.offer, purchase.arguments, purchase.label
        rail, of = self._rails.selling(offer), (principal, offer.source, offer.own_key)
        meant = arguments if rail is None else rail.identity_arguments(arguments)
        identity, former = stored.identities(*of, meant, arguments)
        return Wish(
            purchase,
            principal,
            identity,
            stored.fingerprint(identity, label),
            None if former is None else stored.fingerprint(former, label),
            uses,
            promise,
        )

    async def place(self, wish: Wish) -> Order | AlreadyOpen | Undelivered | Refusal:
        """An order for this call, whether or not a person must still agree to it; or the identical call.

        What is open, or was answered and never delivered, is neither asked for its price anew, for the question may do
        the work again, nor is a person asked to pay for it: their yes would buy another call.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        purchase, offer = wish.purchase, wish.purchase.offer
        rail = self._rails.selling(offer)
        if rail is None:
            return refusals.no_rail(offer)
        known = await self._ledger.identical(wish.fingerprint) if rail.probes else None
        if known is None and wish.former is not None:
            known = await self._ledger.identical(wish.former)
        if known is not None:
            return known
        fault = rail.ready() or await self._clock_check.fault(self._rails.witness_of(rail))
        if fault is None and rail.probes:
            # Who must not be bought from is not asked for a price.
            fault = forbids(self._policy, offer, purchase.tool, self._clock.now())
        if fault is not None:
            return fault
        found: Quote | Free | Refusal | None = (
            None if wish.promise is None else wish.promise.quote_at(self._clock.now())
        )
        if found is None:
            found = await rail.quote(offer, purchase.arguments)
        order = found if isinstance(found, Refusal) else self._authorise(wish, rail, found)
        if isinstance(order, Refusal) or order.answer is not None:
            return order
        if wish.promise is not None:
            # What is asked of a person is what was promised, and no more.
            order = wish.promise.keep(order)
            if isinstance(order, Refusal):
                return order
        because = await self._because(order)
        known = await self._ledger.identical(wish.fingerprint) if because is not None else None
        return known or (order if because is None else replace(order, because=because))

    def _authorise(self, wish: Wish, rail: Rail, found: Quote | Free) -> Order | Refusal:
        quote, answer = (found, None) if isinstance(found, Quote) else (_nothing(found), found.answer)
        permit = authorise(
            self._policy,
            wish.purchase.offer,
            wish.purchase.tool,
            quote,
            now=self._clock.now(),
            principal=wish.principal,
            session=self._ledger.session,
            most_per_call=rail.most_per_call,
        )
        if isinstance(permit, Refusal):
            return permit
        order, most = Order(wish, rail, quote, permit, uses=wish.uses, answer=answer), wish.purchase.most
        if most is None:
            return order
        return refusals.above_maximum(quote, most) if quote.amount > most else order.at_most(most)

    async def _because(self, order: Order) -> str | None:
        """Why a person must agree to it, or None."""
        quote, hold = order.quote, order.permit.hold
        if quote.because is not None:
            return quote.because
        if self._policy.needs_approval(hold):
            return (
                f"A call that may cost {format_usdc(hold)} USDC needs the approval of a person, for the setting "
                f"mandate.approve_above_usdc is {format_usdc(self._policy.approve_above or ZERO)}."
            )
        if not self._policy.approve_new_payees:
            return None
        if not await self._ledger.has_paid(order.wish.principal, order.rail.name, quote.account, quote.payee):
            payee = quote.payee or "the Hub itself"
            return (
                f"Nothing was ever bought from {payee} before, which needs the approval of a person, for the setting "
                "mandate.approve_new_payees is true."
            )
        return None


def _nothing(found: Free) -> Quote:
    return Quote(ZERO, QuoteKind.EXACT, found.payee, found.account)
