"""What there is where a request had no whole answer. Pure: no I/O."""

from __future__ import annotations

from dataclasses import dataclass

from jecp_mcp.domain.refusals import Refusal


@dataclass(frozen=True, slots=True)
class Lost:
    """No whole answer came; `sent` is whether any byte may have left."""

    sent: bool
    reason: str
    refusal: Refusal | None = None
