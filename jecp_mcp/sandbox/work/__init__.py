"""What the sandbox Hub sells: real work on real input, offline.

Two kinds of capability: the Hub's own (`builtins`, ids without a slash) and those of providers (`manifests`). Every
version is listed; of several versions of one id, the highest that stays is what an unpinned call means, the others are
reached as ``namespace/name@1.2.3``.

`run` and `stream` block and are bounded in time: call them in a worker thread. The input must already be valid
against the action's ``input_schema``.
"""

from __future__ import annotations

from jecp_mcp.sandbox.work.capability import Work, WorkFailed
from jecp_mcp.sandbox.work.providers import builtins, manifests, run, stream

__all__ = ["Work", "WorkFailed", "builtins", "manifests", "run", "stream"]
