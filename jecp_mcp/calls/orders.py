"""What stands between a wish and the ledger: may this call be bought, at what price, and must a person agree?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from jecp_mcp.calls import refusals
from jecp_mcp.calls.approval import Approvals
from jecp_mcp.calls.clock_check import clock_fault
from jecp_mcp.calls.ports import Caller, Purchase, Question
from jecp_mcp.calls.stored import fingerprint, pack
from jecp_mcp.clock import Clock
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.mandate.caps import names_of
from jecp_mcp.mandate.ledger import Ledger, Reservation
from jecp_mcp.mandate.policy import Permit, Policy, authorise
from jecp_mcp.mandate.slips import Slip, SlipKind, SlipRef
from jecp_mcp.money import MicroUSDC, format_usdc
from jecp_mcp.rails.base import QuoteKind, Rail, StoredRequest


@dataclass(frozen=True, slots=True)
class Order:
    """An authorised purchase on its way to the ledger.

    Attributes:
        account: which account pays, at whom.
        source: where the offer comes from.
        quoted: the price, or for metered models its base; what is assumed where it is unknown. Micro-USDC.
        kind: what is known of the price.
        because: why a person must agree, as one sentence; None when nobody must.
        uses: the slips that paying for it uses.
    """

    purchase: Purchase
    principal: str
    account: str
    source: str
    fingerprint: str
    quoted: MicroUSDC
    kind: QuoteKind
    permit: Permit
    because: str | None = None
    uses: tuple[SlipRef, ...] = ()

    @property
    def bounded(self) -> bool:
        """Whether only the price's base is known before it is paid."""
        return self.kind is QuoteKind.FROM

    def question(self, because: str) -> Question:
        """What a person is asked."""
        action = self.purchase.action
        return Question(
            principal=self.principal,
            payee=action.namespace,
            account=self.account,
            action=action.key,
            amount=self.permit.hold,
            exact=self.kind is QuoteKind.EXACT,
            fingerprint=self.fingerprint,
            because=because,
            arguments=self.purchase.arguments,
        )

    def lifted(self, label: str, by: SlipRef) -> Order:
        """The same order, let past one limit by an approval. What it costs is counted there all the same."""
        meters = tuple(
            replace(meter, limit=MicroUSDC(_NO_LIMIT)) if meter.label == label else meter
            for meter in self.permit.meters
        )
        return replace(self, permit=Permit(self.permit.hold, meters), uses=(*self.uses, by))

    def at_most(self, hold: MicroUSDC) -> Order:
        """The same order for no more than `hold`, micro-USDC: what was promised for it."""
        permit = replace(self.permit, hold=min(self.permit.hold, hold))
        return replace(self, permit=permit, quoted=min(self.quoted, permit.hold))

    def reservation(self, request: StoredRequest, session: str) -> Reservation:
        """What the ledger is asked for."""
        action = self.purchase.action
        return Reservation(
            call_id=request.call_id,
            principal=self.principal,
            session=session,
            rail=request.rail,
            account=request.account,
            tool=self.purchase.tool,
            payee=action.namespace,
            source=self.source,
            offer=action.key,
            names=names_of(action, self.purchase.tool),
            version=action.version,
            fingerprint=self.fingerprint,
            quoted=self.quoted,
            hold=request.budget,
            meters=self.permit.meters,
            request=pack(request),
            kind=self.kind.value,
            provable_until=request.provable_until,
            uses=self.uses,
        )


_NO_LIMIT: Final = 2**53


class Orders:
    """Decides; nothing is spent, and the ledger is only read."""

    def __init__(
        self, policy: Policy, ledger: Ledger, rail: Rail, clock: Clock, unready: Callable[[], Refusal | None]
    ) -> None:
        self._policy = policy
        self._ledger = ledger
        self._rail = rail
        self._clock = clock
        self._unready = unready
        self._approvals = Approvals(ledger, clock)

    async def place(self, purchase: Purchase, caller: Caller) -> Order | Refusal:
        """An order for this call, whether or not a person must still agree to it.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        missing = self._unready()
        if missing is not None:
            return missing
        fault = await clock_fault(self._rail)
        if fault is not None:
            return fault
        action, account, source = purchase.action, self._rail.account, self._rail.source
        quote = self._rail.quote(action, purchase.arguments)
        permit = authorise(
            self._policy,
            action,
            purchase.tool,
            None if quote is None else quote.amount,
            exact=quote is not None and quote.kind is QuoteKind.EXACT,
            now=self._clock.now(),
            principal=caller.principal,
            session=self._ledger.session,
        )
        if isinstance(permit, Refusal):
            return permit
        return Order(
            purchase=purchase,
            principal=caller.principal,
            account=account,
            source=source,
            fingerprint=fingerprint(caller.principal, source, action.key, purchase.arguments),
            quoted=permit.hold if quote is None else quote.amount,
            kind=QuoteKind.UNKNOWN if quote is None else quote.kind,
            permit=permit,
            because=await self._because(purchase, caller.principal, account, permit.hold),
        )

    async def agreed(self, order: Order, caller: Caller) -> Order | Refusal:
        """The order, which needs a person's consent, with that to use; or why there is none.

        Raises:
            LedgerError: the consent cannot be kept.
        """
        assert order.because is not None
        given = await self._approvals.obtain(order.question(order.because), caller)
        return given if isinstance(given, Refusal) else replace(order, uses=(*order.uses, given))

    async def parked(self, order: Order, because: str) -> Slip | Refusal:
        """The question whether to buy it, left for a person outside the host; or why it cannot be.

        Raises:
            LedgerError: it cannot be kept.
        """
        return await self._approvals.park(order.question(because))

    async def past_limit(self, order: Order, full: Refusal, label: str, caller: Caller) -> Order | Refusal:
        """The order let past a full limit, if the operator lets this one call pass; else the refusal.

        Whoever holds the chat is asked only where the operator's settings say so.

        Raises:
            LedgerError: the consent cannot be kept.
        """
        question = order.question(f"The limit {label} is full; this one call would go past it.")
        asked = caller if self._policy.raise_limits_in_host else replace(caller, asker=None)
        given = await self._approvals.obtain(question, asked, SlipKind.LIMIT)
        if isinstance(given, SlipRef):
            return order.lifted(label, given)
        match given.code:
            case refusals.APPROVAL_REQUIRED:
                return replace(full, details={**full.details, **given.details})
            case refusals.NOT_SHOWABLE | refusals.TOO_MANY_QUESTIONS:
                # Nobody can be asked to let it past, so the limit is all there is to say.
                return full
            case _:
                return given

    async def _because(self, purchase: Purchase, principal: str, account: str, hold: MicroUSDC) -> str | None:
        namespace = purchase.action.namespace
        if self._policy.needs_approval(hold):
            return f"A call that may cost {format_usdc(hold)} USDC needs the approval of a person."
        if not self._policy.approve_new_payees:
            return None
        if not await self._ledger.has_paid(principal, self._rail.name, account, namespace):
            payee = namespace or "the Hub itself"
            return f"Nothing was ever bought from {payee} before, which needs the approval of a person."
        return None
