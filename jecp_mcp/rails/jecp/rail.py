"""Paying a JECP Hub: a quote from the catalog, one stored request, attempts under one id until something is proven."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import anyio

from jecp_mcp import jsontext
from jecp_mcp.clock import Clock, UnixMs
from jecp_mcp.domain.offers import Offer, Price
from jecp_mcp.domain.outcomes import AuthorizedCall, Entry, Mark, Outcome, Verdict
from jecp_mcp.domain.quotes import Quote, QuoteKind
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import PayeeError, SettingsError, WireError
from jecp_mcp.http import ExchangeFailed
from jecp_mcp.money import MICRO_PER_USDC, ZERO, MicroUSDC
from jecp_mcp.rails.base import Journal, OpenCall, Progress, StoredRequest, account_changed
from jecp_mcp.rails.codes import INVALID_REQUEST
from jecp_mcp.rails.jecp.client import HubClient, mask_of
from jecp_mcp.rails.jecp.codes import CREDENTIALS_MISSING, HUB_UNREACHABLE
from jecp_mcp.rails.jecp.outcome import Evidence, Lost, Replied, answering, conclude, doubtful, refused_by_hub
from jecp_mcp.rails.jecp.partial_output import PartialOutput
from jecp_mcp.rails.jecp.payload import PaidBy, Payload, pack, unpack
from jecp_mcp.rails.jecp.payment_methods import finds_out, paid_by
from jecp_mcp.rails.jecp.retries import next_wait
from jecp_mcp.rails.jecp.schedule import look_again_at, provable_until
from jecp_mcp.rails.jecp.stream import SILENCE_SECONDS, Listener, lost, read_reply, read_stream, refused_streaming
from jecp_mcp.rails.send_permit import SendPermit
from jecp_mcp.settings import Credentials
from jecp_mcp.wire.jecp.envelope import request_body, with_mandate
from jecp_mcp.wire.jecp.provenance import build
from jecp_mcp.wire.jecp.stream import Delta, StreamEvent

if TYPE_CHECKING:
    from jecp_mcp.rails.jecp.x402_payments import Sale, X402Payments

log = logging.getLogger(__name__)

_LONGEST_CALL_SECONDS: Final = 300.0
_PATIENCE: Final = 1.5
"""How much longer than one attempt a call may take with its replays, as a factor."""
_UNREADABLE_WAIT_MS: Final = 600_000
"""How long a call is left alone whose stored request cannot be read."""
_HOST_SECONDS: Final = 50.0
"""When replays must have ended: hosts give up on a tool after a minute. A single attempt may take longer than that."""


class JecpRail:
    """The rail named ``jecp``."""

    name = "jecp"
    probes = False
    most_per_call = MicroUSDC(1_000 * MICRO_PER_USDC)
    """The largest budget a mandate can carry (JECP 02-authentication §4.3: ``budget_usdc`` is at most 1000)."""

    def __init__(
        self,
        client: HubClient,
        *,
        timeout_seconds: float,
        clock: Clock,
        random: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        payment: PaidBy = "wallet",
        x402: Callable[[], X402Payments] | None = None,
        listener: Listener | None = None,
    ) -> None:
        """Pay through `client`.

        Args:
            timeout_seconds: how long one attempt may take where the catalog does not say otherwise.
            random: gives numbers from 0 to 1, for the jitter between attempts.
            sleep: waits that many seconds between attempts.
            payment: what calls may be paid with.
            x402: gives what pays by x402, or finishes what was paid so; None where nothing does.
            listener: hears every event of a stream, whole.
        """
        self._client = client
        self._timeout = timeout_seconds
        self._clock = clock
        self._random = random
        self._sleep = sleep
        self._payment = payment
        self._x402 = x402
        self._listener = listener

    @property
    def payer(self) -> str:
        """The address that pays by x402; ``""`` where that is not the operator's wish, or there is no key."""
        return "" if self._payment == "wallet" or self._x402 is None else self._x402().payer

    def ready(self) -> Refusal | None:
        """What is missing before anything can be bought, or None."""
        return _missing() if self._client.identity() is None else None

    def paid_by(self, offer: Offer) -> PaidBy | Refusal:
        """What an action is paid with here, or why it cannot be."""
        return paid_by(offer, self._payment, self.payer)

    def serves(self, account: str, authorized: AuthorizedCall | None = None) -> bool:
        """Whether `account` is this agent's at this Hub, and its key is here; and whoever may have signed a payment."""
        if self._client.identity() is None or account != self._client.account_id:
            return False
        x402 = None if authorized is None else self._finishing()
        return authorized is None or (x402 is not None and finds_out(authorized, x402.payer, self._clock.now()))

    def identity_arguments(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """All of them: each is its action's own."""
        return arguments

    async def quote(self, offer: Offer, arguments: Mapping[str, Any]) -> Quote | Refusal:
        """The catalog's price; for metered models its base, which the call can exceed up to the mandate."""
        del arguments
        price, by = offer.price, self.paid_by(offer)
        if isinstance(by, Refusal):
            return by
        terms = [] if price.kind is QuoteKind.EXACT else [_terms(price)]
        terms += [] if by == "wallet" else [f"{by} {self.payer}"]
        return Quote(price.amount or ZERO, price.kind, offer.payee, self._client.account_id, " ".join(terms))

    def prepare(
        self,
        call_id: str,
        offer: Offer,
        arguments: Mapping[str, Any],
        quote: Quote,
        hold: MicroUSDC,
        now: UnixMs,
    ) -> StoredRequest:
        """Write the call down. The version the catalog showed is pinned, so that its price is the one paid.

        Raises:
            WireError: the arguments are no JSON, or longer than the protocol allows.
        """
        del quote
        guide, builtin = self._client.guide, "/" not in offer.capability
        by = self.paid_by(offer)
        seconds = self._timeout if offer.timeout_ms is None else max(self._timeout, offer.timeout_ms / 1000)
        payload = Payload(
            path=guide.paths["invoke_legacy_alias" if builtin else "invoke"],
            body=request_body(call_id, offer.capability, offer.action, None if builtin else offer.version, arguments),
            streaming=offer.streaming,
            timeout_seconds=min(seconds, _LONGEST_CALL_SECONDS),
            provenance=guide.requires_provenance(offer.capability, offer.tier),
            paid_by="wallet" if isinstance(by, Refusal) else by,
        )
        until = provable_until(now, guide.idempotency_window_seconds)
        return StoredRequest(self.name, self._client.account_id, call_id, hold, pack(payload), until)

    def arguments_of(self, payload: bytes) -> Mapping[str, Any] | None:
        """The ``input`` of the request."""
        try:
            body = jsontext.loads(unpack(payload).body, max_bytes=len(payload), max_marks=None)
        except WireError:
            return None
        given = body.get("input") if isinstance(body, Mapping) else None
        return given if isinstance(given, Mapping) else None

    async def execute(self, call: OpenCall, journal: Journal, progress: Progress | None = None) -> Outcome:
        """Send the request, and again while that is safe and may prove more."""
        return await self._send(call, journal, progress, replay=False)

    async def find_out(self, call: OpenCall, journal: Journal, progress: Progress | None = None) -> Outcome:
        """Send the identical bytes under the same id: the Hub answers what became of the call (JECP ADR-0001)."""
        return await self._send(call, journal, progress, replay=True)

    async def _send(self, call: OpenCall, journal: Journal, progress: Progress | None, *, replay: bool) -> Outcome:
        until = call.request.provable_until
        assert until is not None, "every request of this rail has a last instant"
        permit = SendPermit(until, journal, self._clock)
        authorized = call.last(Mark.AUTHORIZED)
        if authorized is not None:
            ended = await self._paid_by_x402(call, journal, authorized)
        else:
            ended = await self._ended(call.request, permit, replay=replay, progress=progress)
            if not replay and self._payment != "wallet" and refused_by_hub(ended):
                ended = await self._paid_by_x402(call, journal, ended)
        self._note(ended)
        if permit.refused is not None and ended.verdict is Verdict.NOT_CHARGED and ended.attempts == 0:
            ended = replace(
                ended, refusal=permit.refused.refusal, evidence=f"never sent: {permit.refused.refusal.code}"
            )
        if ended.verdict is not Verdict.IN_DOUBT or ended.look_again_at is not None:
            return ended
        again = look_again_at(
            self._clock.now(),
            until,
            attempts=call.attempts + ended.attempts,
            left=ended.attempts > 0,
            allowed_at=None if permit.refused is None else permit.refused.again_at,
        )
        return replace(ended, look_again_at=again)

    async def _paid_by_x402(self, call: OpenCall, journal: Journal, found: Entry | Outcome) -> Outcome:
        """Pay by x402 what was refused for want of money and may be, or find out about what was signed for."""
        sale = self._sale(call, journal)
        if isinstance(found, Entry):
            x402 = self._finishing()
            if sale is None or x402 is None:
                # Its account has gone since `serves` found it here.
                return conclude([Lost(sent=False, reason=CREDENTIALS_MISSING)], replay=True, budget=call.request.hold)
            return await x402.find_out(sale, found)
        if sale is None or self._x402 is None or sale.payload.paid_by == "wallet" or found.refusal is None:
            return found
        paid = await self._x402().pay(sale, found.refusal)
        return found if paid is None else replace(paid, attempts=paid.attempts + found.attempts)

    def _finishing(self) -> X402Payments | None:
        """What finds out about payments by x402, also where none are made any more."""
        try:
            return None if self._x402 is None else self._x402()
        except SettingsError as exc:
            log.error("what was paid by x402 is not found out about: %s", exc)  # noqa: TRY400 - the cause is in the message
            return None

    def _sale(self, call: OpenCall, journal: Journal) -> Sale | None:
        """A call that can be paid for by x402 here; None where its account, or its request, is not this rail's."""
        from jecp_mcp.rails.jecp.x402_payments import Sale

        identity = self._client.identity()
        if identity is None or call.request.account != self._client.account_of(identity):
            return None
        try:
            return Sale(call, unpack(call.request.payload), identity, journal)
        except WireError:
            return None

    def _note(self, ended: Outcome) -> None:
        """Let whoever shows the catalog know whether the Hub answers."""
        refusal, reachability = ended.refusal, self._client.reachability
        if ended.answer is not None or (refusal is not None and refusal.source == "payee"):
            reachability.note_answer()
        elif refusal is not None and refusal.code == HUB_UNREACHABLE:
            reachability.note_failure(PayeeError(refusal.code, "a call could not be sent to it"))

    async def _ended(
        self, request: StoredRequest, permit: SendPermit, *, replay: bool, progress: Progress | None
    ) -> Outcome:
        identity = self._client.identity()
        if identity is None:
            return _unsent(request, _missing(), replay=replay)
        if request.account != self._client.account_of(identity):
            # The id means nothing to another Hub or account: there the call would be bought a second time.
            return _unsent(request, account_changed(), replay=replay)
        try:
            payload = unpack(request.payload)
        except WireError as exc:
            # Only what another version or a damaged ledger kept cannot be read; nothing of it can be sent again.
            if not replay:
                return _unsent(request, _unwritable(exc), replay=False)
            later = UnixMs(self._clock.now() + _UNREADABLE_WAIT_MS)
            return Outcome(Verdict.IN_DOUBT, ZERO, None, _unwritable(exc), str(exc), 0, look_again_at=later)
        sending = _Sending(request, payload, identity, permit, self._clock)
        try:
            sending.sign()
        except WireError as exc:
            return _unsent(request, _unwritable(exc), replay=replay)
        return await self._attempts(sending, replay=replay, progress=progress)

    async def _attempts(self, sending: _Sending, *, replay: bool, progress: Progress | None) -> Outcome:
        request, payload, permit = sending.request, sending.payload, sending.permit
        seconds = payload.timeout_seconds
        ends = self._clock.monotonic() + max(seconds, min(seconds * _PATIENCE, _HOST_SECONDS))
        attempts, streaming = list[Evidence](), payload.streaming and not replay
        while True:
            if streaming:
                heard = await self._streamed(sending, progress)
                # A stream has its own, longer time; what it takes is not taken from the plain attempts after it.
                ends = max(ends, self._clock.monotonic() + seconds)
            else:
                heard = await self._plain(sending, min(seconds, ends - self._clock.monotonic()))
            attempts.append(answering(request.call_id, heard))
            unstreamable = streaming and refused_streaming(attempts[-1])
            left = ends - self._clock.monotonic()
            wait = 0.0 if unstreamable else self._wait(payload, attempts, replay=replay, left=left)
            if wait is None or permit.refused is not None:
                ended = conclude(attempts, replay=replay, budget=request.hold, allowed=sending.allowed)
                return sending.heard.shown(ended, mask_of(sending.identity))
            in_doubt = doubtful(attempts, replay=replay)
            # A stream that broke off is not reopened: the plain answer under the same id is what was paid for.
            streaming = streaming and not unstreamable and not in_doubt
            if payload.provenance and not in_doubt and isinstance(attempts[-1], Replied):
                # The nonce was spent on a refusal; nothing is open, so nothing hangs on the next bytes being the same.
                sending.sign(spent=len(attempts))
            if wait:
                await self._sleep(wait)

    def _wait(self, payload: Payload, attempts: Sequence[Evidence], *, replay: bool, left: float) -> float | None:
        return next_wait(attempts, replay=replay, provenance=payload.provenance, jitter=self._random(), left=left)

    async def _plain(self, sending: _Sending, seconds: float) -> Evidence:
        identity, ask_permit = sending.identity, sending.permit.ask
        try:
            answer = await self._client.post(
                sending.payload.path, sending.body, identity, seconds=seconds, before_sending=ask_permit
            )
        except ExchangeFailed as exc:
            return lost(exc)
        return await read_reply(answer.status, answer.headers, answer.body, self._clock.now(), mask_of(identity))

    async def _streamed(self, sending: _Sending, progress: Progress | None) -> Evidence:
        payload, mask = sending.payload, mask_of(sending.identity)
        # What an earlier attempt brought is no part of this one's output.
        sending.heard = PartialOutput()

        async def hear(event: StreamEvent) -> None:
            if isinstance(event, Delta):
                sending.heard.add(event.delta)
            if self._listener is not None:
                await self._listener(event)

        silence = min(SILENCE_SECONDS, payload.timeout_seconds)
        opening = self._client.open_stream(
            payload.path, sending.body, sending.identity, silence=silence, before_sending=sending.permit.ask
        )
        try:
            async with opening as answer:
                now = self._clock.now()
                return await read_stream(
                    answer, sending.request.call_id, now, progress, silence=silence, mask=mask, listener=hear
                )
        except ExchangeFailed as exc:
            return lost(exc)


class _Sending:
    """One execution's request, with the key that signs it.

    Attributes:
        allowed: what its mandate lets the Hub charge.
        body: the exact bytes of the next attempt.
        heard: the pieces of the output that a stream brought.
    """

    def __init__(
        self, request: StoredRequest, payload: Payload, identity: Credentials, permit: SendPermit, clock: Clock
    ) -> None:
        self.request, self.payload, self.identity, self.permit = request, payload, identity, permit
        self._clock = clock
        # A wallet that is not to pay is asked under a mandate for nothing: the Hub refuses, and says what it wants.
        self.allowed = ZERO if payload.paid_by == "x402" else request.hold
        self.body = b""
        self.heard = PartialOutput()

    def sign(self, *, spent: int = 0) -> None:
        """Write `body`.

        With provenance, the nonce follows from the id and from how many attempts were `spent` on plain refusals, so
        that the replay of a lost attempt is known for one, by a later process too.

        Raises:
            WireError: it cannot be written.
        """
        key = self.identity.api_key.get_secret_value()
        proof = None
        if self.payload.provenance:
            call_id = self.request.call_id
            nonce = hashlib.sha256((f"{call_id}:{spent}" if spent else call_id).encode()).hexdigest()[:32]
            proof = build(self.identity.agent_id, key, at=self._clock.now(), nonce=nonce)
        self.body = with_mandate(
            self.payload.body,
            agent_id=self.identity.agent_id,
            api_key=key,
            budget=self.allowed,
            expires_at=self.request.provable_until,
            provenance_hash=proof,
        )


def _unsent(request: StoredRequest, refusal: Refusal, *, replay: bool) -> Outcome:
    """The end of a call that is not sent now; what an earlier attempt did stays open."""
    if replay:
        return conclude([Lost(sent=False, reason=refusal.code)], replay=True, budget=request.hold)
    return Outcome(Verdict.NOT_CHARGED, ZERO, None, refusal, f"never sent: {refusal.code}", 0)


def _terms(price: Price) -> str:
    """How a call is charged beyond what is quoted for it: the model and its rates, as a digest."""
    return hashlib.sha256(jsontext.dumps([price.model, dict(sorted(price.rates.items()))])).hexdigest()


def _missing() -> Refusal:
    return Refusal(
        CREDENTIALS_MISSING,
        "There is no agent account on this machine for the Hub. Nothing was charged.",
        source="bridge",
    )


def _unwritable(cause: WireError) -> Refusal:
    return Refusal(
        INVALID_REQUEST,
        f"The call cannot be written as a request: {cause}. Nothing was sent and nothing was charged.",
        source="bridge",
    )
