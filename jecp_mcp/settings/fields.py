"""What the settings' keys are made of, and what every section has in common. Pure: no I/O."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from jecp_mcp.clock import UnixMs, parse_iso
from jecp_mcp.errors import MoneyError
from jecp_mcp.money import MicroUSDC, parse_usdc

_WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)


def _amount(value: object) -> MicroUSDC:
    if not isinstance(value, str):
        raise ValueError(  # noqa: TRY004 - pydantic turns ValueError into a report
            'an amount is decimal text in USDC, in quotes, such as "0.25"; a bare number would pass through binary '
            "floating point, which is inexact"
        )
    try:
        return parse_usdc(value)
    except MoneyError as exc:
        raise ValueError(str(exc)) from exc


def read_price_to_assume(value: object) -> MicroUSDC | Literal["deny"]:
    """What to hold for a call of unknown price, micro-USDC, or ``deny``.

    Raises:
        ValueError: it is neither.
    """
    if value == "deny":
        return "deny"
    try:
        return _amount(value)
    except ValueError as exc:
        raise ValueError(f'"deny", or what to hold for a call of unknown price: {exc}') from exc


def _instant(value: object) -> UnixMs:
    text = value if isinstance(value, str) else getattr(value, "isoformat", lambda: "")()
    try:
        return parse_iso(text)
    except (ValueError, OverflowError) as exc:
        raise ValueError("an instant is RFC 3339 text such as 2027-01-31T00:00:00Z") from exc


def _whole(value: object) -> int:
    # The environment only has text. A boolean is an int in Python, and nobody means 1 by writing true.
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("a whole number such as 40")  # noqa: TRY004 - pydantic turns ValueError into a report
    return value


def _seconds(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a number of seconds such as 30")  # noqa: TRY004 - pydantic turns ValueError into a report
    return value


Amount = Annotated[int, BeforeValidator(_amount)]
"""An amount in micro-USDC, written as decimal text in USDC."""

Instant = Annotated[int, BeforeValidator(_instant)]
"""Milliseconds since the Unix epoch, written as RFC 3339."""

Whole = Annotated[int, BeforeValidator(_whole)]
"""A whole number, never a boolean or a fraction."""

Seconds = Annotated[float, BeforeValidator(_seconds)]
"""A number of seconds, never a boolean."""

Words = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=200)], ...], Field(max_length=200)]
"""A list of short texts."""


class Section(BaseModel):
    """A section: it has no key but its own, and cannot be changed."""

    # Only the whole is built at start; a section alone is built where somebody makes one.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
