"""The smallest rail that uses every part of the port: it asks for its price, waits for a job, and pays at the end.

The job goes on when whoever ordered it has died. What was accepted, and what is about to be paid for good, stands in the
journal before the step that follows from it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

import anyio

from jecp_mcp.clock import Clock, UnixMs
from jecp_mcp.domain.answers import Answer, Billing
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.outcomes import AuthorizedCall, Entry, Mark, Outcome, Verdict
from jecp_mcp.domain.quotes import Free, Quote, QuoteKind
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import WireError
from jecp_mcp.http import BeforeSending, ExchangeFailed, HttpAnswer
from jecp_mcp.money import ZERO, MicroUSDC
from jecp_mcp.rails.base import Journal, NotNow, OpenCall, Progress, StoredRequest

ACCEPTED_FOR_MS: Final = 120_000
"""For how long a job may be accepted once it was prepared."""
TRAVEL_MS: Final = 30_000
"""How much later than that an answer may still be under way."""
LOOK_MS: Final = 30_000
PATIENCE_SECONDS: Final = 2.0
STEP_SECONDS: Final = 0.05

Sleep = Callable[[float], Awaitable[None]]


class Exchange(Protocol):
    """What the rail needs of `jecp_mcp.http.Http`."""

    async def exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = ...,  # noqa: ASYNC109 - as Http's
        before_sending: BeforeSending | None = ...,
    ) -> HttpAnswer: ...


class TinyRail:
    """The rail named ``tiny``."""

    name = "tiny"
    probes = True
    most_per_call = MicroUSDC(10_000_000)

    def __init__(
        self, url: str, http: Exchange, clock: Clock, account: str = "echo", sleep: Sleep = anyio.sleep
    ) -> None:
        self._url = url
        self._http = http
        self._clock = clock
        self.account = account
        self._sleep = sleep

    def ready(self) -> Refusal | None:
        return None

    def serves(self, account: str, authorized: AuthorizedCall | None = None) -> bool:
        return account == self.account

    def identity_arguments(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return arguments

    async def quote(self, offer: Offer, arguments: Mapping[str, Any]) -> Quote | Free | Refusal:
        try:
            status, said = await self._ask("POST", "/quote", {"text": _text(arguments)})
        except ExchangeFailed as exc:
            return Refusal(
                "ECHO_UNREACHABLE", f"No price: {exc}. Nothing was charged. Call again later.", source="bridge"
            )
        if status == 200:
            return Free(Answer(None, {"said": said["said"]}, Billing()), offer.payee, self.account)
        if status != 402:
            return Refusal("ECHO_REFUSED", f"The echo says: {said['why']}. Nothing was charged.")
        good_until = None if said["good_ms"] is None else UnixMs(self._clock.now() + said["good_ms"])
        kind = QuoteKind(said["kind"])
        return Quote(MicroUSDC(said["price"]), kind, offer.payee, self.account, said["terms"], good_until, b"seen")

    def prepare(
        self, call_id: str, offer: Offer, arguments: Mapping[str, Any], quote: Quote, hold: MicroUSDC, now: UnixMs
    ) -> StoredRequest:
        assert quote.payload == b"seen"
        until = now + ACCEPTED_FOR_MS
        payload = json.dumps({"id": call_id, "text": _text(arguments), "most": hold, "until": until}).encode()
        return StoredRequest(self.name, self.account, call_id, hold, payload, None, sent_first=False)

    def arguments_of(self, payload: bytes) -> Mapping[str, Any] | None:
        return {"text": json.loads(payload)["text"]}

    async def execute(self, call: OpenCall, journal: Journal, progress: Progress | None = None) -> Outcome:
        order = json.loads(call.request.payload)

        held_back: NotNow | None = None

        async def leave() -> None:
            nonlocal held_back
            try:
                await journal.sending()
                self._in_time(order["until"])
            except NotNow as exc:
                held_back = exc
                raise

        try:
            status, said = await self._ask("POST", "/jobs", order, leave)
        except ExchangeFailed as exc:
            if exc.sent:
                return self._doubt(f"the order's answer was lost: {exc}", 1)
            refusal = Refusal("ECHO_UNREACHABLE", f"Not ordered: {exc}. Nothing was charged.", source="bridge")
            if held_back is not None:
                refusal = held_back.refusal
            return Outcome(Verdict.NOT_CHARGED, ZERO, None, refusal, "nothing left this machine", 0)
        if status != 202:
            refusal = Refusal("ECHO_REFUSED", f"The echo says: {said['why']}. Nothing was charged.")
            return Outcome(Verdict.NOT_CHARGED, ZERO, None, refusal, "refused")
        return await self._follow(call, journal, accepted=False)

    async def find_out(self, call: OpenCall, journal: Journal, progress: Progress | None = None) -> Outcome:
        if call.charged:
            return await self._confirm(call)
        intent = call.last(Mark.INTENT)
        if intent is not None:
            assert call.answer is not None, "the answer is written down in one step with what is to be paid for it"
            return await self._pay(call, call.answer, MicroUSDC(int(intent.data)))
        return await self._follow(call, journal, accepted=call.last(Mark.ACCEPTED) is not None)

    async def _follow(self, call: OpenCall, journal: Journal, *, accepted: bool) -> Outcome:
        """Ask for the job until it is done, or for as long as somebody waits."""
        ends = self._clock.monotonic() + PATIENCE_SECONDS
        try:
            while True:
                status, said = await self._ask("GET", f"/jobs/{call.request.call_id}")
                if status == 404:
                    return self._unknown(call, accepted=accepted)
                if not accepted:
                    await journal.keep(Entry(Mark.ACCEPTED))
                    accepted = True
                if status == 200:
                    return await self._finish(call, journal, said)
                if self._clock.monotonic() >= ends:
                    return Outcome(Verdict.PENDING, ZERO, None, None, "it works on it", 1, look_again_at=self._later())
                await self._sleep(STEP_SECONDS)
        except (ExchangeFailed, NotNow) as exc:
            return self._doubt(str(exc), 1)

    async def _finish(self, call: OpenCall, journal: Journal, said: Mapping[str, Any]) -> Outcome:
        answer = Answer(call.request.call_id, {"said": said["said"]}, Billing())
        cost = MicroUSDC(said["cost"])
        if cost > call.request.hold:
            await journal.keep(Entry(Mark.RESULT, answer=answer))
            dear = f"it costs {cost}, more than {call.request.hold} are held"
            return Outcome(Verdict.IN_DOUBT, ZERO, answer, None, dear, look_again_at=self._later())
        await journal.keep(Entry(Mark.RESULT, answer=answer), Entry(Mark.INTENT, str(cost)))
        return await self._pay(call, answer, cost)

    async def _pay(self, call: OpenCall, answer: Answer, cost: MicroUSDC) -> Outcome:
        try:
            status, said = await self._ask("POST", f"/jobs/{call.request.call_id}/ack", {})
        except ExchangeFailed as exc:
            return self._doubt(f"the payment's answer was lost: {exc}", 1, answer)
        if status != 200:
            return self._doubt(f"the payment was answered with {status}", 1, answer)
        return self._paid(said, answer)

    async def _confirm(self, call: OpenCall) -> Outcome:
        """Whether what was paid for the time being stands."""
        try:
            _, said = await self._ask("GET", f"/jobs/{call.request.call_id}/receipt")
        except ExchangeFailed as exc:
            return self._doubt(f"the receipt was not heard: {exc}", 0)
        return self._paid(said, None)

    def _paid(self, said: Mapping[str, Any], answer: Answer | None) -> Outcome:
        again = None if said["final"] else self._later()
        back, evidence = MicroUSDC(said["back"]), "paid" if said["final"] else "paid for the time being"
        return Outcome(
            Verdict.CHARGED, MicroUSDC(said["paid"]), answer, None, evidence, reference=said["payment"],
            look_again_at=again, refunded=back,
        )  # fmt: skip

    def _unknown(self, call: OpenCall, *, accepted: bool) -> Outcome:
        until = json.loads(call.request.payload)["until"]
        if accepted or self._clock.now() < until + TRAVEL_MS:
            return self._doubt("the job is not there (yet)", 0)
        refusal = Refusal(
            "ECHO_NEVER_GOT_IT", "The job never arrived. Nothing was charged. Call again.", source="bridge"
        )
        return Outcome(Verdict.NOT_CHARGED, ZERO, None, refusal, "it can no longer be accepted", 0)

    def _doubt(self, evidence: str, attempts: int, answer: Answer | None = None) -> Outcome:
        refusal = Refusal("ECHO_LOST", f"It is not known how far it is: {evidence}.", source="bridge")
        refused = None if answer is not None else refusal
        return Outcome(Verdict.IN_DOUBT, ZERO, answer, refused, evidence, attempts, look_again_at=self._later())

    def _in_time(self, until: int) -> None:
        if self._clock.now() >= until:
            raise NotNow(Refusal("TOO_LATE", "It slept too long. Nothing was charged.", source="bridge"))

    def _later(self) -> UnixMs:
        return UnixMs(self._clock.now() + LOOK_MS)

    async def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, leave: BeforeSending | None = None
    ) -> tuple[int, dict[str, Any]]:
        sent = None if body is None else json.dumps(body).encode()
        answer = await self._http.exchange(method, self._url + path, body=sent, timeout=10, before_sending=leave)
        return answer.status, json.loads(answer.body or b"{}")


def _text(arguments: Mapping[str, Any]) -> str:
    text = arguments.get("text")
    if not isinstance(text, str):
        raise WireError("the echo wants a text")
    return text
