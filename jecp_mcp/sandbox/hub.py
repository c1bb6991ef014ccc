"""A sandbox Hub: every request for work, from its first byte to its answer (JECP 01-protocol §3 to §6).

One call id of an agent is worked on once at a time: others under it wait and get the same answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from jecp_mcp.ajp_server.signals import Bell
from jecp_mcp.errors import SettingsError
from jecp_mcp.http_gate import HttpGate
from jecp_mcp.sandbox.agents import Agent, Agents
from jecp_mcp.sandbox.background import Background
from jecp_mcp.sandbox.bulkhead import Bulkhead
from jecp_mcp.sandbox.call_checks import AcceptedCall, CallChecks
from jecp_mcp.sandbox.call_request import Call, read_call
from jecp_mcp.sandbox.catalog import Catalog
from jecp_mcp.sandbox.config import SandboxConfig
from jecp_mcp.sandbox.console.request_log import RequestLog
from jecp_mcp.sandbox.dialect import Dialect
from jecp_mcp.sandbox.error_answers import Refused, Reply, refusal_reply
from jecp_mcp.sandbox.fault_injection import Fault, FaultQueue
from jecp_mcp.sandbox.fulfilment import Fulfilment
from jecp_mcp.sandbox.hub_clock import HubClock
from jecp_mcp.sandbox.hub_database import HubDatabase
from jecp_mcp.sandbox.payments import Payments
from jecp_mcp.sandbox.provenance_check import check_provenance
from jecp_mcp.sandbox.providers.accounts import Providers
from jecp_mcp.sandbox.providers.composites import Composites
from jecp_mcp.sandbox.providers.earnings import Earnings
from jecp_mcp.sandbox.providers.forwarding import Forwarder, Told
from jecp_mcp.sandbox.providers.manifests import ProviderManifests
from jecp_mcp.sandbox.providers.txt_records import OwnZone
from jecp_mcp.sandbox.sales import Sales, StoredAnswer
from jecp_mcp.sandbox.webhooks.dispatcher import Dispatcher
from jecp_mcp.sandbox.webhooks.outbox import Outbox
from jecp_mcp.sandbox.webhooks.subscriptions import Subscriptions
from jecp_mcp.sandbox.x402_payments import (
    TAKEN_BEFORE,
    X402Payments,
    X402Switch,
    read_sent,
    receipt_header,
    requirements,
)

_AHEAD = "clock_ahead_ms"

if TYPE_CHECKING:
    from jecp_mcp.sandbox.work import Work


@dataclass(slots=True)
class Claim:
    """A call id being worked on; `outcome` is what everyone waiting under it gets, None when it broke off."""

    digest: bytes
    streaming: bool
    outcome: asyncio.Future[Reply | None]


Answer = Reply | tuple[AcceptedCall, Claim, Fault | None] | tuple[Call, StoredAnswer]
"""What a request for work comes to; see `Hub.invoke`."""


class Hub:
    """A sandbox Hub over its database and its catalog."""

    def __init__(self, config: SandboxConfig) -> None:
        """Open the database and publish the catalog.

        Raises:
            SettingsError: the data file or the catalog file cannot be used.
        """
        self.faults, self.requests = FaultQueue(), RequestLog()
        self.database = HubDatabase(config.data)
        self.bulkhead = Bulkhead(self.database)
        machine_clock = config.clock
        self.clock = HubClock(machine_clock, int(self.database.meta(_AHEAD) or 0))
        self.config = config = replace(config, clock=self.clock)
        self.subscriptions = Subscriptions(self.database)
        self.outbox = Outbox(self.database, self.subscriptions, Bell())
        self.x402 = None if config.x402 is None else X402Payments(config.x402, self.database, self.clock)
        # Connections of their own for what each pool sends: one address has so many, and slow calls may hold them all.
        self.call_gate, self.provider_gate, self.webhook_gate = (
            HttpGate(self.clock, loopback=config.loopback, resolve=config.resolve) for _ in range(3)
        )
        self.providers, self.manifests = Providers(self.database), ProviderManifests(self.database)
        self.earnings, self.zone = Earnings(self.database), OwnZone(self.database)
        self.resolve_txt = config.resolve_txt or self.zone.resolve
        # Providers compare what is signed with their own time, which nobody turns.
        self.forwarder = Forwarder(
            self.providers, self.call_gate, self.provider_gate, machine_clock, loopback=config.loopback
        )
        self.agents, self.sales = Agents(self.database), Sales(self.database, self.earnings, self.outbox)
        self.payments = Payments(self.database, self.agents, config.links, self.earnings, self.outbox)
        dispatcher = Dispatcher(self.outbox, self.webhook_gate, self.clock)
        self.background = Background(self.database, self.payments, dispatcher, self.outbox.written)
        self.fulfilment = Fulfilment(self.sales, self.agents, self.clock, self._deliver)
        now, work = self.clock.now(), self.fulfilment.work
        self.catalog = Catalog(work.builtins(), work.manifests(now))
        try:
            if config.catalog is not None:
                self.catalog.publish_file(config.catalog)
            self.catalog.restore([*self.database.manifests(), *self.manifests.for_sale()], str(config.data))
        except SettingsError:
            self.close()
            raise
        self.x402_switch = X402Switch(config.x402, self.database)
        self.checks = CallChecks(config, self.database, self.agents, self.catalog, self.x402_switch)
        self.composites = Composites(self.catalog, self.checks, self.clock, self.fulfilment.run)
        self.database.sweep(now)
        self.agent_id, self.api_key = self.agents.default_agent(config.opening_balance, config.free_calls, now)
        self._claims: dict[tuple[str, str], Claim] = {}

    def advance_clock(self, seconds: int) -> None:
        """Go ahead of everybody's time, across restarts too; what is due by then is done."""
        self.clock.advance(seconds * 1000)
        self.database.set_meta(_AHEAD, str(self.clock.ahead_ms))
        self.outbox.written.ring()

    def close(self) -> None:
        """Let go of the file and the threads."""
        self.fulfilment.close()
        self.database.close()

    async def invoke(
        self, dialect: Dialect, headers: Mapping[str, str], body: bytes, *, accepts_stream: bool
    ) -> Answer:
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
            by_x402 = ("x402",) if "x-payment" in headers else ()
            fault = self.faults.take((*names, *by_x402), headers.get("x-agent-id"))
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

    async def _answer(self, call: Call, headers: Mapping[str, str], fault: Fault | None) -> Answer:
        at = self.clock.now()
        agent = self.checks.authenticate(call.dialect, headers, call.mandate_credentials)
        # Whoever dated them knows nothing of how far this Hub's time was moved on.
        dated = self.clock.unmoved()
        self.checks.check_mandate_end(call, dated)
        check_provenance(self.database, call, agent, at, dated)
        limits = self.checks.check_rate(agent, at)
        try:
            sent = read_sent(headers, streaming=call.streaming)
            if sent is not None:
                call = call.paid_by(sent)
            answer = await self._answer_within(call, agent, at, fault)
        except Refused as refused:
            answer = refusal_reply(refused, call.dialect, call.call_id)
        return _with_headers(answer, limits)

    async def _answer_within(self, call: Call, agent: Agent, at: int, fault: Fault | None) -> Answer:
        key = (agent.agent_id, call.call_id)
        earlier = await self._earlier_answer(call, key)
        if earlier is not None:
            return earlier
        claim = Claim(call.digest, call.streaming, asyncio.get_running_loop().create_future())
        self._claims[key] = claim
        try:
            accepted = self.checks.admit(call, agent, at)
            if call.streaming:
                return accepted, claim, fault
            reply = await self._perform(accepted, fault)
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
            stored = self.sales.answer(*key, self.clock.now())
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
            if outcome is None:
                raise Refused("INTERNAL_ERROR", "The request under this id broke off; the same id can be sent again.")
            if outcome.status != 200 or not call.streaming:  # noqa: PLR2004  # HTTP OK
                return outcome

    def release(self, key: tuple[str, str], claim: Claim, outcome: Reply | None) -> None:
        """Give an agent's call id free again; `outcome` is what those waiting get, None when it broke off."""
        self._claims.pop(key, None)
        if not claim.outcome.done():
            claim.outcome.set_result(outcome)

    async def _deliver(self, accepted: AcceptedCall) -> tuple[Work, bytes]:
        """What no work of the sandbox's own does: its steps do, or its provider."""
        if accepted.offer.raw.get("composes") is not None:
            return await self.composites.run(accepted)
        return await self.forwarder.call(accepted)

    def stream(self, accepted: AcceptedCall) -> AsyncGenerator[Told, None]:
        """What the provider of a streaming call tells of it, and at the end what it gave."""
        return self.forwarder.stream(accepted)

    async def _perform(self, accepted: AcceptedCall, fault: Fault | None) -> Reply:
        started, x402 = time.perf_counter(), None
        if accepted.call.sent is not None:
            accepted, x402 = await self._take(accepted)
            ended = (
                None if fault is None else fault.answer_after_settlement(accepted.call.dialect, accepted.call.call_id)
            )
            if ended is not None:
                return ended
        try:
            work, output = await self.fulfilment.run(accepted)
        except Refused as refused:
            if x402 is not None:
                refused.message = f"{refused.message.rstrip('.')}. {TAKEN_BEFORE}"
            raise
        duration = int((time.perf_counter() - started) * 1000)
        await self.turn_to_settle()
        _, body = self.fulfilment.settle(accepted, output, work, duration, self.checks.asked, x402)
        # Those waiting get it too, when this turn of the loop is over: no receipt for a sale that is gone again.
        await self.database.durable()
        return Reply(200, body, accepted.headers, durable=True)

    async def turn_to_settle(self) -> None:
        """Wait until a call whose work is done may use the books: many may be done at once."""
        await self.bulkhead.pools["invoke"].turns.take("settle")

    async def _take(self, accepted: AcceptedCall) -> tuple[AcceptedCall, dict[str, Any]]:
        """Take the payment that came along; the call with its receipt, and ``billing.x402``."""
        call, offer = accepted.call, accepted.offer
        assert self.x402 is not None, "a payment passed the checks"
        assert call.sent is not None, "there is a payment"
        price, origin = offer.tariff.base, call.dialect.origin
        entry = requirements(self.x402.accepted, accepted.listing.id, offer.id, price, origin)
        settled = await self.x402.settle(call.sent, entry, accepted.agent.agent_id, call.call_id)
        name, value = receipt_header(settled)
        return replace(accepted, headers={**accepted.headers, name.lower(): value}), self.x402.receipt(settled)


def _with_headers(answer: Answer, headers: Mapping[str, str]) -> Answer:
    if isinstance(answer, Reply):
        return replace(answer, headers={**answer.headers, **headers})
    if len(answer) == 2:  # noqa: PLR2004  # a kept answer, to be streamed again
        call, stored = answer
        return call, stored._replace(headers={**stored.headers, **headers})
    accepted, claim, fault = answer
    return replace(accepted, headers={**accepted.headers, **headers}), claim, fault
