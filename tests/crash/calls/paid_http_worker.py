"""A process that buys from the sandbox's merchant, or finishes what another left, until it kills itself at a point.

Its points are those of the ledger (see `tests.crash.mandate.dying`), every event of the HTTP library's trace, the
signing, and the moments before and after a conclusion is queued.
"""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from jecp_mcp.cli.options import Start
from jecp_mcp.rails.x402 import wiring
from jecp_mcp.settings.wallet_key import WalletKey
from jecp_mcp.tools.own import paid_http
from jecp_mcp.wire.x402.secp256k1 import PrivateKey
from tests.crash.calls.children import ask, lay_signing, light
from tests.paid_http_house import sandbox_settings

IMPORTED = (wiring, paid_http, PrivateKey(b"\x01" * 32).address)
"""What a server imports when it first pays, here before a process is forked from this one."""


@dataclass(frozen=True)
class Life:
    """What a process is to do, as which wallet.

    Attributes:
        url, rpc: the merchant's, and the chain's nodes.
        ahead: how far the chain's time is before the machine's, in seconds.
        timeout_seconds: how long an answer is waited for.
        prepared_id: what is executed, by `callers` at once; ``""`` to finish what is open instead.
        last: the point to die at, by number or name; 0 to live.
    """

    folder: Path
    secret: bytes
    url: str
    rpc: list[str]
    ahead: int
    timeout_seconds: float
    prepared_id: str
    callers: int
    last: int | str


def live(life: Life, tell: Connection) -> None:
    """Do it; says ``("died", point)``, or ``("passed", points)`` and ``("heard", [result])``."""
    fuse = light(life.last, tell)
    lay_signing(fuse)
    shop: Any = SimpleNamespace(url=life.url, rpc=life.rpc)
    settings = sandbox_settings(shop, timeout_seconds=life.timeout_seconds)
    start = Start(settings, life.folder, None, play_wallet=WalletKey(life.secret, "test"))
    asks = [("paid_http_execute", {"prepared_id": life.prepared_id})] * (life.callers if life.prepared_id else 0)
    ask(fuse, tell, start, life.ahead, asks)
