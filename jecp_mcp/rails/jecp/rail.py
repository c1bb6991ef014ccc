"""Paying a JECP Hub: a quote from the catalog, one stored request, attempts under one id until something is proven."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import anyio

from jecp_mcp.clock import Clock, UnixMs, iso
from jecp_mcp.domain.offers import Action
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import HubError, WireError
from jecp_mcp.http import ExchangeFailed
from jecp_mcp.money import ZERO, MicroUSDC
from jecp_mcp.rails.base import (
    Journal,
    NotNow,
    Outcome,
    Progress,
    Quote,
    QuoteKind,
    Refunded,
    StoredRequest,
    Verdict,
    account_changed,
)
from jecp_mcp.rails.jecp.client import HubClient, mask_of
from jecp_mcp.rails.jecp.outcome import Evidence, Lost, Replied, answering, conclude, doubtful, next_wait
from jecp_mcp.rails.jecp.schedule import look_again_at, provable_until
from jecp_mcp.rails.jecp.stream import SILENCE_SECONDS, lost, read_reply, read_stream
from jecp_mcp.settings import Credentials
from jecp_mcp.wire.jecp.envelope import request_body, with_mandate
from jecp_mcp.wire.jecp.provenance import build

CREDENTIALS_MISSING: Final = "CREDENTIALS_MISSING"
TOO_LATE_TO_SEND: Final = "TOO_LATE_TO_SEND"
INVALID_REQUEST: Final = "INVALID_REQUEST"

_LONGEST_CALL_SECONDS: Final = 300.0
_PATIENCE: Final = 1.5
"""How much longer than one attempt a call may take with its replays, as a factor."""
_HOST_SECONDS: Final = 50.0
"""When replays must have ended: hosts give up on a tool after a minute. A single attempt may take longer than that."""

_DOUBTFUL_SKEW_SECONDS: Final = 60.0
"""What the clock may seem to be off before the Hub is asked for the time again."""
_PAID_REFUNDS: Final = frozenset({"approved", "auto_approved"})


class JecpRail:
    """The rail named ``jecp``."""

    name = "jecp"

    def __init__(
        self,
        client: HubClient,
        *,
        timeout_seconds: float,
        clock: Clock,
        random: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        """Pay through `client`.

        Args:
            timeout_seconds: how long one attempt may take where the catalog does not say otherwise.
            random: gives numbers from 0 to 1, for the jitter between attempts.
            sleep: waits that many seconds between attempts.
        """
        self._client = client
        self._timeout = timeout_seconds
        self._clock = clock
        self._random = random
        self._sleep = sleep

    @property
    def account(self) -> str:
        """The Hub's origin and the agent's id."""
        identity = self._client.identity()
        return f"{self._client.origin} {identity.agent_id if identity is not None else '-'}"

    @property
    def source(self) -> str:
        """The Hub's origin."""
        return self._client.origin

    def serves(self, account: str) -> bool:
        """Whether `account` is this agent's at this Hub, and its key is here."""
        return self._client.identity() is not None and account == self.account

    def unready(self) -> Refusal | None:
        """What is missing before anything can be bought, or None."""
        return _missing() if self._client.identity() is None else None

    def quote(self, action: Action, arguments: Mapping[str, Any]) -> Quote | None:
        """The catalog's price; for metered models its base, which the call can exceed up to the mandate."""
        del arguments
        if action.price.amount is None:
            return None
        return Quote(action.price.amount, QuoteKind.EXACT if action.price.exact else QuoteKind.FROM)

    def request(
        self, call_id: str, action: Action, arguments: Mapping[str, Any], hold: MicroUSDC, now: UnixMs
    ) -> StoredRequest:
        """Write the call down. The version the catalog showed is pinned, so that its price is the one paid.

        Raises:
            WireError: the arguments are no JSON, or longer than the protocol allows.
        """
        seconds = self._timeout if action.timeout_ms is None else max(self._timeout, action.timeout_ms / 1000)
        return StoredRequest(
            rail=self.name,
            account=self.account,
            call_id=call_id,
            path=self._client.guide.paths["invoke_legacy_alias" if action.builtin else "invoke"],
            body=request_body(
                call_id,
                action.capability,
                action.action,
                None if action.builtin else action.version,
                arguments,
            ),
            budget=hold,
            provable_until=provable_until(now, self._client.guide.idempotency_window_seconds),
            streaming=action.streaming,
            timeout_seconds=min(seconds, _LONGEST_CALL_SECONDS),
            provenance=self._client.guide.requires_provenance(action.capability, action.trust_tier_required),
        )

    async def skew(self, *, fresh: bool = False) -> float | None:
        """How far this machine's clock is ahead of the Hub's, in seconds, or None where the Hub does not say.

        What the Hub says of itself is heard on the way, where it was not yet: for how long it knows a call's id.

        Raises:
            HubError: the Hub was asked and did not answer, or does not tell the time any more.
        """
        skew = self._client.hub_time.skew()
        if fresh or not self._client.guide_known:
            told = await self._client.consult()
            if fresh and not told and skew is not None:
                raise HubError(
                    "HUB_MISBEHAVED", "The Hub's answer does not tell the time. Nothing was charged. Try again later."
                )
        elif skew is not None and abs(skew) > _DOUBTFUL_SKEW_SECONDS:
            # A machine that slept looks as if its clock had jumped; only the Hub can tell.
            await self._client.discover()
        return self._client.hub_time.skew()

    async def refunds(self) -> Sequence[Refunded]:
        """The refunds that the Hub has paid.

        Raises:
            HubError: the Hub refused, could not be reached, or there are no credentials.
        """
        return [
            Refunded(one.transaction_id, one.returned, f"refunded: {one.refund_id}")
            for one in await self._client.refunds()
            if one.status in _PAID_REFUNDS and one.transaction_id is not None and one.returned is not None
        ]

    async def execute(
        self,
        request: StoredRequest,
        journal: Journal,
        *,
        replay: bool = False,
        attempts: int = 0,
        progress: Progress | None = None,
    ) -> Outcome:
        """Send the request, and again while that is safe and may prove more."""
        door = _Door(request, journal, self._clock)
        ended = await self._ended(request, door, replay=replay, progress=progress)
        if door.closed is not None and ended.verdict is Verdict.NOT_CHARGED and ended.attempts == 0:
            ended = replace(ended, refusal=door.closed.refusal, evidence=f"never sent: {door.closed.refusal.code}")
        if ended.verdict is not Verdict.IN_DOUBT:
            return ended
        again = look_again_at(
            self._clock.now(),
            request.provable_until,
            attempts=attempts + ended.attempts,
            left=ended.attempts > 0,
            allowed_at=None if door.closed is None else door.closed.again_at,
        )
        return replace(ended, look_again_at=again)

    async def _ended(self, request: StoredRequest, door: _Door, *, replay: bool, progress: Progress | None) -> Outcome:
        identity = self._client.identity()
        if identity is None:
            return _unsent(request, _missing(), replay=replay)
        if request.account != self.account:
            # The id means nothing to another Hub or account: there the call would be bought a second time.
            return _unsent(request, account_changed(), replay=replay)
        try:
            body = self._signed(request, identity)
        except WireError as exc:
            return _unsent(request, _unwritable(exc), replay=replay)
        return await self._attempts(request, body, identity, door, replay=replay, progress=progress)

    async def _attempts(
        self,
        request: StoredRequest,
        body: bytes,
        identity: Credentials,
        door: _Door,
        *,
        replay: bool,
        progress: Progress | None,
    ) -> Outcome:
        patience = max(request.timeout_seconds, min(request.timeout_seconds * _PATIENCE, _HOST_SECONDS))
        ends = self._clock.monotonic() + patience
        attempts: list[Evidence] = []
        streaming = request.streaming and not replay
        while True:
            left = min(request.timeout_seconds, ends - self._clock.monotonic())
            if streaming:
                heard = await self._streamed(request, body, identity, door, progress)
                # A stream has its own, longer time; what it takes is not taken from the plain attempts after it.
                ends = max(ends, self._clock.monotonic() + request.timeout_seconds)
            else:
                heard = await self._plain(request, body, identity, door, left)
            attempts.append(answering(request.call_id, heard))
            unstreamable = streaming and _refused_streaming(attempts[-1])
            left = ends - self._clock.monotonic()
            wait = 0.0 if unstreamable else self._wait(request, attempts, replay=replay, left=left)
            if wait is None or door.closed is not None:
                return conclude(attempts, replay=replay, budget=request.budget)
            in_doubt = doubtful(attempts, replay=replay)
            # A stream that broke off is not reopened: the plain answer under the same id is what was paid for.
            streaming = streaming and not unstreamable and not in_doubt
            if request.provenance and not in_doubt and isinstance(attempts[-1], Replied):
                # The nonce was spent on a refusal; nothing is open, so nothing hangs on the next bytes being the same.
                body = self._signed(request, identity, spent=len(attempts))
            if wait:
                await self._sleep(wait)

    def _wait(self, request: StoredRequest, attempts: Sequence[Evidence], *, replay: bool, left: float) -> float | None:
        return next_wait(attempts, replay=replay, provenance=request.provenance, jitter=self._random(), left=left)

    def _signed(self, request: StoredRequest, identity: Credentials, *, spent: int = 0) -> bytes:
        """The exact bytes to send.

        With provenance, the nonce follows from the id and from how many attempts were `spent` on plain refusals, so
        that the replay of a lost attempt is known for one, by a later process too.
        """
        key = identity.api_key.get_secret_value()
        proof = None
        if request.provenance:
            seed = f"{request.call_id}:{spent}" if spent else request.call_id
            nonce = hashlib.sha256(seed.encode()).hexdigest()[:32]
            proof = build(identity.agent_id, key, at=self._clock.now(), nonce=nonce)
        return with_mandate(
            request.body,
            agent_id=identity.agent_id,
            api_key=key,
            budget=request.budget,
            expires_at=request.provable_until,
            provenance_hash=proof,
        )

    async def _plain(
        self, request: StoredRequest, body: bytes, identity: Credentials, door: _Door, seconds: float
    ) -> Evidence:
        try:
            answer = await self._client.post(request.path, body, identity, seconds=seconds, before_sending=door.open)
        except ExchangeFailed as exc:
            return lost(exc)
        return await read_reply(answer.status, answer.headers, answer.body, self._clock.now(), mask_of(identity))

    async def _streamed(
        self, request: StoredRequest, body: bytes, identity: Credentials, door: _Door, progress: Progress | None
    ) -> Evidence:
        silence = min(SILENCE_SECONDS, request.timeout_seconds)
        opening = self._client.open_stream(request.path, body, identity, silence=silence, before_sending=door.open)
        try:
            async with opening as answer:
                return await read_stream(
                    answer, request.call_id, self._clock.now(), progress, silence=silence, mask=mask_of(identity)
                )
        except ExchangeFailed as exc:
            return lost(exc)


