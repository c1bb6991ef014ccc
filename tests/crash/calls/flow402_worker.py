"""A process that buys through the sandbox's control plane, or finishes what another left, until it kills itself.

Its points are those of the ledger (see `tests.crash.mandate.dying`), every event of the HTTP library's trace, and the
moments before and after a conclusion is queued.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio

from jecp_mcp.calls.ports import Caller
from jecp_mcp.cli import assembly
from jecp_mcp.cli.assembly import build
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.rails.flow402 import opening
from jecp_mcp.tools.own import paid_http
from tests.crash.calls.paying import lay
from tests.crash.mandate.dying import Fuse
from tests.flow402_house import started
from tests.paid_http_house import TurnedClock

IMPORTED = (opening, paid_http)
"""What a server imports when it first pays, here before a process is forked from this one."""


@dataclass(frozen=True)
class Life:
    """What a process is to do.

    Attributes:
        where: where the control plane and its merchant are.
        ahead: how far the chain's time is before the machine's, in seconds.
        prepared_id: what is executed, by `callers` at once; ``""`` to finish what is open instead.
        last: the point to die at, by number or name; 0 to live.
    """

    folder: Path
    where: Mapping[str, str]
    ahead: int
    prepared_id: str
    callers: int
    last: int | str


def live(life: Life, tell: Connection) -> None:
    """Do it; says ``("died", point)``, or ``("passed", points)`` and ``("heard", [result])``."""
    logging.disable(logging.CRITICAL)
    fuse = Fuse(life.last, tell)
    fuse.lay()
    lay(fuse)
    clock = TurnedClock()
    clock.ahead = life.ahead
    assembly.SystemClock = lambda: clock  # type: ignore[assignment, misc]
    shop: Any = SimpleNamespace(where={"402flow": life.where})
    heard: list[Any] = []

    async def do() -> None:
        async with build(started(life.folder, shop)) as bridge:
            fuse.lit = True
            if not life.prepared_id:
                await bridge.calls.recover()

            async def execute() -> None:
                found = await bridge.dispatcher.call(
                    "paid_http_execute", {"prepared_id": life.prepared_id}, Caller(LOCAL)
                )
                heard.append(dict(found.structured or {}))

            async with anyio.create_task_group() as tasks:
                for _ in range(life.callers if life.prepared_id else 0):
                    tasks.start_soon(execute)
            await bridge.ledger.flush()
            fuse.lit = False

    anyio.run(do)
    tell.send(("passed", fuse.passed))
    tell.send(("heard", heard))
