"""What the Hub's answers say of the time (RFC 9110 §6.6.1, Date; RFC 9111 §5.1, Age)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from jecp_mcp.clock import Clock
from jecp_mcp.wire.jecp.headers import header, http_date

_AGE: Final = re.compile(r"\d{1,10}", re.ASCII)


class HubTime:
    """The Hub's clock as last heard, carried on by this machine's monotonic clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heard: tuple[int, float] | None = None

    def note(self, headers: Mapping[str, str]) -> bool:
        """Take the time of an answer that has just come in; one without a readable date changes nothing.

        Returns whether it told the time.

        A cache between gives an answer again with the date at which the Hub made it, and says how old it is.
        """
        text, age = header(headers, "date"), header(headers, "age")
        date = None if text is None else http_date(text)
        if date is None or (age is not None and not _AGE.fullmatch(age.strip())):
            return False
        self._heard = (date + int(age or 0) * 1000, self._clock.monotonic())
        return True

    def skew(self) -> float | None:
        """How far this machine's clock is ahead of the Hub's, in seconds, or None while no answer has told.

        True to about a second and the answer's way; a machine that has slept since seems to be ahead by its sleep.
        """
        if self._heard is None:
            return None
        date, at = self._heard
        return self._clock.now() / 1000 - date / 1000 - (self._clock.monotonic() - at)
