"""What SQL says of the states of a call, in words that both databases understand. Pure: text only."""

from __future__ import annotations

STATES = "'reserved', 'sent', 'settled', 'released', 'in_doubt', 'reconciled_charged', 'reconciled_free', 'written_off'"
OPEN = "state IN ('reserved', 'sent', 'in_doubt')"
"""Written out, so that SQLite can tell that a partial index covers it."""
WRITTEN_OFF = "state = 'written_off'"
CHARGED = "state IN ('settled', 'reconciled_charged')"
EXCESSIVE = "charged > held"
"""Written out likewise."""
COUNTED = (
    "CASE WHEN state IN ('reserved', 'sent', 'in_doubt', 'written_off') THEN held "
    f"WHEN {CHARGED} THEN charged - refunded ELSE 0 END"
)
"""`jecp_mcp.mandate.states.counted_amount`, for sums over many calls."""
AUTHORIZED = ", ".join(f"CASE WHEN mark = 'authorized' THEN {name} END" for name in ("call_id", "terms", "created_at"))
"""The fields of `jecp_mcp.domain.outcomes.AuthorizedCall`, of the calls that have one."""
CAME_TO_NOTHING = "state IN ('released', 'reconciled_free') AND NOT answered"
"""Nothing was bought, be it for nothing."""
COPIES_AMONG = 1_000
"""How many calls before one are looked at for its copies: no index leads to them, and each purchase asks."""

IN_TURN = "row_number() OVER (PARTITION BY c.rail, c.account ORDER BY c.look_again_at, c.id), c.look_again_at, c.id"
"""How due calls ``c`` are handed out: one of each account, then the next of each, the longest due first."""
