"""One Hub over HTTP: discovery, invoking, and the account. The one place that attaches the agent's key.

What comes back is read without it (`mask_of`; headers are masked here): a Hub or a proxy that repeats a request in its
answer does not bring the key into results, the ledger or the model's view.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Final, Protocol, TypeVar
from urllib.parse import quote

from jecp_mcp.clock import Clock
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import PayeeError, WireError
from jecp_mcp.http import BeforeSending, ExchangeFailed, HttpAnswer, HttpStream
from jecp_mcp.masking import Mask
from jecp_mcp.rails.jecp.codes import CREDENTIALS_MISSING, HUB_MISBEHAVED, HUB_UNREACHABLE
from jecp_mcp.rails.jecp.hub_time import HubTime
from jecp_mcp.rails.jecp.reachability import Reachability
from jecp_mcp.settings import Credentials, check_hub_url
from jecp_mcp.wire.jecp import account
from jecp_mcp.wire.jecp.guide import ALTERNATIVE_PATHS, MAX_GUIDE_BYTES, AgentGuide, parse_guide
from jecp_mcp.wire.jecp.hub_answer import MAX_ANSWER_BYTES, HubAnswer
from jecp_mcp.wire.jecp.subscriptions import (
    Subscription,
    parse_subscription,
    parse_subscriptions,
    parse_test,
    subscription_body,
)

log = logging.getLogger(__name__)

T = TypeVar("T")
Parse = Callable[[HubAnswer], T | Refusal]

_GUIDE = "/.well-known/agent-guide.json"
_GUIDE_SECONDS: Final = 10.0
_ACCOUNT_SECONDS: Final = 20.0
_NOT_FOUND: Final = 404
_OK: Final = 200
_SERVER_ERROR: Final = 500
_ASK_AGAIN: Final = frozenset({408, 425, 429})
"""Answers below `_SERVER_ERROR` that say nothing of whether there is a guide."""


class HubRefused(PayeeError):
    """The Hub refused something that is not a paid call, in words of its own: `refusal`."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(refusal.code, refusal.message)


class Exchange(Protocol):
    """What a catalog needs of `jecp_mcp.http.Http`."""

    async def exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = ...,  # noqa: ASYNC109 - as Http's
        max_bytes: int = ...,
        before_sending: BeforeSending | None = ...,
    ) -> HttpAnswer:
        """One request and its whole answer. Raises `ExchangeFailed`."""
        ...


class Wire(Exchange, Protocol):
    """What a Hub's client needs of it."""

    def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = ...,
        max_bytes: int = ...,
        before_sending: BeforeSending | None = ...,
    ) -> AbstractAsyncContextManager[HttpStream]:
        """One request whose answer is read as it comes. Raises `ExchangeFailed`."""
        ...


def account_name(origin: str, identity: Credentials | None) -> str:
    """Who pays at a Hub, as the ledger names it: the Hub's origin and the agent's id."""
    return f"{origin} {identity.agent_id if identity is not None else '-'}"


