"""The endpoints of webhook subscriptions, as the reference Hub has them, and what was told, which no Hub shows."""

from __future__ import annotations

import re
from typing import Final

from starlette.requests import Request

from jecp_mcp.sandbox.dialect import Dialect
from jecp_mcp.sandbox.endpoints import json_reply, read_json
from jecp_mcp.sandbox.error_answers import Refused, Reply
from jecp_mcp.sandbox.hub import Hub
from jecp_mcp.sandbox.webhooks.destinations import vet_destination

_EVENT: Final = re.compile(r"[a-z][a-z0-9_.]{0,63}", re.ASCII)
_MOST_EVENTS: Final = 50


async def subscribe(hub: Hub, request: Request, dialect: Dialect) -> Reply:
    """``POST /v1/subscriptions``."""
    agent = hub.checks.authenticate(dialect, request.headers)
    body = await read_json(request)
    if "endpoint_url" not in body:
        raise Refused("INVALID_REQUEST", "endpoint_url is required.")
    events = _events(body.get("events") or [])
    place = await vet_destination(body["endpoint_url"], "endpoint_url", hub.provider_gate)
    made = hub.subscriptions.create(agent.agent_id, place.url, events, hub.clock.now())
    return json_reply({"jecp": "1.0", **made.view(), "hmac_secret": made.hmac_secret}, 201)


async def list_subscriptions(hub: Hub, request: Request, dialect: Dialect) -> Reply:
    """``GET /v1/subscriptions``."""
    agent = hub.checks.authenticate(dialect, request.headers)
    found = [one.view() for one in hub.subscriptions.of(agent.agent_id)]
    return json_reply({"jecp": "1.0", "subscriptions": found, "count": len(found)})


async def change_subscription(hub: Hub, request: Request, dialect: Dialect) -> Reply:
    """``PATCH /v1/subscriptions/{id}``."""
    agent = hub.checks.authenticate(dialect, request.headers)
    body = await read_json(request)
    subscription_id, url, status = request.path_params["id"], body.get("endpoint_url"), body.get("status")
    hub.subscriptions.get(subscription_id, agent.agent_id)
    if status not in (None, "active", "paused"):
        raise Refused("INVALID_REQUEST", "status must be active or paused.")
    events = None if body.get("events") is None else _events(body["events"])
    if url is not None:
        url = (await vet_destination(url, "endpoint_url", hub.provider_gate)).url
    changed = hub.subscriptions.update(subscription_id, agent.agent_id, endpoint_url=url, events=events, status=status)
    hub.outbox.written.ring()
    return json_reply({"jecp": "1.0", **changed.view(), "updated": True})


async def delete_subscription(hub: Hub, request: Request, dialect: Dialect) -> Reply:
    """``DELETE /v1/subscriptions/{id}``."""
    agent = hub.checks.authenticate(dialect, request.headers)
    subscription_id = request.path_params["id"]
    hub.subscriptions.delete(subscription_id, agent.agent_id)
    return json_reply({"jecp": "1.0", "subscription_id": subscription_id, "deleted": True})


async def test_subscription(hub: Hub, request: Request, dialect: Dialect) -> Reply:
    """``POST /v1/subscriptions/{id}/test``."""
    agent = hub.checks.authenticate(dialect, request.headers)
    subscription_id = request.path_params["id"]
    hub.subscriptions.get(subscription_id, agent.agent_id)
    event_id = hub.outbox.publish_test(subscription_id, hub.clock.now())
    return json_reply({"jecp": "1.0", "subscription_id": subscription_id, "event_id": event_id, "enqueued": True})


async def list_deliveries(hub: Hub, request: Request, dialect: Dialect) -> Reply:
    """``GET /sandbox/deliveries``."""
    agent = hub.checks.authenticate(dialect, request.headers)
    found = hub.outbox.deliveries(agent.agent_id, request.query_params.get("status"))
    return json_reply({"deliveries": found, "count": len(found)})


async def deliver_again(hub: Hub, request: Request, dialect: Dialect) -> Reply:
    """``POST /sandbox/deliveries/{id}``."""
    agent = hub.checks.authenticate(dialect, request.headers)
    hub.outbox.revive(request.path_params["id"], agent.agent_id, hub.clock.now())
    return json_reply({"delivery_id": request.path_params["id"], "status": "pending"})


def _events(events: object) -> tuple[str, ...]:
    if not isinstance(events, list) or len(events) > _MOST_EVENTS:
        raise Refused("INVALID_REQUEST", f"events must be a list of event types, {_MOST_EVENTS} at most.")
    if not all(isinstance(one, str) and _EVENT.fullmatch(one) for one in events):
        raise Refused("INVALID_REQUEST", "events must be event types, such as invocation.completed.")
    return tuple(dict.fromkeys(events))
