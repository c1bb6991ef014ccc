"""The rules that the model must miss when they are gone: each is broken while its block runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from jecp_mcp.calls import execution
from jecp_mcp.calls.journal import CallJournal
from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.answers import Answer, Billing
from jecp_mcp.domain.outcomes import Entry, Mark, Outcome, Verdict
from jecp_mcp.mandate import call_rules
from jecp_mcp.money import ZERO, MicroUSDC
from jecp_mcp.rails.base import Journal, NotNow, OpenCall, StoredRequest
from jecp_mcp.rails.jecp import rail as jecp
from jecp_mcp.rails.jecp.rail import JecpRail
from jecp_mcp.rails.registry import Rails
from jecp_mcp.rails.send_permit import SendPermit, _too_late
from tests.model.calls.story import ECHOING
from tests.tiny_rail.rail import TinyRail

_LONG_MS = 6 * 3_600_000


@contextmanager
def _no_last_instant() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jecp, "provable_until", lambda now, _seconds: UnixMs(now + _LONG_MS))
        yield


@contextmanager
def _window_from_the_last_send() -> Iterator[None]:
    """Each attempt has the Hub's whole window, from the attempt before it."""
    sent: dict[str, int] = {}
    stamp, request_of = jecp.provable_until, JecpRail.prepare
    margins: dict[str, int] = {}

    def prepare(self: JecpRail, call_id: str, *given: Any) -> StoredRequest:
        made = request_of(self, call_id, *given)
        now = given[-1]
        margins[call_id] = stamp(now, self._client.guide.idempotency_window_seconds) - now
        sent[call_id] = now
        return replace(made, provable_until=UnixMs(now + _LONG_MS))

    async def leave(self: SendPermit) -> None:
        call_id = self._journal._call_id  # type: ignore[attr-defined]  # the pipeline's own journal
        try:
            await self._journal.sending()
        except NotNow as exc:
            self.refused = exc
            raise
        if self._clock.now() >= sent[call_id] + margins[call_id]:
            self.refused = NotNow(_too_late(self._until))
            raise self.refused
        sent[call_id] = self._clock.now()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JecpRail, "prepare", prepare)
        patch.setattr(SendPermit, "ask", leave)
        yield


@contextmanager
def _anybody_adopts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rails, "serves", lambda *_: True)
        yield


@contextmanager
def _no_readmission() -> Iterator[None]:
    async def sending(_self: CallJournal) -> None:
        return

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CallJournal, "sending", sending)
        yield


@contextmanager
def _a_refusal_releases() -> Iterator[None]:
    ended = JecpRail._ended

    async def released(self: JecpRail, request: StoredRequest, permit: SendPermit, **given: Any) -> Outcome:
        found = await ended(self, request, permit, **given)
        return replace(found, verdict=Verdict.NOT_CHARGED, amount=ZERO) if permit.refused is not None else found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JecpRail, "_ended", released)
        yield


@contextmanager
def _pays_before_it_is_written_down() -> Iterator[None]:
    async def finish(self: TinyRail, call: OpenCall, journal: Journal, said: Mapping[str, Any]) -> Outcome:
        answer = Answer(call.request.call_id, {"said": said["said"]}, Billing())
        cost = MicroUSDC(said["cost"])
        outcome = await self._pay(call, answer, cost)
        await journal.keep(Entry(Mark.RESULT, answer=answer), Entry(Mark.INTENT, str(cost)))
        return outcome

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TinyRail, "_finish", finish)
        yield


@contextmanager
def _a_lost_payment_is_free() -> Iterator[None]:
    pay = TinyRail._pay

    async def free(self: TinyRail, call: OpenCall, answer: Answer, cost: MicroUSDC) -> Outcome:
        found = await pay(self, call, answer, cost)
        lost = found.verdict is Verdict.IN_DOUBT
        return replace(found, verdict=Verdict.NOT_CHARGED, look_again_at=None) if lost else found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TinyRail, "_pay", free)
        # The ledger alone would not believe it.
        patch.setattr(call_rules, "Mark", SimpleNamespace(INTENT=None))
        patch.setattr(execution, "Mark", SimpleNamespace(INTENT=None))
        yield


RULES: dict[str, tuple[Callable[[], AbstractContextManager[None]], str, int | None]] = {
    "a last instant": (_no_last_instant, "charged twice", None),
    "the window counts from when it was prepared": (_window_from_the_last_send, "charged twice", None),
    "only who serves an account adopts its calls": (_anybody_adopts, "could have been found out", None),
    "a late send is admitted anew": (_no_readmission, "ms from", None),
    "nothing is paid that is not written down": (
        _pays_before_it_is_written_down,
        "paid before it was written down",
        ECHOING,
    ),
    "what was to be paid is never free by itself": (_a_lost_payment_is_free, "the payee has", ECHOING),
    "a refusal never releases": (_a_refusal_releases, "the Hub took", None),
}
"""How each is broken, what the story says then, and in which third of the stories, where only some can tell."""