class HubClient:
    """Requests to one Hub."""

    def __init__(self, base_url: str, http: Wire, credentials: Callable[[], Credentials | None], clock: Clock) -> None:
        """Speak to the Hub at `base_url`, an origin however it is written; `credentials` is asked at each request.

        `guide_known` tells whether the Hub answered for its guide, be it to say that there is none; `reachability`,
        whether it answers at all.
        """
        self.origin = check_hub_url(base_url)
        self._http = http
        self._credentials = credentials
        self._clock = clock
        self.guide = AgentGuide()
        self.guide_known = False
        self.hub_time = HubTime(clock)
        self.reachability = Reachability(clock)

    def identity(self) -> Credentials | None:
        """The agent's credentials, if there are any."""
        return self._credentials()

    @property
    def account_id(self) -> str:
        """Who pays at this Hub, as the ledger names it."""
        return self.account_of(self._credentials())

    def account_of(self, identity: Credentials | None) -> str:
        """The account of an agent at this Hub: its origin and the agent's id."""
        return account_name(self.origin, identity)

    async def discover(self) -> AgentGuide:
        """As `consult`, where an answer can be waited for until later: what is known of the guide stays."""
        try:
            await self.consult()
        except PayeeError as exc:
            log.info("the Hub's agent guide was not fetched: %s", exc)
        return self.guide

    async def consult(self) -> bool:
        """Fetch the agent guide into `guide`; a Hub without a readable one keeps the protocol's defaults.

        Returns whether the answer told the Hub's time.

        Raises:
            PayeeError: the Hub could not be reached, or does not say now whether it has a guide.
        """
        try:
            answer = await self._http.exchange(
                "GET",
                self.origin + _GUIDE,
                # Its date is what this machine's clock is judged by, so a cache must ask the Hub first.
                headers={"Accept": "application/json", "Cache-Control": "no-cache"},
                timeout=_GUIDE_SECONDS,
                max_bytes=MAX_GUIDE_BYTES,
            )
        except ExchangeFailed as exc:
            raise _no_answer(str(exc)) from exc
        told = self.hub_time.note(answer.headers)
        if answer.status >= _SERVER_ERROR or answer.status in _ASK_AGAIN:
            raise _no_answer(f"it answered {answer.status} instead of its agent guide")
        try:
            if answer.status == _OK:
                self.guide = parse_guide(answer.body)
        except WireError as exc:
            log.info("the Hub's agent guide cannot be read, so the protocol's defaults hold: %s", exc)
        self.guide_known = True
        return told

    async def post(
        self,
        path: str,
        body: bytes,
        identity: Credentials,
        *,
        seconds: float,
        before_sending: BeforeSending | None,
        payment: str | None = None,
    ) -> HttpAnswer:
        """One authenticated request, with the ``X-Payment`` that pays for it, if one does. Raises `ExchangeFailed`."""
        paying = {} if payment is None else {"X-Payment": payment}
        answer = await self._http.exchange(
            "POST",
            self.origin + path,
            headers=_headers(identity, "application/json") | paying,
            body=body,
            timeout=seconds,
            before_sending=before_sending,
        )
        self.hub_time.note(answer.headers)
        return replace(answer, headers=_headers_without(answer.headers, identity))

    @asynccontextmanager
    async def open_stream(
        self, path: str, body: bytes, identity: Credentials, *, silence: float, before_sending: BeforeSending
    ) -> AsyncIterator[HttpStream]:
        """One authenticated request whose answer may be an event stream. Raises `ExchangeFailed`."""
        headers = _headers(identity, "text/event-stream, application/json;q=0.5")
        async with self._http.stream(
            "POST",
            self.origin + path,
            headers=headers,
            body=body,
            timeout=silence,
            before_sending=before_sending,
        ) as answer:
            yield replace(answer, headers=_headers_without(answer.headers, identity))

    async def register(
        self, name: str, *, agent_type: str = "mcp", description: str | None = None
    ) -> account.Registration:
        """Make an agent account.

        Raises:
            PayeeError: the Hub refused, or could not be reached.
        """
        body = account.register_body(name, agent_type=agent_type, description=description)
        answer = await self._account("register", body, None)
        return self._read(account.parse_registration, answer, None)

    async def topup(self, amount_usd: int, return_to: str | None = None) -> account.TopupSession:
        """Open a checkout page for `amount_usd` whole USD; its URL is unchecked.

        Raises:
            PayeeError: the Hub refused, could not be reached, or there are no credentials.
        """
        identity = self._required()
        answer = await self._account("topup", account.topup_body(amount_usd, return_to), identity)
        return self._read(account.parse_topup, answer, identity)

    async def rotate_key(self, grace_seconds: int | None = None) -> account.KeyRotation:
        """Have the key replaced by a new one, which this client does not take up by itself.

        Raises:
            PayeeError: the Hub refused, could not be reached, or there are no credentials.
        """
        identity = self._required()
        answer = await self._ask("POST", self.guide.paths["rotate_key"], account.rotation_body(grace_seconds), identity)
        return self._read(account.parse_rotation, answer, identity)

    async def request_refund(self, transaction_id: str, reason: str, evidence_url: str | None = None) -> account.Refund:
        """Ask for the money of one transaction back; the Hub keeps a tenth (the reference Hub's rule, not JECP's).

        Raises:
            PayeeError: the Hub refused, could not be reached, or there are no credentials.
        """
        body, identity = account.refund_body(transaction_id, reason, evidence_url), self._required()
        answer = await self._ask("POST", self.guide.paths["refunds"], body, identity)
        return self._read(account.parse_refund, answer, identity)

    async def refund(self, refund_id: str) -> account.Refund:
        """How one refund stands.

        Raises:
            PayeeError: the Hub refused, could not be reached, or there are no credentials.
        """
        identity = self._required()
        answer = await self._ask("GET", f"{self.guide.paths['refunds']}/{_quoted(refund_id)}", None, identity)
        return self._read(account.parse_refund, answer, identity)

    async def refunds(self) -> tuple[account.Refund, ...]:
        """The refunds asked for so far.

        Raises:
            PayeeError: the Hub refused, could not be reached, or there are no credentials.
        """
        identity = self._required()
        answer = await self._ask("GET", self.guide.paths["refunds"], None, identity)
        return self._read(account.parse_refunds, answer, identity)

    async def subscribe(self, endpoint_url: str, events: Sequence[str]) -> Subscription:
        """Have an endpoint told of events; none named means all.

        Raises:
            PayeeError: the Hub refused, could not be reached, or there are no credentials.
        """
        body = subscription_body(endpoint_url, events)
        return await self._subscription("POST", "", body, parse_subscription)

    async def subscriptions(self) -> tuple[Subscription, ...]:
        """What is told to whom.

        Raises:
            PayeeError: the Hub refused, could not be reached, or there are no credentials.
        """
        return await self._subscription("GET", "", None, parse_subscriptions)

    async def change_subscription(
        self, subscription_id: str, endpoint_url: str | None, events: Sequence[str] | None, status: str | None
    ) -> Subscription:
        """Change what is given of a subscription.

        Raises:
            PayeeError: the Hub refused, could not be reached, or there are no credentials.
        """
        body = subscription_body(endpoint_url, events, status)
        return await self._subscription("PATCH", f"/{_quoted(subscription_id)}", body, parse_subscription)

    async def unsubscribe(self, subscription_id: str) -> Subscription:
        """End a subscription.

        Raises:
            PayeeError: the Hub refused, could not be reached, or there are no credentials.
        """
        path = f"/{_quoted(subscription_id)}"
        return await self._subscription("DELETE", path, None, parse_subscription)

    async def test_subscription(self, subscription_id: str) -> str:
        """Have a synthetic event sent; gives its id.

        Raises:
            PayeeError: the Hub refused, could not be reached, or there are no credentials.
        """
        return await self._subscription("POST", f"/{_quoted(subscription_id)}/test", None, parse_test)

    async def _subscription(self, method: str, below: str, body: bytes | None, parse: Parse[T]) -> T:
        identity = self._required()
        answer = await self._ask(method, self.guide.paths["subscriptions"] + below, body, identity)
        return self._read(parse, answer, identity)

    def _required(self) -> Credentials:
        identity = self.identity()
        if identity is None:
            raise PayeeError(CREDENTIALS_MISSING, "There is no agent account yet. Nothing was charged. Make one first.")
        return identity

    async def _account(self, name: str, body: bytes, identity: Credentials | None) -> HttpAnswer:
        """Ask on the guide's path and, where there is no such path, on the other dialect's."""
        answer = await self._ask("POST", self.guide.paths[name], body, identity)
        other = ALTERNATIVE_PATHS[name]
        if answer.status != _NOT_FOUND or b"AGENT_NOT_FOUND" in answer.body or other == self.guide.paths[name]:
            return answer
        second = await self._ask("POST", other, body, identity)
        return answer if second.status == _NOT_FOUND else second

    async def _ask(self, method: str, path: str, body: bytes | None, identity: Credentials | None) -> HttpAnswer:
        try:
            return await self._http.exchange(
                method,
                self.origin + path,
                headers=_headers(identity, "application/json"),
                body=body,
                timeout=_ACCOUNT_SECONDS,
                max_bytes=MAX_ANSWER_BYTES,
            )
        except ExchangeFailed as exc:
            raise _no_answer(str(exc)) from exc

    def _read(self, parse: Parse[T], answer: HttpAnswer, identity: Credentials | None) -> T:
        mask = None if identity is None else mask_of(identity)
        try:
            parsed = parse(HubAnswer(answer.body, answer.status, answer.headers, self._clock.now(), mask))
        except WireError as exc:
            raise PayeeError(HUB_MISBEHAVED, f"The Hub's answer cannot be used: {exc}. Nothing was charged.") from exc
        if isinstance(parsed, Refusal):
            raise HubRefused(parsed)
        return parsed


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _no_answer(why: str) -> PayeeError:
    return PayeeError(HUB_UNREACHABLE, f"The Hub did not answer: {why}. Nothing was charged.")


def _headers(identity: Credentials | None, accept: str) -> dict[str, str]:
    headers = {"Accept": accept, "Content-Type": "application/json"}
    if identity is not None:
        headers["X-Agent-ID"] = identity.agent_id
        headers["X-API-Key"] = identity.api_key.get_secret_value()
    return headers


def mask_of(identity: Credentials) -> Mask:
    """What keeps the agent's key out of all that is read."""
    return _mask(identity.api_key.get_secret_value())


@lru_cache(maxsize=4)
def _mask(key: str) -> Mask:
    return Mask(key)


def _headers_without(headers: Mapping[str, str], identity: Credentials) -> Mapping[str, str]:
    mask = mask_of(identity)
    return {name: mask.text(value) for name, value in headers.items()}
