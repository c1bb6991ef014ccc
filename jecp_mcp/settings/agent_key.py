"""The key that signs offers: from the environment or a file of its own, never from the settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from jecp_mcp.errors import SettingsError
from jecp_mcp.settings.credentials import ENVIRONMENT
from jecp_mcp.settings.key_file import stored_key

KEY_VARIABLE: Final = "PROVENANCE_PRIVATE_KEY"
FILE: Final = "ajp.key"
"""The operator's key, in the state folder: base64 of its PKCS #8."""


def agent_key_source(environ: Mapping[str, str], state: Path) -> tuple[str, str]:
    """Where the operator's key comes from, or would be kept, and the variable's name: as `SettingsError` takes them."""
    if environ.get(KEY_VARIABLE, "").strip():
        return ENVIRONMENT, KEY_VARIABLE
    return str(state / FILE), ""


def find_agent_key(environ: Mapping[str, str], state: Path) -> str | None:
    """The text of the operator's key; None where there is none.

    Raises:
        SettingsError: there are two, or its file cannot be used.
    """
    given, stored = environ.get(KEY_VARIABLE, "").strip(), stored_key(state / FILE)
    if given and stored is not None:
        raise SettingsError(
            ENVIRONMENT, KEY_VARIABLE, f"is set, and {state / FILE} is there too; who hires is not clear"
        )
    return given or stored
