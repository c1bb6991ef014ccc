"""How the merchant, the facilitator and the chain are set up."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from jecp_mcp.clock import Clock, SystemClock
from jecp_mcp.wire.x402.assets import SANDBOX_ASSET, Asset


@dataclass(frozen=True, slots=True)
class PaidHttpConfig:
    """How they run.

    Attributes:
        data: the SQLite file that keeps their state; None keeps it in memory.
        asset: the token; one of real chains is refused at the start.
        clock: the time; tests pass one they can turn.
        control_key: what the controls ask for as ``X-Sandbox-Key``: another at each start.
    """

    data: Path | None = None
    asset: Asset = SANDBOX_ASSET
    clock: Clock = field(default_factory=SystemClock)
    control_key: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
