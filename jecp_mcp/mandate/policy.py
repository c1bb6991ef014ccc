"""May this call be bought, and what is held for it? Pure: no I/O, the instant is passed in.

Whether the windows have room is not decided here: a `Permit` names the meters, and the ledger checks and moves them
in one step with the reservation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from jecp_mcp.clock import UnixMs, iso
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.quotes import Quote, QuoteKind
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.mandate.caps import CapSet, PerCallCap, meters_for, tightest_per_call
from jecp_mcp.mandate.codes import DENIED_BY_POLICY, MANDATE_EXPIRED, PER_CALL_LIMIT, PRICE_UNKNOWN
from jecp_mcp.mandate.naming import AS_STORED, Naming, names_of
from jecp_mcp.mandate.records import Meter
from jecp_mcp.money import ZERO, MicroUSDC, format_usdc
from jecp_mcp.settings import MandateSettings
from jecp_mcp.settings.patterns import EVERYTHING_NAMED, matches, means_source
from jecp_mcp.source_names import NAMED, split_source

PROHIBITIONS: Final = frozenset({DENIED_BY_POLICY, MANDATE_EXPIRED})
"""The codes of what is not bought at any price."""


@dataclass(frozen=True, slots=True)
class Permit:
    """The mandate allows the call if every meter has room.

    Attributes:
        hold: what to hold, micro-USDC.
        meters: every window cap that applies.
    """

    hold: MicroUSDC
    meters: tuple[Meter, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """The operator's mandate, ready to decide.

    Attributes:
        caps: the general caps, then those of each pattern.
        unknown_price: what to hold, in micro-USDC, when the price is unknown; None refuses such a call.
        approve_above: amounts above this, in micro-USDC, need a person's approval; None asks nobody.
        approve_new_payees: whether the first purchase from a provider needs a person's approval.
        raise_limits_in_host: whether a person in the host may let one call past a full limit.
        expires_at: the mandate ends at this instant.
        naming: by which names the patterns mean what is stored under others.
    """

    caps: tuple[CapSet, ...]
    allow: tuple[str, ...]
    deny: tuple[str, ...]
    unknown_price: MicroUSDC | None
    approve_above: MicroUSDC | None
    expires_at: UnixMs | None
    approve_new_payees: bool = False
    raise_limits_in_host: bool = False
    naming: Naming = AS_STORED

    @classmethod
    def from_settings(cls, settings: MandateSettings, naming: Naming = AS_STORED) -> Policy:
        """Read ``[mandate]`` with its ``[[mandate.limits]]``, by what sources and payees are called now."""
        return cls(
            caps=(
                CapSet.from_settings(settings, naming),
                *(CapSet.from_settings(one, naming) for one in settings.limits),
            ),
            allow=settings.allow,
            deny=settings.deny,
            unknown_price=None if settings.unknown_price == "deny" else MicroUSDC(settings.unknown_price),
            approve_above=None if settings.approve_above_usdc is None else MicroUSDC(settings.approve_above_usdc),
            expires_at=None if settings.expires_at is None else UnixMs(settings.expires_at),
            approve_new_payees=settings.approve_new_payees,
            raise_limits_in_host=settings.raise_limits_in_host,
            naming=naming,
        )

    def allows_all_like(self, key: str) -> bool:
        """Whether nothing at the source of this key can be denied, so that it need not be looked at."""
        return not self.deny and (EVERYTHING_NAMED if NAMED in key else "*") in self.allow

    def permits(self, offer: Offer, tool: str) -> bool:
        """Whether the allow and deny patterns let this action be bought at all; deny wins.

        At a source that has a name, only a pattern that names it allows anything.
        """
        return self._permits(names_of(offer, tool), offer.key)

    def prohibitions(self, names: tuple[str, ...], key: str, now: UnixMs) -> Iterator[Refusal]:
        """Every reason why an offer is not bought at any price.

        Args:
            names: what patterns are matched against (`jecp_mcp.mandate.naming.names_of`).
            key: the offer's.
            now: the instant of the decision.
        """
        if not self._permits(names, key):
            yield _refuse(
                DENIED_BY_POLICY, f"The operator's mandate does not allow {key} to be bought.", {"action": key}
            )
        if self.expires_at is not None and now >= self.expires_at:
            yield _refuse(
                MANDATE_EXPIRED,
                f"The operator's mandate ended at {iso(self.expires_at)}.",
                {"expired_at": iso(self.expires_at)},
            )

    def _permits(self, names: tuple[str, ...], key: str) -> bool:
        source_name, _ = split_source(key)
        allowed = any(matches(one, names) for one in self.allow if means_source(one, source_name))
        return allowed and not any(matches(one, names) for one in self.deny)

    def needs_approval(self, hold: MicroUSDC) -> bool:
        """Whether a call that may cost `hold` micro-USDC needs the approval of a person."""
        return self.approve_above is not None and hold > self.approve_above

    def without_approval(self, quote: Quote) -> MicroUSDC | None:
        """The most, micro-USDC, for which a call needs nobody's approval; None where no lower maximum makes it so.

        Where a provider may be a new one, whom a person must agree to at any price, nothing is promised.
        """
        most = self.approve_above
        if not most or self.approve_new_payees or quote.kind.exact or quote.amount > most:
            return None
        return most


def forbids(policy: Policy, offer: Offer, tool: str, now: UnixMs) -> Refusal | None:
    """Why an offer is not bought at any price, or None. Its payee need not be asked then."""
    return next(policy.prohibitions(names_of(offer, tool), offer.key, now), None)


def objections(
    policy: Policy, offer: Offer, tool: str, quote: Quote, *, now: UnixMs, most_per_call: MicroUSDC
) -> tuple[Refusal, ...]:
    """Every reason why the mandate does not let a call be bought, whatever its windows have left; the first one counts.

    Args: as `authorise` has them.
    """
    return _objections(policy, offer, tool, quote, now, _cap(policy, offer, tool, most_per_call))


def _objections(
    policy: Policy, offer: Offer, tool: str, quote: Quote, now: UnixMs, cap: PerCallCap
) -> tuple[Refusal, ...]:
    found = [*policy.prohibitions(names_of(offer, tool), offer.key, now)]
    if quote.kind is QuoteKind.UNKNOWN and policy.unknown_price is None:
        found.append(
            _refuse(
                PRICE_UNKNOWN,
                f"The price of {offer.key} is unknown, and the operator's mandate buys nothing at an unknown price.",
                {"action": offer.key},
            )
        )
    elif quote.kind is not QuoteKind.UNKNOWN and quote.amount > cap.limit:
        less = " A call may come to less, but is sold only where that much is allowed."
        found.append(
            _refuse(
                PER_CALL_LIMIT,
                f"The price of {format_usdc(quote.amount)} USDC is above the limit of {format_usdc(cap.limit)} USDC "
                f"for one call ({cap.label}).{less if quote.kind is QuoteKind.FROM else ''}",
                {"price": format_usdc(quote.amount), "limit": format_usdc(cap.limit), "cap": cap.label},
            )
        )
    return tuple(found)


def bound(policy: Policy, offer: Offer, tool: str, quote: Quote, most_per_call: MicroUSDC) -> MicroUSDC:
    """The most that a call comes to which nothing is objected to, micro-USDC: what is held for it."""
    return _bound(policy, quote, _cap(policy, offer, tool, most_per_call).limit)


def _bound(policy: Policy, quote: Quote, cap: MicroUSDC) -> MicroUSDC:
    if quote.kind is QuoteKind.UNKNOWN:
        return min(policy.unknown_price or ZERO, cap)
    return cap if quote.kind is QuoteKind.FROM else quote.amount


def authorise(
    policy: Policy,
    offer: Offer,
    tool: str,
    quote: Quote,
    *,
    now: UnixMs,
    principal: str,
    session: str,
    most_per_call: MicroUSDC,
) -> Permit | Refusal:
    """Decide on one call; whether a person must approve it too is not asked here (`Policy.needs_approval`).

    Args:
        policy: the operator's mandate.
        offer: what is to be bought.
        tool: the name of the tool it was asked through; patterns may name it.
        quote: what the call costs. Where only its base is known, it is held at the tightest per-call cap.
        now: the instant of the decision.
        principal: whose budget it is.
        session: the process session, for the caps that last as long as it does.
        most_per_call: the most that one call can cost by its rail, micro-USDC.
    """
    cap = _cap(policy, offer, tool, most_per_call)
    against = _objections(policy, offer, tool, quote, now, cap)
    if against:
        return against[0]
    meters = meters_for(policy.caps, names_of(offer, tool), principal, session)
    return Permit(_bound(policy, quote, cap.limit), meters)


def _cap(policy: Policy, offer: Offer, tool: str, most_per_call: MicroUSDC) -> PerCallCap:
    cap = tightest_per_call(policy.caps, names_of(offer, tool))
    if cap is None or cap.limit > most_per_call:
        return PerCallCap(most_per_call, "the protocol's bound on a mandate")
    return cap


def _refuse(code: str, cause: str, details: dict[str, Any]) -> Refusal:
    return Refusal(code, f"{cause} Nothing was charged.", details=details, source="bridge")
