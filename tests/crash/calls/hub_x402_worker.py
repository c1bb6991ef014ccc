"""A process that buys at a Hub by x402, or finishes what another left, until it kills itself at a point.

Its points are those of the ledger (see `tests.crash.mandate.dying`), every event of the HTTP library's trace, the
signing, and the moments before and after a conclusion is queued.
"""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from pydantic import SecretStr

from jecp_mcp.cli.options import Start
from jecp_mcp.rails.jecp import x402_payments
from jecp_mcp.rails.jecp.hub_time import HubTime
from jecp_mcp.settings import Credentials
from jecp_mcp.settings.wallet_key import WalletKey
from jecp_mcp.wire.x402.secp256k1 import PrivateKey
from tests.crash.calls.children import ask, lay_signing, light
from tests.hub_x402_house import EITHER, TEXT, settings_for

IMPORTED = (x402_payments, PrivateKey(b"\x01" * 32).address)
"""What a server imports when it first pays, here before a process is forked from this one."""


@dataclass(frozen=True)
class Life:
    """What a process is to do, as which agent and wallet.

    Attributes:
        ahead: how far the chain's time is before the machine's, in seconds.
        callers: by how many at once the same is bought; 0 to finish what is open instead.
        last: the point to die at, by number or name; 0 to live.
    """

    folder: Path
    secret: bytes
    hub: str
    agent_id: str
    api_key: str
    rpc: list[str]
    ahead: int
    payment: str
    callers: int
    last: int | str


def live(life: Life, tell: Connection) -> None:
    """Do it; says ``("died", point)``, or ``("passed", points)`` and ``("heard", [result])``."""
    fuse = light(life.last, tell)
    lay_signing(fuse)
    HubTime.skew = lambda _: 0.0  # type: ignore[method-assign, assignment]  # as the house that it belongs to
    settings = settings_for(life.hub, life.rpc, life.payment)
    credentials = Credentials(agent_id=life.agent_id, api_key=SecretStr(life.api_key), source="test")
    start = Start(settings, life.folder, credentials, play_wallet=WalletKey(life.secret, "test"))
    ask(fuse, tell, start, life.ahead, [(EITHER, TEXT)] * life.callers, refresh=True)
