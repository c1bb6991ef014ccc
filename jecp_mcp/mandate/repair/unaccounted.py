"""What a damaged ledger's meters had counted, and no call that can still be read explains. Pure.

A meter counts every call that it applies to, so what it holds beyond the calls that were saved was spent on calls that
left no trace. Of a principal's meters the one that misses most tells: the others count parts of the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter

from jecp_mcp.clock import UnixMs
from jecp_mcp.mandate.counting import counts
from jecp_mcp.mandate.naming import pattern_of
from jecp_mcp.mandate.records import CallRow
from jecp_mcp.mandate.states import counted_amount
from jecp_mcp.mandate.windows import SLOT_MS, slot_start
from jecp_mcp.mandate.working_set import MeterState


@dataclass(frozen=True, slots=True)
class Part:
    """Something that was counted and that nothing explains.

    Attributes:
        at: the last instant at which it can have been spent.
        amount: micro-USDC.
        principal: whose limits had counted it.
    """

    at: UnixMs
    amount: int
    principal: str


class Unexplained:
    """The slots of a ledger's meters, less the calls that are explained so far; micro-USDC."""

    def __init__(self, slots: Iterable[tuple[int, int, int]], states: Iterable[MeterState]) -> None:
        """Start with every slot (meter, start, amount) unexplained."""
        self._states = {state.number: state for state in states}
        self._left = {(meter, start): amount for meter, start, amount in slots if meter in self._states}

    def explain(self, row: CallRow) -> None:
        """Take off what a call that was saved counts for."""
        amount = counted_amount(row.state, row.held, row.charged, row.refunded)
        for state in self._states.values():
            slot = (state.number, slot_start(state.window, row.sent_at))
            if slot in self._left and counts(state, row):
                self._left[slot] -= amount

    def names(self, principal: str) -> tuple[str, ...]:
        """Names by which a call whose own are lost counts towards every limit that there was for a principal."""
        states = self._states.values()
        return tuple(sorted({pattern_of(one.pattern) for one in states if one.principal == principal and one.pattern}))

    def rest(self, now: UnixMs) -> list[Part]:
        """What is left, oldest first."""
        missing: defaultdict[tuple[str, int], list[Part]] = defaultdict(list)
        for (meter, start), amount in self._left.items():
            if amount > 0:
                state = self._states[meter]
                length = SLOT_MS.get(state.window)
                at = now if length is None else min(now, start + length - 1)
                missing[state.principal, meter].append(Part(UnixMs(at), amount, state.principal))
        most: dict[str, list[Part]] = {}
        for (principal, _), parts in missing.items():
            most[principal] = max(most.get(principal, []), parts, key=lambda some: sum(part.amount for part in some))
        return sorted((part for parts in most.values() for part in parts), key=attrgetter("at"))
