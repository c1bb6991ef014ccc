"""What is said where a source of offers is away: since when, what is known of it from before, when it is asked again.

Pure: no I/O. A source that is away hides nobody else's offers, and none of its own that are known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from jecp_mcp.catalog.sources import LOOK_AGAIN_SECONDS, Outage
from jecp_mcp.clock import iso
from jecp_mcp.errors import ToolFault
from jecp_mcp.rails.jecp.codes import HUB_UNREACHABLE
from jecp_mcp.tools.publishing.cleaning import clean

_SOURCE: Final = 80
_REASON: Final = 120
_LONGEST_WAIT: Final = 60
"""The longest wait that is advised, in seconds: whoever asks again has the source asked again."""


def outage_words(outage: Outage) -> str:
    """One outage for any reader, in a sentence: since when and why, and what is known from before."""
    source, reason = clean(outage.source, _SOURCE, one_line=True), clean(outage.reason, _REASON, one_line=True)
    if outage.since is not None:
        since = f"{source} has given no catalog since {iso(outage.since)}"
    elif outage.code == HUB_UNREACHABLE:
        since = f"{source} was never reached from here"
    else:
        since = f"{source} has never given its catalog here"
    known = "nothing of its catalog is known from before"
    if outage.known_at is not None:
        known = f"{_offers(outage.offers)} known, as of {iso(outage.known_at)}"
    return f"{since}: {reason}; {known}."


def outage_notices(outages: Sequence[Outage]) -> list[dict[str, Any]]:
    """Outages as fields beside what is known all the same; times are ISO 8601, the wait is in seconds."""
    return [
        {
            "source": clean(one.source, _SOURCE, one_line=True),
            "code": one.code,
            "since": None if one.since is None else iso(one.since),
            "known_offers": one.offers,
            "known_at": None if one.known_at is None else iso(one.known_at),
            "retry_after_seconds": _wait(one),
        }
        for one in outages
    ]


def nothing_known(outages: Sequence[Outage], wanted: str | None = None) -> ToolFault:
    """The fault where an answer needs the catalog of a source that is away.

    Args:
        outages: the sources that may have it, at least one.
        wanted: what is not among the offers that are known; None where none is.
    """
    about = " ".join(outage_words(one) for one in outages)
    missing = "No offer is known here." if wanted is None else f"{wanted} is not among the offers known here."
    return ToolFault(
        outages[0].code, f"{missing} Nothing was charged. {about}", retry_after_seconds=min(map(_wait, outages))
    )


def _wait(outage: Outage) -> int:
    """When it is worth asking again, in whole seconds: each question has it looked for, unless it asks to wait."""
    if outage.asks_to_wait:
        return max(1, math.ceil(outage.again_in))
    return math.ceil(min(max(outage.again_in, LOOK_AGAIN_SECONDS), _LONGEST_WAIT))


def _offers(count: int) -> str:
    return "1 of its offers is" if count == 1 else f"{count} of its offers are"
