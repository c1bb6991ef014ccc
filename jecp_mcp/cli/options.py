"""Options that several commands share, and what they come to: settings, state folder, credentials."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from jecp_mcp.errors import SettingsError
from jecp_mcp.settings import (
    Credentials,
    HubSettings,
    Settings,
    find_every_account,
    is_loopback,
    load_settings,
    sandbox_dir,
    state_dir,
)
from jecp_mcp.settings.command_lines import PLAIN, CommandLine
from jecp_mcp.settings.loading import COMMAND_LINE
from jecp_mcp.settings.places import home_folder
from jecp_mcp.source_names import FIRST, NAMED, NAMED_TOOL

if TYPE_CHECKING:
    from jecp_mcp.settings.wallet_key import WalletKey

Command = TypeVar("Command", bound=Callable[..., Any])


class NamedPath(click.Path):
    """A path that is no empty text, which would mean the folder somebody happens to be in."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As click's."""
        if isinstance(value, str) and not value.strip():
            self.fail("is empty; leave it out, or name a path", param, ctx)
        return super().convert(value, param, ctx)


_HUB = click.option(
    "--hub", metavar="URL", help="The Hub's origin. Default: https://jecp.dev. Of several [[hubs]], also one's name."
)
_CONFIG = click.option(
    "--config",
    metavar="FILE",
    type=NamedPath(path_type=Path),
    help="The settings file. Default: $JECP_MCP_CONFIG, else config.toml in your config folder.",
)
_STATE = click.option(
    "--state-dir",
    metavar="DIR",
    type=NamedPath(path_type=Path),
    help="Where the ledger, credentials and artifacts are. Default: $JECP_MCP_STATE_DIR, else your state folder.",
)
_SANDBOX_ASKED = "jecp_mcp.sandbox"
_STARTED = "jecp_mcp.started"


def _note_sandbox(context: click.Context, _option: click.Parameter, asked: bool) -> None:
    context.meta[_SANDBOX_ASKED] = asked


