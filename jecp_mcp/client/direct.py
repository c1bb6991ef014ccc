"""Calls of a program without a mandate: each goes to the Hub as it is, and nothing of it is written down."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

from jecp_mcp.client.orders import Amount, Order, RailOf, Unwritten, budget_of, payload_of
from jecp_mcp.client.results import InvokeResult, result_of
from jecp_mcp.client.streams import JecpStream, OneStream
from jecp_mcp.clock import Clock, UnixMs
from jecp_mcp.http import ExchangeFailed
from jecp_mcp.rails.base import OpenCall, StoredRequest, new_call_id
from jecp_mcp.rails.jecp.client import HubClient, mask_of
from jecp_mcp.rails.jecp.outcome import conclude
from jecp_mcp.rails.jecp.payload import pack
from jecp_mcp.rails.jecp.rail import JecpRail
from jecp_mcp.rails.jecp.schedule import provable_until
from jecp_mcp.rails.jecp.stream import SILENCE_SECONDS, lost
from jecp_mcp.wire.jecp.envelope import with_mandate
from jecp_mcp.wire.jecp.guide import AgentGuide
from jecp_mcp.wire.jecp.provenance import build

Bought = tuple[str, str, Mapping[str, Any]]
"""The capability, the action, and its arguments."""


class DirectCalls:
    """The calls of one client that has no mandate."""

    def __init__(
        self,
        hub: HubClient,
        guide: Callable[[], Awaitable[AgentGuide]],
        rail_of: RailOf,
        seconds: float,
        clock: Clock,
    ) -> None:
        """Buy at `hub`; one attempt of a call may take `seconds`."""
        self._hub, self._guide, self._rail_of = hub, guide, rail_of
        self._seconds, self._clock = seconds, clock

    async def invoke(
        self,
        bought: Bought,
        budget: Amount | None,
        expires_at: UnixMs | None,
        request_id: str | None,
        *,
        replay: bool,
        seconds: float | None,
    ) -> InvokeResult:
        """Buy one call, or find out about it; the arguments are those of `JecpClient.invoke`.

        Raises:
            JecpError: it was refused or not answered.
            ValueError: the request could not be written.
        """
        order = await self._order(bought, budget, expires_at, request_id, seconds)
        call_id, payload = order.call_id, pack(order.payload)
        request = StoredRequest(JecpRail.name, self._hub.account_id, call_id, order.budget, payload, order.until)
        rail = self._rail_of(call_id, None)
        call = OpenCall(request, attempts=int(replay))
        ended = await (rail.find_out if replay else rail.execute)(call, Unwritten())
        return result_of(ended, call_id)

    @asynccontextmanager
    async def stream(
        self, bought: Bought, budget: Amount | None, expires_at: UnixMs | None, request_id: str | None
    ) -> AsyncGenerator[JecpStream, None]:
        """Buy one call and hear of it while it runs; the arguments are those of `JecpClient.stream`.

        Raises:
            JecpError: it was refused or could not be sent.
            ValueError: the request could not be written.
        """
        order = await self._order(bought, budget, expires_at, request_id, SILENCE_SECONDS)
        call_id, hold, payload, identity = order.call_id, order.budget, order.payload, self._hub.identity()
        assert identity is not None, "a program gives its agent's key"
        key, now = identity.api_key.get_secret_value(), self._clock.now()
        proof = build(identity.agent_id, key, at=now, nonce=secrets.token_hex(16)) if payload.provenance else None
        body = with_mandate(
            payload.body,
            agent_id=identity.agent_id,
            api_key=key,
            budget=hold,
            expires_at=order.until,
            provenance_hash=proof,
        )
        opening = self._hub.open_stream(
            payload.path, body, identity, silence=SILENCE_SECONDS, before_sending=Unwritten().sending
        )
        try:
            async with opening as answer:
                one = OneStream(answer, call_id, hold, self._clock.now(), mask_of(identity))
                made = JecpStream(lambda: call_id, one.events())
                async with aclosing(made):
                    yield made
        except ExchangeFailed as exc:
            result_of(conclude([lost(exc)], replay=False, budget=hold), call_id)

    async def _order(
        self,
        bought: Bought,
        budget: Amount | None,
        expires_at: UnixMs | None,
        request_id: str | None,
        seconds: float | None,
    ) -> Order:
        """A call as it is to leave; `seconds` is for one attempt, None for what the client grants."""
        guide, call_id = await self._guide(), request_id or new_call_id()
        payload = payload_of(guide, call_id, *bought, seconds or self._seconds)
        until = provable_until(self._clock.now(), guide.idempotency_window_seconds)
        return Order(call_id, budget_of(budget), payload, until if expires_at is None else min(until, expires_at))
