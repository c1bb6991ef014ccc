"""What a person does with a file that is damaged, and that may be begun anew."""

from __future__ import annotations

import os
import shlex
from pathlib import Path


def set_aside_command(path: Path) -> str:
    """The command that moves a file out of the way with the journals that belong to it, over nothing that is there."""
    number = 1
    while os.path.lexists(kept := path.with_name(f"{path.name}.damaged-{number}")):
        number += 1
    # SQLite would play a journal that is left behind into the next file of that name.
    sides = [side for side in ("", "-journal", "-wal", "-shm") if not side or os.path.lexists(f"{path}{side}")]
    return " && ".join(shlex.join(["mv", f"{path}{side}", f"{kept}{side}"]) for side in sides)
