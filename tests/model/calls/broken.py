"""The rules that the model must miss when they are gone: each is broken while its block runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

import pytest

from jecp_mcp.calls.journal import CallJournal
from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.outcomes import Outcome, Verdict
from jecp_mcp.money import ZERO
from jecp_mcp.rails.base import NotNow, StoredRequest
from jecp_mcp.rails.jecp import rail as jecp
from jecp_mcp.rails.jecp.rail import JecpRail, _Door, _too_late
from jecp_mcp.rails.registry import Rails

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

    async def leave(self: _Door) -> None:
        call_id = self._journal._call_id  # type: ignore[attr-defined]  # the pipeline's own journal
        try:
            await self._journal.sending()
        except NotNow as exc:
            self.closed = exc
            raise
        if self._clock.now() >= sent[call_id] + margins[call_id]:
            self.closed = NotNow(_too_late(self._until))
            raise self.closed
        sent[call_id] = self._clock.now()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JecpRail, "prepare", prepare)
        patch.setattr(_Door, "open", leave)
        yield


@contextmanager
def _anybody_adopts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rails, "serves", lambda _self, _rail, _account: True)
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

    async def released(self: JecpRail, request: StoredRequest, door: _Door, **given: Any) -> Outcome:
        found = await ended(self, request, door, **given)
        return replace(found, verdict=Verdict.NOT_CHARGED, amount=ZERO) if door.closed is not None else found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JecpRail, "_ended", released)
        yield


RULES: dict[str, tuple[Callable[[], AbstractContextManager[None]], str]] = {
    "a last instant": (_no_last_instant, "charged twice"),
    "the window counts from when it was prepared": (_window_from_the_last_send, "charged twice"),
    "only who serves an account adopts its calls": (_anybody_adopts, "could have been found out"),
    "a late send is admitted anew": (_no_readmission, "ms from"),
    "a refusal never releases": (_a_refusal_releases, "the Hub took"),
}
"""How each is broken, and what the story says then."""
