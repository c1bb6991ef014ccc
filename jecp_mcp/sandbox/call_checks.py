"""The checks between a request and the work: who asks, how often, for what, can it be paid (JECP 01-protocol §3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jecp_mcp.money import MicroUSDC, format_usdc
from jecp_mcp.sandbox.agents import Agent, Agents
from jecp_mcp.sandbox.call_request import Call
from jecp_mcp.sandbox.catalog import Catalog
from jecp_mcp.sandbox.config import SandboxConfig
from jecp_mcp.sandbox.dialect import Dialect
from jecp_mcp.sandbox.error_answers import Refused
from jecp_mcp.sandbox.hub_database import HubDatabase
from jecp_mcp.sandbox.listing import Listing, Offer
from jecp_mcp.sandbox.pricing import usd
from jecp_mcp.sandbox.success_answers import sunset_headers, sunset_refusal
from jecp_mcp.sandbox.x402_payments import METHOD, Accepted, X402Switch, payment_block, requirements
from jecp_mcp.wire.jecp.tiers import TIERS

_SWEEP_EVERY = 1_000
_ELSEWHERE = {"type": "discover", "hint": "Look for another action or try later. Money in the wallet does not help."}


@dataclass(frozen=True, slots=True)
class AcceptedCall:
    """A call that passed every check and may be worked on. `free` says that a free call pays for it."""

    call: Call
    agent: Agent
    listing: Listing
    offer: Offer
    free: bool
    headers: Mapping[str, str]


class CallChecks:
    """What a request must pass."""

    def __init__(
        self, config: SandboxConfig, database: HubDatabase, agents: Agents, catalog: Catalog, x402: X402Switch
    ) -> None:
        self._config, self._database, self._agents, self._catalog = config, database, agents, catalog
        self._x402 = x402
        self._calls_until_sweep = _SWEEP_EVERY

    def authenticate(
        self, dialect: Dialect, headers: Mapping[str, str], credentials: tuple[str, str] | None = None
    ) -> Agent:
        """Who asks: by the headers or, in the specification's dialect, by the mandate alone.

        Raises:
            Refused: nobody said who, or it is not so.
        """
        agent_id, api_key = headers.get("x-agent-id"), headers.get("x-api-key")
        if dialect.name == "spec" and credentials is not None and not agent_id and not api_key:
            agent_id, api_key = credentials
        if not agent_id or not api_key:
            missing = "X-API-Key" if agent_id else "X-Agent-ID"
            raise Refused("AUTH_REQUIRED", f"Missing {missing} header.")
        agent = self._agents.get(agent_id)
        now = self._config.clock.now()
        if agent is None and dialect.variant == "jecp":
            raise Refused("AGENT_NOT_FOUND", "There is no such agent.")
        if agent is None or not agent.holds(api_key, now):
            raise Refused("INVALID_API_KEY", "Agent authentication failed.")
        if credentials is not None and (credentials[0] != agent_id or not agent.holds(credentials[1], now)):
            raise Refused("INVALID_API_KEY", "The mandate's agent and key are not the caller's.")
        return agent

    def _limit(self, agent: Agent) -> int:
        return self._config.rate_limits_rpm[agent.tier] if agent.rate_limit_rpm is None else agent.rate_limit_rpm

    def check_rate(self, agent: Agent, at: int) -> dict[str, str]:
        """Count a call of the agent's; gives the headers that say how many it has left.

        Raises:
            Refused: it has made its calls of this minute.
        """
        return self._count_call(agent, ((agent.agent_id, self._limit(agent)),), at)

    def check_registrations(self, at: int) -> None:
        """Count a registration, of an agent or a provider (JECP 02-authentication §9.5).

        Raises:
            Refused: there were as many as may be within a minute.
        """
        window = self._database.take_rate((("registrations", self._config.registrations_rpm),), at)
        if window.full:
            words = f"More than {window.limit} registrations within a minute."
            raise Refused("RATE_LIMITED", words, details={"limit_rpm": window.limit}, retry_after=window.room_in)

    def check_mandate_end(self, call: Call, at: int) -> None:
        """See that a mandate has not ended: before its provenance and its budget (JECP 02-authentication §4.4).

        Raises:
            Refused: it has.
        """
        if call.expires_at is not None and call.expires_at <= at:
            raise Refused("MANDATE_EXPIRED", "mandate.expires_at is in the past.")

    def _count_call(self, agent: Agent, keys: tuple[tuple[str, int], ...], at: int) -> dict[str, str]:
        window = self._database.take_rate(keys, at)
        self._calls_until_sweep -= 1
        if self._calls_until_sweep <= 0:
            self._calls_until_sweep = _SWEEP_EVERY
            self._database.sweep(at)
        if window.full:
            raise Refused(
                "RATE_LIMITED",
                f"More than {window.limit} calls within a minute.",
                details={"tier": agent.tier, "limit_rpm": window.limit},
                retry_after=window.room_in,
                headers=window.headers(at),
            )
        return window.headers(at)

    def admit(self, call: Call, agent: Agent, at: int) -> AcceptedCall:
        """Every check between the call id and the work.

        Raises:
            Refused: the first that fails.
        """
        listing = self._find(call)
        if listing.gone(at):
            raise sunset_refusal(listing, call.dialect, at)
        offer = listing.offers.get(call.action)
        if offer is None:
            raise Refused(
                "ACTION_NOT_FOUND",
                f"action '{call.action}' is not declared in capability '{listing.id}'.",
                details={"capability": listing.id, "actions": list(listing.offers)},
            )
        if call.streaming and not offer.streaming:
            raise Refused("NOT_STREAMABLE", f"action '{call.action}' on '{listing.id}' does not stream.")
        if violations := offer.violations(call.arguments):
            raise Refused(
                "INPUT_SCHEMA_VIOLATION",
                f"input does not satisfy the schema: {violations[0]['reason']}",
                details={"capability": listing.id, "action": offer.id, "errors": violations},
            )
        self.check_trust(agent, listing, offer, call)
        self.check_action_rate(agent, listing, offer, at)
        free = agent.free_calls > 0 and call.dialect.variant != "invoke" and call.sent is None
        self._check_money(call, agent, listing, offer, free=free)
        headers = {
            "content-type": "application/json",
            "cache-control": "no-store",
            **sunset_headers(listing, call.dialect, at),
        }
        return AcceptedCall(call, agent, listing, offer, free, headers)

    def check_trust(self, agent: Agent, listing: Listing, offer: Offer, call: Call) -> None:
        """See that an agent has earned an action, on its own or as a step.

        Raises:
            Refused: it has not.
        """
        if TIERS.index(agent.tier) < TIERS.index(offer.tier):
            raise Refused(
                "INSUFFICIENT_TRUST",
                f"action '{offer.id}' requires trust tier '{offer.tier}'; you are '{agent.tier}'.",
                details={"required": offer.tier, "current": agent.tier},
            )
        if offer.tier == TIERS[-1] and listing.name.startswith("workflow") and call.provenance is None:
            raise Refused(
                "PROVENANCE_MISMATCH",
                "This workflow requires a provenance hash.",
                details={"subcause": "wire_malformed"},
            )

    def check_action_rate(self, agent: Agent, listing: Listing, offer: Offer, at: int) -> None:
        """Count a call of an action that has a limit of its own.

        Raises:
            Refused: the agent has made its calls of this minute.
        """
        if offer.rate_limit_rpm:
            self._count_call(agent, ((f"{agent.agent_id} {listing.id}:{offer.id}", offer.rate_limit_rpm),), at)

    def _find(self, call: Call) -> Listing:
        try:
            return self._catalog.find(call.capability)
        except Refused as refused:
            namespace, slash, _ = call.capability.partition("/")
            unknown = refused.code == "CAPABILITY_NOT_FOUND" and slash and not self._catalog.has_namespace(namespace)
            if unknown and call.dialect.name == "spec":
                raise Refused("PROVIDER_NOT_FOUND", f"No provider has the namespace '{namespace}'.") from refused
            raise

    def asked(self, call: Call, listing: Listing, offer: Offer) -> dict[str, Any]:
        """The ``payment`` of a refusal for want of money."""
        return _payment(call.dialect, self._x402.accepted, listing, offer)

    def _check_money(self, call: Call, agent: Agent, listing: Listing, offer: Offer, *, free: bool) -> None:
        price, methods, x402 = offer.tariff.base, offer.payment_methods, self._x402.accepted
        if call.budget is not None and call.budget < price:
            raise Refused(
                "INSUFFICIENT_BUDGET",
                f"Mandate budget {format_usdc(call.budget)} USDC < required {format_usdc(price)} USDC for this action.",
                details={"required_usdc": usd(price), "remaining_usdc": usd(call.budget)},
                payment=self.asked(call, listing, offer),
            )
        if call.sent is not None:
            if x402 is None or METHOD not in methods:
                subcause = "x402_disabled" if x402 is None else "capability_wallet_only"
                message = "This action is not paid by x402; the payment was not used."
                raise Refused("X402_NOT_ACCEPTED", message, details={"subcause": subcause})
        elif methods == [METHOD] and not free:
            raise _paid_by_x402_only(price, None if x402 is None else self.asked(call, listing, offer))
        elif not free and agent.balance < price:
            raise balance_too_low(agent.balance, price, self.asked(call, listing, offer))


def _paid_by_x402_only(price: MicroUSDC, payment: Mapping[str, Any] | None) -> Refused:
    return Refused(
        "PAYMENT_REQUIRED",
        f"This action costs {format_usdc(price)} USDC and is paid by x402 only"
        + ("." if payment is not None else ", which this Hub does not take at present."),
        details={"required_usdc": usd(price)},
        next_action=_ELSEWHERE if payment is None else payment["next_action"],
        payment=payment,
    )


def balance_too_low(balance: int, price: MicroUSDC, payment: Mapping[str, Any]) -> Refused:
    """The refusal of a call that the wallet cannot pay."""
    return Refused(
        # The one code where x402 could pay it instead (JECP 06-x402-integration §2).
        "PAYMENT_REQUIRED" if "x402Version" in payment else "INSUFFICIENT_BALANCE",
        f"Wallet balance {format_usdc(balance)} USDC < required {format_usdc(price)} USDC.",
        details={
            "required_usdc": usd(price),
            "remaining_usdc": usd(balance),
            "amount_usd": usd(price),
            "amount_usdc": str(price),
            "wallet_balance_usd": usd(balance),
        },
        payment=payment,
    )


def _payment(dialect: Dialect, x402: Accepted | None, listing: Listing, offer: Offer) -> dict[str, Any]:
    price = offer.tariff.base
    wallet = {"scheme": "stripe-wallet", "amount_usd": usd(price), "topup_url": f"{dialect.origin}/topup"}
    payable = METHOD in offer.payment_methods
    return payment_block(
        wallet if offer.payment_methods != [METHOD] else None,
        x402 if payable else None,
        {} if x402 is None else requirements(x402, listing.id, offer.id, price, dialect.origin),
    )
