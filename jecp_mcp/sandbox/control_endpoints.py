"""The sandbox's own endpoints, which no Hub has: they are there for tests and demonstrations. Loopback only, JSON only.

All but the books want the key that the Hub printed at its start, as ``X-Sandbox-Key``: an agent that can reach the Hub,
and has its own credentials there, must not be able to set its balance or tier or to fail other agents' calls. Money it
gets as at a Hub, by a topup and its checkout page, where nobody pays: what limits it here is its mandate.

- ``POST /sandbox/faults``: see `jecp_mcp.sandbox.fault_injection`; ``DELETE`` forgets those that did not happen yet
  and lets go on what one of them delays.
- ``POST /sandbox/catalog``: ``{"manifests": [...]}`` (or ``{"manifest": {...}}``) publishes providers' manifests,
  replacing the same version; ``{"remove": "namespace/name"}`` (or ``…@1.2.3``, or a list of them) takes them down. Both
  outlive a restart. A manifest with ``"extensions": {"sandbox": {"runs": "capability:action"}}`` does the work of that
  built-in or provider's action; any other is listed and answers ``PROVIDER_UNREACHABLE``.
- ``POST /sandbox/wallet`` (the agent's headers): sets what is given of ``balance_usdc``, ``total_calls`` (and with it
  the trust tier) and ``rate_limit_rpm`` (null: the tier's own). With a balance, ``free_calls`` becomes 0 unless given,
  so that the calls which follow are paid.
- ``GET /sandbox/books?agent_id=`` (the agent's headers): every movement of its money, with sums.
- ``POST /sandbox/refunds/{id}``: ``{"decision": "approve"|"deny", "note"?}``, the provider's part.
- ``POST /sandbox/clock``: ``{"advance_seconds": 86400}`` moves the Hub's time forward, for good: refunds are approved,
  deliveries are due, windows end. Nobody else's clock moves: webhooks are dated, and mandates and
  provenance hashes judged, by the machine's.
- ``POST /sandbox/x402``: ``{"enabled": false}`` and nothing is paid by x402 until it is true again.
- ``GET /sandbox/deliveries`` (the agent's headers; ``?status=dead`` for the dead letters): what its webhooks were told;
  ``POST /sandbox/deliveries/{id}`` sends a dead letter again.
"""

from __future__ import annotations

import hmac
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from jecp_mcp import jsontext
from jecp_mcp.clock import iso
from jecp_mcp.errors import MoneyError, WireError
from jecp_mcp.money import parse_usdc
from jecp_mcp.sandbox.dialect import Dialect
from jecp_mcp.sandbox.endpoints import Handler, check_json, json_reply, read_json
from jecp_mcp.sandbox.error_answers import Refused, Reply
from jecp_mcp.sandbox.hub import Hub
from jecp_mcp.wire.jecp.ids import split_capability

MOST_CALLS = 1_000_000_000
MOST_SECONDS_AHEAD = 10 * 366 * 86_400


def require_key(handler: Handler) -> Handler:
    """A handler for whoever started the Hub."""

    async def with_key(hub: Hub, request: Request, dialect: Dialect) -> Reply | Response:
        given = request.headers.get("x-sandbox-key", "")
        if not hmac.compare_digest(given.encode(), hub.config.control_key.encode()):
            raise Refused("FORBIDDEN", "The sandbox is controlled with the key that its start printed: X-Sandbox-Key.")
        return await handler(hub, request, dialect)

    return with_key


async def _read_own_json(request: Request) -> dict[str, Any]:
    """The body, which must say that it is JSON: a form on a foreign page cannot, and its script is not let."""
    if "content-type" not in request.headers:
        raise Refused("UNSUPPORTED_MEDIA_TYPE", "expected application/json")
    check_json(request)
    return await read_json(request)


async def add_fault(hub: Hub, request: Request, _dialect: Dialect) -> Reply:
    """``POST /sandbox/faults``."""
    return json_reply({"waiting": hub.faults.add(await _read_own_json(request))}, 201)


async def clear_faults(hub: Hub, _request: Request, _dialect: Dialect) -> Reply:
    """``DELETE /sandbox/faults``."""
    hub.faults.clear()
    return json_reply({"waiting": 0})


async def change_catalog(hub: Hub, request: Request, _dialect: Dialect) -> Reply:
    """``POST /sandbox/catalog``."""
    body = await _read_own_json(request)
    given = body.get("manifests", [body["manifest"]] if "manifest" in body else [])
    gone = body.get("remove", [])
    gone = [gone] if isinstance(gone, str) else gone
    if not isinstance(given, list) or not isinstance(gone, list) or not (given or gone):
        raise Refused("INVALID_REQUEST", "manifests or remove is required.")
    published, removed = [], []
    try:
        for each in gone:
            asked = split_capability(str(each))
            for version in hub.catalog.remove(asked.capability, asked.version):
                hub.database.keep_manifest(asked.capability, version, None)
                removed.append(f"{asked.capability}@{version}")
        for manifest in given:
            listing = hub.catalog.publish(manifest)
            hub.database.keep_manifest(listing.id, listing.version, jsontext.dumps(manifest).decode())
            published.append(f"{listing.id}@{listing.version}")
    except WireError as exc:
        raise Refused("INVALID_MANIFEST", str(exc), details={"published": published, "removed": removed}) from exc
    return json_reply({"published": published, "removed": removed, "revision": hub.catalog.revision})


async def set_wallet(hub: Hub, request: Request, dialect: Dialect) -> Reply:
    """``POST /sandbox/wallet``."""
    body = await _read_own_json(request)
    agent = hub.checks.authenticate(dialect, request.headers)
    changes: dict[str, int | None] = {}
    if "balance_usdc" in body:
        try:
            changes |= {"balance": parse_usdc(body["balance_usdc"]), "free_calls": 0}
        except MoneyError as exc:
            raise Refused("INVALID_REQUEST", f"balance_usdc: {exc}.") from exc
    for name in ("free_calls", "total_calls", "rate_limit_rpm"):
        if name not in body:
            continue
        value = body[name]
        if value is None and name == "rate_limit_rpm":
            changes[name] = None
        elif isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_CALLS:
            raise Refused("INVALID_REQUEST", f"{name} must be a whole number.")
        else:
            changes[name] = value
    hub.agents.adjust(agent.agent_id, changes, hub.clock.now())
    return json_reply(hub.payments.books(agent.agent_id))


async def show_books(hub: Hub, request: Request, dialect: Dialect) -> Reply:
    """``GET /sandbox/books``."""
    agent = hub.checks.authenticate(dialect, request.headers)
    if request.query_params.get("agent_id", agent.agent_id) != agent.agent_id:
        raise Refused("FORBIDDEN", "These are another agent's books.")
    hub.payments.approve_due_refunds(hub.clock.now())
    return json_reply(hub.payments.books(agent.agent_id))


async def resolve_refund(hub: Hub, request: Request, _dialect: Dialect) -> Reply:
    """``POST /sandbox/refunds/{id}``."""
    body = await _read_own_json(request)
    status = {"approve": "approved", "deny": "denied"}.get(str(body.get("decision")))
    note = body.get("note")
    if status is None or not isinstance(note, (str, type(None))):
        raise Refused("INVALID_REQUEST", "decision must be approve or deny.")
    if not hub.payments.resolve_refund(request.path_params["id"], status, note, hub.clock.now()):
        raise Refused("REFUND_NOT_FOUND", "There is no open refund of this id.")
    return json_reply({"refund_id": request.path_params["id"], "status": status})


async def advance_clock(hub: Hub, request: Request, _dialect: Dialect) -> Reply:
    """``POST /sandbox/clock``."""
    seconds = (await _read_own_json(request)).get("advance_seconds")
    left = MOST_SECONDS_AHEAD - hub.clock.ahead_ms // 1000
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 0 <= seconds <= left:
        raise Refused("INVALID_REQUEST", f"advance_seconds must be a whole number, {left} at most.")
    hub.advance_clock(seconds)
    return json_reply({"now": iso(hub.clock.now()), "ahead_seconds": hub.clock.ahead_ms // 1000})


async def switch_x402(hub: Hub, request: Request, _dialect: Dialect) -> Reply:
    """``POST /sandbox/x402``."""
    enabled = (await _read_own_json(request)).get("enabled")
    if not isinstance(enabled, bool):
        raise Refused("INVALID_REQUEST", "enabled must be true or false.")
    if hub.x402 is None:
        raise Refused("INVALID_REQUEST", "This Hub takes no x402: it was started without a facilitator.")
    hub.x402_switch.turn(on=enabled)
    return json_reply({"enabled": enabled})
