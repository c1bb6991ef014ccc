"""The agent's account: whether there are credentials, where they come from, and whether the Hub takes them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from stat import S_ISREG

from jecp_mcp.cli.checks.configuration import NO_PURCHASE
from jecp_mcp.cli.checks.hub_answers import about
from jecp_mcp.cli.checks.private_files import access_mend
from jecp_mcp.cli.options import Start
from jecp_mcp.clock import SystemClock
from jecp_mcp.damaged_files import set_aside_command
from jecp_mcp.errors import PayeeError, SettingsError
from jecp_mcp.http import Http
from jecp_mcp.mandate.repair.diagnose import Finding, Level
from jecp_mcp.rails.jecp.client import HubClient, HubRefused
from jecp_mcp.settings import Credentials, find_credentials
from jecp_mcp.settings.credentials import (
    ENVIRONMENT,
    FILE,
    FROM_ENVIRONMENT,
    KEY_VARIABLE,
    OLD_KEY_VARIABLE,
    SharedAccount,
    refuse_shared,
    variables_of,
)
from jecp_mcp.settings.places import home_folder
from jecp_mcp.wire.jecp.codes import Retry, lookup


def shared_account_findings(given: Start) -> Iterator[Finding]:
    """That two Hubs would be given one account, which no start does; no Hub is asked with any until that is mended."""
    found = {name: _usable(given, name) for name in given.settings.every_hub}
    try:
        refuse_shared({name: one for name, one in found.items() if one is not None})
    except SharedAccount as exc:
        mend = "give each Hub its own agent id and key"
        yield Finding(Level.FAULT, "credentials", str(exc), NO_PURCHASE, mend)


def _usable(given: Start, hub: str) -> Credentials | None:
    """The credentials at a Hub; None where there are none, or none that can be used."""
    try:
        return find_credentials(given.settings, os.environ, home_folder(), given.state, hub)
    except SettingsError:
        return None


def credentials_findings(given: Start, hub: str = "") -> Iterator[Finding]:
    """What is to be said of the credentials at a Hub, named as in `Settings.every_hub`, before anybody is asked."""
    id_name, key_name, *_ = variables_of(hub)
    matter = about("credentials", hub)
    try:
        found = find_credentials(given.settings, os.environ, home_folder(), given.state, hub)
    except SettingsError as exc:
        if exc.source == ENVIRONMENT:
            mend = f"{_unset(hub)}, or give both {id_name} and {key_name} as the Hub gave them"
        else:
            mend = _file_mend(given.state / FILE)
        yield Finding(Level.FAULT, matter, str(exc), NO_PURCHASE, mend)
        return
    if found is None:
        mend = f"{given.commands_at(hub).line('register')}, or set {id_name} and {key_name} to those of yours"
        what = f"there are none for {given.settings.every_hub[hub].base_url}"
        yield Finding(Level.WARNING, matter, what, "only free reads work", mend)
    else:
        yield Finding(Level.OK, matter, f"agent {found.agent_id}, from {_origin(found, hub)}")


def _file_mend(path: Path) -> str:
    access = access_mend(path)
    if access is not None:
        return f"{access}; if others could read the key, have it replaced"
    kept = "what it held is kept there, and only those keys reach the wallets that they are for"
    return f"{set_aside_command(path)}, or put it right, such as from a copy; {kept}"


async def refused_by_hub(given: Start, name: str = "") -> AsyncIterator[Finding]:
    """Whether a Hub, named as in `Settings.every_hub`, knows these credentials: a free question with them tells."""
    found = _usable(given, name)
    if found is None:
        return
    hub = given.settings.every_hub[name].base_url
    try:
        async with Http(hub) as http:
            client = HubClient(hub, http, lambda: found, SystemClock())
            await client.consult()
            await client.refunds()
    except HubRefused as exc:
        code = lookup(exc.code)
        if code is None or code.retry is not Retry.CREDENTIALS:
            return
        what = f"{hub} refuses agent {found.agent_id} with the key from {_origin(found, name)} ({code.code})"
        if found.source == FROM_ENVIRONMENT:
            mend = f"{_unset(name)}, or give both as the Hub gave them"
        else:
            mend = f"have the key replaced at the Hub, and correct {found.source}"
        yield Finding(Level.FAULT, about("credentials", name), what, NO_PURCHASE, mend)
    except PayeeError:
        # A Hub that cannot be asked has proven nothing; that it does not answer is said by another check.
        return


def close_credentials(state: Path) -> list[str]:
    """Take the credentials file out of other users' sight; what was done, in words."""
    path = state / FILE
    try:
        found = path.stat()
        if S_ISREG(found.st_mode) and found.st_mode & 0o077 and found.st_uid == os.geteuid():
            path.chmod(0o600)
            return [f"{path} is readable by its owner only; if others could read the key, have it replaced"]
    except FileNotFoundError:
        return []
    except OSError as exc:
        return [f"not mended: {path}: {exc.strerror}"]
    return []


def _variables_in_use(hub: str) -> list[str]:
    return [name for name in variables_of(hub) if os.environ.get(name, "").strip()]


def _unset(hub: str) -> str:
    return f"unset {' '.join(_variables_in_use(hub))}"


def _origin(found: Credentials, hub: str) -> str:
    if found.source != FROM_ENVIRONMENT:
        return found.source
    # The older name of the key is only read where the newer one is not set.
    names = _variables_in_use(hub)
    return " and ".join(name for name in names if name != OLD_KEY_VARIABLE or KEY_VARIABLE not in names)
