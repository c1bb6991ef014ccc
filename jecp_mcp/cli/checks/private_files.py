"""Files that only their owner may read, and must be able to."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from jecp_mcp.settings.credentials import OTHERS


def access_mend(path: Path) -> str | None:
    """The command that makes a file its owner's alone to read; None where it is, so that what it holds is wrong."""
    try:
        about = path.stat()
    except OSError:
        return None
    if about.st_uid not in {os.geteuid(), 0}:
        return shlex.join(["sudo", "chown", str(os.geteuid()), str(path)])
    if path.is_file() and (about.st_mode & OTHERS or not os.access(path, os.R_OK)):
        return shlex.join(["chmod", "600", str(path)])
    return None
