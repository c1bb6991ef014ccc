"""FaultQueue a test asks the sandbox for: lost connections, foreign pages, delays, any refusal. Sandbox only.

``POST /sandbox/faults`` takes ``{"match", "fault", "times"?, …}``:

- `match`: ``capability:action``, ``capability``, ``*`` (every call), ``x402`` (every call that comes with a payment),
  or a path such as ``/v1/capabilities`` (any other request).
- `fault`:
  ``drop_before`` closes the connection before anything happens;
  ``drop_after_charge`` does the work, charges, keeps the answer and closes the connection without it;
  ``drop_midway`` closes a stream after its first piece, uncharged; ``pause_midway:SECONDS`` waits there;
  ``delay:SECONDS`` comes late (what waits or is late goes on at once when the faults are cleared);
  ``status:502 html`` (or ``json``, or ``empty``) answers with what is no JECP envelope;
  ``code:INTERNAL_ERROR`` refuses with that code (a stream ends with it where that is its way).
- `times`: how many requests, 1 unless given. `agent_id`: only this agent's calls.
- `after_charge`: true lets the work be done and charged before ``status`` or ``code`` answers.
- `after_settlement`: true lets the call's payment be taken, and ``drop_before``, ``status`` or ``code`` end it before
  the work.
- With ``code``: `message`, `details`, `retry_after_seconds`, `http_status`, `next_action` replace the code's own.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from jecp_mcp import jsontext
from jecp_mcp.sandbox.dialect import Dialect
from jecp_mcp.sandbox.error_answers import Refused, Reply, refusal_reply
from jecp_mcp.wire.jecp.codes import canonical

MOST_FAULTS = 1_000
MOST_DELAY_SECONDS = 600.0

_FAULT = re.compile(
    r"(?P<drop>drop_before|drop_after_charge|drop_midway)"
    r"|delay:(?P<delay>\d{1,3}(?:\.\d{1,6})?)"
    r"|pause_midway:(?P<pause_midway>\d{1,3}(?:\.\d{1,6})?)"
    r"|status:(?P<status>[2-5]\d\d)(?: (?P<page>html|json|empty))?"
    r"|code:(?P<code>[A-Z][A-Z0-9_]{2,99})",
    re.ASCII,
)

STREAM_ENDINGS = frozenset({"STREAM_TIMEOUT", "STREAM_INCOMPLETE", "PROVIDER_DISCONNECT", "PROVIDER_TIMEOUT"})
"""Codes a stream ends with after it began; before that they are plain refusals."""

_DETAILS: Mapping[str, Mapping[str, Any]] = {
    "CAPABILITY_DEPRECATED": {"successor": "inkwell/invoice", "sunset_at": "2026-01-01T00:00:00Z"},
    "COMPOSITE_STEP_FAILED": {"failed_step_id": "first", "refunds_issued": 0, "unrefunded_step_ids": []},
    "COMPOSITE_REFUND_FAILED": {"unrefunded_step_ids": ["first"], "manual_intervention_required": True},
    "INPUT_SCHEMA_VIOLATION": {
        "errors": [{"instance_path": "/text", "schema_path": "/properties/text/type", "reason": "not a string"}]
    },
    "INSUFFICIENT_TRUST": {"required": "gold", "current": "bronze"},
    "PROVENANCE_MISMATCH": {"subcause": "hmac_mismatch"},
    "URL_BLOCKED_SSRF": {
        "field": "callback_url",
        "blocked_url": "https://10.0.0.1/",
        "reason": "resolved_to_deny_cidr",
    },
}
"""What comes in ``details`` with a code unless the fault says otherwise."""


class DropConnection(Exception):
    """The connection is to be closed without an answer."""


@dataclass(slots=True)
class Fault:
    """One fault asked for."""

    match: str
    kind: str
    argument: str
    page: str
    times: int
    after_charge: bool
    agent_id: str | None
    extra: Mapping[str, Any]
    cleared: asyncio.Event
    after_settlement: bool = False

    def matches(self, names: tuple[str, ...], agent_id: str | None) -> bool:
        """Whether it is meant for a request known by one of these names."""
        return self.match in names and self.agent_id in (None, agent_id)

    async def wait(self) -> None:
        """Let the seconds pass that were asked for, or those until the faults are cleared."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.cleared.wait(), float(self.argument))

    async def answer_instead(self, dialect: Dialect, call_id: str | None, *, streaming: bool) -> Reply | None:
        """What happens instead of the request, if it is meant to be instead.

        Raises:
            DropConnection: the connection is to be closed.
        """
        if self.after_settlement:
            return None
        if self.kind == "delay":
            await self.wait()
        elif self.kind == "drop_before":
            raise DropConnection
        elif self.kind in ("status", "code") and not self.after_charge and not self.ends_stream(streaming=streaming):
            return self._answer(dialect, call_id)
        return None

    def answer_after_settlement(self, dialect: Dialect, call_id: str) -> Reply | None:
        """What a call ends with whose payment was just taken, if it is meant to end there.

        Raises:
            DropConnection: the connection is to be closed.
        """
        if not self.after_settlement:
            return None
        if self.kind == "drop_before":
            raise DropConnection
        return self._answer(dialect, call_id)

    def replace_answer(self, answer: Reply, dialect: Dialect, call_id: str | None) -> Reply:
        """What the client gets in place of a finished answer.

        Raises:
            DropConnection: nothing.
        """
        if self.kind == "drop_after_charge":
            raise DropConnection
        if self.after_charge and self.kind in ("status", "code"):
            return self._answer(dialect, call_id)
        return answer

    def ends_stream(self, *, streaming: bool) -> bool:
        """Whether it cuts a stream short after its first piece."""
        return streaming and (
            self.kind == "drop_midway" or (self.kind == "code" and canonical(self.argument) in STREAM_ENDINGS)
        )

    def _answer(self, dialect: Dialect, call_id: str | None) -> Reply:
        if self.kind == "code":
            return refusal_reply(self.refusal(), dialect, call_id)
        status = int(self.argument)
        if self.page == "empty":
            return Reply(status, b"", {})
        if self.page == "json":
            return Reply(status, b'{"message":"upstream request failed"}', {"content-type": "application/json"})
        page = f"<!doctype html><title>{status}</title><h1>{status} from a proxy in between</h1>"
        return Reply(status, page.encode(), {"content-type": "text/html; charset=utf-8"})

    def refusal(self) -> Refused:
        """The refusal a ``code`` fault stands for."""
        code = canonical(self.argument)
        waits = code in ("RATE_LIMITED", "ROTATION_24H_CAP", "SERVICE_DEGRADED")
        return Refused(
            self.argument,
            self.extra.get("message", f"The sandbox was asked to answer {self.argument}."),
            details=self.extra.get("details", _DETAILS.get(code)),
            retry_after=self.extra.get("retry_after_seconds", 1 if waits else None),
            status=self.extra.get("http_status"),
            next_action=self.extra.get("next_action"),
            literal=True,
        )


