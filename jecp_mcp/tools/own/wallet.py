"""What the wallet can still do: what the Hub last told of it, what is left of each cap, and whether one action fits.

No Hub has an endpoint for an agent's standing: balance, trust tier and free calls come with its answers (JECP
01-protocol §4.1), some with one dialect only. What was not told is not shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import anyio

from jecp_mcp.calls import refusals
from jecp_mcp.calls.codes import APPROVAL_REQUIRED, LIMIT_REACHED
from jecp_mcp.calls.ends import charge_of
from jecp_mcp.calls.pipeline import Calls
from jecp_mcp.calls.ports import CallEnd, Caller, Charge
from jecp_mcp.calls.reader import Reader
from jecp_mcp.clock import Clock, iso
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.purchases import Principal
from jecp_mcp.domain.quotes import QuoteKind
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.caps import meters_for
from jecp_mcp.mandate.naming import names_of
from jecp_mcp.mandate.policy import Policy, bound, objections
from jecp_mcp.mandate.records import CallRow, MeterReading
from jecp_mcp.mandate.states import CHARGED, FREE, HOLDING, OPEN
from jecp_mcp.mandate.windows import Window
from jecp_mcp.money import MicroUSDC, format_usdc
from jecp_mcp.plurals import are, counted
from jecp_mcp.rails.jecp.rail import JecpRail
from jecp_mcp.tools.next_actions.selection import amount_charged
from jecp_mcp.tools.own.definitions import PAID_HTTP_PREPARE
from jecp_mcp.tools.own.hubs import Hubs
from jecp_mcp.tools.own.lifting import BALANCE_TOO_LOW, TIER_MISSING, lifted_by
from jecp_mcp.tools.own.standing import Standing, read_standing
from jecp_mcp.tools.publishing.cleaning import clean
from jecp_mcp.tools.publishing.links import hub_id
from jecp_mcp.tools.publishing.pricing import paid_with
from jecp_mcp.wire.jecp.tiers import TIER_CALLS, TIERS

_PATIENCE_SECONDS: Final = 0.5
"""How long a paid answer waits for what is left of the limits."""

_HOLDS: Final = 10
"""How many open holds are listed."""


_WINDOWS: Final[Mapping[Window, str]] = {
    Window.SESSION: "while this server runs",
    Window.HOUR: "rolling hour",
    Window.DAY: "rolling 24 hours",
    Window.MONTH: "rolling 30 days",
    Window.TOTAL: "for good",
}
_RETURNS_NOTE: Final = "returns_usdc comes back at resets_at"
_LIMITS_NOTE: Final = "Only the operator changes limits, outside the chat; a top-up does not."


class Wallet:
    """Reads the books; changes nothing."""

    def __init__(
        self,
        calls: Calls,
        policy: Policy,
        clock: Clock,
        hubs: Hubs | None = None,
        paid_by: Callable[[Offer], str | Refusal] = lambda _: "wallet",
    ) -> None:
        """Read the books of `calls`; each of the `hubs` has a wallet.

        `paid_by` says what pays for an action: ``wallet``, ``x402``, ``auto`` for the wallet first, ``bill`` for no
        wallet at all; or why it is none.
        """
        self._calls = calls
        self._hubs = hubs or Hubs()
        self._paid_by = paid_by
        self._policy = policy
        self._clock = clock

    async def overview(self, principal: Principal) -> dict[str, Any]:
        """The wallet as ``jecp_wallet`` shows it; amounts are decimal text in USDC.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        reader = self._calls.reader(principal)
        totals = await reader.totals()
        standings = await self._standings(reader)
        made: dict[str, Any] = {}
        if self._hubs.names:
            made["wallets"] = [
                {"hub": hub.called, "url": hub.client.origin, "account": hub.account.present(), **one.facts()}
                for hub, one in zip(self._hubs, standings, strict=True)
            ]
        else:
            made |= standings[0].facts()
        readings = await reader.windows()
        made["can_spend_now_usdc"] = self._spendable(readings, [one.balance for one in standings])
        general = next((cap.per_call for cap in self._policy.caps if cap.pattern is None), None)
        if general is not None:
            made["per_call_usdc"] = format_usdc(general)
        special = [
            {"limit": cap.label("per_call_usdc"), "limit_usdc": format_usdc(cap.per_call)}
            for cap in self._policy.caps
            if cap.pattern is not None and cap.per_call is not None
        ]
        made["limits"] = [*special, *(_reading(one) for one in readings)]
        rolling = [one for one in made["limits"] if "resets_at" in one]
        rest = ", the rest later" if any(one.get("returns_usdc") != one["used_usdc"] for one in rolling) else ""
        made["limits_note"] = f"{_RETURNS_NOTE}{rest}. {_LIMITS_NOTE}" if rolling else _LIMITS_NOTE
        if self._policy.expires_at is not None:
            made["expires_at"] = iso(self._policy.expires_at)
        if self._policy.approve_above is not None:
            made["approval_above_usdc"] = format_usdc(self._policy.approve_above)
        made["charged_usdc"] = format_usdc(totals.charged)
        made["held_usdc"] = format_usdc(totals.held)
        made["in_doubt_usdc"] = format_usdc(totals.in_doubt)
        # What cost nothing is no matter of the wallet's: a look-up, what was refused.
        made["calls"] = totals.calls - totals.free
        made |= await _holds(reader) | await _excessive(reader)
        if reader.trouble is not None:
            made["ledger_trouble"] = reader.trouble
        return made

    async def _standings(self, reader: Reader) -> list[Standing]:
        """How each Hub's account stands, in their order; of one Hub, as everything that is paid from here."""
        hubs = tuple(self._hubs)
        if not self._hubs.names:
            return [await read_standing(reader, None, hubs[0].account.free_calls if hubs else None)]
        return [
            await read_standing(reader, (JecpRail.name, one.client.account_id), one.account.free_calls) for one in hubs
        ]

    async def _standing(self, reader: Reader, offer: Offer, *, status: bool) -> Standing:
        """How the account stands that pays for an offer."""
        if not self._hubs.names:
            hub = next(iter(self._hubs), None)
            return await read_standing(reader, None, None if hub is None else hub.account.free_calls, status=status)
        paid_by = reader.paying(offer)
        if paid_by is None:
            return Standing()
        return await read_standing(reader, paid_by, self._hubs.paying(paid_by[1]).account.free_calls, status=status)

    def _spendable(self, readings: Sequence[MeterReading], balances: Sequence[MicroUSDC | None]) -> str | None:
        """What all calls from now on may cost together before a limit on every call, or the wallet, ends it.

        None where that is not known: what the limits leave says nothing of a wallet whose balance nobody has told.
        """
        if self._policy.expires_at is not None and self._policy.expires_at <= self._clock.now():
            return format_usdc(0)
        least = min((_left(one) for one in readings if one.meter.pattern is None), default=None)
        known = [one for one in balances if one is not None]
        if least != 0 and len(known) < len(balances):
            return None
        ends = [*([] if least is None else [least]), *([sum(known)] if len(known) == len(balances) else [])]
        return format_usdc(min(ends))

    async def balance(self, principal: Principal, offer: Offer | None = None) -> MicroUSDC | None:
        """The balance last told of the wallet that pays for an offer, or of any where none is given; or None.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        reader = self._calls.reader(principal)
        if offer is None:
            return (await read_standing(reader, None, None, status=False)).balance
        return (await self._standing(reader, offer, status=False)).balance

    async def after(
        self, end: CallEnd, bought: tuple[Offer, str] | None, caller: Caller, *, labelled: bool = False
    ) -> tuple[CallEnd, MicroUSDC | None]:
        """The end of a call with its number among the copies, and what the limits leave for further calls of its kind.

        Either is None where it is not known, or says nothing. It waits for the ledger only where the call cost less
        than was held for it, and not for long: the answer is there, and was paid for.

        Args:
            bought: the offer, and the tool's name; None where they are not known.
            labelled: whether a label tells the call from its copies.
        """
        less = end.charge is not Charge.YES or end.amount != end.reserved
        reader, left = self._calls.reader(caller.principal), None
        try:
            with anyio.fail_after(_PATIENCE_SECONDS):
                end = await reader.with_copy_number(end, labelled=labelled)
                readings = () if bought is None else await reader.windows(bought, wait=less)
                left = min((_left(one) for one in readings), default=None)
        except (LedgerError, TimeoutError):
            # The answer is told all the same.
            pass
        return end, left

    async def allowance(
        self, action: Offer, tool: str, principal: Principal, most: MicroUSDC | None = None
    ) -> dict[str, Any]:
        """Whether this action could be bought now: ``blocked_by`` has all that is against it, or is empty.

        ``lifted_by`` says of each who can lift it, ``no_approval_with`` what of ``jecp_call`` makes a person's approval
        needless, ``tier_unknown`` that it takes a trust tier which nobody knows the agent to have, ``free_call`` that a
        free call would pay for it, ``paid_with`` what pays where that is not the wallet at the Hub alone. A caps check
        without a reservation: what other calls take meanwhile is not in it.

        Args:
            most: what the call may cost at most by the model's own word, micro-USDC.
        """
        (made,) = await self.allowances([(action, tool)], principal, most)
        return made

    async def allowances(
        self, bought: Sequence[tuple[Offer, str]], principal: Principal, most: MicroUSDC | None = None
    ) -> list[dict[str, Any]]:
        """`allowance` for several actions, each with its tool's name; the books are read once."""
        try:
            reader = self._calls.reader(principal)
            readings = {one.meter.label: one for one in await reader.windows()}
            told = any(one.tier_rank or not one.payee for one, _ in bought)
            offers = {self._place(one): one for one, _ in bought}
            standings = {place: await self._standing(reader, one, status=told) for place, one in offers.items()}
        except LedgerError as exc:
            code = refusals.ledger_trouble(exc).code
            return [{"blocked_by": [code], "lifted_by": lifted_by([code])} for _ in bought]
        return [
            self._allowance(action, tool, principal, readings, standings[self._place(action)], most)
            for action, tool in bought
        ]

    def _place(self, offer: Offer) -> str:
        """Where one account pays for whatever is on offer."""
        return offer.source if self._hubs.names else ""

    def _allowance(
        self,
        action: Offer,
        tool: str,
        principal: Principal,
        readings: Mapping[str, MeterReading],
        standing: Standing,
        most: MicroUSDC | None,
    ) -> dict[str, Any]:
        balance, status = standing.balance, standing.status
        quote, hold = action.listed, self.most(action, tool)
        hold = hold if most is None else min(hold, most)
        least = quote.least(hold)
        blocked = [one.code for one in self.objections(action, tool)]
        tier = status.get("trust_tier")
        if tier is not None and TIERS.index(tier) < action.tier_rank:
            blocked.append(TIER_MISSING)
        meters = meters_for(self._policy.caps, names_of(action, tool), principal, "")
        read = [readings[meter.label] for meter in meters if meter.label in readings]
        full = next((one.meter for one in read if one.used + least > one.meter.limit), None)
        if full is not None:
            blocked.append(LIMIT_REACHED)
        free = free_call_words(action, status.get("free_calls_remaining"))
        by = self._paid_by(action)
        if isinstance(by, Refusal):
            blocked.append(by.code)
        elif by == "wallet" and free is None and balance is not None and balance < least:
            blocked.append(BALANCE_TOO_LOW)
        made: dict[str, Any] = {"blocked_by": blocked, **paid_with(by)}
        if self._policy.needs_approval(hold):
            blocked.append(APPROVAL_REQUIRED)
            if (lower := self._policy.without_approval(quote)) is not None:
                made["no_approval_with"] = {"max_usdc": format_usdc(lower)}
        if tier is None and action.tier_rank:
            earned = f", earned by {TIER_CALLS[action.tier]} calls" if action.tier in TIER_CALLS else ""
            made["tier_unknown"] = f"needs {clean(action.tier, 20, one_line=True)}{earned}"
        if full is not None:
            made["limit"] = full.label
        if blocked:
            made["lifted_by"] = lifted_by(blocked, never_room=full is not None and full.limit < least)
        return made if free is None else made | {"free_call": free}

    def objections(self, action: Offer, tool: str) -> tuple[Refusal, ...]:
        """Everything that the mandate has against an action, whatever its windows have left."""
        return objections(
            self._policy,
            action,
            tool,
            action.listed,
            now=self._clock.now(),
            most_per_call=self._calls.most_per_call(action),
        )

    def most(self, action: Offer, tool: str) -> MicroUSDC:
        """What would be held for a call of an action, micro-USDC."""
        return bound(self._policy, action, tool, action.listed, self._calls.most_per_call(action))

    def permits(self, action: Offer, tool: str) -> bool:
        """Whether the mandate lets this action be bought without asking anybody, as long as its windows have room."""
        return not self.objections(action, tool)


