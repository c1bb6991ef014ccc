"""The rules of a sale: who asks, may they, is it sound, was it done, who pays (JECP 01-protocol §3 to §6).

One call id of an agent is worked on once at a time: others under it wait and get the same answer. Money moves only
after the work is done, in one transaction with the answer that is kept for repeats.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jecp_mcp import jsontext
from jecp_mcp.errors import SettingsError, WireError
from jecp_mcp.money import MicroUSDC, format_usdc
from jecp_mcp.sandbox.call_request import Call, read_call
from jecp_mcp.sandbox.catalog import Catalog, Listing, Offer, read_catalog_file
from jecp_mcp.sandbox.config import SandboxConfig
from jecp_mcp.sandbox.dialect import Dialect
from jecp_mcp.sandbox.error_answers import Refused, Reply, refusal_reply
from jecp_mcp.sandbox.fault_injection import Fault, FaultQueue
from jecp_mcp.sandbox.hub_database import (
    Agent,
    HubDatabase,
    Receipt,
    Sale,
    StoredAnswer,
)
from jecp_mcp.sandbox.payments import Payments
from jecp_mcp.sandbox.pricing import usd
from jecp_mcp.sandbox.provenance_check import check_provenance
from jecp_mcp.sandbox.success_answers import (
    Parts,
    encode,
    output_text,
    success,
    sunset_headers,
    sunset_refusal,
)
from jecp_mcp.wire.jecp.codes import CODES
from jecp_mcp.wire.jecp.tiers import TIERS

if TYPE_CHECKING:
    from jecp_mcp.sandbox.work import Work

WORKERS = 4
INLINE_SECONDS = 0.002
"""Work that takes less than this is done on the spot: a thread's hand-over and the wait for the lock cost as much."""
INLINE_BYTES = 16 * 1024
_SWEEP_EVERY = 1_000


@dataclass(slots=True)
class Claim:
    """A call id being worked on; `outcome` is what everyone waiting under it gets."""

    digest: bytes
    streaming: bool
    outcome: asyncio.Future[Reply]


@dataclass(frozen=True, slots=True)
class AcceptedCall:
    """A call that passed every check and may be worked on. `free` says that a free call pays for it."""

    call: Call
    agent: Agent
    listing: Listing
    offer: Offer
    free: bool
    headers: Mapping[str, str]


