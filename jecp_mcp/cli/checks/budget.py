"""What is left to spend: limits that are used up, a wallet that is empty, what is held at a Hub that is gone."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Final

from jecp_mcp.cli.call_rows import of_hub_gone
from jecp_mcp.cli.checks.hub_answers import about
from jecp_mcp.cli.options import Start
from jecp_mcp.clock import iso
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.errors import LedgerError, SettingsError
from jecp_mcp.mandate.caps import standing_meters
from jecp_mcp.mandate.naming import Naming, pattern_of
from jecp_mcp.mandate.opening import open_for_reading
from jecp_mcp.mandate.policy import Policy
from jecp_mcp.mandate.records import CallRow, MeterReading
from jecp_mcp.mandate.repair.diagnose import Finding, Level
from jecp_mcp.mandate.states import OPEN
from jecp_mcp.mandate.windows import Window
from jecp_mcp.money import format_usdc
from jecp_mcp.plurals import are, counted
from jecp_mcp.rails.jecp.client import account_name
from jecp_mcp.rails.jecp.rail import JecpRail
from jecp_mcp.settings import Credentials, find_credentials
from jecp_mcp.settings.places import home_folder

_LEAST_TOPUP_USD: Final = "5"
_MOST_HELD: Final = 10_000


async def budget_findings(given: Start) -> list[Finding]:
    """What stops every purchase though nothing is broken: what was spent.

    What is wrong with the ledger itself is said by those who look at it whole.
    """
    if given.settings.ledger.url is None and not given.ledger.is_file():
        return []
    policy = Policy.from_settings(given.settings.mandate, Naming.from_settings(given.settings))
    ledger = open_for_reading(given.settings.ledger, given.ledger)
    try:
        meters = standing_meters(policy, principal=LOCAL, session=ledger.session)
        readings = await ledger.readings([one for one in meters if one.window is not Window.SESSION])
        told = {
            name: await ledger.last_of(JecpRail.name, account_name(hub.base_url, _credentials(given, name)))
            for name, hub in given.hubs.items()
        }
        held = await ledger.rows(limit=_MOST_HELD, states=OPEN)
    except LedgerError:
        return []
    finally:
        await ledger.close()
    empty = [one for name, row in told.items() for one in _empty(given, name, row)]
    return [*_used_up(given, readings), *empty, *_of_hubs_gone(given, held)]


def _of_hubs_gone(given: Start, held: Sequence[CallRow]) -> Iterator[Finding]:
    """The open calls at Hubs that are not among the settings' any more: nobody here can find out about them."""
    gone: dict[str, list[CallRow]] = {}
    for row in held:
        if of_hub_gone(given, row):
            gone.setdefault(row.source, []).append(row)
    for url, rows in gone.items():
        calls = counted(len(rows), "call")
        what = f"{calls} at {url} {are(len(rows))} open, and that Hub is not among the settings"
        money = f"{format_usdc(sum(row.held for row in rows))} USDC stay held, and count as spent"
        mend = f"put {url} back, with its account, or rule with `{given.commands.line('reconcile')}`"
        yield Finding(Level.WARNING, "calls", what, money, mend)


def _credentials(given: Start, hub: str) -> Credentials | None:
    if given.sandbox:
        return given.credentials
    try:
        return find_credentials(given.settings, os.environ, home_folder(), given.state, hub)
    except SettingsError:
        # They are the matter of another check.
        return None


def _used_up(given: Start, readings: Sequence[MeterReading]) -> Iterator[Finding]:
    for one in readings:
        # A limit of nothing is what the operator wants.
        if one.used < one.meter.limit or not one.meter.limit:
            continue
        limit = format_usdc(one.meter.limit)
        pattern = one.meter.pattern and pattern_of(one.meter.pattern)
        what = f"mandate.{one.meter.label} is used up: {format_usdc(one.used)} of {limit} USDC"
        money = f"nothing{'' if pattern is None else f' of {pattern}'} is bought that costs anything"
        mend = f"whoever runs this raises it ({given.commands.line('config')} says where it was set)"
        if one.resets_at is not None:
            money += f" until {iso(one.resets_at)}, when the first of it comes back"
            mend += ", or waits until then"
        yield Finding(Level.WARNING, "limits", what, money, mend)


def _empty(given: Start, hub: str, told: CallRow | None) -> Iterator[Finding]:
    if told is None or told.balance_after is None or told.balance_after > 0:
        return
    at, url = iso(told.ended_at or told.created_at), given.settings.every_hub[hub].base_url
    what = f"the wallet at {url} held {format_usdc(told.balance_after)} USDC as of {at}"
    money = "nothing is bought that costs anything, but for free calls that are left"
    topup = given.commands_at(hub).line("topup", _LEAST_TOPUP_USD)
    mend = f"{topup}, and pay at that page; the next call tells what is there"
    yield Finding(Level.WARNING, about("balance", hub), what, money, mend)
