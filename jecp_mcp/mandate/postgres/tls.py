"""Whether the server is who it says: by default verified wherever the line to it leaves this machine.

libpq's own default encrypts where it can and believes anybody (PostgreSQL 16 documentation §34.19). The books are
money, so beyond loopback the server's certificate and name are checked, unless the operator asks for less by name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

_VERIFIED: Final = "verify-full"
_SYSTEM_ROOTS: Final = 160_000
"""From which libpq on ``sslrootcert=system`` is the system's own list."""


def with_verification(asked: Mapping[str, Any], environ: Mapping[str, str], home: Path) -> dict[str, Any]:
    """Connection parameters, with the server verified unless it is on this machine or they say otherwise."""
    if _mode(asked, environ) or not _leaves_the_machine(asked, environ):
        return dict(asked)
    roots: dict[str, str] = {}
    named = asked.get("sslrootcert") or environ.get("PGSSLROOTCERT") or (home / ".postgresql" / "root.crt").exists()
    if not named and psycopg.pq.version() >= _SYSTEM_ROOTS:
        roots = {"sslrootcert": "system"}
    return {**asked, "sslmode": _VERIFIED, **roots}


def weakness(url: str, environ: Mapping[str, str]) -> str | None:
    """What the operator asked for that is less than verifying a server elsewhere, or None."""
    try:
        asked = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return None  # It is refused where it is used.
    mode = _mode(asked, environ)
    if mode in {None, _VERIFIED} or not _leaves_the_machine(asked, environ):
        return None
    return (
        f"the ledger's server is not verified (sslmode={mode}): whoever is in between could read and change the books"
    )


def _mode(asked: Mapping[str, Any], environ: Mapping[str, str]) -> str | None:
    return asked.get("sslmode") or environ.get("PGSSLMODE") or None


def _leaves_the_machine(asked: Mapping[str, Any], environ: Mapping[str, str]) -> bool:
    if asked.get("service") or environ.get("PGSERVICE"):
        return True
    dialled = (asked.get("hostaddr"), environ.get("PGHOSTADDR"), asked.get("host"), environ.get("PGHOST"))
    places = next((str(one) for one in dialled if one), "")
    return not all(_is_local(place.strip()) for place in places.split(","))


def _is_local(place: str) -> bool:
    if not place or place.startswith(("/", "@")) or place.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(place).is_loopback
    except ValueError:
        return False
