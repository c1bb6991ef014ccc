"""A process that buys from the sandbox's merchant, and may kill itself on the way.

python -m tests.crash.calls.paid_http_worker FOLDER WHERE SECRET AHEAD POINT TASK [ARGUMENT]
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio

from jecp_mcp.calls.ports import Caller
from jecp_mcp.calls.prepared import PreparedCall
from jecp_mcp.cli import assembly
from jecp_mcp.cli.assembly import build
from jecp_mcp.cli.options import Start
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.http_gate import HttpGate
from jecp_mcp.mandate.stored_ledger import StoredLedger
from jecp_mcp.rails.door import Door
from jecp_mcp.rails.x402.rail import X402Rail
from jecp_mcp.settings.wallet_key import WalletKey
from tests.paid_http_house import TurnedClock, sandbox_settings

POINTS = ("none", "quoted", "prepared", "at the door", "after the door", "answered", "concluded")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(point: str) -> None:
    """Put the end of this process where a payment is on its way."""
    quote, exchange, opened = X402Rail.quote, HttpGate.exchange, Door.open
    send, conclude, quote_at = X402Rail._send, StoredLedger.conclude, PreparedCall.quote_at

    async def quoting(self: Any, *given: Any) -> Any:
        found = await quote(self, *given)
        if point == "quoted":
            die()
        return found

    def finding(self: Any, *given: Any) -> Any:
        found = quote_at(self, *given)
        if point == "quoted":
            die()
        return found

    async def sending(self: Any, *given: Any, **more: Any) -> Any:
        if point == "prepared":
            die()
        return await send(self, *given, **more)

    async def opening(self: Any) -> None:
        if point == "at the door":
            die()
        await opened(self)
        if point == "after the door":
            die()

    async def exchanging(self: Any, method: str, place: Any, **more: Any) -> Any:
        found = await exchange(self, method, place, **more)
        if point == "answered" and more.get("before_sending") is not None:
            die()
        return found

    def concluding(self: Any, *given: Any) -> Any:
        if point == "concluded":
            die()
        return conclude(self, *given)

    X402Rail.quote, X402Rail._send = quoting, sending  # type: ignore[method-assign]
    Door.open, HttpGate.exchange = opening, exchanging  # type: ignore[method-assign]
    StoredLedger.conclude, PreparedCall.quote_at = concluding, finding  # type: ignore[method-assign]


async def main(folder: str, where: str, secret: str, ahead: str, point: str, task: str, argument: str = "") -> None:
    shop = SimpleNamespace(**json.loads(where))
    clock = TurnedClock()
    clock.ahead = int(ahead)
    assembly.SystemClock = lambda: clock  # type: ignore[assignment, misc]
    settings = sandbox_settings(shop, None, timeout_seconds=10)  # type: ignore[arg-type]
    if point != "quoted" or task != "prepare":
        kill_at(point)
    async with build(
        Start(settings, Path(folder), None, play_wallet=WalletKey(bytes.fromhex(secret), "test"))
    ) as bridge:
        caller = Caller(LOCAL)
        if task == "prepare":
            found = await bridge.dispatcher.call("paid_http_prepare", {"url": argument}, caller)
            print(json.dumps(dict(found.structured or {})), flush=True)
        elif task == "execute":
            found = await bridge.dispatcher.call("paid_http_execute", {"prepared_id": argument}, caller)
            made = dict(found.structured or {})
            print(json.dumps(made.get("output", made)), flush=True)
        else:
            await bridge.calls.recover()
            await bridge.ledger.flush()
            rows = [
                {"state": row.state.value, "held": row.held, "charged": row.charged, "refunded": row.refunded}
                for row in await bridge.ledger.rows()
            ]
            report = await bridge.ledger.audit()
            print(json.dumps({"rows": rows, "findings": [str(one) for one in report.findings]}), flush=True)


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
