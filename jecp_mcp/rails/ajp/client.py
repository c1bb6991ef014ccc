"""The requests of a hire: an offer, a look, an acknowledgement. Which of them may be made is decided elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

from jecp_mcp.clock import Clock
from jecp_mcp.errors import WireError
from jecp_mcp.http import ExchangeFailed, HttpAnswer
from jecp_mcp.http_gate import HttpGate
from jecp_mcp.settings.merchants import Place, read_place
from jecp_mcp.wire.ajp.report import JobReport, is_settled, read_report

_SECONDS: Final = 20.0
_JSON: Final = {"Content-Type": "application/json", "Accept": "application/json"}
_SEPARATE: Final = ("/jobs", "")
_SUCCESS: Final = range(200, 300)
_NOT_FOUND: Final = 404
_MOST_ANSWER: Final = 65_536
_MOST_WAIT: Final = 86_400
_MOST_DIGITS: Final = 9
NO_SUCH_JOB: Final = "the agent says that it has no such job, which it may have lost"


@dataclass(frozen=True, slots=True)
class Looked:
    """A report, or why there is none; `known` is False where the agent says that it has no such job."""

    report: JobReport | None
    reason: str = ""
    known: bool = True


class AgentClient:
    """Asks agents through the gate."""

    def __init__(self, gate: HttpGate, max_result_bytes: int) -> None:
        """Read reports of at most `max_result_bytes`."""
        self._gate = gate
        self._most = max_result_bytes

    async def offer(self, mount: str, raw: bytes, before_sending: Callable[[], Awaitable[None]]) -> HttpAnswer:
        """Make an offer. Raises `ExchangeFailed`."""
        return await self._ask("POST", read_place(mount), raw, before_sending=before_sending)

    async def look(self, mount: str, job_id: str) -> Looked:
        """Ask for a job once."""
        try:
            heard = await self._ask("GET", read_place(mount).below(job_id), None, most=self._most)
        except ExchangeFailed as exc:
            return Looked(None, f"the agent did not say how it stands ({exc.reason})")
        if heard.status == _NOT_FOUND:
            return Looked(None, NO_SUCH_JOB, known=False)
        if heard.status not in _SUCCESS:
            return Looked(None, f"the agent did not say how it stands, but answered with status {heard.status}")
        try:
            report = read_report(heard.body, self._most)
        except WireError as exc:
            return Looked(None, f"what the agent says of it cannot be read: {exc}")
        if report.job_id != job_id:
            return Looked(None, "the agent speaks of another job")
        return Looked(report)

    async def acknowledge(self, mount: str, job_id: str) -> str | None:
        """Acknowledge a job; why it is not known whether the agent heard, None where it did."""
        try:
            heard = await self._ask("POST", read_place(mount).below(f"{job_id}/ack"), b"{}")
        except ExchangeFailed as exc:
            return exc.reason
        if heard.status not in _SUCCESS or not is_settled(heard.body, job_id):
            return f"answered with status {heard.status}"
        return None

    async def _ask(
        self,
        method: str,
        place: Place,
        body: bytes | None,
        *,
        most: int = _MOST_ANSWER,
        before_sending: Callable[[], Awaitable[None]] | None = None,
    ) -> HttpAnswer:
        return await self._gate.exchange(
            method,
            place,
            headers=_JSON,
            body=body,
            timeout=_SECONDS,
            max_bytes=most,
            before_sending=before_sending,
        )


def mounts(endpoint: str) -> tuple[str, ...]:
    """Where jobs are taken, by the protocol's text and as its guide shows it; the same bytes are offered to both."""
    base = endpoint.rstrip("/")
    return (base,) if base.endswith("/jobs") else tuple(f"{base}{part}" for part in _SEPARATE)


def retry_after(heard: HttpAnswer, clock: Clock) -> int | None:
    """For how many seconds nothing is to be asked, by number or date (RFC 9110 §10.2.3); None where it does not say."""
    text = heard.headers.get("retry-after", "")
    if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS:
        return min(int(text), _MOST_WAIT)
    try:
        at = parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
    return min(max(0, round(at - clock.now() / 1000)), _MOST_WAIT)
