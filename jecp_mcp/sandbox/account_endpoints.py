"""The endpoints round an agent's account: registration, topup and its checkout, keys, refunds."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request

from jecp_mcp.clock import iso
from jecp_mcp.errors import MoneyError
from jecp_mcp.money import MICRO_PER_USDC, ZERO, MicroUSDC, parse_usdc
from jecp_mcp.sandbox import html_pages
from jecp_mcp.sandbox.dialect import Dialect
from jecp_mcp.sandbox.endpoints import html_reply, json_reply, read_form, read_json
from jecp_mcp.sandbox.error_answers import TOPUP_AMOUNTS_USD, Refused, Reply
from jecp_mcp.sandbox.hub import Hub
from jecp_mcp.sandbox.middleware import LOOPBACK_NAMES
from jecp_mcp.sandbox.pricing import usd
from jecp_mcp.sandbox.webhooks.outbox import KEY_ROTATED

MAX_NAME = 100
MAX_URL = 2048
GRACE_SECONDS = (60, 604_800)
"""The shortest and the longest time a replaced key goes on working; the longest unless asked otherwise."""
SHOWN_ONCE = "This api_key is shown only once."


async def register(hub: Hub, request: Request, dialect: Dialect) -> Reply:
    """``POST /api/agents/register`` (reference) and ``/api/agent/register`` (specification)."""
    body = await read_json(request)
    name, kind = body.get("name"), body.get("agent_type", "automation")
    if not isinstance(name, str) or not name.strip() or len(name) > MAX_NAME or not isinstance(kind, str):
        raise Refused("VALIDATION_FAILED", f"name is required, at most {MAX_NAME} characters.")
    hub.checks.check_registrations(hub.clock.now())
    agent_id, api_key = hub.agents.register(name, kind[:MAX_NAME], ZERO, hub.config.free_calls, hub.clock.now())
    return json_reply(
        {
            "jecp": "1.0",
            "agent_id": agent_id,
            "api_key": api_key,
            "name": name,
            "agent_type": kind[:MAX_NAME],
            "free_calls_remaining": hub.config.free_calls,
            "trust_tier": "bronze",
            "wallet_balance_usdc": usd(ZERO),
            "topup_url": dialect.path("topup"),
            "warning": SHOWN_ONCE,
        },
        201,
    )


async def topup(hub: Hub, request: Request, dialect: Dialect) -> Reply:
    """``POST /api/agents/topup`` and ``/api/agent/topup``: a checkout page for a person."""
    body = await read_json(request)
    agent = hub.checks.authenticate(dialect, request.headers)
    amount = _amount_usd(body.get("amount"))
    return_to = body.get("returnTo")
    if return_to is not None and not _may_return_to(return_to):
        raise Refused("VALIDATION_FAILED", "returnTo must be an https URL, or http on this machine.")
    checkout = hub.payments.open_checkout(agent.agent_id, amount, return_to, hub.clock.now())
    return json_reply(
        {
            "jecp": "1.0",
            "url": f"{dialect.origin}/checkout/{checkout.session_id}",
            "sessionId": checkout.session_id,
            "amount_usd": amount,
        }
    )


def _amount_usd(amount: object) -> int:
    try:
        micro = parse_usdc(amount)
    except MoneyError:
        micro = MicroUSDC(-1)
    whole, rest = divmod(micro, MICRO_PER_USDC)
    if rest or whole not in TOPUP_AMOUNTS_USD:
        shown = ", ".join(map(str, TOPUP_AMOUNTS_USD))
        raise Refused(
            "VALIDATION_FAILED",
            f"amount must be one of {shown} USD.",
            details={"allowed_amounts_usd": list(TOPUP_AMOUNTS_USD)},
        )
    return whole


def _may_return_to(url: object) -> bool:
    if not isinstance(url, str) or len(url) > MAX_URL:
        return False
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK_NAMES))


async def show_topup(hub: Hub, request: Request, _dialect: Dialect) -> Reply:
    """``GET /topup``, the page a refusal's ``next_action.ui`` leads to; the test agent's unless another is named."""
    return html_reply(html_pages.topup_page(request.query_params.get("agent_id", hub.agent_id)[:MAX_NAME]))


async def begin_topup(hub: Hub, request: Request, _dialect: Dialect) -> Reply:
    """``POST /topup``: to the checkout. Test money needs no key: only the wallet's owner can spend it."""
    form = await read_form(request)
    agent = hub.agents.get(form.get("agent_id", "").strip())
    if agent is None:
        words = "This Hub has no agent of that id. Go back and correct it."
        return html_reply(html_pages.error_page("No such agent", [words]), 404)
    checkout = hub.payments.open_checkout(agent.agent_id, _amount_usd(form.get("amount")), None, hub.clock.now())
    return _see_other(f"/checkout/{checkout.session_id}")


