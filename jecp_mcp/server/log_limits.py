"""How much may be logged: whoever can make us log a line must not fill the operator's disk with it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

MOST_LINES: Final = 10
"""How often one place in the code may log within `WINDOW_SECONDS`."""
WINDOW_SECONDS: Final = 60.0
MOST_CHARACTERS: Final = 2_000

_Place = tuple[str, int]


class LogLimits(logging.Filter):
    """Lets each place in the code log so much a minute, and says afterwards how much it kept back."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        # By place, not by message: strangers write in messages. When its window began, how many lines came since.
        self._places: dict[_Place, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log a record; a long message is cut."""
        place, now = (record.pathname, record.lineno), self._monotonic()
        begun, lines = self._places.get(place, (now, 0))
        kept_back = 0
        if now - begun >= WINDOW_SECONDS:
            kept_back = max(0, lines - MOST_LINES)
            begun, lines = now, 0
        self._places[place] = (begun, lines + 1)
        if lines >= MOST_LINES:
            return False
        text = record.getMessage()
        if len(text) > MOST_CHARACTERS:
            text = f"{text[:MOST_CHARACTERS]}… ({len(text)} characters)"
        if kept_back:
            text = f"{text} ({kept_back} more like it were kept back)"
        record.msg, record.args = text, ()
        return True
