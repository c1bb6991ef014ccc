"""The key to a 402flow control plane: from the environment or a file of its own, never from the settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from jecp_mcp.errors import SettingsError
from jecp_mcp.settings.credentials import ENVIRONMENT
from jecp_mcp.settings.key_file import stored_key

KEY_VARIABLE: Final = "JECP_402FLOW_BOOTSTRAP_KEY"
FILE: Final = "402flow.key"
"""The operator's bootstrap key, in the state folder, readable by its owner only."""

_KEY: Final = re.compile(r"[A-Za-z0-9._~+/-]{12,4000}=*", re.ASCII)


def read_bootstrap_key(text: str, source: str) -> str:
    """Read a bootstrap key.

    Raises:
        SettingsError: it is none; the text is never repeated.
    """
    key = text.strip()
    if _KEY.fullmatch(key) is None:
        raise SettingsError(source, "", "is no bootstrap key: 12 or more letters, digits and . _ ~ + / - alone")
    return key


def find_bootstrap_key(environ: Mapping[str, str], state: Path) -> str | None:
    """The operator's key, from the environment or its file; None where there is none.

    Raises:
        SettingsError: there are both, or it is no key, or other users can read the file.
    """
    given, path = environ.get(KEY_VARIABLE, "").strip(), state / FILE
    stored = stored_key(path)
    if given and stored is not None:
        reason = f"is set, and {path} is there too; neither is used, for whose policy holds is not clear"
        raise SettingsError(ENVIRONMENT, KEY_VARIABLE, reason)
    if given:
        return read_bootstrap_key(given, f"the environment variable {KEY_VARIABLE}")
    return None if stored is None else read_bootstrap_key(stored, str(path))
