"""The settings: read or refused, empty, open to others, at odds with each other or with what is installed."""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from jecp_mcp.cli.checks.limit_conflicts import limit_conflicts
from jecp_mcp.cli.checks.settings_edit import change_command
from jecp_mcp.cli.options import Start
from jecp_mcp.clock import Clock, iso
from jecp_mcp.errors import SettingsError
from jecp_mcp.extras import EMBEDDINGS, POSTGRES, SANDBOX, Extra
from jecp_mcp.mandate.repair.diagnose import Finding, Level
from jecp_mcp.money import format_usdc
from jecp_mcp.settings import Settings, empty_variables
from jecp_mcp.settings.credentials import variables_of
from jecp_mcp.settings.exposure import writable_by_others
from jecp_mcp.settings.loading import COMMAND_LINE, VARIABLE_ORIGIN
from jecp_mcp.settings.patterns import means_source, within
from jecp_mcp.settings.places import CONFIG_VARIABLE, STATE_VARIABLE, config_file, variable_of
from jecp_mcp.source_names import NAMED

_LINE: Final = re.compile(r"at line (\d+)")

NO_PURCHASE: Final = "nothing can be bought; free reads may go on"


def refused(error: SettingsError, config: Path | None) -> Finding:
    """Settings with which nothing starts.

    Args:
        error: why.
        config: the file named by ``--config``.
    """
    if error.source.startswith(VARIABLE_ORIGIN):
        mend = f"unset {shlex.quote(error.source.removeprefix(VARIABLE_ORIGIN))}, or correct it"
    elif error.source == COMMAND_LINE:
        mend = "correct that option, or leave it out"
    elif error.key:
        mend = f"correct that key in {error.source}, or take it out"
    else:
        mend = _file_mend(error, config)
    return Finding(Level.FAULT, "settings", str(error), NO_PURCHASE, mend)


def _file_mend(error: SettingsError, config: Path | None) -> str:
    """What mends a settings file that cannot be read as a whole; its mistakes are a person's to correct."""
    named = None if config is None else "leave out --config"
    if config is None and variable_of(os.environ, CONFIG_VARIABLE):
        named = f"unset {CONFIG_VARIABLE}"
    otherwise = "" if named is None else f", or {named}: then your usual settings hold, or the defaults"
    path = Path(error.source)
    if not path.is_file():
        return f"name a settings file that is there{otherwise}"
    if not os.access(path, os.R_OK):
        return f"{shlex.join(['chmod', 'u+r', str(path)])}{otherwise}"
    line = _LINE.search(error.reason)
    return f"correct {path}{f' in line {line[1]}' if line else ''}{otherwise}"


def no_state_folder(fault: str, state: Path, option: Path | None) -> Finding:
    """A state folder that can be none, so that nothing in it can be looked at.

    Args:
        fault: why, in words.
        state: where it was to be.
        option: what ``--state-dir`` said.
    """
    variable = next((name for name in (STATE_VARIABLE, "XDG_STATE_HOME") if variable_of(os.environ, name)), None)
    there = next(path for path in (state, *state.parents) if os.path.lexists(path))
    if option is not None:
        mend = "name a folder with --state-dir, or leave it out"
    elif variable is not None:
        mend = f"unset {variable}, or set it to a folder"
    elif there.is_dir():
        mend = f"let yourself write into {there}, or name another folder with --state-dir or {STATE_VARIABLE}"
    else:
        mend = shlex.join(["mv", str(there), f"{there}.aside"])
    return Finding(Level.FAULT, "state folder", fault, NO_PURCHASE, mend)


def unmakeable(folder: Path) -> str | None:
    """Why a state folder that is not there cannot be made, found out by trying it beside; None where it can be."""
    if folder.is_dir():
        return None
    there = next(path for path in folder.parents if path.is_dir())
    try:
        Path(tempfile.mkdtemp(prefix=".jecp-mcp-", dir=there)).rmdir()
    except OSError as exc:
        return f"{folder} is not there, and no folder can be made in {there}: {exc.strerror}"
    return None


def settings_findings(given: Start, config: Path | None, clock: Clock) -> Iterator[Finding]:
    """What is to be said of settings that can be read.

    Args:
        given: what the command starts from.
        config: the file named by ``--config``.
        clock: whether the mandate has ended.
    """
    yield Finding(Level.OK, "settings", _limits_in_words(given))
    yield from _empty_variables(given.settings)
    yield from _hubs_shut_out(given.settings)
    yield from _exposed_files(config, given.state)
    yield from _conflicts(given.settings, config)
    yield from _no_purchase(given.settings, clock)