def free_call_words(action: Offer, left: int | None) -> str | None:
    """That a call would be one of the Hub's free ones, how many are left, and for what they count; None where not.

    They pay for the Hub's own actions alone (JECP 01-protocol §4.1), and before the wallet does.
    """
    if not left or action.payee or action.price.amount == 0:
        return None
    calls = f"{counted(left, 'free call')} {are(left)}"
    return f"This call is free: {calls} left, for the Hub's own actions only."


async def _holds(reader: Reader) -> dict[str, Any]:
    """The calls that hold money without a proven end, newest first."""
    rows = await reader.holding(limit=_HOLDS + 1)
    made: dict[str, Any] = {"open_holds": [call_summary(row) for row in rows[:_HOLDS]]}
    return made | ({"more_holds": True} if len(rows) > _HOLDS else {})


async def _excessive(reader: Reader) -> dict[str, Any]:
    """The calls for which the payee took more than they were allowed to cost; a person must look at them."""
    rows = await reader.excessive(limit=_HOLDS)
    return {"charged_too_much": [call_summary(row) for row in rows]} if rows else {}


def is_lookup(row: CallRow) -> bool:
    """Whether asking for a price brought the answer itself: nothing was bought, and nothing sent to buy it."""
    return row.state in FREE and row.answered and row.attempts == 0


