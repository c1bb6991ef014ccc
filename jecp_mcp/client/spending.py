"""Calls of a program that go through a mandate: looked up, reserved, sent, and concluded in the ledger.

The way of a call is `jecp_mcp.calls.pipeline`'s; here it is only wired to one Hub and to one program.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from jecp_mcp.calls.codes import LEDGER_UNAVAILABLE
from jecp_mcp.calls.pipeline import Calls
from jecp_mcp.calls.ports import CallEnd, Caller, Charge, Decision, Question, Reply
from jecp_mcp.client.catalog import Catalog
from jecp_mcp.client.error_classes import error_of, error_without_answer
from jecp_mcp.client.errors import CapabilityNotFoundError, HubUnreachableError, JecpError, RateLimitError
from jecp_mcp.client.mandate import Approve, Mandate
from jecp_mcp.client.orders import RailOf
from jecp_mcp.client.results import InvokeResult, result_of_answer
from jecp_mcp.client.streams import StreamEvent
from jecp_mcp.clock import Clock
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.outcomes import Outcome
from jecp_mcp.domain.purchases import LOCAL, Purchase
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import LedgerError
from jecp_mcp.mandate.opening import open_configured
from jecp_mcp.mandate.policy import Policy
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.base import Journal, OpenCall, Progress, new_call_id
from jecp_mcp.rails.jecp.account import HubAccount
from jecp_mcp.rails.jecp.client import HubClient
from jecp_mcp.rails.jecp.payload import PaidBy
from jecp_mcp.rails.jecp.rail import JecpRail
from jecp_mcp.rails.jecp.stream import Listener
from jecp_mcp.rails.registry import Rails, Way
from jecp_mcp.tool_names import usual_name
from jecp_mcp.wire.jecp import stream as wire
from jecp_mcp.wire.jecp.ids import split_capability

if TYPE_CHECKING:
    from jecp_mcp.rails.jecp.x402_payments import X402Payments

log = logging.getLogger(__name__)

OFFERS_SECONDS: Final = 60.0
"""How long what a capability costs is gone by: a call that costs more by then is refused by the Hub, uncharged."""

_MOST_OFFERS: Final = 256
_EVENTS: Final = 64
_MOST_OPEN: Final = 1_000
_CHARGED: Final[Mapping[Charge, bool | None]] = {Charge.YES: True, Charge.NO: False, Charge.UNKNOWN: None}


@dataclass(slots=True)
class _Watch:
    """What a program learns of its own call while the pipeline works on it."""

    hear: Listener | None = None
    call_id: str | None = None
    attempts: int = 0
    fault: Exception | None = None
    asked: Approve | None = field(default=None, repr=False)

    # The pipeline's view of whoever may be asked: `jecp_mcp.calls.ports.Asker`.
    @property
    def can_ask(self) -> bool:
        return self.asked is not None

    async def approve(self, question: Question) -> Reply:
        assert self.asked is not None, "nobody is asked who cannot be"
        try:
            agreed: object = await self.asked(question)
        except Exception as exc:  # noqa: BLE001 - it is raised to whoever called
            self.fault = exc
            return Reply(Decision.UNABLE, "the program could not ask")
        if not isinstance(agreed, bool):
            self.fault = TypeError(f"approve must say True or False, and gave {type(agreed).__name__}")
            return Reply(Decision.UNABLE, "the program said neither yes nor no")
        return Reply(Decision.ACCEPTED if agreed else Decision.DECLINED)

    async def show_link(self, purpose: str, message: str, make: Callable[[], Awaitable[str]]) -> Reply:
        del purpose, message, make
        return Reply(Decision.UNABLE, "a program opens no links")


_watch: ContextVar[_Watch | None] = ContextVar("jecp_mcp_watch", default=None)
"""Whose call a task of the pipeline works on: it inherits this from whoever asked for the call first."""


class _WatchedRail(JecpRail):
    """The rail, each of whose calls is told of to its own program."""

    def __init__(
        self,
        client: HubClient,
        make: RailOf,
        seconds: float,
        clock: Clock,
        payment: PaidBy,
        x402: Callable[[], X402Payments],
    ) -> None:
        super().__init__(client, timeout_seconds=seconds, clock=clock, random=lambda: 0.0, payment=payment, x402=x402)
        self._make = make

    async def execute(self, call: OpenCall, journal: Journal, progress: Progress | None = None) -> Outcome:
        watch, call_id = _watch.get(), call.request.call_id
        if watch is None:
            return await self._make(call_id, None).execute(call, journal, progress)
        watch.call_id = call_id
        outcome = await self._make(call_id, watch.hear).execute(call, journal, progress)
        watch.attempts = outcome.attempts
        return outcome

    async def find_out(self, call: OpenCall, journal: Journal, progress: Progress | None = None) -> Outcome:
        return await self._make(call.request.call_id, None).find_out(call, journal, progress)


class MandatedCalls:
    """The calls of one client through its mandate, while they are open."""

    def __init__(
        self,
        mandate: Mandate,
        hub: HubClient,
        catalog: Catalog,
        rail_of: RailOf,
        seconds: float,
        clock: Clock,
        payment: PaidBy,
        x402: Callable[[], X402Payments],
    ) -> None:
        """Wire them; the ledger is opened here.

        Args:
            seconds: how long one attempt of a call may take.
            payment: what calls are paid with.
            x402: gives what pays by x402, or finds out about what was paid so.

        Raises:
            ValueError: no rule of the mandate could name this Hub.
            SettingsError: the ledger's file is where other machines may share it.
            ExtraMissing: the ledger is a server's, and what speaks to it is not installed.
        """
        self._hub, self._catalog, self._clock = hub, catalog, clock
        self._called = mandate.name_of(hub.origin)
        self._approve = mandate.approve
        self._offers: dict[str, tuple[float, tuple[Offer, ...]]] = {}
        self._ledger = open_configured(mandate.ledger_settings, mandate.ledger, clock=clock)
        account = HubAccount(hub)
        rail = _WatchedRail(hub, rail_of, seconds, clock, payment, x402)
        way = Way(rail=rail, sources=(), sells=(hub.origin,), account=account, witness=account)
        self._calls = Calls(
            policy=Policy.from_settings(mandate.settings, mandate.naming(hub.origin)),
            ledger=self._ledger,
            rails=Rails((way,)),
            clock=clock,
            mint=new_call_id,
            keep_bodies_days=mandate.ledger_settings.keep_bodies_days,
        )
        self._tasks: TaskGroup | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Take calls, and finish what was left open, while the block runs."""
        try:
            async with self._calls.open(), anyio.create_task_group() as tasks:
                self._tasks = tasks
                tasks.start_soon(self._calls.keep_recovering)
                try:
                    yield
                finally:
                    tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                try:
                    await self._ledger.close()
                except LedgerError as exc:
                    log.error("the ledger could not be brought up to date while closing: %s", exc)  # noqa: TRY400 - the cause is in the message

    async def buy(
        self, capability: str, action: str, arguments: Mapping[str, Any], most: MicroUSDC | None, label: str
    ) -> InvokeResult:
        """Buy one call, unless the identical one is open or its answer never reached anybody.

        Raises:
            JecpError: it was refused, by the mandate or by the Hub, or is not answered.
        """
        offer = await self._offer(capability, action)
        return self._delivered(await self._buy(_Watch(asked=self._approve), offer, arguments, most, label))

    @asynccontextmanager
    async def stream(
        self, capability: str, action: str, arguments: Mapping[str, Any], most: MicroUSDC | None, label: str
    ) -> AsyncIterator[tuple[Callable[[], str | None], AsyncGenerator[StreamEvent, None]]]:
        """Buy one call and hear of it: what says its id once it has one, and its events with its result at the end.

        Whoever stops listening leaves the call to its end, which the identical call then brings.
        """
        offer = await self._offer(capability, action)
        send, receive = anyio.create_memory_object_stream[StreamEvent | Exception](_EVENTS)

        async def hear(event: wire.StreamEvent) -> None:
            if not isinstance(event, wire.Ending):
                await _give(send, event)

        watch = _Watch(hear, asked=self._approve)

        async def run() -> None:
            with send:
                try:
                    end: InvokeResult | Exception = await self._buy(watch, offer, arguments, most, label)
                except Exception as exc:  # noqa: BLE001 - it is raised to whoever listens
                    end = exc
                await _give(send, end)

        assert self._tasks is not None, "a client with a mandate is open"
        self._tasks.start_soon(run)
        with receive:
            yield (lambda: watch.call_id), self._heard(receive)

    async def find_out(self, call_id: str) -> InvokeResult:
        """What became of a call of this ledger; its payee is asked where that is not known.

        Raises:
            JecpError: it brought no answer.
            ValueError: there is no such call.
        """
        end = await self._calls.resolve(call_id)
        if end is None:
            raise ValueError(f"the ledger has no call {call_id[:64]!r}")
        return self._delivered(self._result(end))

    async def open_calls(self) -> tuple[str, ...]:
        """The ids of the calls that hold money without a proven end, newest first.

        Raises:
            JecpError: the ledger cannot be read.
        """
        try:
            rows = await self._calls.reader(LOCAL).holding(limit=_MOST_OPEN)
        except LedgerError as exc:
            raise error_without_answer(LEDGER_UNAVAILABLE, f"The ledger cannot be read: {exc}.") from exc
        return tuple(row.call_id for row in rows)

    async def _buy(
        self, watch: _Watch, offer: Offer, arguments: Mapping[str, Any], most: MicroUSDC | None, label: str
    ) -> InvokeResult:
        token = _watch.set(watch)
        try:
            purchase = Purchase(usual_name(offer.key), offer, arguments, most, label)
            end = await self._calls.pay(purchase, Caller(LOCAL, asker=watch if watch.can_ask else None))
        finally:
            _watch.reset(token)
        if watch.fault is not None and not end.took_effect:
            raise watch.fault
        return self._result(end, watch.attempts)

    def _result(self, end: CallEnd, attempts: int = 0) -> InvokeResult:
        charged = _CHARGED[end.charge]
        if end.answer is None:
            assert isinstance(end.refusal, Refusal), "a call ends in an answer or a refusal"
            self._offers.clear()
            raise error_of(end.refusal, charged=charged, request_id=end.call_id, mandated=True)
        assert end.call_id is not None, "what was answered has a call"
        cost = None if end.estimated or charged is None else end.amount
        return result_of_answer(end.answer, end.call_id, charged, cost, attempts)

    def _delivered(self, result: InvokeResult) -> InvokeResult:
        """Note that an answer has reached the program: the identical call is another purchase from then on."""
        self._ledger.note_delivery(result.request_id)
        return result

    async def _heard(
        self, receive: MemoryObjectReceiveStream[StreamEvent | Exception]
    ) -> AsyncGenerator[StreamEvent, None]:
        async for event in receive:
            if isinstance(event, Exception):
                raise event
            yield self._delivered(event) if isinstance(event, InvokeResult) else event

    async def _offer(self, capability: str, action: str) -> Offer:
        """What an action costs now.

        Raises:
            JecpError: the Hub does not sell it, or could not be asked.
        """
        until, offers = self._offers.get(capability, (0.0, ()))
        if self._clock.monotonic() >= until:
            offers = tuple(replace(one, source_name=self._called) for one in await self._listed(capability))
            if len(self._offers) >= _MOST_OFFERS:
                self._offers.clear()
            self._offers[capability] = self._clock.monotonic() + OFFERS_SECONDS, offers
        found = next((offer for offer in offers if offer.action == action), None)
        if found is None:
            raise error_without_answer("ACTION_NOT_FOUND", f"The Hub sells no action {action!r} of {capability}.")
        return found

    async def _listed(self, capability: str) -> tuple[Offer, ...]:
        try:
            return await self._catalog.capability(capability)
        except JecpError as exc:
            if isinstance(exc, CapabilityNotFoundError | HubUnreachableError | RateLimitError):
                raise
            # A Hub without that endpoint lists it all the same.
            wanted = split_capability(capability)
            return tuple(
                offer
                for offer in await self._catalog.offers(namespace=wanted.namespace or None)
                if offer.capability == wanted.capability and wanted.version in (None, offer.version)
            )


async def _give(send: MemoryObjectSendStream[StreamEvent | Exception], event: StreamEvent | Exception) -> None:
    try:
        await send.send(event)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        # Nobody listens any more, or the client is closing; the call itself goes on.
        return
