"""Whether the Hub answers, as far as whatever was asked of it last tells: its catalog, or a paid call. Pure: no I/O."""

from __future__ import annotations

from typing import Final

from jecp_mcp.clock import Clock, UnixMs
from jecp_mcp.errors import PayeeError
from jecp_mcp.rails.jecp.codes import HUB_UNREACHABLE

_SILENT: Final = "it has not answered yet"


class Reachability:
    """What is known of one Hub. Catalog and calls share it, so that neither has to find out what the other knows.

    Attributes:
        fault: why it gives no news, None while nothing is known to be wrong. A Hub of which nothing is remembered is
            away until it has given its catalog.
        since: when the fault began after an answer, Unix ms; None where nothing was ever heard of it here.
        asked: whether it answered for its catalog, or was found to be away, since this process began or since a call
            showed that it is back.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known = False
        self.since: UnixMs | None = None
        self.fault: PayeeError | None = PayeeError(HUB_UNREACHABLE, _SILENT)
        self.was_asked = False

    def remember(self) -> None:
        """Take a catalog of an earlier run for an answer until the Hub is asked."""
        self._known, self.fault = True, None

    def note_contact(self) -> None:
        """The Hub answers for its catalog, though all of it is not here yet."""
        self.was_asked = True

    def note_catalog(self) -> None:
        """The whole catalog is here."""
        self._known, self.was_asked, self.fault = True, True, None

    def note_failure(self, fault: PayeeError) -> None:
        """Neither catalog nor answer could be had."""
        if self.fault is None:
            self.since = self._clock.now()
        self.fault, self.was_asked = fault, True

    def note_silence(self) -> None:
        """Whoever waited for the Hub's first answer waits no longer."""
        if self.fault is None and not self.was_asked:
            self.since = self._clock.now()
            self.fault = PayeeError(HUB_UNREACHABLE, _SILENT)

    def note_answer(self) -> None:
        """The Hub answered a call: it is back, and what its catalog is now has to be asked."""
        if self.fault is not None and self.fault.code == HUB_UNREACHABLE:
            self.fault = None if self._known else self.fault
            self.was_asked = False
