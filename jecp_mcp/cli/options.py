"""Options that several commands share, and what they come to: settings, state folder, credentials."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from jecp_mcp.errors import SettingsError
from jecp_mcp.settings import Credentials, Settings, find_credentials, load_settings, state_dir
from jecp_mcp.settings.places import STATE_VARIABLE, variable_of

Command = TypeVar("Command", bound=Callable[..., Any])


class _NamedPath(click.Path):
    """A path that is no empty text, which would mean the folder somebody happens to be in."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As click's."""
        if isinstance(value, str) and not value.strip():
            self.fail("is empty; leave it out, or name a path", param, ctx)
        return super().convert(value, param, ctx)


_HUB = click.option("--hub", metavar="URL", help="The Hub's origin. Default: https://jecp.dev.")
_CONFIG = click.option(
    "--config",
    metavar="FILE",
    type=_NamedPath(path_type=Path),
    help="The settings file. Default: $JECP_MCP_CONFIG, else config.toml in your config folder.",
)
_STATE = click.option(
    "--state-dir",
    metavar="DIR",
    type=_NamedPath(path_type=Path),
    help="Where the ledger, credentials and artifacts are. Default: $JECP_MCP_STATE_DIR, else your state folder.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


def common_options(command: Command) -> Command:
    """Give a command ``--hub``, ``--config`` and ``--state-dir``."""
    return _HUB(_CONFIG(_STATE(command)))


@dataclass(frozen=True, slots=True)
class Start:
    """What a command starts from.

    Attributes:
        state: the state folder; not yet made.
        credentials: the agent's, or None when there are none.
    """

    settings: Settings
    state: Path
    credentials: Credentials | None

    @property
    def ledger(self) -> Path:
        """The ledger's file."""
        return self.state / "ledger.sqlite"

    @property
    def artifacts(self) -> Path:
        """Where bought files are kept."""
        return self.state / "artifacts"

    @property
    def catalog(self) -> Path:
        """Where the last catalog is remembered."""
        return self.state / "catalog.jsonl"


def start(
    hub: str | None,
    config: Path | None,
    state: Path | None,
    *,
    overrides: Mapping[str, Any] | None = None,
    sandbox: bool = False,
) -> Start:
    """Read settings and credentials.

    Args:
        hub, config, state: the options of those names.
        overrides: what other options say, by dotted key.
        sandbox: whether a sandbox Hub will take the place of the configured Hub and account.

    Raises:
        SettingsError: something of it is wrong.
    """
    given = dict(overrides or {})
    if hub is not None:
        given["hub.base_url"] = hub
    if sandbox:
        # Test money must not use up the limits of the real wallet, nor stand in its books.
        given["ledger.url"] = None
    settings = load_settings(config, environ=os.environ, overrides=given)
    folder = state_dir(os.environ, state)
    if sandbox and state is None and not variable_of(os.environ, STATE_VARIABLE):
        folder /= "sandbox"
    if folder.exists() and not folder.is_dir():
        raise SettingsError("the state folder", "", f"{folder} is not a folder")
    credentials = None if sandbox else find_credentials(settings, os.environ, Path.home(), folder)
    return Start(settings, folder, credentials)
