"""What is wrong with paying merchants through a 402flow control plane: the networks, the key, what it says to it."""

from __future__ import annotations

import os

from jecp_mcp.cli.checks.private_files import access_mend
from jecp_mcp.cli.options import Start
from jecp_mcp.clock import SystemClock
from jecp_mcp.damaged_files import set_aside_command
from jecp_mcp.errors import SettingsError
from jecp_mcp.http_gate import HttpGate
from jecp_mcp.invisible import escape
from jecp_mcp.mandate.repair.diagnose import Finding, Level
from jecp_mcp.plurals import counted
from jecp_mcp.rails.codes import CONTROL_PLANE_REFUSED
from jecp_mcp.rails.flow402.control_plane import ControlPlane, NoToken
from jecp_mcp.rails.flow402.wiring import check_networks
from jecp_mcp.settings.bootstrap_key import FILE, KEY_VARIABLE

_ABOUT = "402flow"
_NOT_PAID = "no merchant of flow402.merchants can be paid; everything else goes on"


async def flow402_findings(given: Start) -> list[Finding]:
    """Look at the settings and the key, and exchange it for a token, which moves no money. No key is ever shown."""
    settings = given.settings.flow402
    try:
        check_networks(settings)
    except SettingsError as exc:
        return [Finding(Level.FAULT, _ABOUT, str(exc), _NOT_PAID, "correct that key, or take it out")]
    try:
        key = given.bootstrap_key()
    except SettingsError as exc:
        return [_wrong_key(given, exc)]
    if key is None:
        mend = f"set {KEY_VARIABLE}, or put the key into {given.state / FILE}, readable by you only (mode 0600)"
        return [Finding(Level.FAULT, _ABOUT, "there is no bootstrap key", _NOT_PAID, mend)]
    async with HttpGate(SystemClock(), loopback=settings.loopback) as gate:
        try:
            await ControlPlane(gate, settings, key, SystemClock()).token()
        except NoToken as exc:
            refusal = exc.refusal
            if refusal.code == CONTROL_PLANE_REFUSED:
                words = escape(str(refusal.details["control_plane_says"]), one_line=True)
                said = f"{settings.base_url} refuses the key: {words}"
                mend = "see to what it says: to the key, its organization, or the version of jecp-mcp"
                return [Finding(Level.FAULT, _ABOUT, said, _NOT_PAID, mend)]
            mend = "see to flow402.base_url and the network, then run this again"
            return [Finding(Level.WARNING, _ABOUT, refusal.message, _NOT_PAID, mend)]
    merchants = counted(len(settings.merchants), "merchant")
    what = (
        f"experimental: {merchants}, paid by {settings.base_url} for {settings.organization}/{settings.agent}; it "
        "takes the key, and only a payment shows whether it knows that organization and agent"
    )
    return [Finding(Level.OK, _ABOUT, what)]


def _wrong_key(given: Start, error: SettingsError) -> Finding:
    file, what = given.state / FILE, str(error)
    if not os.environ.get(KEY_VARIABLE, "").strip():
        mend = access_mend(file) or f"{set_aside_command(file)}, and put the key there, alone"
    elif os.path.lexists(file):
        mend = f"unset {KEY_VARIABLE}, or {set_aside_command(file)}"
    else:
        mend = f"unset {KEY_VARIABLE}, or give it the key"
    return Finding(Level.FAULT, _ABOUT, what, _NOT_PAID, mend)