class _Door:
    """What an attempt passes right before its first byte leaves.

    Attributes:
        closed: why it was held back there, if it was.
    """

    def __init__(self, request: StoredRequest, journal: Journal, clock: Clock) -> None:
        self._until = request.provable_until
        self._journal = journal
        self._clock = clock
        self.closed: NotNow | None = None

    async def open(self) -> None:
        """Let the attempt leave. Raises `NotNow`."""
        try:
            self._in_time()
            await self._journal.sending()
            # Writing that down took time, in which the machine may have slept.
            self._in_time()
        except NotNow as exc:
            self.closed = exc
            raise

    def _in_time(self) -> None:
        if self._clock.now() >= self._until:
            raise NotNow(_too_late(self._until))


def _unsent(request: StoredRequest, refusal: Refusal, *, replay: bool) -> Outcome:
    """The end of a call that is not sent now; what an earlier attempt did stays open."""
    if replay:
        return conclude([Lost(sent=False, reason=refusal.code)], replay=True, budget=request.budget)
    return Outcome(Verdict.NOT_CHARGED, ZERO, None, refusal, f"never sent: {refusal.code}", 0)


def _missing() -> Refusal:
    return Refusal(
        CREDENTIALS_MISSING,
        "There is no agent account on this machine for the Hub. Nothing was charged. "
        "Register one, or have the operator set JECP_AGENT_ID and JECP_API_KEY.",
        source="bridge",
    )


def _too_late(until: UnixMs) -> Refusal:
    return Refusal(
        TOO_LATE_TO_SEND,
        f"This call could be sent until {iso(until)} and is not any more: the machine slept, or its clock was set. "
        "Nothing was sent and nothing was charged. Make the call again.",
        details={"until": iso(until)},
        source="bridge",
    )


def _unwritable(cause: WireError) -> Refusal:
    return Refusal(
        INVALID_REQUEST,
        f"The call cannot be written as a request: {cause}. Nothing was sent and nothing was charged. "
        "Mend the arguments.",
        source="bridge",
    )


def _refused_streaming(evidence: Evidence) -> bool:
    return (
        isinstance(evidence, Replied)
        and isinstance(evidence.reply, Refusal)
        and evidence.reply.code == "NOT_STREAMABLE"
    )