# Kept with the context and not given to the command: what it changes is where `start` looks.
_SANDBOX = click.option(
    "--sandbox",
    is_flag=True,
    expose_value=False,
    callback=_note_sandbox,
    help="Use a Hub with test money on this machine, and the books of what was bought there.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


def common_options(command: Command) -> Command:
    """Give a command ``--hub``, ``--config``, ``--state-dir`` and ``--sandbox``."""
    return _HUB(_CONFIG(_STATE(_SANDBOX(command))))


def sandbox_asked() -> bool:
    """Whether the running command was given ``--sandbox``."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_SANDBOX_ASKED))


def start_from(given: Mapping[str, Any]) -> Start:
    """What the options of `common_options` come to, by their names.

    Raises:
        SettingsError: something of it is wrong.
    """
    return start(given["hub"], given["config"], given["state_dir"])


@dataclass(frozen=True, slots=True)
class Start:
    """What a command starts from.

    Attributes:
        state: the state folder; not yet made.
        credentials: the agent's at the Hub of ``[hub]``, or None when there are none.
        further: the agent's at each of the ``[[hubs]]`` where it has any, by the Hub's name.
        asked_hub: the one Hub that the command is about, by its name as in `Settings.every_hub`; None for all.
        sandbox: whether a sandbox Hub takes the place of the configured Hub and account: as it last ran, where it has.
        commands: what a person is told to run, so that it starts from the same.
        play_wallet: the key to the sandbox's play money, where this program started the sandbox.
        play_hirer: the key of who hires the sandbox's agents.
        play_bootstrap: the key to the sandbox's control plane.
    """

    settings: Settings
    state: Path
    credentials: Credentials | None
    sandbox: bool = False
    commands: CommandLine = PLAIN
    play_wallet: WalletKey | None = None
    play_hirer: str | None = None
    play_bootstrap: str | None = None
    further: Mapping[str, Credentials] = field(default_factory=dict)
    asked_hub: str | None = None

    def account(self, hub: str) -> Credentials | None:
        """The agent's credentials at a Hub, or None when there are none."""
        return self.further.get(hub) if hub else self.credentials

    @property
    def hubs(self) -> Mapping[str, HubSettings]:
        """The Hubs that the command is about, by name as in `Settings.every_hub`."""
        every = self.settings.every_hub
        return every if self.asked_hub is None else {self.asked_hub: every[self.asked_hub]}

    @property
    def hub(self) -> str | None:
        """Where is bought; None where that is a sandbox that has not run yet."""
        if self.sandbox and self.credentials is None:
            return None
        return ", ".join(one.base_url for one in self.hubs.values())

    def hubs_beside(self, tool: str) -> frozenset[str]:
        """The addresses of the Hubs that surely do not sell a tool, by its name or key; none for what may mean any."""
        from jecp_mcp.tool_names import OWN_PREFIX

        name, named, _ = tool.partition(NAMED if NAMED in tool else NAMED_TOOL)
        every = self.settings.every_hub
        if tool.startswith(OWN_PREFIX) or (named and name not in every):
            return frozenset()
        return frozenset(hub.base_url for called, hub in every.items() if called != (name if named else ""))

    @property
    def hub_argument(self) -> Mapping[str, str]:
        """The Hub that was asked for, for the tools that take one's name."""
        return {} if self.asked_hub is None else {"hub": self.asked_hub or FIRST}

    def commands_at(self, hub: str) -> CommandLine:
        """What a person is told to run at one of several Hubs, by its name as in `Settings.every_hub`."""
        return self.commands.at_hub(hub or FIRST) if self.settings.hubs else self.commands

    @property
    def ledger(self) -> Path:
        """The ledger's file."""
        return self.state / "ledger.sqlite"

    @property
    def artifacts(self) -> Path:
        """Where bought files are kept."""
        return self.state / "artifacts"

    def catalog(self, hub: str = "") -> Path:
        """Where a Hub's last catalog is remembered."""
        return self.state / (f"catalog-{hub}.jsonl" if hub else "catalog.jsonl")

    def wallet(self) -> WalletKey | None:
        """The key of the wallet that pays merchants. On this machine only the sandbox's own key ever pays.

        Raises:
            SettingsError: it cannot be used.
        """
        from jecp_mcp.settings.wallet_key import SANDBOX_FILE, find_wallet_key, stored_wallet_key

        hubs = self.settings.every_hub.values()
        played = any(hub.payment != "wallet" and is_loopback(hub.base_url) for hub in hubs)
        if self.settings.paid_http.loopback or played:
            return self.play_wallet or stored_wallet_key(self.state / SANDBOX_FILE)
        return find_wallet_key(os.environ, self.state)

    def bootstrap_key(self) -> str | None:
        """The key to the 402flow control plane. The sandbox's takes its own alone.

        Raises:
            SettingsError: it cannot be used.
        """
        from jecp_mcp.settings.bootstrap_key import find_bootstrap_key

        if self.sandbox or self.play_bootstrap is not None:
            return self.play_bootstrap
        return find_bootstrap_key(os.environ, self.state)

    def agent_key(self) -> str | None:
        """The text of the key that signs jobs' offers. The sandbox's agents are hired with its own.

        Raises:
            SettingsError: it cannot be used.
        """
        from jecp_mcp.settings.agent_key import find_agent_key

        return self.play_hirer if self.sandbox else find_agent_key(os.environ, self.state)


def start(
    hub: str | None,
    config: Path | None,
    state: Path | None,
    *,
    overrides: Mapping[str, Any] | None = None,
) -> Start:
    """Read settings and credentials.

    Args:
        hub, config, state: the options of those names.
        overrides: what other options say, by dotted key.

    Raises:
        SettingsError: something of it is wrong.
    """
    sandbox = sandbox_asked()
    settings = read_settings(hub, config, overrides)
    folder = checked_state_folder(state)
    commands = command_line(hub, config, state, settings)
    if sandbox:
        from jecp_mcp.cli.sandbox_settings import at_last_sandbox

        made = at_last_sandbox(Start(settings, folder, None, sandbox, commands))
    else:
        accounts = find_every_account(settings, os.environ, home_folder(), folder)
        credentials = accounts.pop("", None)
        made = Start(
            settings, folder, credentials, sandbox, commands, further=accounts, asked_hub=asked_hub(hub, settings)
        )
    if (context := click.get_current_context(silent=True)) is not None:
        context.meta[_STARTED] = made
    return made


def started_from(context: click.Context) -> Start | None:
    """What the command of a context started from; None where it has not come so far."""
    found = context.meta.get(_STARTED)
    return found if isinstance(found, Start) else None


def read_settings(hub: str | None, config: Path | None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """The settings of the running command, as for `start`.

    Raises:
        SettingsError: something of them is wrong.
    """
    given = dict(overrides or {})
    if hub is not None and (_is_origin(hub) or not _has_several(config, given)):
        given["hub.base_url"] = hub
    if sandbox_asked():
        if hub is not None:
            raise click.UsageError("--sandbox brings its own Hub; leave out --hub", click.get_current_context())
        # Test money must not use up the limits of the real wallet, nor stand in its books.
        given["ledger.url"] = None
    settings = load_settings(config, environ=os.environ, overrides=given)
    # A sandbox is one Hub.
    return settings.model_copy(update={"hubs": ()}) if sandbox_asked() else settings


def _is_origin(hub: str) -> bool:
    return "://" in hub


def _has_several(config: Path | None, overrides: Mapping[str, Any]) -> bool:
    return bool(load_settings(config, environ=os.environ, overrides=overrides).hubs)


def asked_hub(hub: str | None, settings: Settings) -> str | None:
    """Which of several Hubs ``--hub`` names, as in `Settings.every_hub`; None where it names none.

    Raises:
        SettingsError: there is no Hub of that name.
    """
    if hub is None or _is_origin(hub):
        return None
    name = "" if hub == FIRST else hub
    if name not in settings.every_hub:
        known = ", ".join(one or FIRST for one in settings.every_hub)
        raise SettingsError(COMMAND_LINE, "--hub", f'there is no Hub "{hub}": the Hubs here are called {known}')
    return name


def state_folder(state: Path | None) -> Path:
    """The state folder of the running command: the sandbox's own is within everybody's, unless one was named."""
    return (sandbox_dir if sandbox_asked() else state_dir)(os.environ, state)


def checked_state_folder(state: Path | None) -> Path:
    """The same, which is a folder, or can be made.

    Raises:
        SettingsError: it can be none.
    """
    folder = state_folder(state)
    if (fault := state_folder_fault(folder)) is not None:
        raise SettingsError("the state folder", "", fault)
    return folder


def state_folder_fault(folder: Path) -> str | None:
    """Why a state folder can be none; None where it is one, or can be made."""
    nearest = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if nearest.is_dir():
        return None
    return f"{nearest} is not a folder" + ("" if nearest == folder else f", so {folder} can be none")


def command_line(hub: str | None, config: Path | None, state: Path | None, settings: Settings | None) -> CommandLine:
    """What a person is told to run, so that it looks where the running command does.

    Args:
        settings: what was read; None where they are wrong.
    """
    return CommandLine.of(
        os.environ,
        hub=hub,
        config=config,
        state=state,
        sandbox=sandbox_asked(),
        server=settings is None or settings.ledger.url is not None,
    )
