"""A wallet of play money, from which the sandbox's merchant is paid."""

from __future__ import annotations

import contextlib
import json
import logging
import secrets

import anyio.to_thread

from jecp_mcp.cli.hub_record import SandboxMerchant
from jecp_mcp.cli.options import Start
from jecp_mcp.clock import SystemClock
from jecp_mcp.errors import SettingsError, WireError
from jecp_mcp.http import ExchangeFailed
from jecp_mcp.http_gate import HttpGate
from jecp_mcp.settings.merchants import read_place
from jecp_mcp.settings.wallet_key import SANDBOX_FILE, WalletKey, store_wallet_key, stored_wallet_key

log = logging.getLogger(__name__)

_SECONDS = 10.0


async def play_wallet(given: Start, merchant: SandboxMerchant) -> WalletKey | None:
    """A wallet of play money in the sandbox's state folder, with what the faucet gives; None where none can be had."""
    from jecp_mcp.wire.x402.secp256k1 import PrivateKey

    try:
        found = await anyio.to_thread.run_sync(_wallet, given)
        body = json.dumps({"address": PrivateKey(found.secret).address}).encode()
    except (SettingsError, WireError, OSError) as exc:
        mend = given.commands.line("doctor")
        log.error("the sandbox's merchant cannot be paid: %s; `%s` says what mends it", exc, mend)  # noqa: TRY400 - the cause is in the message
        return None
    async with HttpGate(SystemClock(), loopback=True) as gate:
        try:
            headers = {"Content-Type": "application/json"}
            await gate.exchange("POST", read_place(merchant.faucet), headers=headers, body=body, timeout=_SECONDS)
        except ExchangeFailed as exc:
            log.error("the sandbox's wallet was given no play money: %s", exc)  # noqa: TRY400 - the cause is in the message
    return found


def _wallet(given: Start) -> WalletKey:
    path = given.state / SANDBOX_FILE
    found = stored_wallet_key(path)
    if found is not None:
        return found
    # Another process may make it in the same moment.
    with contextlib.suppress(FileExistsError):
        store_wallet_key(path, secrets.token_bytes(32))
    found = stored_wallet_key(path)
    assert found is not None, "what was stored is there"
    return found
