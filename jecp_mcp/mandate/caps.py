"""Which caps apply to a call, and what each is called in the ledger. Pure: no I/O, no clock.

Every cap is counted per principal. A meter's key holds its window, principal, pattern and, for the process session,
the session's id; never the limit, so that an operator who changes a limit keeps what was counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from jecp_mcp.mandate.naming import AS_STORED, Naming
from jecp_mcp.mandate.records import Meter
from jecp_mcp.mandate.windows import Window
from jecp_mcp.money import MicroUSDC
from jecp_mcp.settings import LimitSettings, MandateSettings
from jecp_mcp.settings.patterns import matches

_SETTING: dict[Window, str] = {
    Window.SESSION: "session_usdc",
    Window.HOUR: "hourly_usdc",
    Window.DAY: "daily_usdc",
    Window.MONTH: "monthly_usdc",
    Window.TOTAL: "total_usdc",
}


@dataclass(frozen=True, slots=True)
class CapSet:
    """Caps that share one pattern.

    Attributes:
        pattern: a glob over `jecp_mcp.mandate.naming.names_of` an action; None for the general caps, which apply to
            every call.
        per_call: the most one call may cost, micro-USDC, or None.
        windows: the most that may be counted in each window, micro-USDC.
        naming: by which names the pattern means what is stored under others.
    """

    pattern: str | None
    per_call: MicroUSDC | None
    windows: tuple[tuple[Window, MicroUSDC], ...]
    naming: Naming = AS_STORED

    @classmethod
    def from_settings(cls, settings: MandateSettings | LimitSettings, naming: Naming = AS_STORED) -> CapSet:
        """Read the caps of ``[mandate]`` or of one ``[[mandate.limits]]``, by what things are called now."""
        windows = tuple(
            (window, MicroUSDC(limit))
            for window, setting in _SETTING.items()
            if (limit := getattr(settings, setting)) is not None
        )
        pattern = settings.match if isinstance(settings, LimitSettings) else None
        per_call = settings.per_call_usdc
        return cls(pattern, None if per_call is None else MicroUSDC(per_call), windows, naming)

    @property
    def counted(self) -> str | None:
        """The pattern as its meters have it."""
        return None if self.pattern is None else self.naming.bind(self.pattern)

    def label(self, setting: str) -> str:
        """A cap in the operator's words, such as ``daily_usdc`` or ``limits[docs/*].daily_usdc``."""
        return setting if self.pattern is None else f"limits[{self.pattern}].{setting}"


@dataclass(frozen=True, slots=True)
class PerCallCap:
    """The tightest bound on what one call may cost, in micro-USDC, and its name in the operator's words."""

    limit: MicroUSDC
    label: str


class Capped(Protocol):
    """What has caps: a `jecp_mcp.mandate.policy.Policy`."""

    @property
    def caps(self) -> tuple[CapSet, ...]:
        """The general caps, then those of each pattern."""
        ...


def tightest_per_call(caps: tuple[CapSet, ...], names: tuple[str, ...]) -> PerCallCap | None:
    """The lowest per-call cap that applies, or None when none does."""
    tightest: PerCallCap | None = None
    for one in _applying(caps, names):
        if one.per_call is not None and (tightest is None or one.per_call < tightest.limit):
            tightest = PerCallCap(one.per_call, one.label("per_call_usdc"))
    return tightest


def meters_for(caps: tuple[CapSet, ...], names: tuple[str, ...], principal: str, session: str) -> tuple[Meter, ...]:
    """Every window cap that applies, general ones first, each key once with its lowest limit."""
    return _meters(_applying(caps, names), principal, session)


def standing_meters(policy: Capped, *, principal: str, session: str) -> tuple[Meter, ...]:
    """Every window cap the operator set, general ones first, whatever is bought."""
    return _meters(policy.caps, principal, session)


@lru_cache(maxsize=1_024)
def meter_key(window: Window, principal: str, pattern: str | None, session: str) -> str:
    """A meter's identity in the ledger. JSON, so that no principal or pattern can imitate another's key."""
    parts = [window.value, principal, pattern]
    if window is Window.SESSION:
        parts.append(session)
    return json.dumps(parts, ensure_ascii=False, separators=(",", ":"))


def _applying(caps: tuple[CapSet, ...], names: tuple[str, ...]) -> Iterator[CapSet]:
    return (one for one in caps if one.pattern is None or matches(one.pattern, names))


def _meters(caps: Iterable[CapSet], principal: str, session: str) -> tuple[Meter, ...]:
    meters: dict[str, Meter] = {}
    for one in caps:
        pattern = one.counted
        for window, limit in one.windows:
            key = meter_key(window, principal, pattern, session)
            known = meters.get(key)
            if known is None or limit < known.limit:
                meters[key] = Meter(key, window, limit, one.label(_SETTING[window]), principal, pattern)
    return tuple(meters.values())