def missing_extras(given: Start) -> Iterator[Finding]:
    """The extras that these settings and options need, and that are not installed."""
    settings = given.settings
    if given.sandbox:
        yield from _missing(SANDBOX, Level.FAULT, NO_PURCHASE)
    if settings.ledger.url is not None:
        yield from _missing(POSTGRES, Level.FAULT, NO_PURCHASE)
    if settings.catalog.embeddings and "embeddings" in settings.catalog.model_fields_set:
        yield from _missing(EMBEDDINGS, Level.WARNING, "nothing: searches go by words alone")


def _missing(extra: Extra, level: Level, money: str) -> Iterator[Finding]:
    lack = extra.lack()
    if lack is not None:
        yield Finding(level, f"extra {extra.name}", lack, money, extra.install())


def _hubs_shut_out(settings: Settings) -> Iterator[Finding]:
    """The further Hubs that no allow means, so that nothing is bought there."""
    for one in settings.hubs:
        if any(means_source(pattern, one.name) and _may_mean(pattern, one.name) for pattern in settings.mandate.allow):
            continue
        what = f"mandate.allow lets in nothing of the Hub {one.name}: without its name a pattern means the first alone"
        mend = f'add "{one.name}{NAMED}*" to mandate.allow, or what of it may be bought'
        yield Finding(Level.WARNING, "settings", what, f"nothing is bought from {one.name}", mend)


def _may_mean(pattern: str, name: str) -> bool:
    where, mark, _ = pattern.partition(NAMED)
    return not mark or fnmatchcase(name, where)


def _empty_variables(settings: Settings) -> Iterator[Finding]:
    # A start is silent about these: hosts pass an empty text for what their user left out.
    variables = [variable for name in settings.every_hub for variable in variables_of(name)]
    credentials = [name for name in variables if name in os.environ and not os.environ[name].strip()]
    for variable in (*empty_variables(os.environ), *credentials):
        mend = f"unset {variable}, or give it a value"
        money = "what it was to say does not hold"
        yield Finding(Level.WARNING, "settings", f"{variable} is empty, which counts as not set", money, mend)


def _exposed_files(config: Path | None, state: Path) -> Iterator[Finding]:
    for path in writable_by_others(os.environ, config, state):
        money = "whoever can write there can raise the limits and change what was counted"
        mend = shlex.join(["chmod", "go-w", str(path)])
        yield Finding(Level.FAULT, "files", f"other users may write {path}", money, mend)


def _limits_in_words(given: Start) -> str:
    mandate = given.settings.mandate
    hub = "a Hub with test money" if given.sandbox else ", ".join(one.base_url for one in given.hubs.values())
    return (
        f"at most {format_usdc(mandate.per_call_usdc)} USDC a call and {format_usdc(mandate.daily_usdc)} a day at {hub}"
    )


def _conflicts(settings: Settings, config: Path | None) -> Iterator[Finding]:
    file, _ = config_file(os.environ, config)
    for conflict in limit_conflicts(settings.mandate):
        value = None if conflict.instead is None else format_usdc(conflict.instead)
        command = change_command(conflict.place, value, os.environ, file)
        if value is None:
            mend = "set it lower" if command is None else f"{command}, or set it lower"
        else:
            mend = f"{command or f'make it {value} there'}, or raise the other"
        money = "it has no effect as it is: the other limit holds"
        yield Finding(Level.WARNING, "limits", conflict.what, money, mend)


def _no_purchase(settings: Settings, clock: Clock) -> Iterator[Finding]:
    """A mandate under which nothing is bought at all."""
    mandate = settings.mandate
    if mandate.expires_at is not None and mandate.expires_at <= clock.now():
        what = f"the mandate ended at {iso(mandate.expires_at)}"
        yield Finding(Level.FAULT, "limits", what, NO_PURCHASE, "set mandate.expires_at to a later instant")
    denied = {allow: next((deny for deny in mandate.deny if within(allow, deny)), None) for allow in mandate.allow}
    if denied and all(denied.values()):
        pairs = ", ".join(f'"{deny}" takes all of "{allow}"' for allow, deny in denied.items())
        what = f"mandate.deny leaves nothing of mandate.allow: {pairs}"
        yield Finding(Level.FAULT, "limits", what, NO_PURCHASE, "narrow mandate.deny, or take it out")
