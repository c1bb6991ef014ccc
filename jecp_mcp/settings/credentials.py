"""An agent's credentials: read from the places people keep them, written to one file of this user's own.

Never from the command line, where every process of the machine could read them, and never from the settings file.
"""

from __future__ import annotations

import json
import logging
import os
import shlex
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from jecp_mcp.errors import SettingsError
from jecp_mcp.settings.hubs import shared_account
from jecp_mcp.settings.models import (
    DEFAULT_HUB,
    Credentials,
    Settings,
    check_hub_url,
    credential_fault,
    is_placeholder,
)
from jecp_mcp.source_names import FIRST

log = logging.getLogger(__name__)

FILE = "credentials.json"
ID_VARIABLE = "JECP_AGENT_ID"
KEY_VARIABLE = "JECP_API_KEY"
OLD_KEY_VARIABLE = "JECP_AGENT_KEY"
VARIABLES = (ID_VARIABLE, KEY_VARIABLE, OLD_KEY_VARIABLE)
FROM_ENVIRONMENT = "environment"
"""The source of credentials that variables gave."""
ENVIRONMENT = "the environment"
"""The source of a wrong variable, in a `SettingsError`."""

_MOST_BYTES = 1_048_576
OTHERS = stat.S_IRWXG | stat.S_IRWXO
"""The permissions of everybody but a file's owner."""


class SharedAccount(SettingsError):
    """Two Hubs would be given one account."""


def find_credentials(
    settings: Settings, environ: Mapping[str, str], home: Path, state: Path | None = None, name: str = ""
) -> Credentials | None:
    """Look for the agent's credentials at one of the settings' Hubs.

    In this order: ``JECP_AGENT_ID`` with ``JECP_API_KEY`` (or the older ``JECP_AGENT_KEY``), at a named Hub
    ``JECP_AGENT_ID_<NAME>`` with ``JECP_API_KEY_<NAME>``; the file that `store_credentials` writes in `state`; the JECP
    CLI's ``~/.jecp/config.json`` when it is for the same Hub.

    Args:
        name: what the Hub is called, as in `Settings.every_hub`.

    Raises:
        SettingsError: half of a pair is given, what is given cannot be a credential, or our own file is open to other
            users or is not what was written. The JECP CLI's file is only warned about: it is not ours.
    """
    url = settings.every_hub[name].base_url
    found = _from_environment(environ, *variables_of(name))
    if found is None and state is not None:
        found = stored_credentials(state, url)
    if found is None:
        found = _from_jecp_cli(url, home / ".jecp" / "config.json")
    return found


def find_every_account(
    settings: Settings, environ: Mapping[str, str], home: Path, state: Path
) -> dict[str, Credentials]:
    """The credentials that there are, by the Hub's name as in `Settings.every_hub`.

    Raises:
        SharedAccount: two Hubs would be given one.
        SettingsError: as `find_credentials`.
    """
    found = {name: find_credentials(settings, environ, home, state, name) for name in settings.every_hub}
    accounts = {name: one for name, one in found.items() if one is not None}
    refuse_shared(accounts)
    return accounts


def refuse_shared(accounts: Mapping[str, Credentials]) -> None:
    """See that no two Hubs, by name as in `Settings.every_hub`, would be given one account.

    Raises:
        SharedAccount: two would.
    """
    if (same := shared_account(accounts)) is not None:
        first, second = (name or FIRST for name in same)
        raise SharedAccount(
            accounts[same[1]].source,
            variables_of(same[1])[0],
            f"the Hubs {first} and {second} would get the same agent id or key: an account belongs to one Hub, and its "
            "key is shown to no other",
        )


def variables_of(name: str) -> tuple[str, ...]:
    """The environment variables of a Hub's agent id and key, the latter newest first."""
    return (f"{ID_VARIABLE}_{name.upper()}", f"{KEY_VARIABLE}_{name.upper()}") if name else VARIABLES


def stored_credentials(state: Path, hub: str) -> Credentials | None:
    """What `store_credentials` wrote for a Hub, or None.

    Raises:
        SettingsError: other users can read the file, or it is not what was written.
    """
    path = state / FILE
    try:
        hubs = _stored(path)
    except PermissionError as exc:
        raise SettingsError(str(path), "", exc.strerror or "is not readable") from exc
    except OSError as exc:
        raise SettingsError(str(path), "", f"cannot be read: {exc.strerror or type(exc).__name__}") from exc
    entry = hubs.get(hub)
    if entry is None:
        return None
    for key in ("agent_id", "api_key"):
        _check(str(path), key, entry[key])
    return Credentials(agent_id=entry["agent_id"], api_key=SecretStr(entry["api_key"]), source=str(path))


