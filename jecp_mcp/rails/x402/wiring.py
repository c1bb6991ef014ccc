"""The way to pay merchants, put together from the settings."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from jecp_mcp.errors import SettingsError, WireError
from jecp_mcp.extras import X402
from jecp_mcp.http_gate import HttpGate
from jecp_mcp.rails.paid_http.roads import Road
from jecp_mcp.rails.payee_pins import PayeePins, gate_with_pins
from jecp_mcp.rails.registry import Parts, Way
from jecp_mcp.rails.x402.chain import ChainReader
from jecp_mcp.rails.x402.payload import summary_of
from jecp_mcp.rails.x402.rail import Pays, X402Rail
from jecp_mcp.settings import PaidHttpSettings
from jecp_mcp.settings.merchants import PAID_HTTP
from jecp_mcp.settings.wallet_key import SANDBOX_FILE, WITH_SANDBOX, WalletKey
from jecp_mcp.wire.x402.assets import ASSETS, SANDBOX_ASSET, Asset
from jecp_mcp.wire.x402.secp256k1 import PrivateKey

log = logging.getLogger(__name__)

MERCHANTS: Final = "the merchants are"
KNOWN: Final[Sequence[Asset]] = (*ASSETS, SANDBOX_ASSET)
"""Every token that is known; which of them is paid with, the networks of the settings say."""


def open_x402(parts: Parts) -> Way:
    """Read ``[paid_http]``; nothing is asked yet.

    Raises:
        SettingsError: the networks are not those of one purpose.
    """
    settings = parts.settings.paid_http
    check_networks(settings, loopback=settings.loopback)
    gate, pays = open_pays(parts, PAID_HTTP, loopback=settings.loopback, whom="merchants")
    rail = X402Rail(gate, settings, pays, parts.clock)
    road = Road(settings.merchants, summary_of)
    return Way(rail=rail, sources=(), sells=(PAID_HTTP,), road=road, opened=gate_with_pins(gate, pays.recipients))


def open_pays(parts: Parts, source: str, *, loopback: bool, whom: str) -> tuple[HttpGate, Pays]:
    """What signs and looks at the chain, by ``[paid_http]``; and the gate that goes with it, to be closed.

    Args:
        source: under which it is kept who was paid.
        loopback: whether who is paid is on this machine.
        whom: who is paid, for the log.
    """
    settings = parts.settings.paid_http
    gate = HttpGate(parts.clock, loopback=loopback)
    chain = ChainReader(gate, settings.rpc, settings.confirmations)
    pays = Pays(_key(parts, whom, loopback=loopback), KNOWN, chain, PayeePins(parts.state, source, parts.clock))
    unproven = [network for network in settings.networks if not chain.reads(network)]
    if unproven:
        log.warning(
            "no nodes are configured for %s: a payment there whose answer is lost stays counted as spent",
            ", ".join(unproven),
        )
    return gate, pays


def check_networks(settings: PaidHttpSettings, *, loopback: bool, payee: str = MERCHANTS) -> None:
    """See that money, test money and the sandbox's are each by themselves.

    Args:
        loopback: whether who is paid is on this machine.
        payee: who that is, as the subject of a sentence with its verb.

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
    if sandbox != loopback or (sandbox and len(settings.networks) > 1):
        reason = (
            f"{payee} on this machine, where play money on {SANDBOX_ASSET.network} pays and nothing else"
            if loopback
            else f"{payee} not on this machine, and {SANDBOX_ASSET.network} is the sandbox's"
        )
        raise SettingsError("the settings", key, reason)


def _key(parts: Parts, whom: str, *, loopback: bool) -> PrivateKey | None:
    """The wallet's key; a missing or wrong one is said, and stops nothing but paying."""
    absence = X402.absence()
    if absence is not None:
        log.error("%s cannot be paid: %s", whom, absence)
        return None
    try:
        found: WalletKey | None = parts.wallet()
        if found is not None:
            return PrivateKey(found.secret)
        missing = "there is no wallet key; make one: " + parts.commands.line("x402", "key")
        if loopback:
            missing = f"there is no key to play money in {parts.state / SANDBOX_FILE}; {WITH_SANDBOX}"
        log.error("%s cannot be paid: %s", whom, missing)
    except (SettingsError, WireError) as exc:
        log.error("%s cannot be paid: %s", whom, exc)  # noqa: TRY400 - the cause is in the message
    return None
