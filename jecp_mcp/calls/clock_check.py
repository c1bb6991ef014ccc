"""Whether this machine's clock can be gone by: somebody the operator trusts tells, or else how evenly it ran."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from jecp_mcp.calls import refusals
from jecp_mcp.calls.codes import CLOCK_WRONG
from jecp_mcp.clock import Clock
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import PayeeError
from jecp_mcp.rails.base import Witness
from jecp_mcp.rails.registry import Rails

MOST_SKEW_SECONDS: Final = 300.0
"""How far this machine's clock may be off the witness's, or leap by itself: what payees themselves allow."""


class ClockCheck:
    """Judges the clock for one process.

    What it can know without anybody else is that the clock leapt since the process began, against `Clock.monotonic`,
    which goes on while the machine sleeps wherever the system has such a clock.
    """

    def __init__(self, rails: Rails, clock: Clock) -> None:
        """Begin to watch `clock`: what it shows now is what it is compared with until a witness confirms another."""
        self._rails = rails
        self._clock = clock
        self._even = self._offset()
        self._believed: float | None = None

    async def fault(self, own: Witness | None, *, fresh: bool = False) -> Refusal | None:
        """Why this machine's clock cannot be gone by for a call, or None.

        A rail whose payees do not tell the time goes by what others' did, and where nobody did, by how evenly the clock
        ran. It waits for nobody, unless the clock is in doubt: then nobody goes by it until somebody confirms it.

        Args:
            own: who tells the time where the call is paid; None where nobody does there.
            fresh: ask them now, instead of going by what was last heard.
        """
        if own is None:
            return await self._doubt(self._rails.witnesses)
        try:
            skew = await own.skew(fresh=fresh)
        except PayeeError as exc:
            return Refusal(exc.code, exc.message, source="bridge")
        if skew is not None:
            return self._judge(skew)
        return self._leap() and await self._doubt((own,))

    async def house_fault(self) -> Refusal | None:
        """Why this machine's clock cannot be gone by for anything, asking who tells the time; None where it can."""
        if not self._rails.witnesses:
            return self._leap()
        faults = [await self.fault(witness, fresh=True) for witness in self._rails.witnesses]
        wrong = next((fault for fault in faults if fault is not None and fault.code == CLOCK_WRONG), None)
        return wrong or (faults[0] if all(faults) else None)

    async def is_right(self, own: Witness | None) -> bool | None:
        """Whether the clock is right though the ledger was written later; None where nobody can tell.

        Somebody who is asked now says so. Where none does: the ledger once took this clock for right in this process,
        which has run evenly since, so it was ahead when the later was written.

        Args:
            own: as for `fault`.
        """
        for witness in self._rails.witnesses if own is None else (own,):
            with suppress(PayeeError):
                skew = await witness.skew(fresh=True)
                if skew is not None:
                    return self._judge(skew) is None
        return True if self._believed is not None and not _far(self._offset() - self._believed) else None

    def believed(self) -> None:
        """Note that the ledger, which may have been written later than the clock shows, was not."""
        self._believed = self._offset()

    async def _doubt(self, witnesses: Sequence[Witness]) -> Refusal | None:
        """What speaks against the clock, once those who tell the time were asked anew; they are not, if nothing does.

        What they said last may be overtaken: this machine may have slept since. Their silence overtakes nothing.
        """
        heard = [witness.heard() for witness in witnesses]
        known = [skew for skew in heard if skew is not None]
        doubt = next((refusals.clock_wrong(skew) for skew in known if _far(skew)), None) if known else self._leap()
        if doubt is None:
            return None
        confirmed = False
        for witness in witnesses:
            with suppress(PayeeError):
                skew = await witness.skew(fresh=True)
                fault = None if skew is None else self._judge(skew)
                if fault is not None:
                    return fault
                confirmed = confirmed or skew is not None
        return None if confirmed else doubt

    def _judge(self, skew: float) -> Refusal | None:
        if _far(skew):
            return refusals.clock_wrong(skew)
        self._even = self._offset()
        return None

    def _leap(self) -> Refusal | None:
        leap = self._offset() - self._even
        return refusals.clock_leapt(leap) if _far(leap) else None

    def _offset(self) -> float:
        """How far the wall clock is before the one that never leaps, in seconds."""
        return self._clock.now() / 1000 - self._clock.monotonic()


def _far(seconds: float) -> bool:
    return abs(seconds) > MOST_SKEW_SECONDS
