"""What can go wrong between here and the server, as far as it matters for what to do next."""

from __future__ import annotations

from jecp_mcp.errors import LedgerUnavailable


class ConnectionLost(LedgerUnavailable):
    """The connection broke. What was being committed may have been."""


class RolledBack(LedgerUnavailable):
    """The server took back the transaction for a reason that passes: a deadlock, a lock or a statement too slow."""
