"""Why a file of the sandbox's cannot be used, and what makes an end of that."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import apsw

from jecp_mcp.damaged_files import set_aside_command
from jecp_mcp.errors import SettingsError

_NOT_ITS_OWN: Final = (apsw.NotADBError, apsw.CorruptError, apsw.SQLError, IsADirectoryError)
"""What is raised where the file is damaged, or somebody else's: another one in its place is begun anew."""


def is_lost(error: BaseException | None) -> bool:
    """Whether what was raised for a file says that it is damaged, or is somebody else's."""
    return isinstance(error, _NOT_ITS_OWN)


def database_fault(path: Path | None, holds: str, error: apsw.Error | OSError) -> SettingsError:
    """What to raise for an error of opening, reading or writing a file.

    Args:
        path: the file; None where it is kept in memory.
        holds: what is kept in it, in words.
        error: what was raised.
    """
    if isinstance(error, apsw.BusyError):
        return SettingsError(str(path), "", "another sandbox is using this file")
    reason = f"this file cannot hold {holds}: {error}"
    if path is not None and is_lost(error):
        reason += f"; to begin anew, which loses test money and nothing else, run: {set_aside_command(path)}"
    return SettingsError(str(path), "", reason)
