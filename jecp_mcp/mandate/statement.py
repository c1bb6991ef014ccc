"""What was spent, added up. Pure: whoever has the calls feeds them, page by page.

Amounts are micro-USDC. A call belongs to the instant it was reserved at, in UTC, and so does what was refunded of it
later: as in the windows of the limits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum

from jecp_mcp.clock import UnixMs, iso
from jecp_mcp.mandate.records import CallRow
from jecp_mcp.mandate.states import CHARGED, HOLDING, State


class By(StrEnum):
    """What a line of a statement stands for."""

    TOOL = "tool"
    PROVIDER = "provider"
    PRINCIPAL = "principal"
    ACTION = "action"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Line:
    """Some calls, added up; micro-USDC.

    Attributes:
        calls: how many were reserved.
        charged: what the Hub took.
        refunded: what of it the Hub gave back.
        held: what counts as spent though nobody knows whether it was charged, running calls included.
        in_doubt: the part of `held` whose outcome is not known: calls in doubt and those written off.
        uncharged: how many calls ended without a charge.
    """

    calls: int = 0
    charged: int = 0
    refunded: int = 0
    held: int = 0
    in_doubt: int = 0
    uncharged: int = 0

    @property
    def net(self) -> int:
        """What was paid in the end."""
        return self.charged - self.refunded

    def __add__(self, other: Line) -> Line:
        return Line(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


@dataclass(frozen=True, slots=True)
class Statement:
    """A line for each key, in order, and their sum."""

    lines: Mapping[str, Line]
    total: Line


_KEYS: Mapping[By, Callable[[CallRow], str]] = {
    By.TOOL: lambda row: row.tool,
    By.PROVIDER: lambda row: row.payee,
    By.PRINCIPAL: lambda row: row.principal,
    By.ACTION: lambda row: row.offer,
    By.DAY: lambda row: iso(row.created_at)[:10],
    By.MONTH: lambda row: iso(row.created_at)[:7],
}


class StatementBuilder:
    """A statement in the making: `add` every page of calls, then `statement`."""

    def __init__(self, by: By, since: UnixMs | None = None, until: UnixMs | None = None) -> None:
        """Add up calls reserved from `since` on and before `until`."""
        self._key = _KEYS[by]
        self._since, self._until = since, until
        self._lines: dict[str, Line] = {}

    def add(self, rows: Iterable[CallRow]) -> None:
        """Count these calls too."""
        for row in rows:
            early = self._since is not None and row.created_at < self._since
            late = self._until is not None and row.created_at >= self._until
            if not early and not late:
                key = self._key(row)
                self._lines[key] = self._lines.get(key, Line()) + _line(row)

    def statement(self) -> Statement:
        """What was added so far."""
        return Statement(dict(sorted(self._lines.items())), sum(self._lines.values(), Line()))


def _line(row: CallRow) -> Line:
    line = Line(calls=1)
    if row.state in CHARGED:
        return replace(line, charged=row.charged, refunded=row.refunded)
    if row.state in HOLDING:
        doubtful = row.state in {State.IN_DOUBT, State.WRITTEN_OFF}
        return replace(line, held=row.held, in_doubt=row.held if doubtful else 0)
    return replace(line, uncharged=1)
