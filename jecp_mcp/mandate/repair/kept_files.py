"""The files beside a ledger that hold one too: backups, and what was damaged or replaced. Reads beginnings only."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from jecp_mcp.mandate.sqlite import schema

MAGIC: Final = b"SQLite format 3\x00"
"""What a database begins with (SQLite file format §1.3)."""

DAMAGED, REPLACED = "damaged", "replaced"
"""What a ledger that was moved aside is called, after its own name."""

_HEADER: Final = 100
_LARGEST_PAGE: Final = 65_536


def backups_beside(ledger: Path) -> list[Path]:
    """The files in a ledger's folder that may be put in its place, the oldest first.

    What a repair moved aside is none: it was damaged, or somebody had a reason to replace it.
    """
    aside = {ledger, *put_aside(ledger)}
    found = [path for path in _beside(ledger) if path not in aside and path.is_file() and _is_copy(path)]
    return sorted(found, key=lambda path: path.stat().st_mtime)


def put_aside(ledger: Path) -> list[Path]:
    """What `jecp_mcp.mandate.repair.backup.put_in_place` moved aside, the oldest of a kind first."""
    begins = tuple(f"{ledger.name}.{label}-" for label in (DAMAGED, REPLACED))
    return [path for path in _beside(ledger) if path.name.startswith(begins) and not path.name.endswith("-wal")]


def declared_size(header: bytes) -> int:
    """How many bytes a database has by its first 100 (SQLite file format §1.3)."""
    page = int.from_bytes(header[16:18], "big")
    return int.from_bytes(header[28:32], "big") * (_LARGEST_PAGE if page == 1 else page)


def _beside(ledger: Path) -> list[Path]:
    return sorted(ledger.parent.glob("*")) if ledger.parent.is_dir() else []


def _is_copy(path: Path) -> bool:
    try:
        with path.open("rb") as raw:
            header = raw.read(_HEADER)
        whole = path.stat().st_size >= declared_size(header)
    except OSError:
        return False
    return whole and header[:16] == MAGIC and header[68:72] == schema.APPLICATION_ID.to_bytes(4, "big")
