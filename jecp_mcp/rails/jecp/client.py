"""One Hub over HTTP: discovery, invoking, and the account. The one place that attaches the agent's key.

What comes back is read without it: a Hub or a proxy that repeats a request in its answer does not bring the key into
results, the ledger or the model's view.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Final, Protocol, TypeVar

from jecp_mcp.clock import Clock, UnixMs
from jecp_mcp.errors import HubError, WireError
from jecp_mcp.http import ExchangeFailed, HttpAnswer, HttpStream
from jecp_mcp.rails.jecp.hub_time import HubTime
from jecp_mcp.settings import Credentials
from jecp_mcp.wire import account
from jecp_mcp.wire.forms import Refusal
from jecp_mcp.wire.guide import ALTERNATIVE_PATHS, MAX_GUIDE_BYTES, AgentGuide, parse_guide

log = logging.getLogger(__name__)

T = TypeVar("T")

_GUIDE = "/.well-known/agent-guide.json"
_GUIDE_SECONDS: Final = 10.0
_ACCOUNT_SECONDS: Final = 20.0
_MASK: Final = b"*"
_SHORTEST_KEY: Final = 12
"""A shorter text is too common in answers to be masked, and no Hub's key."""
_NOT_FOUND: Final = 404
_OK: Final = 200


class HubRefused(HubError):
    """The Hub refused something that is not a paid call, in words of its own: `refusal`."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(refusal.code, refusal.message)


class Wire(Protocol):
    """What this module needs of `jecp_mcp.http.Http`."""

    async def exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = ...,  # noqa: ASYNC109 - as Http's
        max_bytes: int = ...,
    ) -> HttpAnswer:
        """One request and its whole answer. Raises `ExchangeFailed`."""
        ...

    def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = ...,
        max_bytes: int = ...,
    ) -> AbstractAsyncContextManager[HttpStream]:
        """One request whose answer is read as it comes. Raises `ExchangeFailed`."""
        ...


class HubClient:
    """Requests to one Hub."""

    def __init__(self, base_url: str, http: Wire, credentials: Callable[[], Credentials | None], clock: Clock) -> None:
        """Speak to the Hub at `base_url`, an origin; `credentials` is asked at each request."""
        self.origin = base_url.rstrip("/")
        self._http = http
        self._credentials = credentials
        self._clock = clock
        self.guide = AgentGuide()
        self.hub_time = HubTime(clock)

    def identity(self) -> Credentials | None:
        """The agent's credentials, if there are any."""
        return self._credentials()

    async def discover(self) -> AgentGuide:
        """Fetch the agent guide into `guide`; a Hub without a readable one keeps the protocol's defaults."""
        try:
            answer = await self._http.exchange(
                "GET",
                self.origin + _GUIDE,
                headers={"Accept": "application/json"},
                timeout=_GUIDE_SECONDS,
                max_bytes=MAX_GUIDE_BYTES,
            )
            self.hub_time.note(answer.headers)
            if answer.status == _OK:
                self.guide = parse_guide(answer.body)
        except (ExchangeFailed, WireError) as exc:
            log.info("the Hub's agent guide is not available, so the protocol's defaults hold: %s", exc)
        return self.guide

    async def post(self, path: str, body: bytes, identity: Credentials, *, seconds: float) -> HttpAnswer:
        """One authenticated request. Raises `ExchangeFailed`."""
        answer = await self._http.exchange(
            "POST", self.origin + path, headers=_headers(identity, "application/json"), body=body, timeout=seconds
        )
        self.hub_time.note(answer.headers)
        return _without_key(answer, identity)

    @asynccontextmanager
    async def open_stream(
        self, path: str, body: bytes, identity: Credentials, *, silence: float
    ) -> AsyncIterator[HttpStream]:
        """One authenticated request whose answer may be an event stream. Raises `ExchangeFailed`."""
        headers = _headers(identity, "text/event-stream, application/json;q=0.5")
        key = _key(identity)
        async with (
            self._http.stream("POST", self.origin + path, headers=headers, body=body, timeout=silence) as answer,
            aclosing(_chunks_without(answer.chunks, key)) as chunks,
        ):
            yield HttpStream(answer.status, _headers_without(answer.headers, key), chunks)

    async def register(self, name: str) -> account.Registration:
        """Make an agent account.

        Raises:
            HubError: the Hub refused, or could not be reached.
        """
        answer = await self._account("register", account.register_body(name), None)
        return self._read(account.parse_registration, answer)

    async def topup(self, amount_usd: int) -> str:
        """Open a checkout page for `amount_usd` whole USD and return its URL, unchecked.

        Raises:
            HubError: the Hub refused, could not be reached, or there are no credentials.
        """
        answer = await self._account("topup", account.topup_body(amount_usd), self._required())
        return self._read(account.parse_topup, answer).url

    async def request_refund(self, transaction_id: str, reason: str) -> account.Refund:
        """Ask for the money of one transaction back; the Hub keeps a tenth (JECP 03-errors, refunds).

        Raises:
            HubError: the Hub refused, could not be reached, or there are no credentials.
        """
        body = account.refund_body(transaction_id, reason)
        answer = await self._ask("POST", self.guide.paths["refunds"], body, self._required())
        return self._read(account.parse_refund, answer)

    async def refunds(self) -> tuple[account.Refund, ...]:
        """The refunds asked for so far.

        Raises:
            HubError: the Hub refused, could not be reached, or there are no credentials.
        """
        answer = await self._ask("GET", self.guide.paths["refunds"], None, self._required())
        return self._read(account.parse_refunds, answer)

    def _required(self) -> Credentials:
        identity = self.identity()
        if identity is None:
            raise HubError("CREDENTIALS_MISSING", "There is no agent account yet. Nothing was charged. Make one first.")
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
            answer = await self._http.exchange(
                method,
                self.origin + path,
                headers=_headers(identity, "application/json"),
                body=body,
                timeout=_ACCOUNT_SECONDS,
                max_bytes=account.MAX_ACCOUNT_BYTES,
            )
        except ExchangeFailed as exc:
            raise HubError(
                "HUB_UNREACHABLE", f"The Hub did not answer: {exc}. Nothing was charged. Try again later."
            ) from exc
        return answer if identity is None else _without_key(answer, identity)

    def _read(
        self, parse: Callable[[bytes, int, Mapping[str, str], UnixMs | None], T | Refusal], answer: HttpAnswer
    ) -> T:
        try:
            parsed = parse(answer.body, answer.status, answer.headers, self._clock.now())
        except WireError as exc:
            raise HubError(
                "HUB_MISBEHAVED", f"The Hub's answer cannot be used: {exc}. Nothing was charged. Tell the user."
            ) from exc
        if isinstance(parsed, Refusal):
            raise HubRefused(parsed)
        return parsed


