"""The response headers JECP gives a meaning to. Pure: no I/O; dates are judged against a `now` passed in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

from jecp_mcp.clock import UnixMs, iso
from jecp_mcp.domain.answers import Notice

MAX_WAIT_SECONDS = 86_400
"""The longest Retry-After believed; JECP itself stops at 600."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# Compiled on first use: most answers have none of these headers. RFC 9110 §5.6.7: a recipient reads all three forms.
_IMF_OR_850 = r"[A-Za-z]{3,9},\s(\d{1,2})[\s-]([A-Za-z]{3})[\s-](\d{2}|\d{4})\s(\d{2}):(\d{2}):(\d{2})\s(?:GMT|UTC)"
_ASCTIME = r"[A-Za-z]{3}\s([A-Za-z]{3})\s+(\d{1,2})\s(\d{2}):(\d{2}):(\d{2})\s(\d{4})"
_LINK = r"<([^<>]{1,2048})>([^<]{0,1024})"
_REL = r";\s{0,8}rel\s{0,8}=\s{0,8}\"?([A-Za-z0-9 ._:-]{1,200})\"?"
_CENTURY = 100
_RFC850_PIVOT = 70


def header(headers: Mapping[str, str], name: str) -> str | None:
    """A header by name, whatever its case, from any mapping."""
    value = headers.get(name)
    if value is not None:
        return value
    wanted = name.lower()
    for key, item in headers.items():
        if key.lower() == wanted:
            return item
    return None


@lru_cache(maxsize=16)
def http_date(text: str) -> UnixMs | None:
    """Read an HTTP-date (RFC 9110 §5.6.7), or None when it is none. All answers of one second carry the same."""
    text = text.strip()
    if match := re.fullmatch(_IMF_OR_850, text, re.ASCII):
        day, month, year, hour, minute, second = match.groups()
    elif match := re.fullmatch(_ASCTIME, text, re.ASCII):
        month, day, hour, minute, second, year = match.groups()
    else:
        return None
    full_year = int(year)
    if full_year < _CENTURY:
        full_year += 1900 if full_year >= _RFC850_PIVOT else 2000
    try:
        at = datetime(
            full_year,
            _MONTHS.index(month.lower()) + 1,
            int(day),
            int(hour),
            int(minute),
            min(int(second), 59),
            tzinfo=UTC,
        )
    except ValueError:
        return None
    return UnixMs(int(at.timestamp()) * 1000)


def retry_after(headers: Mapping[str, str], now: UnixMs | None = None) -> int | None:
    """Retry-After in whole seconds, 0 to `MAX_WAIT_SECONDS` (RFC 9110 §10.2.3); None when absent or unreadable.

    A date can be read only against `now`.
    """
    text = header(headers, "retry-after")
    if text is None:
        return None
    text = text.strip()
    if re.fullmatch(r"\d{1,9}", text, re.ASCII):
        return min(int(text), MAX_WAIT_SECONDS)
    at = http_date(text) if now is not None else None
    if at is None or now is None:
        return None
    return min(max(0, -((now - at) // 1000)), MAX_WAIT_SECONDS)


def links(headers: Mapping[str, str]) -> dict[str, str]:
    """The targets of the Link header by relation (RFC 8288), the first of each."""
    found: dict[str, str] = {}
    text = header(headers, "link") or ""
    for target, parameters in re.findall(_LINK, text[:8192]):
        if rel := re.search(_REL, parameters, re.IGNORECASE):
            for name in rel.group(1).lower().split():
                found.setdefault(name, target)
    return found


def notices(headers: Mapping[str, str]) -> tuple[Notice, ...]:
    """What Deprecation, Sunset and Link say about the thing just used (RFC 9745, RFC 8594).

    `kind` is ``deprecation`` for a capability on its way out and ``endpoint_deprecation`` for an old road to it,
    which the Hub marks by a Link with ``rel="deprecation"`` and no successor.
    """
    deprecated, sunset = header(headers, "deprecation"), header(headers, "sunset")
    if sunset is None and (deprecated is None or deprecated.strip().lower() in {"", "false", "?0"}):
        return ()
    related = links(headers)
    successor = related.get("successor-version")
    endpoint = successor is None and "deprecation" in related
    at = http_date(sunset) if sunset else None
    when = iso(at) if at is not None else (sunset[:64] if sunset else None)
    subject = "This Hub endpoint" if endpoint else "This capability"
    text = f"{subject} is deprecated"
    text += f" and ends at {when}" if when else ""
    text += f"; its successor is {successor}" if successor else ""
    return (Notice("endpoint_deprecation" if endpoint else "deprecation", text + ".", when, successor),)