def call_summary(row: CallRow) -> dict[str, Any]:
    """One call of the ledger, briefly."""
    made: dict[str, Any] = {
        "call_id": row.call_id,
        "tool": PAID_HTTP_PREPARE if is_lookup(row) else row.tool,
        # What was answered for nothing was a purchase: it only cost nothing.
        "state": "free" if row.state in FREE and row.answered else row.state.value,
        "created_at": iso(row.created_at),
    }
    if row.kind != QuoteKind.UNKNOWN:
        made["listed_usdc"] = format_usdc(row.quoted)
    made["charged"] = charge_of(row).value
    if row.state in HOLDING:
        made["held_usdc"] = format_usdc(row.held)
    if row.state in CHARGED:
        made |= amount_charged("charged_usdc", row.charged, estimated=refusals.estimated(row))
    if row.state in CHARGED and row.charged > row.held:
        made["allowed_usdc"] = format_usdc(row.held)
        made["warning"] = (
            "The payee says that it took more than this call was allowed to cost, which the operator must check."
        )
    if row.refunded:
        made["refunded_usdc"] = format_usdc(row.refunded)
    if row.awaits_ruling:
        made["warning"] = (
            "Its result is here, at a price that was not agreed to, which the operator must rule on; until then what "
            "is held counts as spent."
        )
    elif row.state in OPEN and row.provable_until is not None:
        # Until then the bridge may still find out; after that it counts as spent until the operator rules.
        made["settled_by"] = iso(row.provable_until)
    known_as = hub_id(row.reference)
    if known_as is not None:
        made["transaction_id"] = known_as
    return made


def _left(one: MeterReading) -> MicroUSDC:
    return MicroUSDC(max(0, one.meter.limit - one.used))


def _reading(one: MeterReading) -> dict[str, Any]:
    made = {
        "limit": one.meter.label,
        "window": _WINDOWS[one.meter.window],
        "limit_usdc": format_usdc(one.meter.limit),
        "used_usdc": format_usdc(one.used),
        "remaining_usdc": format_usdc(_left(one)),
    }
    if one.resets_at is not None and one.used:
        made["resets_at"], made["returns_usdc"] = iso(one.resets_at), format_usdc(one.returns)
    return made
