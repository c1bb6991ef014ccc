"""The jobs that agents were hired for: where each stands, and what each agent takes of what it may. Reads only."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any, Final

from jecp_mcp.calls.reader import Reader
from jecp_mcp.mandate.records import CallRow
from jecp_mcp.mandate.states import CHARGED
from jecp_mcp.money import MicroUSDC, format_usdc
from jecp_mcp.tools.own.history import arguments_in_short
from jecp_mcp.tools.own.wallet import call_summary

_RAILS: Final = frozenset({"ajp"})
"""By which agents are hired."""
_UNLISTED: Final = "ajp"
"""The capability by which an agent is hired that the operator did not list."""
_CALL, _JOB = "call_", "job_"
_LISTED: Final = 30
_COUNTED: Final = 1_000
"""Among how many of the latest calls jobs are looked for."""


def call_of(job: str) -> str:
    """The id of the call that a job was hired by; ids of calls stay as they are."""
    return f"{_CALL}{job.removeprefix(_JOB)}" if job.startswith(_JOB) else job


async def latest_jobs(reader: Reader) -> dict[str, Any]:
    """The latest jobs, newest first, and what each agent was owed for its own beside what it was allowed.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    rows = [row for row in await reader.latest(limit=_COUNTED) if row.rail in _RAILS]
    agents = dict.fromkeys(map(_agent, rows))
    return {
        "jobs": [await _job(reader, row) for row in rows[:_LISTED]],
        "agents": [_taken(name, [row for row in rows if _agent(row) == name]) for name in agents],
    }


async def _job(reader: Reader, row: CallRow) -> dict[str, Any]:
    made: dict[str, Any] = {"job_id": f"{_JOB}{row.call_id.removeprefix(_CALL)}", "agent": _agent(row)}
    made |= call_summary(row) | {"most_usdc": format_usdc(row.held)}
    if (given := await arguments_in_short(reader, row)) is not None:
        made["asked"] = given
    return made


def _taken(agent: str, rows: Sequence[CallRow]) -> dict[str, Any]:
    """What an agent takes: one that always takes all that it may is worth a lower limit."""
    made: dict[str, Any] = {"agent": agent, "jobs": len(rows)}
    charged = [row for row in rows if row.state in CHARGED]
    if charged:
        paid = round(statistics.median(row.charged for row in charged))
        most = round(statistics.median(row.held for row in charged))
        made |= {
            "charged": len(charged),
            "median_charged_usdc": format_usdc(MicroUSDC(paid)),
            "median_most_usdc": format_usdc(MicroUSDC(most)),
        }
    return made


def _agent(row: CallRow) -> str:
    """Its name in the settings; the id of one that stands in none."""
    capability, _, name = row.offer.rpartition(":")
    return name if capability != _UNLISTED else row.payee.partition("#")[0]
