"""How a call is written down: its fingerprint, and its request as one durable value. Pure: no I/O."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import LedgerDamaged
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.base import StoredRequest

_VERSION = 1


def fingerprint(principal: str, source: str, offer: str, arguments: Mapping[str, Any]) -> str:
    """Identify "the same call": one principal asking for one offer of a source with equal arguments (hex SHA-256).

    Object keys are sorted, so the order a model writes them in does not matter; every value does. Who pays is not in
    it: under a new account an open call is not bought a second time either.
    """
    text = json.dumps([principal, source, offer, arguments], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def pack(request: StoredRequest) -> bytes:
    """Write a stored request as one value: a JSON header line, then the exact body."""
    header = {
        "v": _VERSION,
        "rail": request.rail,
        "account": request.account,
        "call_id": request.call_id,
        "path": request.path,
        "budget": request.budget,
        "until": request.provable_until,
        "streaming": request.streaming,
        "timeout": request.timeout_seconds,
        "provenance": request.provenance,
    }
    return json.dumps(header, separators=(",", ":")).encode("ascii") + b"\n" + request.body


def unpack(stored: bytes) -> StoredRequest:
    """Read a stored request back.

    Raises:
        LedgerDamaged: the value is not one that `pack` wrote.
    """
    head, newline, body = stored.partition(b"\n")
    try:
        header = json.loads(head)
        if not newline or header["v"] != _VERSION:
            raise LedgerDamaged("a stored request has an unknown form; it was not written by this version")
        return StoredRequest(
            rail=str(header["rail"]),
            account=str(header["account"]),
            call_id=str(header["call_id"]),
            path=str(header["path"]),
            body=body,
            budget=MicroUSDC(int(header["budget"])),
            provable_until=UnixMs(int(header["until"])),
            streaming=bool(header["streaming"]),
            timeout_seconds=float(header["timeout"]),
            provenance=bool(header["provenance"]),
        )
    except (ValueError, KeyError, TypeError) as exc:
        raise LedgerDamaged("a stored request cannot be read; the ledger is not what was written") from exc