def store_credentials(state: Path, hub: str, agent_id: str, api_key: SecretStr) -> Path:
    """Write an agent's credentials durably, readable by this user only; returns the file.

    Raises:
        FileExistsError: there are credentials for this Hub already; an account with money in it is never overwritten.
        OSError: the file cannot be written.
        SettingsError: they are none that `stored_credentials` would take: no later start could go past them.
    """
    import fcntl

    path = state / FILE
    for name, value in (("agent_id", agent_id), ("api_key", api_key.get_secret_value())):
        _check(hub, name, value)
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(state / f"{FILE}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        hubs = _stored(path)
        if hub in hubs:
            raise FileExistsError(f"{path} holds credentials for {hub} already")
        hubs[hub] = {"agent_id": agent_id, "api_key": api_key.get_secret_value()}
        _write_beside(path, json.dumps({"hubs": hubs}, indent=2) + "\n").replace(path)
        folder = os.open(state, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        os.close(lock)
    return path


def check_storable(state: Path) -> None:
    """Try whether credentials could be stored. Raises `OSError`."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write_beside(state / FILE, "x" * 4096).unlink()


def _write_beside(path: Path, text: str) -> Path:
    """A new file beside `path`, durable and for its owner's eyes, under a name that nobody can have laid a link at."""
    import secrets

    made = path.with_name(f"{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        made.unlink(missing_ok=True)
        raise
    return made


def _from_environment(environ: Mapping[str, str], id_name: str, *key_names: str) -> Credentials | None:
    # Hosts pass an empty text for what the user left out.
    agent_id = environ.get(id_name, "").strip()
    name = next((one for one in key_names if environ.get(one, "").strip()), key_names[-1])
    key = environ.get(name, "").strip()
    if not agent_id and not key:
        return None
    if not key:
        raise SettingsError(ENVIRONMENT, key_names[0], f"is not set, but {id_name} is; both are needed")
    if not agent_id:
        raise SettingsError(ENVIRONMENT, id_name, f"is not set, but {name} is; both are needed")
    unfilled = [variable for variable, value in ((id_name, agent_id), (name, key)) if is_placeholder(value)]
    if unfilled:
        held = "are placeholders" if len(unfilled) > 1 else "is a placeholder"
        raise SettingsError(
            ENVIRONMENT,
            " and ".join(unfilled),
            f"{held} that nobody filled in; give both variables as the Hub gave them, or leave both out: then the "
            "server starts without an account, and can make one",
        )
    _check(ENVIRONMENT, id_name, agent_id)
    _check(ENVIRONMENT, name, key)
    return Credentials(agent_id=agent_id, api_key=SecretStr(key), source=FROM_ENVIRONMENT)


def _stored(path: Path) -> dict[str, dict[str, str]]:
    """The credentials by Hub in our own file; none when there is no file.

    Raises:
        PermissionError: other users could read it.
        SettingsError: it is not what `store_credentials` writes.
    """
    try:
        document = _read_private(path)
    except FileNotFoundError:
        return {}
    except ValueError as exc:
        raise SettingsError(str(path), "", "is damaged; put it right or move it away") from exc
    hubs = document.get("hubs")
    if not isinstance(hubs, dict):
        raise SettingsError(str(path), "hubs", "is missing; put the file right or move it away")
    for hub, entry in hubs.items():
        if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in ("agent_id", "api_key")):
            raise SettingsError(str(path), f"hubs.{hub}", "has no agent_id and api_key")
    return hubs


def _from_jecp_cli(hub: str, path: Path) -> Credentials | None:
    try:
        document = _read_private(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or "it is not the JSON object the JECP CLI writes"
        log.warning("the JECP CLI's %s is not used: %s", path, reason)
        return None
    agent_id, key, base = document.get("agent_id"), document.get("api_key"), document.get("base_url", DEFAULT_HUB)
    if not (isinstance(agent_id, str) and isinstance(key, str) and isinstance(base, str)):
        log.warning("the JECP CLI's %s is not used: it has no agent_id and api_key", path)
        return None
    try:
        same = check_hub_url(base) == hub
        if not same:
            return None
        _check(str(path), "agent_id", agent_id)
        _check(str(path), "api_key", key)
    except (ValueError, SettingsError) as exc:
        log.warning("the JECP CLI's %s is not used: %s", path, exc)
        return None
    return Credentials(agent_id=agent_id, api_key=SecretStr(key), source=str(path))


def _read_private(path: Path) -> dict[str, Any]:
    """A JSON object from a file that only its owner can read.

    Raises:
        PermissionError: other users could read it, or it is not this user's; `strerror` says so.
        ValueError: it is no JSON object.
    """
    with path.open("rb") as file:
        about = os.fstat(file.fileno())
        if about.st_mode & OTHERS:
            raise PermissionError(13, f"other users may read it; run: {shlex.join(['chmod', '600', str(path)])}")
        if about.st_uid not in {os.geteuid(), 0}:
            raise PermissionError(13, "it belongs to another user")
        data = file.read(_MOST_BYTES)
    document = json.loads(data)
    if not isinstance(document, dict):
        raise ValueError("no JSON object")  # noqa: TRY004 - one kind of damage, one exception
    return document


def _check(source: str, key: str, value: str) -> None:
    fault = credential_fault(value)
    if fault is not None:
        raise SettingsError(source, key, fault)
