"""Hiring an agent: one signed offer, a job that is asked for until it is done, and one acknowledgement.

An offer leaves once, and is never made a second time: an agent that has lost a job may have done it. What came of it is
asked for. Nothing is acknowledged that was not proven and written down before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any, Final

import anyio

from jecp_mcp import jsontext
from jecp_mcp.clock import Clock, UnixMs, iso
from jecp_mcp.domain.offers import Offer
from jecp_mcp.domain.outcomes import AuthorizedCall, Entry, Mark, Outcome, Verdict
from jecp_mcp.domain.quotes import Free, Quote, QuoteKind
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import WireError
from jecp_mcp.http import ExchangeFailed
from jecp_mcp.http_gate import HttpGate
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.ajp import outcome
from jecp_mcp.rails.ajp.client import NO_SUCH_JOB, AgentClient, mounts, retry_after
from jecp_mcp.rails.ajp.declarations import Declarations, distrusted
from jecp_mcp.rails.ajp.keyring import Keyring
from jecp_mcp.rails.ajp.notes import JobNotes
from jecp_mcp.rails.ajp.payload import Payload, bounds_of, job_id_of, job_of
from jecp_mcp.rails.ajp.roster import Roster
from jecp_mcp.rails.ajp.standing import Standing
from jecp_mcp.rails.base import Journal, NotNow, OpenCall, Progress, StoredRequest, account_changed
from jecp_mcp.rails.send_permit import SendPermit
from jecp_mcp.settings.ajp import AgentSettings, AjpSettings
from jecp_mcp.wire.ajp.canonical import LARGE, canonical
from jecp_mcp.wire.ajp.offer import Budget, JobOffer, Sender, SenderType, Task, read_offer
from jecp_mcp.wire.ajp.report import JobReport, JobStatus, read_refusal
from jecp_mcp.wire.ajp.signatures import Coverage, PublicKey, coverage, seal_canonical

NAME: Final = "ajp"
MOST_PER_CALL: Final = MicroUSDC(10_000_000_000)
OFFER_SECONDS: Final = 120
"""How long an offer can be taken."""
SAFE_TO_SEND_SECONDS: Final = 10
"""How long before its end an offer is no longer sent."""
KEPT_SECONDS: Final = 86_400
"""How long an agent is asked for a job beyond the time in which it must be done."""
PATIENCE_SECONDS: Final = 50.0
"""How long a job is asked for at once before it is left for a while."""

_FIRST_STEP: Final = 0.1
_LONGEST_STEP: Final = 5.0
_LEAST_WAIT_MS: Final = 5_000
_LONGEST_WAIT_MS: Final = 60_000
_OK: Final = range(200, 300)
_UNSIGNED: Final = b',"signature":"sha256:' + b"0" * 64 + b'"}'
"""What stands where a signature will."""
_NOT_FOUND: Final = 404
_NO_SUCH_ROUTE: Final = frozenset({404, 405})

Sleep = Callable[[float], Awaitable[None]]


class AjpRail:
    """The rail named ``ajp``."""

    name = NAME
    probes = True
    most_per_call = MOST_PER_CALL

    def __init__(
        self,
        gate: HttpGate,
        settings: AjpSettings,
        declarations: Declarations,
        keys: Keyring,
        clock: Clock,
        *,
        sleep: Sleep = anyio.sleep,
    ) -> None:
        """Hire through `gate`, as the settings say."""
        self._client = AgentClient(gate, settings.max_result_bytes)
        self._settings = settings
        self._roster = Roster(settings)
        self._standing = Standing(gate, settings)
        self._declarations = declarations
        self._keys = keys
        self._clock = clock
        self._sleep = sleep

    def ready(self) -> Refusal | None:
        """What is missing before anybody can be hired, or None."""
        return None if self._keys.fault is None else outcome.no_key(self._keys.fault)

    def serves(self, account: str, authorized: AuthorizedCall | None = None) -> bool:
        """Whether it can act for an account: a job is asked for and acknowledged by its id, whoever offered it."""
        del authorized
        return bool(account)

    def identity_arguments(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the agent is to do, not within which bounds."""
        return job_of(arguments)

    async def quote(self, offer: Offer, arguments: Mapping[str, Any]) -> Quote | Free | Refusal:
        """The most that the job may cost, and who the agent is now by its declaration."""
        try:
            agent = self._roster.wanted(offer, arguments)
            bounds = bounds_of(agent, arguments)
        except WireError as exc:
            return outcome.unwritable(exc)
        try:
            self._keys.signer(agent)
        except WireError as exc:
            return outcome.no_key(str(exc))
        found = await self._declarations.identify(agent)
        if isinstance(found, Refusal):
            return found
        against = await self._standing.refusal(agent)
        if against is not None:
            return against
        key = found.declaration.key
        terms = f"{bounds.terms}, at {found.endpoint.url}, by the key {key.fingerprint[:16]}"
        payload = {
            "key": key.text,
            "endpoint": found.endpoint.url,
            "pin": found.pin,
            "agreed": found.because is not None,
        }
        return Quote(
            bounds.usdc,
            QuoteKind.MAX,
            found.payee,
            self._keys.account(agent),
            terms=terms,
            payload=jsontext.dumps(payload),
            because=found.because or (None if self._roster.is_listed(agent) else _unlisted(agent)),
        )

    def prepare(
        self, call_id: str, offer: Offer, arguments: Mapping[str, Any], quote: Quote, hold: MicroUSDC, now: UnixMs
    ) -> StoredRequest:
        """Write the offer down, to be taken from now on for a while, for exactly what is held.

        Raises:
            WireError: it cannot be written.
        """
        agent = self._roster.wanted(offer, arguments)
        found, bounds = _quoted(quote.payload), bounds_of(agent, arguments)
        sender, settings = SenderType(self._settings.sender_type), self._settings
        if agent.secret_env is not None:
            whose = Sender(SenderType.HUMAN, id=settings.identity or "local")
        else:
            whose = Sender(sender, settings.identity, declaration_url=settings.declaration_url)
        expires_at = UnixMs(now + OFFER_SECONDS * 1000)
        job = JobOffer(
            job_id=job_id_of(call_id),
            sender=whose,
            to=agent.id,
            task=Task(
                agent.task_type,
                str(arguments["instruction"]),
                arguments.get("input", {}),
                str(arguments.get("output_format", "any")),
            ),
            budget=Budget(hold, Decimal(bounds.seconds), Decimal(agent.max_llm_tokens)),
            issued_at=now,
            expires_at=expires_at,
            constraints=agent.require_constraints,
            parent_job_id=bounds.parent,
        )
        # Whether it could be read, without signing it.
        message = canonical(job.message())
        read_offer(message[:-1] + _UNSIGNED)
        payload = Payload(
            agent=agent.name,
            agent_id=agent.id,
            key=found["key"],
            endpoint=found["endpoint"],
            pin=found["pin"],
            agreed=found["agreed"],
            offer=message.decode(),
            expires_at=expires_at,
            seconds=bounds.seconds,
        )
        until = UnixMs(self._due(payload) + KEPT_SECONDS * 1000)
        return StoredRequest(self.name, quote.account, call_id, hold, payload.pack(), until, sent_first=False)

    def arguments_of(self, payload: bytes) -> Mapping[str, Any] | None:
        """What the agent was to do."""
        try:
            stored = Payload.unpack(payload)
            task = stored.message["task"]
            return {"agent": stored.agent, "instruction": task["instruction"], "input": task["input"]}
        except (WireError, KeyError):
            return None

    async def execute(self, call: OpenCall, journal: Journal, progress: Progress | None = None) -> Outcome:
        """Sign the offer, make it once, and ask for the job for as long as somebody may wait."""
        try:
            stored = Payload.unpack(call.request.payload)
            agent = self._roster.stored(stored.agent, stored.agent_id)
            if self._keys.account(agent) != call.request.account:
                return outcome.never_sent("", account_changed())
            raw = seal_canonical(stored.offer.encode(), self._keys.signer(agent))
        except WireError as exc:
            return outcome.never_sent("", outcome.unwritable(exc))
        if not await self._declarations.admit(agent, stored.pin, agreed=stored.agreed):
            return outcome.never_sent("", distrusted(agent, "another key or endpoint of it was hired first"))
        return await self._offer(call, stored, raw, journal, agent, progress)

    async def find_out(self, call: OpenCall, journal: Journal, progress: Progress | None = None) -> Outcome:
        """Acknowledge again what was to be acknowledged; else ask for the job, once. Nothing is offered again."""
        del progress
        try:
            stored = Payload.unpack(call.request.payload)
        except WireError as exc:
            return self._later(None, outcome.in_doubt(str(exc), call.request.hold))
        intent = call.last(Mark.INTENT)
        if call.charged and intent is not None:
            return Outcome(Verdict.CHARGED, MicroUSDC(int(intent.data.split()[0])), None, None, "acknowledged", 0)
        if intent is not None and call.answer is not None:
            return await self._acknowledge(call, stored, call.answer, intent.data)
        if call.answer is not None:
            return self._later(stored, outcome.not_acknowledged(call.answer, "the operator rules on its price"))
        accepted = call.last(Mark.ACCEPTED)
        return await self._look(call, stored, JobNotes(journal), None if accepted is None else accepted.data)

    async def _offer(
        self,
        call: OpenCall,
        stored: Payload,
        raw: bytes,
        journal: Journal,
        agent: AgentSettings,
        progress: Progress | None,
    ) -> Outcome:
        """Make an offer once; once more to an `idempotent` agent that did not answer and does not know the job."""
        permit = SendPermit(UnixMs(stored.expires_at - SAFE_TO_SEND_SECONDS * 1000), journal, self._clock)
        places = mounts(stored.endpoint)
        for number, mount in enumerate(places, 1):
            try:
                heard = await self._client.offer(mount, raw, permit.ask)
            except ExchangeFailed as exc:
                if not exc.sent and number == 1:
                    return outcome.never_sent(exc.reason, None if permit.refused is None else permit.refused.refusal)
                if not exc.sent:
                    # Every attempt before was refused.
                    return outcome.refused(_NOT_FOUND, read_refusal(b""), None, agent.secret_env)
                silence = f"no answer came ({exc.reason})"
                break
            if heard.status in _NO_SUCH_ROUTE and number < len(places):
                continue
            if heard.status in _OK:
                return await self._follow(call, stored, journal, mount, progress)
            if heard.status in outcome.REFUSED:
                said = read_refusal(heard.body)
                wait = said.retry_after_seconds or retry_after(heard, self._clock)
                return outcome.refused(heard.status, said, wait, agent.secret_env)
            silence = f"it answered with status {heard.status}"
            break
        found = await self._after_silence(call, stored, journal, silence)
        if agent.idempotent and found.verdict is Verdict.IN_DOUBT and found.evidence.endswith(NO_SUCH_JOB):
            return await self._offer_again(call, stored, raw, journal, mount, permit, found, progress)
        return found

    async def _offer_again(
        self,
        call: OpenCall,
        stored: Payload,
        raw: bytes,
        journal: Journal,
        mount: str,
        permit: SendPermit,
        found: Outcome,
        progress: Progress | None,
    ) -> Outcome:
        """Make the offer a second time to an agent that starts no second run for it; nothing of it is free any more."""
        try:
            heard = await self._client.offer(mount, raw, permit.ask)
        except ExchangeFailed as exc:
            again = await self._after_silence(call, stored, journal, f"no answer came ({exc.reason})")
            return replace(again, attempts=2 if exc.sent else 1)
        if heard.status in _OK:
            return replace(await self._follow(call, stored, journal, mount, progress), attempts=2)
        return replace(found, attempts=2)

    async def _after_silence(self, call: OpenCall, stored: Payload, journal: Journal, reason: str) -> Outcome:
        """Ask for a job that the agent may have taken."""
        found = await self._look(call, stored, JobNotes(journal), None)
        if found.verdict is Verdict.IN_DOUBT and found.answer is None and found.refusal is not None:
            return replace(found, evidence=f"{reason}; {found.evidence}", attempts=1)
        return replace(found, attempts=1)

    async def _follow(
        self, call: OpenCall, stored: Payload, journal: Journal, mount: str, progress: Progress | None
    ) -> Outcome:
        """Ask for a job that was taken, until it is done or left for a while.

        That it was taken is written down with what is first heard of it: most are done by then.
        """
        notes = JobNotes(journal, mount)
        begun, step = self._clock.monotonic(), _FIRST_STEP
        now = self._clock.now()
        since, due = (iso(at)[11:19] for at in (now, now + stored.seconds * 1000))
        while True:
            await self._sleep(step)
            found = await self._look(call, stored, notes, mount)
            passed = self._clock.monotonic() - begun
            if found.verdict is not Verdict.PENDING or passed + step >= PATIENCE_SECONDS:
                return replace(found, attempts=1)
            if progress is not None:
                await progress.report(
                    round(passed, 1), stored.seconds, f"s since {since}; {found.evidence}, due by {due} UTC"
                )
            step = min(step * 1.5, _LONGEST_STEP)

    async def _look(self, call: OpenCall, stored: Payload, notes: JobNotes, mount: str | None) -> Outcome:
        """Ask for the job once, at every mount where it is not known which of them took it."""
        hold, unheard = call.request.hold, None
        try:
            for place in mounts(stored.endpoint) if mount is None else (mount,):
                looked = await self._client.look(place, job_id_of(call.request.call_id))
                if looked.report is not None:
                    if mount is None:
                        notes.taken_at(place)
                    return self._later(stored, await self._judge(call, stored, looked.report, notes, place))
                unheard = unheard if unheard is not None and unheard.known else looked
            await notes.keep()
        except NotNow as exc:
            return self._later(stored, outcome.in_doubt(str(exc), hold))
        assert unheard is not None, "there is a mount"
        if mount is not None and unheard.known and self._clock.now() < self._due(stored):
            return self._later(stored, outcome.pending(unheard.reason))
        return self._later(stored, outcome.in_doubt(unheard.reason, hold))

    async def _judge(self, call: OpenCall, stored: Payload, report: JobReport, notes: JobNotes, mount: str) -> Outcome:
        """What a report comes to. Raises `NotNow`."""
        hold, found = call.request.hold, await self._proven(stored, report, call.request.hold)
        if isinstance(found, Outcome):
            await notes.keep()
            return found
        answer, cost = outcome.answer_of(report, found, hold), outcome.cost_of(report, hold)
        if isinstance(cost, str):
            await notes.keep(Entry(Mark.RESULT, cost, answer))
            return outcome.not_acknowledged(answer, cost)
        stated = "no cost stated" if report.cost is None else f"cost by {found.value} signature"
        intent = f"{cost} {mount} {stated}"
        await notes.keep(Entry(Mark.RESULT, found.value, answer), Entry(Mark.INTENT, intent))
        return await self._acknowledge(call, stored, answer, intent)

    async def _proven(self, stored: Payload, report: JobReport, hold: MicroUSDC) -> Coverage | Outcome:
        """What proves a result; or what a report comes to that is none, or that nothing proves."""
        if report.status.open:
            late = self._clock.now() >= self._due(stored)
            return (
                outcome.in_doubt("the agent still works on it, though it is late", hold) if late else outcome.pending()
            )
        if report.status is not JobStatus.COMPLETED and report.agent in {None, stored.agent_id}:
            return outcome.failed(report)
        if self._keys.fault is not None:
            return outcome.in_doubt(f"its result waits to be checked: {self._keys.fault}", hold)
        check = partial(coverage, report.body, PublicKey(stored.key), result=True)
        covers = await anyio.to_thread.run_sync(check) if report.size > LARGE else check()
        if not covers.proves_result or report.agent != stored.agent_id:
            return outcome.unproven(covers, another=report.agent != stored.agent_id, hold=hold)
        return covers

    async def _acknowledge(self, call: OpenCall, stored: Payload, answer: Any, intent: str) -> Outcome:
        amount, mount, stated = intent.split(" ", 2)
        job_id = job_id_of(call.request.call_id)
        unheard = await self._client.acknowledge(mount, job_id)
        if unheard is not None:
            return self._later(stored, outcome.unheard(answer, unheard))
        return outcome.acknowledged(answer, MicroUSDC(int(amount)), stated, stated=not stated.startswith("no "))

    def _due(self, stored: Payload) -> int:
        """When the job must be done, Unix ms."""
        return stored.expires_at + (stored.seconds + self._settings.grace_seconds) * 1000

    def _later(self, stored: Payload | None, found: Outcome) -> Outcome:
        """The outcome with when to look again, where it is open."""
        if found.verdict not in {Verdict.PENDING, Verdict.IN_DOUBT}:
            return found
        now = self._clock.now()
        if stored is None:
            return replace(found, look_again_at=UnixMs(now + _LONGEST_WAIT_MS))
        age = now - (stored.expires_at - OFFER_SECONDS * 1000)
        wait = min(max(age // 8, _LEAST_WAIT_MS), _LONGEST_WAIT_MS)
        return replace(found, look_again_at=UnixMs(now + wait))


def _unlisted(agent: AgentSettings) -> str:
    return f"No agent {agent.id} stands in the settings, so a person must agree to each of its jobs."


def _quoted(payload: bytes) -> dict[str, Any]:
    return dict(jsontext.loads(payload, max_bytes=65_536))
