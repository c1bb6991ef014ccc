"""`JecpClient`: what a Python program asks of a JECP Hub."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import anyio
from pydantic import SecretStr

from jecp_mcp.client.answers import answer_to
from jecp_mcp.client.catalog import Catalog
from jecp_mcp.client.connection import HubConnection
from jecp_mcp.client.direct import DirectCalls
from jecp_mcp.client.errors import JecpError
from jecp_mcp.client.orders import Amount, Retry, most_of
from jecp_mcp.client.results import InvokeResult
from jecp_mcp.client.streams import JecpStream
from jecp_mcp.client.subscriptions import Subscriptions
from jecp_mcp.clock import Clock, SystemClock, UnixMs
from jecp_mcp.http import Http
from jecp_mcp.rails.jecp.client import HubClient
from jecp_mcp.rails.jecp.payload import PaidBy
from jecp_mcp.rails.jecp.rail import JecpRail
from jecp_mcp.rails.jecp.stream import Listener
from jecp_mcp.settings import DEFAULT_HUB, Credentials, credential_fault
from jecp_mcp.wire.jecp.account import KeyRotation, Refund, Registration, TopupSession
from jecp_mcp.wire.jecp.guide import AgentGuide

if TYPE_CHECKING:
    from jecp_mcp.client.mandate import Mandate
    from jecp_mcp.client.spending import MandatedCalls
    from jecp_mcp.client.x402 import X402Wallet
    from jecp_mcp.rails.jecp.x402_payments import X402Payments


class JecpClient(HubConnection):
    """Without a mandate of the caller's own, no spending limit of ours applies here: each call may cost its `budget`.

    One agent at one Hub::

        async with JecpClient(agent_id, api_key) as hub:
            result = await hub.invoke("text-stats", "count", {"text": "one two"}, budget="0.01")

    Whatever of a call is not certainly unpaid is sent again under the same id, at most three times and within its
    time; the Hub charges an id once. Amounts that come back are whole micro-USDC (1 USDC = 1,000,000).

    With a `jecp_mcp.Mandate` each call is reserved in its ledger before it leaves, within its limits, under an id of
    the ledger's own. What a program that died left open is found out about the next time it is opened. The identical
    call is not bought again while it is open, nor before its answer has reached somebody. Such a client is used within
    ``async with``.

    Attributes:
        catalog: what the Hub sells.
        subscriptions: which endpoints the Hub tells of events.
    """

    def __init__(
        self,
        agent_id: str,
        api_key: str,
        *,
        base_url: str = DEFAULT_HUB,
        timeout: float = 30.0,
        on_retry: Callable[[Retry], None] | None = None,
        mandate: Mandate | None = None,
        payment: PaidBy = "wallet",
        wallet_key: str | None = None,
        x402: Mapping[str, Any] | None = None,
    ) -> None:
        """Buy as `agent_id` at the Hub at `base_url`.

        Args:
            base_url: an https origin, or plain http on this machine.
            timeout: how long one attempt of a call may take, in seconds, up to 300.
            on_retry: hears of each call that is about to be sent again.
            mandate: what may be spent, by the rules and in the ledger of the server.
            payment: what calls through the mandate are paid with: the ``wallet`` at the Hub, ``x402`` from a wallet of
                one's own, or ``auto``: that where the wallet at the Hub is not enough.
            wallet_key: the key of that wallet, 64 hexadecimal digits. None takes ``JECP_X402_PRIVATE_KEY``, or the
                key file beside the ledger.
            x402: ``networks``, ``rpc``, ``confirmations`` and ``max_valid_seconds`` as in ``[paid_http]`` of the
                server's settings, and ``x402_pay_to`` as in ``[hub]``; None takes the mandate's server's, or defaults.

        Raises:
            ValueError: the Hub is no such origin, the timeout none, the id or the key could stand in no header, or
                nothing can be paid by x402 so; without a mandate nothing is.
            ExtraMissing: it is to be paid by x402, and what signs is not installed (``jecp-mcp[x402]``).
        """
        for name, value in (("agent_id", agent_id), ("api_key", api_key)):
            if (fault := credential_fault(value)) is not None:
                raise ValueError(f"{name} {fault}")
        if not 0 < timeout <= 300:  # noqa: PLR2004  # the longest call, JECP 01-protocol §2
            raise ValueError("timeout is more than 0 and at most 300 seconds")
        self._identity = Credentials(agent_id=agent_id, api_key=SecretStr(api_key), source="the program")
        super().__init__(base_url)
        self._mandate = mandate
        self._mandated: MandatedCalls | None = None
        self._payment = payment
        self._x402 = self._wallet(base_url, wallet_key, x402)
        self._payments: Callable[[], X402Payments] | None = None
        self._opened = AsyncExitStack()
        self._clock: Clock = SystemClock()
        self._hub = HubClient(base_url, self._http, lambda: self._identity, self._clock)
        self._timeout = timeout
        self._on_retry = on_retry
        self._sleep = anyio.sleep
        self._reading_guide = anyio.Lock()
        self._direct = DirectCalls(self._hub, self._guide_or_defaults, self._rail, timeout, self._clock)
        self.catalog = Catalog(self._http, self._hub.origin, self._clock)
        self.subscriptions = Subscriptions(self._hub)

    @classmethod
    def from_environment(cls, **options: Any) -> Self:
        """The agent that ``JECP_AGENT_ID``, ``JECP_API_KEY`` and ``JECP_BASE_URL`` name; `options` as for the class.

        Raises:
            ValueError: one of the first two is missing.
        """
        agent_id, api_key = os.environ.get("JECP_AGENT_ID"), os.environ.get("JECP_API_KEY")
        if not agent_id or not api_key:
            raise ValueError("JECP_AGENT_ID and JECP_API_KEY must both be set")
        return cls(agent_id, api_key, **{"base_url": os.environ.get("JECP_BASE_URL") or DEFAULT_HUB, **options})

    @classmethod
    async def register(
        cls, name: str, *, base_url: str = DEFAULT_HUB, agent_type: str = "python", description: str | None = None
    ) -> Registration:
        """Make an agent account. Its key is shown this once: keep it.

        Raises:
            JecpError: the Hub refused, or could not be reached.
        """
        async with Http(base_url) as http:
            hub = HubClient(base_url, http, lambda: None, SystemClock())
            return await answer_to(hub.register(name, agent_type=agent_type, description=description))

    @property
    def agent_id(self) -> str:
        """Who buys."""
        return self._identity.agent_id

    async def __aenter__(self) -> Self:
        """With a mandate: begin to take calls, and to find out about those that were left open."""
        if self._mandate is not None:
            from jecp_mcp.client.spending import MandatedCalls

            assert self._x402 is not None, "it goes with the mandate"
            # What pays is opened when it is needed, and closed after the calls that may need it.
            used = await self._opened.enter_async_context(AsyncExitStack())
            self._payments = x402 = self._x402.payments(self._hub, self._clock, used)
            made = MandatedCalls(
                self._mandate, self._hub, self.catalog, self._rail, self._timeout, self._clock, self._payment, x402
            )
            await self._opened.enter_async_context(made.open())
            self._mandated = made
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections; with a mandate, after running calls have had some seconds to end."""
        self._mandated = None
        try:
            if isinstance(error, anyio.get_cancelled_exc_class()):
                await self._opened.__aexit__(kind, error, trace)
            else:
                # What the program itself raised is its own, and not wrapped in a group.
                await self._opened.aclose()
        finally:
            await self.aclose()

    async def guide(self) -> AgentGuide:
        """What the Hub says of itself; the protocol's defaults where it says nothing.

        Raises:
            JecpError: it could not be reached, or does not say now whether it has a guide.
        """
        async with self._reading_guide:
            if not self._hub.guide_known:
                await answer_to(self._hub.consult())
        return self._hub.guide

    async def invoke(
        self,
        capability: str,
        action: str,
        arguments: Mapping[str, Any],
        *,
        budget: Amount | None = None,
        expires_at: UnixMs | None = None,
        request_id: str | None = None,
        replay: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109 - of one attempt, not of the call
        label: str = "",
    ) -> InvokeResult:
        """Buy one call and wait for its answer.

        A cancelled call may have been charged; whoever cancels gives a `request_id` of their own, to find out.

        Args:
            capability: ``namespace/name``, or the Hub's own ``name``; with ``@1.2.3`` at that version.
            budget: the most it may cost, USDC; the Hub refuses what costs more. None leaves it to the Hub's price.
            expires_at: an instant after which it must not be sent, nor be accepted.
            request_id: the idempotency id, 4 to 64 letters, digits, ``-`` or ``_``; None makes one.
            replay: whether a call under this id may have reached the Hub before: then this one finds out what became
                of it, and only an answer about that one counts as proof.
            timeout: how long one attempt may take, in seconds.
            label: with a mandate, tells a further copy of the same call, wanted on purpose, from a repeat. The four
                arguments before it are a client's without one: there the ledger decides on them.

        Raises:
            JecpError: it was refused or not answered; `JecpError.charged` says what is known of the money.
            ValueError: the request could not be written, or an argument does not go with the client.
        """
        if self._by_mandate(
            label, expires_at=expires_at, request_id=request_id, replay=replay or None, timeout=timeout
        ):
            return await self._open().buy(capability, action, arguments, most_of(budget), label)
        bought = capability, action, arguments
        return await self._direct.invoke(bought, budget, expires_at, request_id, replay=replay, seconds=timeout)

    async def find_out(self, request_id: str) -> InvokeResult:
        """What became of a call of the mandate's ledger; the Hub is asked where that is not known.

        Raises:
            JecpError: the call brought no answer, or it is still not known.
            ValueError: the ledger has no such call, or the client no mandate.
        """
        return await self._open().find_out(request_id)

    async def open_calls(self) -> tuple[str, ...]:
        """The ids of the ledger's calls that hold money without a proven end, newest first.

        Raises:
            JecpError: the ledger cannot be read.
            ValueError: the client has no mandate.
        """
        return await self._open().open_calls()

    @asynccontextmanager
    async def stream(
        self,
        capability: str,
        action: str,
        arguments: Mapping[str, Any],
        *,
        budget: Amount | None = None,
        expires_at: UnixMs | None = None,
        request_id: str | None = None,
        label: str = "",
    ) -> AsyncGenerator[JecpStream, None]:
        """Buy one call and hear of it while it runs.

        ::

            async with hub.stream("lectern/concordance", "keyword-in-context", {...}) as events:
                async for event in events:
                    ...
            events.result

        It is sent once. A stream that breaks off raises `CallInDoubtError`; `invoke` under the same `request_id` with
        ``replay=True`` then brings the plain answer. With a mandate that answer is asked for by itself, and whoever
        leaves the block early leaves the call to its end. The other arguments are those of `invoke`.

        Raises:
            JecpError: it was refused or could not be sent.
            ValueError: as `invoke`.
        """
        if self._by_mandate(label, expires_at=expires_at, request_id=request_id):
            opening = self._open().stream(capability, action, arguments, most_of(budget), label)
            async with opening as events, aclosing(JecpStream(*events)) as heard:
                yield heard
            return
        bought = capability, action, arguments
        async with self._direct.stream(bought, budget, expires_at, request_id) as heard:
            yield heard

    async def topup(self, amount_usd: int, *, return_to: str | None = None) -> TopupSession:
        """Open a checkout page, where a person pays `amount_usd` whole USD (5, 20 or 100 at the reference Hub).

        Raises:
            JecpError: the Hub refused, or could not be reached.
        """
        return await answer_to(self._hub.topup(amount_usd, return_to))

    async def request_refund(self, transaction_id: str, reason: str, *, evidence_url: str | None = None) -> Refund:
        """Ask for the money of one transaction back.

        Raises:
            JecpError: the Hub refused, or could not be reached.
        """
        return await answer_to(self._hub.request_refund(transaction_id, reason, evidence_url))

    async def refund(self, refund_id: str) -> Refund:
        """How one refund stands.

        Raises:
            JecpError: the Hub refused, or could not be reached.
        """
        return await answer_to(self._hub.refund(refund_id))

    async def refunds(self) -> tuple[Refund, ...]:
        """The refunds asked for so far.

        Raises:
            JecpError: the Hub refused, or could not be reached.
        """
        return await answer_to(self._hub.refunds())

    async def rotate_key(self, *, grace_seconds: int | None = None) -> KeyRotation:
        """Have the key replaced. This client uses the new one from then on; it is shown this once: keep it.

        Args:
            grace_seconds: how long the old one is taken too.

        Raises:
            JecpError: the Hub refused, or could not be reached.
        """
        made = await answer_to(self._hub.rotate_key(grace_seconds))
        self._identity = self._identity.model_copy(update={"api_key": SecretStr(made.api_key)})
        return made

    async def _guide_or_defaults(self) -> AgentGuide:
        try:
            return await self.guide()
        except JecpError:
            # Whether the Hub is away is for the call itself to find; without a guide the defaults hold.
            return self._hub.guide

    def _by_mandate(self, label: str, **own: object) -> bool:
        """Whether calls go through a mandate.

        Args:
            own: the arguments of a client without one, by name.

        Raises:
            ValueError: one was given that goes with the other kind of client.
        """
        if self._mandate is None:
            if label:
                raise ValueError("a label goes with a mandate; without one, each call is another")
            return False
        for name, value in own.items():
            if value is not None:
                raise ValueError(f"{name} goes with a client without a mandate; with one, its ledger decides on that")
        return True

    def _open(self) -> MandatedCalls:
        if self._mandated is not None:
            return self._mandated
        raise ValueError("this is for a client with a mandate, within async with")

    def _rail(self, call_id: str, listener: Listener | None = None) -> JecpRail:
        number = 0

        async def wait(seconds: float) -> None:
            nonlocal number
            number += 1
            if self._on_retry is not None:
                self._on_retry(Retry(call_id, number, seconds))
            await self._sleep(seconds)

        return JecpRail(
            self._hub,
            timeout_seconds=self._timeout,
            clock=self._clock,
            random=secrets.SystemRandom().random,
            sleep=wait,
            payment=self._payment,
            x402=self._payments,
            listener=listener,
        )

    def _wallet(self, hub: str, key: str | None, x402: Mapping[str, Any] | None) -> X402Wallet | None:
        """What signs payments by x402, or finds out about them; None without a mandate.

        Raises:
            ValueError, ExtraMissing: as the class.
        """
        if self._mandate is not None:
            from jecp_mcp.client.x402 import X402Wallet

            return X402Wallet(self._mandate, hub, self._payment, key, x402)
        if self._payment != "wallet" or key is not None or x402 is not None:
            raise ValueError(
                "payment by x402 goes with a mandate: nothing is signed before it is written down in a ledger, from "
                "which a later program finds out what became of it"
            )
        return None
