"""The way to pay merchants through a control plane, put together from the settings."""

from __future__ import annotations

import logging
from typing import Final

from jecp_mcp.errors import SettingsError
from jecp_mcp.http_gate import HttpGate
from jecp_mcp.rails.flow402.control_plane import ControlPlane
from jecp_mcp.rails.flow402.payload import summary_of
from jecp_mcp.rails.flow402.rail import Flow402Rail
from jecp_mcp.rails.paid_http.roads import Road
from jecp_mcp.rails.registry import Parts, Way
from jecp_mcp.settings.bootstrap_key import FILE, KEY_VARIABLE
from jecp_mcp.settings.flow402 import Flow402Settings
from jecp_mcp.settings.merchants import PAID_HTTP
from jecp_mcp.wire.flow402.assets import STABLECOINS
from jecp_mcp.wire.x402.assets import SANDBOX_ASSET

log = logging.getLogger(__name__)

_KEY: Final = "flow402.networks"


def open_flow402(parts: Parts) -> Way:
    """Read ``[flow402]``; nothing is asked yet.

    Raises:
        SettingsError: the networks are not those of one purpose.
    """
    settings, clock = parts.settings.flow402, parts.clock
    check_networks(settings)
    gate = HttpGate(clock, loopback=settings.loopback)
    key = _bootstrap_key(parts)
    plane = None if key is None else ControlPlane(gate, settings, key, clock)
    rail = Flow402Rail(gate, settings, plane, clock)
    return Way(rail=rail, sources=(), sells=(PAID_HTTP,), road=Road(settings.merchants, summary_of), opened=gate)


def check_networks(settings: Flow402Settings) -> None:
    """See that money, test money and the sandbox's are each by themselves.

    Raises:
        SettingsError: they are not, or a network has no known token.
    """
    known = {one.network: one for one in STABLECOINS}
    unknown = [one for one in settings.networks if one not in known]
    if unknown:
        reason = f"no token on {unknown[0]} is known; there are {', '.join(known)}"
        raise SettingsError("the settings", _KEY, reason)
    if len({known[one].testnet for one in settings.networks}) > 1:
        raise SettingsError("the settings", _KEY, "has networks of test money and of money; take one kind out")
    sandbox = SANDBOX_ASSET.network in settings.networks
    if sandbox != settings.loopback or (sandbox and len(settings.networks) > 1):
        reason = f"{SANDBOX_ASSET.network} is the sandbox's, for a control plane on this machine, which has no other"
        raise SettingsError("the settings", _KEY, reason)


def _bootstrap_key(parts: Parts) -> str | None:
    """The key; a missing or wrong one is said, and stops nothing but paying so."""
    try:
        key = parts.bootstrap_key()
    except SettingsError as exc:
        log.error("no merchant can be paid through 402flow: %s", exc)  # noqa: TRY400 - the cause is in the message
        return None
    if key is None:
        log.error(
            "no merchant can be paid through 402flow: there is no bootstrap key; give %s, or put it into %s",
            KEY_VARIABLE,
            parts.state / FILE,
        )
    return key
