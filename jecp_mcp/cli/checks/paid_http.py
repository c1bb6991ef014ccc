"""What is wrong with paying by x402 here: the networks, the wallet's key, the nodes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from jecp_mcp.cli.checks.hub_answers import about
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
from jecp_mcp.rails.x402.wiring import KNOWN, MERCHANTS, check_networks
from jecp_mcp.settings import is_loopback
from jecp_mcp.settings.wallet_key import (
    FILE,
    KEY_VARIABLE,
    SANDBOX_FILE,
    WITH_SANDBOX,
    WalletKey,
    read_wallet_key,
    stored_wallet_key,
)
from jecp_mcp.wire.x402.assets import Asset
from jecp_mcp.wire.x402.secp256k1 import PrivateKey

_NOTHING: Final = "nothing starts, so nothing can be bought"


@dataclass(frozen=True, slots=True)
class _Payees:
    """Who is paid by x402.

    Attributes:
        about: what the findings are about.
        name: who they are, as the subject of a sentence, for a fault of the networks.
        who: the same, counted.
        unpaid: what follows from a fault.
        loopback: whether they are on this machine.
    """

    about: str
    name: str
    who: str
    unpaid: str
    loopback: bool


async def paid_http_findings(given: Start) -> list[Finding]:
    """Look at the settings, the key and the nodes that pay merchants; the key is never shown."""
    settings = given.settings.paid_http
    who, unpaid = counted(len(settings.merchants), "merchant"), "no merchant can be paid; everything else goes on"
    return await _findings(given, _Payees("paid HTTP", MERCHANTS, who, unpaid, settings.loopback))


async def hub_payment_findings(given: Start, name: str = "") -> list[Finding]:
    """The same of what pays a Hub, named as in `Settings.every_hub`, by x402."""
    hub, which = given.settings.every_hub[name], f"the Hub {name}" if name else "the Hub"
    unpaid = f"{which} is paid from its wallet only" if hub.payment == "auto" else f"nothing can be bought at {which}"
    who = f"{which} by x402{', where its wallet is not enough' if hub.payment == 'auto' else ''}"
    subject = f"the Hub at {hub.base_url} is"
    here = is_loopback(hub.base_url)
    return await _findings(given, _Payees(about("hub.payment", name), subject, who, unpaid, here))


async def _findings(given: Start, payees: _Payees) -> list[Finding]:
    settings, matter, unpaid = given.settings.paid_http, payees.about, payees.unpaid
    try:
        check_networks(settings, loopback=payees.loopback, payee=payees.name)
    except SettingsError as exc:
        return [Finding(Level.FAULT, matter, str(exc), _NOTHING, "correct that key, or take it out")]
    absence = X402.absence()
    if absence is not None:
        return [Finding(Level.FAULT, matter, absence, unpaid, X402.install())]
    try:
        found = given.wallet()
        key = None if found is None else PrivateKey(found.secret)
    except (SettingsError, WireError) as exc:
        return [_wrong_key(given, payees, exc)]
    if key is None:
        return [_no_key(given, payees)]
    assets: Mapping[str, Asset] = {asset.network: asset for asset in KNOWN if asset.network in settings.networks}
    what = f"{payees.who}, paid from {key.address} on {', '.join(settings.networks)}"
    findings = [Finding(Level.OK, matter, what)]
    async with HttpGate(SystemClock(), loopback=payees.loopback) as gate:
        chain = ChainReader(gate, settings.rpc, settings.confirmations)
        return findings + [one async for one in _networks(chain, assets, key.address, matter)]


def _no_key(given: Start, payees: _Payees) -> Finding:
    what, mend = "there is no wallet key", given.commands.line("x402", "key")
    if payees.loopback:
        # No key of the operator's ever pays on this machine.
        what, mend = (
            f"there is no key to play money in {given.state / SANDBOX_FILE}",
            f"put one there, or {WITH_SANDBOX}",
        )
    return Finding(Level.FAULT, payees.about, what, payees.unpaid, mend)


def _wrong_key(given: Start, payees: _Payees, error: SettingsError | WireError) -> Finding:
    """Which key is wrong, or both of which are there, and what makes an end of that."""
    file, unset = given.state / FILE, f"unset {KEY_VARIABLE}"
    what = str(error)
    if payees.loopback:
        file = given.state / SANDBOX_FILE
        what = what if str(file) in what else f"{file}: {what}"
        return Finding(Level.FAULT, payees.about, what, payees.unpaid, access_mend(file) or set_aside_command(file))
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
    return Finding(Level.FAULT, payees.about, what, payees.unpaid, mend)


def _address(read: Callable[[], WalletKey | None]) -> str | None:
    """The address of a key, None where there is none that can be used."""
    try:
        found = read()
        return None if found is None else PrivateKey(found.secret).address
    except (SettingsError, WireError):
        return None


async def _networks(
    chain: ChainReader, assets: Mapping[str, Asset], address: str, about: str
) -> AsyncIterator[Finding]:
    for network, asset in assets.items():
        if not chain.reads(network):
            what = f"no nodes of {network} are configured"
            money = "a payment whose answer is lost stays counted as spent"
            yield Finding(Level.WARNING, about, what, money, f"name two nodes in paid_http.rpc for {network}")
            continue
        try:
            held = asset.micro(await chain.balance(asset, address))
        except (ExchangeFailed, WireError) as exc:
            money = "what became of a lost payment is found out later"
            yield Finding(Level.WARNING, about, f"{network}: {exc}", money, "see to paid_http.rpc")
            continue
        level, mend = (Level.OK, "") if held else (Level.WARNING, f"send {asset.symbol} to {address} on {network}")
        money = "" if held else "nothing can be bought"
        yield Finding(level, about, f"{network}: the wallet holds {format_usdc(held)} {asset.symbol}", money, mend)
