"""Who can lift what stands in the way of a purchase: of each code, in a word or two. Pure: words only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from jecp_mcp.calls.codes import APPROVAL_REQUIRED, LIMIT_REACHED

TIER_MISSING: Final = "INSUFFICIENT_TRUST"
"""The Hub's code for a trust tier that is too low."""

BALANCE_TOO_LOW: Final = "INSUFFICIENT_BALANCE"
"""The Hub's code for a wallet that holds too little."""

_OPERATOR: Final = "operator"
_WHO: Final[Mapping[str, str]] = {
    APPROVAL_REQUIRED: "user",
    BALANCE_TOO_LOW: "user, by a top-up",
    TIER_MISSING: "more calls",
    LIMIT_REACHED: "time, or operator",
}


def lifted_by(codes: Iterable[str], *, never_room: bool = False) -> dict[str, str]:
    """By code who, or what, can lift it; whatever is not named here is the operator's.

    Args:
        never_room: whether the price is above a whole limit, so that no time makes room in it.
    """
    who = {**_WHO, LIMIT_REACHED: _OPERATOR} if never_room else _WHO
    return {code: who.get(code, _OPERATOR) for code in codes}


def in_short(allowed: Mapping[str, Any]) -> dict[str, Any]:
    """What is allowed, without what is empty; several codes that the operator alone can lift are the ``others``."""
    made = {key: one for key, one in allowed.items() if one}
    who = made.get("lifted_by", {})
    if sum(one == _OPERATOR for one in who.values()) > 1:
        made["lifted_by"] = {code: one for code, one in who.items() if one != _OPERATOR} | {"others": _OPERATOR}
    return made


def said_once(rows: Iterable[dict[str, object]]) -> dict[str, str]:
    """What `rows` say under ``lifted_by``, of all codes together; each keeps only what is otherwise with it."""
    held = list(rows)
    said: dict[str, set[str]] = {}
    for row in held:
        for code, who in _own(row).items():
            said.setdefault(code, set()).add(who)
    general = {code: next(iter(words)) if len(words) == 1 else lifted_by([code])[code] for code, words in said.items()}
    for row in held:
        if other := {code: who for code, who in _own(row).items() if who != general[code]}:
            row["lifted_by"] = other
        else:
            row.pop("lifted_by", None)
    return general


def _own(row: Mapping[str, object]) -> dict[str, str]:
    own = row.get("lifted_by")
    return own if isinstance(own, dict) else {}