async def show_checkout(hub: Hub, request: Request, _dialect: Dialect) -> Reply:
    """``GET /checkout/{session}``."""
    checkout = hub.payments.checkout(request.path_params["session"], hub.clock.now())
    agent = hub.agents.get(checkout.agent_id) if checkout else None
    if checkout is None or agent is None:
        page = html_pages.error_page("No such checkout", ["It was never opened here, or it has expired."])
        return html_reply(page, 404)
    return html_reply(html_pages.checkout_page(checkout, agent.name, agent.balance))


async def pay_checkout(hub: Hub, request: Request, _dialect: Dialect) -> Reply:
    """``POST /checkout/{session}/pay``, the page's button. However often it is pressed, the wallet is credited once."""
    session = request.path_params["session"]
    hub.payments.pay(session, hub.clock.now())
    return _see_other(f"/checkout/{session}")


async def show_register(_hub: Hub, _request: Request, _dialect: Dialect) -> Reply:
    """``GET /register``."""
    return html_reply(html_pages.register_page())


async def register_by_page(hub: Hub, request: Request, _dialect: Dialect) -> Reply:
    """``POST /register``."""
    name = (await read_form(request)).get("name", "").strip()[:MAX_NAME]
    if not name:
        return html_reply(html_pages.error_page("A name is needed", ["Go back and give the agent a name."]), 400)
    hub.checks.check_registrations(hub.clock.now())
    agent_id, api_key = hub.agents.register(name, "page", ZERO, hub.config.free_calls, hub.clock.now())
    return html_reply(html_pages.new_agent_page(agent_id, api_key), 201)


async def rotate_key(hub: Hub, request: Request, dialect: Dialect) -> Reply:
    """``POST /v1/agents/me/rotate-key``."""
    body = await read_json(request)
    agent = hub.checks.authenticate(dialect, request.headers)
    grace = body.get("grace_seconds", GRACE_SECONDS[1])
    revoke = body.get("revoke_old", False)
    if isinstance(grace, bool) or not isinstance(grace, int) or not isinstance(revoke, bool):
        raise Refused("INVALID_REQUEST", "grace_seconds must be a whole number and revoke_old true or false.")
    grace = 0 if revoke else max(GRACE_SECONDS[0], min(grace, GRACE_SECONDS[1]))
    now = hub.clock.now()
    with hub.database.atomic():
        made = hub.agents.rotate_key(agent.agent_id, grace * 1000, now)
        if made is not None:
            changed = {"agent_id": agent.agent_id, "previous_key_valid_until": iso(now + grace * 1000)}
            hub.outbox.publish(agent.agent_id, KEY_ROTATED, changed, now)
    if made is None:
        raise Refused("ROTATION_24H_CAP", "A key may be rotated 3 times within 24 hours.", retry_after=600)
    if agent.agent_id == hub.agent_id:
        hub.api_key = made[0]
    return json_reply(
        {
            "jecp": "1.0",
            "agent_id": agent.agent_id,
            "api_key": made[0],
            "previous_key_valid_until": iso(now + grace * 1000),
            "grace_seconds": grace,
            "revoke_old": revoke,
            "rotations_in_last_24h": made[1],
            "warning": SHOWN_ONCE,
        }
    )


async def request_refund(hub: Hub, request: Request, dialect: Dialect) -> Reply:
    """``POST /v1/refunds``."""
    agent = hub.checks.authenticate(dialect, request.headers)
    body = await read_json(request)
    transaction_id, reason, evidence = body.get("transaction_id"), body.get("reason"), body.get("evidence_url")
    if not isinstance(transaction_id, str) or not isinstance(reason, str) or not reason.strip():
        raise Refused("INVALID_REQUEST", "transaction_id and reason are required.")
    if evidence is not None and (not isinstance(evidence, str) or len(evidence) > MAX_URL):
        raise Refused("INVALID_REQUEST", "evidence_url must be a URL.")
    refund = hub.payments.request_refund(agent.agent_id, transaction_id, reason[:2000], evidence, hub.clock.now())
    return json_reply({"jecp": "1.0", **refund}, 201)


async def list_refunds(hub: Hub, request: Request, dialect: Dialect) -> Reply:
    """``GET /v1/refunds``."""
    agent = hub.checks.authenticate(dialect, request.headers)
    hub.payments.approve_due_refunds(hub.clock.now())
    refunds = hub.payments.refunds(agent.agent_id)
    return json_reply({"jecp": "1.0", "refunds": refunds, "count": len(refunds)})


async def show_refund(hub: Hub, request: Request, dialect: Dialect) -> Reply:
    """``GET /v1/refunds/{id}``."""
    agent = hub.checks.authenticate(dialect, request.headers)
    hub.payments.approve_due_refunds(hub.clock.now())
    return json_reply({"jecp": "1.0", **hub.payments.refund(request.path_params["id"], agent.agent_id)})


def _see_other(path: str) -> Reply:
    return Reply(303, b"", {"location": path, "cache-control": "no-store"})