class Hub:
    """A sandbox Hub's rules over its books and its catalog."""

    def __init__(self, config: SandboxConfig) -> None:
        """Open the books and put up the catalog.

        Raises:
            SettingsError: the data file or the catalog file cannot be used.
        """
        # Imported here, where the Hub is made: importing the app must not cost the work's modules.
        from jecp_mcp.sandbox import work

        self.config, self.clock = config, config.clock
        self.work = work
        self.faults = FaultQueue()
        self.catalog = Catalog(work.builtins(), work.manifests(self.clock.now()))
        self.database = HubDatabase(config.data)
        self.payments = Payments(self.database)
        self._publish_further(config)
        self.database.sweep(self.clock.now())
        self.agent_id, self.api_key = self.database.default_agent(
            config.opening_balance, config.free_calls, self.clock.now()
        )
        self._claims: dict[tuple[str, str], Claim] = {}
        self._durations: dict[tuple[str, str], float] = {}
        self._calls_until_sweep = _SWEEP_EVERY
        self.workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="sandbox-work")

    def close(self) -> None:
        """Let go of the file and the threads."""
        self.workers.shutdown(wait=False, cancel_futures=True)
        self.database.close()

    async def invoke(
        self, dialect: Dialect, headers: Mapping[str, str], body: bytes, *, accepts_stream: bool
    ) -> Reply | tuple[AcceptedCall, Claim, Fault | None] | tuple[Call, StoredAnswer]:
        """Answer a request for work.

        Returns:
            The whole answer; or a call whose stream is now to be driven, its claim to be released at the end; or a
            call whose kept answer is to be streamed again.

        Raises:
            DropConnection: a fault closes the connection instead.
        """
        call_id: str | None = None
        try:
            call = read_call(body, dialect, accepts_stream=accepts_stream)
            call_id = call.call_id
            name = call.capability.partition("@")[0]
            names = (f"{name}:{call.action}", name, "*", f"/v1/{dialect.endpoint}")
            fault = self.faults.take(names, headers.get("x-agent-id"))
            if fault is not None:
                instead = await fault.answer_instead(dialect, call_id, streaming=call.streaming)
                if instead is not None:
                    return instead
            answer = await self._answer(call, headers, fault)
        except Refused as refused:
            return refusal_reply(refused, dialect, call_id)
        if fault is not None and isinstance(answer, Reply):
            return fault.replace_answer(answer, dialect, call_id)
        return answer

    async def _answer(
        self, call: Call, headers: Mapping[str, str], fault: Fault | None
    ) -> Reply | tuple[AcceptedCall, Claim, Fault | None] | tuple[Call, StoredAnswer]:
        at = self.clock.now()
        agent = self.authenticate(call.dialect, headers, call.mandate_credentials)
        check_provenance(self.database, call, agent, at)
        self._check_rate(agent, ((agent.agent_id, self._limit(agent)),), at)
        key = (agent.agent_id, call.call_id)
        earlier = await self._earlier_answer(call, key)
        if earlier is not None:
            return earlier
        claim = Claim(call.digest, call.streaming, asyncio.get_running_loop().create_future())
        self._claims[key] = claim
        try:
            accepted = self._admit(call, agent, at)
            if call.streaming:
                return accepted, claim, fault
            reply = await self._perform(accepted)
        except Refused as refused:
            reply = refusal_reply(refused, call.dialect, call.call_id)
        except BaseException:
            # Stopped from outside, or a bug: whichever, nobody may wait for this claim any longer.
            self.release(key, claim, None)
            raise
        self.release(key, claim, reply)
        return reply

    async def _earlier_answer(self, call: Call, key: tuple[str, str]) -> Reply | tuple[Call, StoredAnswer] | None:
        """What an earlier request under this id was or will be answered; None when this is the first.

        Raises:
            Refused: the earlier one was another request, or is a stream still open.
        """
        while True:
            stored = self.database.answer(*key, self.clock.now())
            claim = self._claims.get(key)
            digest = stored.digest if stored is not None else claim.digest if claim is not None else call.digest
            if digest != call.digest:
                raise Refused(
                    "DUPLICATE_REQUEST",
                    "request id reused with different (capability, action, input) within the idempotency window.",
                )
            if stored is not None:
                return (call, stored) if call.streaming else Reply(200, stored.body, stored.headers)
            if claim is None:
                return None
            if claim.streaming:
                raise Refused("STREAM_IN_PROGRESS", "A stream under this id is still open.", retry_after=1)
            outcome = await asyncio.shield(claim.outcome)
            if outcome.status != 200 or not call.streaming:  # noqa: PLR2004  # HTTP OK
                return outcome

    def release(self, key: tuple[str, str], claim: Claim, outcome: Reply | None) -> None:
        """Give an agent's call id free again; `outcome` is what those waiting get, None ends their wait too."""
        self._claims.pop(key, None)
        if claim.outcome.done():
            return
        if outcome is None:
            claim.outcome.cancel()
        else:
            claim.outcome.set_result(outcome)

    # -- the checks --------------------------------------------------------------------------------------------------

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
        agent = self.database.agent(agent_id)
        now = self.clock.now()
        if agent is None and dialect.variant == "jecp":
            raise Refused("AGENT_NOT_FOUND", "There is no such agent.")
        if agent is None or not agent.holds(api_key, now):
            raise Refused("INVALID_API_KEY", "Agent authentication failed.")
        if credentials is not None and (credentials[0] != agent_id or not agent.holds(credentials[1], now)):
            raise Refused("INVALID_API_KEY", "The mandate's agent and key are not the caller's.")
        return agent

    def _limit(self, agent: Agent) -> int:
        return self.config.rate_limits_rpm[agent.tier] if agent.rate_limit_rpm is None else agent.rate_limit_rpm

    def _check_rate(self, agent: Agent, keys: tuple[tuple[str, int], ...], at: int) -> None:
        full = self.database.take_rate(keys, at)
        self._calls_until_sweep -= 1
        if self._calls_until_sweep <= 0:
            self._calls_until_sweep = _SWEEP_EVERY
            self.database.sweep(at)
        if full is None:
            return
        limit, wait = full
        raise Refused(
            "RATE_LIMITED",
            f"More than {limit} calls within a minute.",
            details={"tier": agent.tier, "limit_rpm": limit},
            retry_after=wait,
            headers={
                "x-ratelimit-limit": str(limit),
                "x-ratelimit-remaining": "0",
                "x-ratelimit-reset": str(at // 1000 + wait),
            },
        )

    def _admit(self, call: Call, agent: Agent, at: int) -> AcceptedCall:
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
        if offer.rate_limit_rpm:
            self._check_rate(agent, ((f"{agent.agent_id} {listing.id}:{offer.id}", offer.rate_limit_rpm),), at)
        free = agent.free_calls > 0 and call.dialect.variant != "invoke"
        self._check_money(call, agent, offer, free=free, at=at)
        headers = {
            "content-type": "application/json",
            "cache-control": "no-database",
            **sunset_headers(listing, call.dialect, at),
        }
        return AcceptedCall(call, agent, listing, offer, free, headers)

    def _find(self, call: Call) -> Listing:
        try:
            return self.catalog.find(call.capability)
        except Refused as refused:
            namespace, slash, _ = call.capability.partition("/")
            unknown = refused.code == "CAPABILITY_NOT_FOUND" and slash and not self.catalog.has_namespace(namespace)
            if unknown and call.dialect.name == "spec":
                raise Refused("PROVIDER_NOT_FOUND", f"No provider has the namespace '{namespace}'.") from refused
            raise

    def _check_money(self, call: Call, agent: Agent, offer: Offer, *, free: bool, at: int) -> None:
        price = offer.tariff.base
        if call.expires_at is not None and call.expires_at <= at:
            raise Refused("MANDATE_EXPIRED", "mandate.expires_at is in the past.")
        if call.budget is not None and call.budget < price:
            raise Refused(
                "INSUFFICIENT_BUDGET",
                f"Mandate budget {format_usdc(call.budget)} USDC < required {format_usdc(price)} USDC for this action.",
                details={"required_usdc": usd(price), "remaining_usdc": usd(call.budget)},
                payment=self._payment(call.dialect, price),
            )
        if not free and agent.balance < price:
            raise self._balance_too_low(call.dialect, agent.balance, price)

    def _balance_too_low(self, dialect: Dialect, balance: int, price: MicroUSDC) -> Refused:
        return Refused(
            "INSUFFICIENT_BALANCE",
            f"Wallet balance {format_usdc(balance)} USDC < required {format_usdc(price)} USDC.",
            details={
                "required_usdc": usd(price),
                "remaining_usdc": usd(balance),
                "amount_usd": usd(price),
                "amount_usdc": str(price),
                "wallet_balance_usd": usd(balance),
            },
            payment=self._payment(dialect, price),
        )

    def _payment(self, dialect: Dialect, price: MicroUSDC) -> dict[str, Any]:
        wallet = {"scheme": "stripe-wallet", "amount_usd": usd(price), "topup_url": f"{dialect.origin}/topup"}
        return {"accepts": [wallet], "ttl_seconds": 30}

    # -- the work and the money --------------------------------------------------------------------------------------

    async def _perform(self, accepted: AcceptedCall) -> Reply:
        started = time.perf_counter()
        work, output = await self.run(accepted)
        duration = int((time.perf_counter() - started) * 1000)
        _, body = self.settle(accepted, output, work.units, duration)
        return Reply(200, body, accepted.headers)

    async def run(self, accepted: AcceptedCall) -> tuple[Work, bytes]:
        """Have the work done; what it gave, and its JSON text.

        Raises:
            Refused: nobody can do it here, it cannot be done on this input, or it took too long.
        """
        runs = accepted.offer.runs
        if runs is None:
            raise Refused("PROVIDER_UNREACHABLE", "Provider endpoint unreachable: the sandbox calls no one.")

        def do() -> tuple[Work, bytes]:
            began = time.perf_counter()
            work = self.work.run(*runs, accepted.call.arguments)
            output = output_text(work, accepted.offer)
            took = time.perf_counter() - began
            self._durations[runs] = (self._durations.get(runs, took) + took) / 2
            return work, output

        try:
            if accepted.call.size <= INLINE_BYTES and self._durations.get(runs, INLINE_SECONDS) < INLINE_SECONDS:
                return do()
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(accepted.offer.timeout_seconds):
                return await loop.run_in_executor(self.workers, do)
        except self.work.WorkFailed as failed:
            raise work_refusal(failed.code, failed.message) from failed
        except TimeoutError as exc:
            raise Refused("PROVIDER_TIMEOUT", "The provider did not answer in time.") from exc

    def settle(
        self, accepted: AcceptedCall, output: bytes, units: Mapping[str, int], duration_ms: int
    ) -> tuple[Parts, bytes]:
        """Charge for work done and keep its answer, in one transaction; the envelope and its text.

        Raises:
            Refused: the wallet was emptied meanwhile; nothing is charged.
        """
        call, price = accepted.call, accepted.offer.tariff.charge(units, accepted.call.budget)
        written: list[Parts] = []

        def render(receipt: Receipt) -> bytes:
            parts = success(call, accepted.listing, receipt, output, units=units, duration_ms=duration_ms)
            written.append(parts)
            return encode(parts)

        for free in (True, False) if accepted.free else (False,):
            sale = Sale(
                accepted.agent.agent_id, call.call_id, call.digest, accepted.listing.id, call.action, price, free,
                dict(accepted.headers),
            )  # fmt: skip
            body = self.database.settle(sale, self.clock.now(), render)
            if body is not None:
                return written[-1], body
        agent = self.database.agent(accepted.agent.agent_id)
        raise self._balance_too_low(call.dialect, agent.balance if agent else 0, price)

    # -- the catalog at run time -------------------------------------------------------------------------------------

    def _publish_further(self, config: SandboxConfig) -> None:
        """Put up the catalog file's manifests, then what was changed at run time before the last stop."""
        if config.catalog is not None:
            for position, manifest in enumerate(read_catalog_file(config.catalog)):
                try:
                    self.catalog.publish(manifest)
                except WireError as exc:
                    self.database.close()
                    raise SettingsError(str(config.catalog), f"manifests[{position}]", str(exc)) from exc
        for capability, version, text in self.database.manifests():
            if text is None:
                self.catalog.remove(capability, version)
                continue
            try:
                self.catalog.publish(jsontext.loads(text, max_bytes=len(text)))
            except WireError as exc:
                self.database.close()
                raise SettingsError(str(config.data), f"{capability}@{version}", str(exc)) from exc


def work_refusal(code: str, message: str) -> Refused:
    """The refusal of work that cannot be done on its input."""
    if code in CODES:
        return Refused(code, message)
    return Refused("VALIDATION_FAILED", message, details={"reason": code, "errors": [{"path": "", "reason": message}]})