class FaultQueue:
    """The faults still to happen, in the order they were asked for."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self._cleared = asyncio.Event()

    def add(self, request: Any) -> int:
        """Add one from the body of ``POST /sandbox/faults``; how many requests are still to fail.

        Raises:
            Refused: it is not understood.
        """
        if not isinstance(request, dict) or not isinstance(request.get("match"), str):
            raise Refused("INVALID_REQUEST", "match and fault are required.")
        text, times = request.get("fault"), request.get("times", 1)
        found = _FAULT.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise Refused("INVALID_REQUEST", "fault is none this sandbox knows.")
        if isinstance(times, bool) or not isinstance(times, int) or not 0 < times <= MOST_FAULTS:
            raise Refused("INVALID_REQUEST", f"times must be from 1 to {MOST_FAULTS}.")
        if len(self._waiting) >= MOST_FAULTS:
            raise Refused("INVALID_REQUEST", "too many faults are waiting.")
        kind = found["drop"] or next(name for name in ("delay", "pause_midway", "status", "code") if found[name])
        argument = "" if found["drop"] else found[kind]
        if kind in ("delay", "pause_midway") and float(argument) > MOST_DELAY_SECONDS:
            raise Refused("INVALID_REQUEST", f"a delay may last {MOST_DELAY_SECONDS:g} seconds.")
        self._waiting.append(
            Fault(
                match=request["match"],
                kind=kind,
                argument=argument,
                page=found["page"] or "html",
                times=times,
                after_charge=request.get("after_charge") is True,
                agent_id=request.get("agent_id"),
                after_settlement=request.get("after_settlement") is True,
                extra=jsontext.plain(request),
                cleared=self._cleared,
            )
        )
        return sum(fault.times for fault in self._waiting)

    def clear(self) -> None:
        """Forget what has not happened yet, and let go on what is held up."""
        self._waiting.clear()
        self._cleared.set()
        self._cleared = asyncio.Event()

    def take(self, names: tuple[str, ...], agent_id: str | None) -> Fault | None:
        """The next fault for a request known by these names, used up once."""
        for fault in self._waiting:
            if fault.matches(names, agent_id):
                fault.times -= 1
                if fault.times == 0:
                    self._waiting.remove(fault)
                return fault
        return None
