"""Limits of which one takes another's effect away: the operator said something that does not hold. Pure: no I/O.

Only what was said is held against the rest: a default that another limit undercuts promises nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from jecp_mcp.money import MicroUSDC, format_usdc
from jecp_mcp.settings import LimitSettings, MandateSettings

Place = tuple[str | int, ...]
"""Keys and indexes from the root of the settings."""

_WITHIN: Final = {
    "per_call_usdc": ("session_usdc", "hourly_usdc", "daily_usdc", "monthly_usdc", "total_usdc"),
    "session_usdc": ("total_usdc",),
    "hourly_usdc": ("daily_usdc", "monthly_usdc", "total_usdc"),
    "daily_usdc": ("monthly_usdc", "total_usdc"),
    "monthly_usdc": ("total_usdc",),
    "total_usdc": (),
}
"""The limits that whatever counts towards a limit counts towards too."""


class Conflict(NamedTuple):
    """One limit that does not hold as it was said.

    Attributes:
        place: where it stands.
        what: in words.
        instead: what holds in its place, in micro-USDC; None where it holds as if it were not there.
    """

    place: Place
    what: str
    instead: MicroUSDC | None


class _Bound(NamedTuple):
    amount: int
    name: str


def limit_conflicts(mandate: MandateSettings) -> Iterator[Conflict]:
    """Every limit that another one takes the effect from."""
    said = mandate.model_fields_set
    for key in _WITHIN:
        amount, bound = getattr(mandate, key), _least(_bounds(mandate, key, "mandate"))
        if key in said and amount is not None and bound is not None and amount > bound.amount:
            yield _undercut(("mandate", key), f"mandate.{key}", amount, bound)
    for number, limit in enumerate(mandate.limits):
        yield from _of_pattern(mandate, limit, ("mandate", "limits", number))
    most = _least(
        [_Bound(mandate.per_call_usdc, "mandate.per_call_usdc"), *_bounds(mandate, "per_call_usdc", "mandate")]
    )
    assert most is not None
    asked_above = mandate.approve_above_usdc
    if asked_above is not None and asked_above >= most.amount:
        what = (
            f"mandate.approve_above_usdc asks a person above {format_usdc(MicroUSDC(asked_above))} USDC, and "
            f"{most.name} lets no call cost more than {format_usdc(MicroUSDC(most.amount))}: nobody is ever asked"
        )
        yield Conflict(("mandate", "approve_above_usdc"), what, None)
    held = mandate.unknown_price
    if held != "deny" and held > most.amount:
        yield _undercut(("mandate", "unknown_price"), "mandate.unknown_price", held, most)


def _of_pattern(mandate: MandateSettings, limit: LimitSettings, place: Place) -> Iterator[Conflict]:
    name = f'the limit for "{limit.match}"'
    for key in _WITHIN:
        amount = getattr(limit, key)
        general = _Bound(getattr(mandate, key) or 0, f"mandate.{key}") if getattr(mandate, key) is not None else None
        bounds = [*_bounds(limit, key, name), *([general] if general else []), *_bounds(mandate, key, "mandate")]
        bound = _least(bounds)
        if amount is not None and bound is not None and amount > bound.amount:
            yield _undercut((*place, key), f"{name}, {key},", amount, bound)


def _bounds(section: MandateSettings | LimitSettings, key: str, name: str) -> list[_Bound]:
    found = [(one, getattr(section, one)) for one in _WITHIN[key]]
    dot = "." if name == "mandate" else ", "
    return [_Bound(amount, f"{name}{dot}{one}") for one, amount in found if amount is not None]


def _least(bounds: list[_Bound]) -> _Bound | None:
    return min(bounds, key=lambda bound: bound.amount, default=None)


def _undercut(place: Place, name: str, amount: int, bound: _Bound) -> Conflict:
    told, least = format_usdc(MicroUSDC(amount)), format_usdc(MicroUSDC(bound.amount))
    return Conflict(
        place, f"{name} is {told} USDC, and {bound.name} lets only {least} through", MicroUSDC(bound.amount)
    )
