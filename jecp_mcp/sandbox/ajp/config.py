"""How the sandbox's agents are set up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from jecp_mcp.clock import Clock, SystemClock


@dataclass(frozen=True, slots=True)
class AgentsConfig:
    """How they run.

    Attributes:
        data: the folder with a file of jobs for each; None keeps them in memory.
        slow_seconds: how long the slow one takes: longer than a host waits for a tool.
        clock: the time; tests pass one they can turn.
        sleep: waits for so many seconds of it.
    """

    data: Path | None = None
    slow_seconds: float = 60.0
    clock: Clock = field(default_factory=SystemClock)
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep
