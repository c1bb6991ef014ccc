"""Checking a call's provenance hash against the replay cache (JECP 02-authentication §5)."""

from __future__ import annotations

from typing import Any

from jecp_mcp.clock import UnixMs
from jecp_mcp.sandbox.agents import Agent
from jecp_mcp.sandbox.call_request import Call
from jecp_mcp.sandbox.error_answers import Refused
from jecp_mcp.sandbox.hub_database import HubDatabase
from jecp_mcp.wire.jecp import provenance


def check_provenance(database: HubDatabase, call: Call, agent: Agent, at: UnixMs, dated: UnixMs) -> None:
    """Let a call without a hash pass, and one with a good hash, whose nonce is used up by it.

    Args:
        at: the Hub's time, by which nonces are forgotten.
        dated: everybody's time, by which hashes are made.

    Raises:
        Refused: the hash is not good, with its subcause.
    """
    if call.provenance is None:
        return
    assert call.mandate_credentials is not None

    def seen(nonce: str) -> bool:
        until = at + provenance.NONCE_MEMORY_SECONDS * 1000
        return not database.use_nonce(agent.agent_id, nonce, until, at)

    wrong = provenance.verify(call.provenance, agent.agent_id, call.mandate_credentials[1], now=dated, seen=seen)
    if wrong is None:
        return
    details: dict[str, Any] = {"subcause": str(wrong)}
    if wrong is provenance.Subcause.CLOCK_SKEW:
        ahead = provenance.drift_seconds(str(call.provenance), dated)
        # The Hub counts the other way round: its clock minus the maker's.
        details["drift_seconds"] = -ahead if ahead is not None else 0
    raise Refused("PROVENANCE_MISMATCH", _MESSAGES[wrong], details=details)


_MESSAGES = {
    provenance.Subcause.WIRE_MALFORMED: "The provenance hash is malformed.",
    provenance.Subcause.CLOCK_SKEW: "The provenance hash's time is more than 300 seconds off.",
    provenance.Subcause.HMAC_MISMATCH: "The provenance hash does not match.",
    provenance.Subcause.NONCE_REPLAY: "The provenance nonce was already used; take a fresh one for every request.",
    provenance.Subcause.V1_LEGACY_MISMATCH: "Provenance v1 does not match.",
    provenance.Subcause.V1_UNAVAILABLE: "Provenance v1 has ended; use v2.",
}
