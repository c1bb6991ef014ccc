"""Where this user's files are: the platform's own folders, unless the operator names others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

APP = "jecp-mcp"
CONFIG_VARIABLE = "JECP_MCP_CONFIG"
STATE_VARIABLE = "JECP_MCP_STATE_DIR"


def state_dir(environ: Mapping[str, str], option: Path | None = None) -> Path:
    """Where the ledger, the credentials, the catalog's snapshot and the artifacts are kept.

    ``--state-dir``, else ``$JECP_MCP_STATE_DIR``, else the platform's folder for state. Nothing is created.
    """
    if option is not None:
        return option.expanduser().absolute()
    if named := variable_of(environ, STATE_VARIABLE):
        return Path(named).expanduser().absolute()
    # Imported late: most starts name their folder, or look here once.
    from platformdirs import user_state_path

    return user_state_path(APP, appauthor=False)


def config_file(environ: Mapping[str, str], option: Path | None = None) -> tuple[Path, bool]:
    """The settings file, and whether somebody asked for it by name (then it must exist)."""
    if option is not None:
        return option.expanduser().absolute(), True
    if named := variable_of(environ, CONFIG_VARIABLE):
        return Path(named).expanduser().absolute(), True
    from platformdirs import user_config_path

    return user_config_path(APP, appauthor=False) / "config.toml", False


def variable_of(environ: Mapping[str, str], variable: str) -> str:
    """A variable in any case, as the settings' own are read; empty counts as not set."""
    return next((value for name, value in environ.items() if name.upper() == variable and value.strip()), "")
