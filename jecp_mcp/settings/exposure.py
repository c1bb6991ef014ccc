"""Folders and settings that other users may write: whoever can, sets the limits and rewrites the books."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Final

from jecp_mcp.settings.places import config_file

_MOST_ENTRIES: Final = 1_000


def writable_by_others(environ: Mapping[str, str], config: Path | None, state: Path) -> Iterator[Path]:
    """The settings file, the state folder with what is in it, and the folders above, as far as others may write them.

    In a sticky folder such as ``/tmp`` nobody can replace what is another's (chmod(1)), so that is none of them.
    What cannot be looked at is left out: whoever needs it says what is wrong with it.

    Args:
        config: the file named by ``--config``.
    """
    settings, _ = config_file(environ, config)
    seen: set[Path] = set()
    for path in (settings, *settings.parents, state, *state.parents, *_entries(state)):
        if path not in seen and _open_to_others(path):
            yield path
        seen.add(path)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(islice(folder.iterdir(), _MOST_ENTRIES))
    except OSError:
        return []


def _open_to_others(path: Path) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    if stat.S_ISCHR(found.st_mode):
        return False  # /dev/null, for no settings at all.
    if found.st_uid not in {os.geteuid(), 0}:
        return True
    if stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX:
        return False
    if found.st_mode & stat.S_IWOTH:
        return True
    return bool(found.st_mode & stat.S_IWGRP) and not _own_group(found.st_gid)


def _own_group(gid: int) -> bool:
    """Whether a group is one user's alone, as many systems make one for each."""
    import grp
    import pwd

    try:
        user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(gid)
    except KeyError:
        return False
    return group.gr_name == user and not set(group.gr_mem) - {user}
