"""What a damaged ledger's meters had counted, and no call that can still be read explains. Pure.

A meter counts every call it applies to, so what it holds beyond the calls that were saved was spent on calls that left
no trace. Of several meters the one that misses most tells: the others count parts of the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from jecp_mcp.clock import UnixMs
from jecp_mcp.mandate.meters import slots_of


class Unexplained:
    """The slots of a ledger's meters, less the calls that are explained so far; micro-USDC."""

    def __init__(self, slots: Iterable[tuple[int, int, int]], lengths: Mapping[int, int | None]) -> None:
        """Start with every slot unexplained.

        Args:
            slots: meter, start and amount of each.
            lengths: how long a slot of each meter lasts, in milliseconds; None where its window never rolls.
        """
        self._lengths = lengths
        self._left = {(meter, start): amount for meter, start, amount in slots}
        self._all = ",".join(map(str, lengths))

    def explain(self, meters: str | None, created_at: int, amount: int) -> None:
        """Take off a call that was saved: the meters its row lists, or all where that is lost, and what it counts."""
        for slot in slots_of(self._all if meters is None else meters, created_at, self._lengths):
            if slot in self._left:
                self._left[slot] -= amount

    def rest(self, now: UnixMs) -> list[tuple[UnixMs, int]]:
        """What is left, oldest first: the last instant at which each part can have been spent, and how much it is."""
        missing: defaultdict[int, list[tuple[UnixMs, int]]] = defaultdict(list)
        for (meter, start), amount in self._left.items():
            if amount > 0:
                length = self._lengths.get(meter)
                missing[meter].append((UnixMs(now if length is None else min(now, start + length - 1)), amount))
        most = max(missing.values(), key=lambda parts: sum(amount for _, amount in parts), default=[])
        return sorted(most)
