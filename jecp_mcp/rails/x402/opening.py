"""The way to pay merchants, put together from the settings."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from jecp_mcp.errors import SettingsError, WireError
from jecp_mcp.extras import X402
from jecp_mcp.http_gate import HttpGate
from jecp_mcp.rails.paid_http.roads import Road
from jecp_mcp.rails.payee_pins import PayeePins
from jecp_mcp.rails.registry import Parts, Way
from jecp_mcp.rails.x402.chain import ChainReader
from jecp_mcp.rails.x402.payload import summary_of
from jecp_mcp.rails.x402.rail import Pays, X402Rail
from jecp_mcp.settings import PaidHttpSettings
from jecp_mcp.settings.merchants import PAID_HTTP
from jecp_mcp.settings.wallet_key import WalletKey
from jecp_mcp.wire.x402.assets import ASSETS, SANDBOX_ASSET, Asset
from jecp_mcp.wire.x402.secp256k1 import PrivateKey

log = logging.getLogger(__name__)

KNOWN: Final[Sequence[Asset]] = (*ASSETS, SANDBOX_ASSET)
"""Every token that is known; which of them is paid with, the networks of the settings say."""


def open_x402(parts: Parts) -> Way:
    """Read ``[paid_http]``; nothing is asked yet.

    Raises:
        SettingsError: the networks are not those of one purpose.
    """
    settings = parts.settings.paid_http
    check_networks(settings)
    gate = HttpGate(parts.clock, loopback=settings.loopback)
    chain = ChainReader(gate, settings.rpc, settings.confirmations)
    recipients = PayeePins(parts.state, PAID_HTTP, parts.clock)
    pays = Pays(_key(parts), KNOWN, chain, recipients)
    unproven = [network for network in settings.networks if not chain.reads(network)]
    if unproven:
        log.warning(
            "no nodes are configured for %s: a payment there whose answer is lost stays counted as spent",
            ", ".join(unproven),
        )
    rail = X402Rail(gate, settings, pays, parts.clock)
    road = Road(settings.merchants, summary_of)
    return Way(rail=rail, sources=(), sells=(PAID_HTTP,), road=road, opened=_opened(gate, recipients))


@asynccontextmanager
async def _opened(gate: HttpGate, recipients: PayeePins) -> AsyncIterator[None]:
    async with gate:
        try:
            yield
        finally:
            recipients.close()


def check_networks(settings: PaidHttpSettings) -> None:
    """See that money, test money and the sandbox's are each by themselves.

    Raises:
        SettingsError: they are not, or a network has no known token.
    """
    key = "paid_http.networks"
    known = {asset.network: asset for asset in KNOWN}
    # The nodes of a network that is not paid on any more still tell what became of what was paid there.
    named = dict.fromkeys(settings.networks, key) | dict.fromkeys(settings.rpc, "paid_http.rpc")
    for network, where in named.items():
        if network not in known:
            raise SettingsError("the settings", where, f"no token on {network} is known; there are {', '.join(known)}")
    if len({known[network].testnet for network in named}) > 1:
        reason = "has networks of test money and of money, also by paid_http.rpc; take one kind out"
        raise SettingsError("the settings", key, reason)
    sandbox = SANDBOX_ASSET.network in settings.networks
    if sandbox != settings.loopback or (sandbox and len(settings.networks) > 1):
        reason = f"{SANDBOX_ASSET.network} is the sandbox's, for merchants on this machine, and they have no other"
        raise SettingsError("the settings", key, reason)


def _key(parts: Parts) -> PrivateKey | None:
    """The wallet's key; a missing or wrong one is said, and stops nothing but paying."""
    absence = X402.absence()
    if absence is not None:
        log.error("merchants cannot be paid: %s", absence)
        return None
    try:
        found: WalletKey | None = parts.wallet()
        if found is not None:
            return PrivateKey(found.secret)
        log.error("merchants cannot be paid: there is no wallet key; make one: %s", parts.commands.line("x402", "key"))
    except (SettingsError, WireError) as exc:
        log.error("merchants cannot be paid: %s", exc)  # noqa: TRY400 - the cause is in the message
    return None
