"""A process that buys through the sandbox's control plane, or finishes what another left, until it kills itself.

Its points are those of the ledger (see `tests.crash.mandate.dying`), every event of the HTTP library's trace, and the
moments before and after a conclusion is queued.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from jecp_mcp.rails.flow402 import wiring
from jecp_mcp.tools.own import paid_http
from tests.crash.calls.children import ask, light
from tests.flow402_house import started

IMPORTED = (wiring, paid_http)
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
    fuse = light(life.last, tell)
    shop: Any = SimpleNamespace(where={"402flow": life.where})
    asks = [("paid_http_execute", {"prepared_id": life.prepared_id})] * (life.callers if life.prepared_id else 0)
    ask(fuse, tell, started(life.folder, shop), life.ahead, asks)
