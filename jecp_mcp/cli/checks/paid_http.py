"""What is wrong with paying HTTP merchants here: the networks, the wallet's key, the nodes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping

from jecp_mcp.cli.checks.private_files import access_mend
from jecp_mcp.cli.options import Start
from jecp_mcp.clock import SystemClock
from jecp_mcp.damaged_files import set_aside_command
from jecp_mcp.errors import SettingsError, WireError
from jecp_mcp.extras import X402
from jecp_mcp.http import ExchangeFailed
from jecp_mcp.http_gate import HttpGate
from jecp_mcp.mandate.repair.diagnose import Finding, Level
from jecp_mcp.money import format_usdc
from jecp_mcp.plurals import counted
from jecp_mcp.rails.x402.chain import ChainReader
from jecp_mcp.rails.x402.opening import KNOWN, check_networks
from jecp_mcp.settings.wallet_key import FILE, KEY_VARIABLE, WalletKey, read_wallet_key, stored_wallet_key
from jecp_mcp.wire.x402.assets import Asset
from jecp_mcp.wire.x402.secp256k1 import PrivateKey

_ABOUT = "paid HTTP"
_NOT_PAID = "no merchant can be paid; everything else goes on"


async def paid_http_findings(given: Start) -> list[Finding]:
    """Look at the settings, the key and the nodes; the key is never shown."""
    settings = given.settings.paid_http
    try:
        check_networks(settings, loopback=settings.loopback)
    except SettingsError as exc:
        return [Finding(Level.FAULT, _ABOUT, str(exc), _NOT_PAID, "correct that key, or take it out")]
    absence = X402.absence()
    if absence is not None:
        return [Finding(Level.FAULT, _ABOUT, absence, _NOT_PAID, X402.install())]
    try:
        found = given.wallet()
        key = None if found is None else PrivateKey(found.secret)
    except (SettingsError, WireError) as exc:
        return [_wrong_key(given, exc)]
    if key is None:
        return [Finding(Level.FAULT, _ABOUT, "there is no wallet key", _NOT_PAID, given.commands.line("x402", "key"))]
    assets: Mapping[str, Asset] = {asset.network: asset for asset in KNOWN if asset.network in settings.networks}
    what = f"{counted(len(settings.merchants), 'merchant')}, paid from {key.address} on {', '.join(settings.networks)}"
    findings = [Finding(Level.OK, _ABOUT, what)]
    async with HttpGate(SystemClock(), loopback=settings.loopback) as gate:
        chain = ChainReader(gate, settings.rpc, settings.confirmations)
        return findings + [one async for one in _networks(chain, assets, key.address)]


def _wrong_key(given: Start, error: SettingsError | WireError) -> Finding:
    """Which key is wrong, or both of which are there, and what makes an end of that."""
    file, unset = given.state / FILE, f"unset {KEY_VARIABLE}"
    what = str(error)
    if not os.environ.get(KEY_VARIABLE, "").strip():
        what = what if str(file) in what else f"{file}: {what}"
        new = f"{set_aside_command(file)} && {given.commands.line('x402', 'key')}"
        copy = "put your copy of the key there: nothing else reaches what its wallet holds"
        mend = access_mend(file) or f"{new}, or {copy}"
    elif not os.path.lexists(file):
        what = what if KEY_VARIABLE in what else f"{KEY_VARIABLE}: {what}"
        mend = f"{unset}, or give it the wallet's key"
    else:
        ours = _address(lambda: read_wallet_key(os.environ[KEY_VARIABLE], KEY_VARIABLE))
        stored = _address(lambda: stored_wallet_key(file))
        what += f": the variable has {ours or 'none that can be used'}, the file {stored or 'none that can be used'}"
        aside = set_aside_command(file)
        mend = f"{aside}, or {unset}" if ours and not stored else f"{unset}, or {aside}"
    return Finding(Level.FAULT, _ABOUT, what, _NOT_PAID, mend)


def _address(read: Callable[[], WalletKey | None]) -> str | None:
    """The address of a key, None where there is none that can be used."""
    try:
        found = read()
        return None if found is None else PrivateKey(found.secret).address
    except (SettingsError, WireError):
        return None


async def _networks(chain: ChainReader, assets: Mapping[str, Asset], address: str) -> AsyncIterator[Finding]:
    for network, asset in assets.items():
        if not chain.reads(network):
            what = f"no nodes of {network} are configured"
            money = "a payment whose answer is lost stays counted as spent"
            yield Finding(Level.WARNING, _ABOUT, what, money, f"name two nodes in paid_http.rpc for {network}")
            continue
        try:
            held = asset.micro(await chain.balance(asset, address))
        except (ExchangeFailed, WireError) as exc:
            money = "what became of a lost payment is found out later"
            yield Finding(Level.WARNING, _ABOUT, f"{network}: {exc}", money, "see to paid_http.rpc")
            continue
        level, mend = (Level.OK, "") if held else (Level.WARNING, f"send {asset.symbol} to {address} on {network}")
        money = "" if held else "nothing can be bought"
        yield Finding(level, _ABOUT, f"{network}: the wallet holds {format_usdc(held)} {asset.symbol}", money, mend)
