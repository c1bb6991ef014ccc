"""What is left to spend: limits that are used up, and a wallet that is empty."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Final

from jecp_mcp.cli.options import Start
from jecp_mcp.clock import iso
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.errors import LedgerError, SettingsError
from jecp_mcp.mandate.caps import standing_meters
from jecp_mcp.mandate.opening import open_for_reading
from jecp_mcp.mandate.policy import Policy
from jecp_mcp.mandate.records import CallRow, MeterReading
from jecp_mcp.mandate.repair.diagnose import Finding, Level
from jecp_mcp.mandate.windows import Window
from jecp_mcp.money import format_usdc
from jecp_mcp.rails.jecp.client import account_name
from jecp_mcp.rails.jecp.rail import JecpRail
from jecp_mcp.settings import Credentials, find_credentials
from jecp_mcp.settings.places import home_folder

_LEAST_TOPUP_USD: Final = "5"


async def budget_findings(given: Start) -> list[Finding]:
    """What stops every purchase though nothing is broken: what was spent.

    What is wrong with the ledger itself is said by those who look at it whole.
    """
    if given.settings.ledger.url is None and not given.ledger.is_file():
        return []
    policy = Policy.from_settings(given.settings.mandate)
    ledger = open_for_reading(given.settings.ledger, given.ledger)
    try:
        meters = standing_meters(policy, principal=LOCAL, session=ledger.session)
        readings = await ledger.readings([one for one in meters if one.window is not Window.SESSION])
        account = account_name(given.settings.hub.base_url, _credentials(given))
        told = await ledger.last_of(JecpRail.name, account)
    except LedgerError:
        return []
    finally:
        await ledger.close()
    return [*_used_up(given, readings), *_empty(given, told)]


def _credentials(given: Start) -> Credentials | None:
    if given.sandbox:
        return given.credentials
    try:
        return find_credentials(given.settings, os.environ, home_folder(), given.state)
    except SettingsError:
        # They are the matter of another check.
        return None


def _used_up(given: Start, readings: Sequence[MeterReading]) -> Iterator[Finding]:
    for one in readings:
        # A limit of nothing is what the operator wants.
        if one.used < one.meter.limit or not one.meter.limit:
            continue
        pattern, limit = one.meter.pattern, format_usdc(one.meter.limit)
        what = f"mandate.{one.meter.label} is used up: {format_usdc(one.used)} of {limit} USDC"
        money = f"nothing{'' if pattern is None else f' of {pattern}'} is bought that costs anything"
        mend = f"whoever runs this raises it ({given.commands.line('config')} says where it was set)"
        if one.resets_at is not None:
            money += f" until {iso(one.resets_at)}, when the first of it comes back"
            mend += ", or waits until then"
        yield Finding(Level.WARNING, "limits", what, money, mend)


def _empty(given: Start, told: CallRow | None) -> Iterator[Finding]:
    if told is None or told.balance_after is None or told.balance_after > 0:
        return
    at = iso(told.ended_at or told.created_at)
    what = f"the wallet at {given.settings.hub.base_url} held {format_usdc(told.balance_after)} USDC as of {at}"
    money = "nothing is bought that costs anything, but for free calls that are left"
    mend = f"{given.commands.line('topup', _LEAST_TOPUP_USD)}, and pay at that page; the next call tells what is there"
    yield Finding(Level.WARNING, "balance", what, money, mend)
