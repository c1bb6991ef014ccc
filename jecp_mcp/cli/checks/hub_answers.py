"""The Hub: whether it answers, how far this machine's clock is from its, and what starts it if it is a sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from jecp_mcp.calls.clock_check import MOST_SKEW_SECONDS
from jecp_mcp.cli.checks.sandbox import start_line
from jecp_mcp.cli.options import Start
from jecp_mcp.clock import SystemClock
from jecp_mcp.http import ExchangeFailed, Http
from jecp_mcp.mandate.repair.diagnose import Finding, Level
from jecp_mcp.rails.jecp.hub_time import HubTime
from jecp_mcp.settings import is_loopback
from jecp_mcp.source_names import FIRST
from jecp_mcp.wire.jecp.guide import MAX_GUIDE_BYTES

_SECONDS: Final = 10.0
_SERVER_ERROR: Final = 500
_MEANWHILE: Final = "nothing can be bought meanwhile"


async def hub_findings(given: Start, name: str = "", *, only_clock: bool) -> AsyncIterator[Finding]:
    """Whether a Hub answers, and how far this machine's clock is from its.

    Args:
        given: what the command starts from.
        name: the Hub's, as in `Settings.every_hub`.
        only_clock: whether only the clock matters.
    """
    url, time = given.settings.every_hub[name].base_url, HubTime(SystemClock())
    hub, clock = about("hub", name), about("clock", name)
    try:
        async with Http(url) as http:
            answer = await http.exchange(
                "GET", f"{url}/.well-known/agent-guide.json", timeout=_SECONDS, max_bytes=MAX_GUIDE_BYTES
            )
    except ExchangeFailed as exc:
        if only_clock:
            yield Finding(Level.OK, clock, f"not compared with the Hub's: {url} does not answer ({exc})")
        else:
            yield _silent(given, name, url, exc)
        return
    if not only_clock:
        if answer.status >= _SERVER_ERROR:
            what, mend = f"{url} answers with HTTP {answer.status}", "wait, or ask whoever runs the Hub"
            yield Finding(Level.FAULT, hub, what, "calls may fail or stay in doubt meanwhile", mend)
        else:
            yield Finding(Level.OK, hub, f"{url} answers")
    time.note(answer.headers)
    yield replace(_clock(time.skew()), about=clock)


def about(matter: str, hub: str) -> str:
    """What a finding is about; of a further Hub, which one."""
    return f"{matter} {hub}" if hub else matter


def _silent(given: Start, name: str, url: str, why: ExchangeFailed) -> Finding:
    what = f"{url} does not answer: {why}"
    meanwhile = f"nothing can be bought from {name or FIRST} meanwhile" if given.settings.hubs else _MEANWHILE
    if is_loopback(url) and (port := urlsplit(url).port) is not None:
        mend = f"{start_line(given, port)}, or see to whatever else is to answer there"
        return Finding(Level.FAULT, about("sandbox", name), what, meanwhile, mend)
    key = "the base_url of that Hub in [[hubs]]" if name else "hub.base_url"
    return Finding(Level.FAULT, about("hub", name), what, meanwhile, f"check the network and {key}")


def _clock(skew: float | None) -> Finding:
    if skew is None:
        return Finding(Level.OK, "clock", "not compared: the Hub tells no time")
    if abs(skew) <= MOST_SKEW_SECONDS:
        return Finding(Level.OK, "clock", f"within {max(abs(skew), 1):.0f} s of the Hub's")
    what = f"this machine's clock is {abs(skew):.0f} seconds {'ahead of' if skew > 0 else 'behind'} the Hub's"
    money = "the limits' windows and the mandate's end are judged by a wrong time; calls may be refused"
    return Finding(Level.FAULT, "clock", what, money, "set the clock of this machine, such as with NTP")