def _headers(identity: Credentials | None, accept: str) -> dict[str, str]:
    headers = {"Accept": accept, "Content-Type": "application/json"}
    if identity is not None:
        headers["X-Agent-ID"] = identity.agent_id
        headers["X-API-Key"] = identity.api_key.get_secret_value()
    return headers


def _key(identity: Credentials) -> bytes:
    return identity.api_key.get_secret_value().encode()


def _without_key(answer: HttpAnswer, identity: Credentials) -> HttpAnswer:
    key = _key(identity)
    return HttpAnswer(answer.status, _headers_without(answer.headers, key), _masked(answer.body, key))


def _masked(data: bytes, key: bytes) -> bytes:
    return data.replace(key, _MASK * len(key)) if len(key) >= _SHORTEST_KEY and key in data else data


def _headers_without(headers: Mapping[str, str], key: bytes) -> Mapping[str, str]:
    return {name: _masked(value.encode(), key).decode() for name, value in headers.items()}


async def _chunks_without(chunks: AsyncIterator[bytes], key: bytes) -> AsyncGenerator[bytes, None]:
    """The same bytes with the key masked, also where it is cut in two.

    Only what may be the key's beginning is kept back until the next chunk, and no event of a stream ends in that.
    """
    kept = b""
    async for chunk in chunks:
        data = _masked(kept + chunk, key)
        begun = next((size for size in range(min(len(key) - 1, len(data)), 0, -1) if data.endswith(key[:size])), 0)
        kept = data[len(data) - begun :]
        yield data[: len(data) - begun]
    yield kept
