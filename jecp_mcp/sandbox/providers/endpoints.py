"""The endpoints of the Hub's providers (JECP 04-manifest §8), and the sandbox's own beside them.

- ``POST /sandbox/dns``, with the Hub's control key: ``{"name", "values": [...]}`` puts TXT records into the sandbox's
  own resolver, which is asked unless there is another.
- ``POST /sandbox/payouts``, with the same key: pays every provider that finished onboarding what it is owed, from
  ``least_usdc`` on, ten unless given.
- ``GET /v1/providers/me/payouts``, with the provider's key: its statement.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from starlette.requests import Request

from jecp_mcp.clock import iso
from jecp_mcp.errors import MoneyError
from jecp_mcp.money import MicroUSDC, format_usdc, parse_usdc
from jecp_mcp.sandbox import html_pages
from jecp_mcp.sandbox.control_endpoints import require_key
from jecp_mcp.sandbox.dialect import Dialect
from jecp_mcp.sandbox.endpoints import Handler, from_own_page, html_reply, json_reply, read_body, read_json
from jecp_mcp.sandbox.error_answers import Refused, Reply
from jecp_mcp.sandbox.hub import Hub
from jecp_mcp.sandbox.providers.accounts import Provider, namespace_taken
from jecp_mcp.sandbox.providers.earnings import LEAST_PAYOUT
from jecp_mcp.sandbox.providers.manifests import (
    MEDIA_TYPES,
    Published,
    check_rules,
    is_paid,
    only_ends,
    read_published,
    version_exists,
)
from jecp_mcp.sandbox.providers.refusals import ProviderRefused, invalid_manifest
from jecp_mcp.sandbox.providers.registration import read_registration
from jecp_mcp.sandbox.providers.txt_records import record_name, record_value

_GRACE: Final = {"reference": (60, 604_800, 604_800), "spec": (0, 86_400, 3_600)}
"""The shortest, the longest and the usual time in seconds for which a replaced key goes on working."""
_MOST_BODY: Final = 64 * 1024
_KEY_PREFIX: Final = 12
SHOWN_ONCE: Final = "This api_key is shown only once. Store it now."


def _authenticated(hub: Hub, request: Request, dialect: Dialect) -> Provider:
    try:
        return hub.providers.authenticate(request.headers.get("authorization"), hub.clock.now())
    except ProviderRefused as refused:
        refused.next_action = {
            "type": "register",
            "api": f"{dialect.origin}/v1/providers/register",
            "method": "POST",
            "hint": "Register a provider, or check the key. It goes into Authorization: Bearer <provider_api_key>.",
        }
        raise


async def register(hub: Hub, request: Request, dialect: Dialect) -> Reply:
    """``POST /v1/providers/register`` (JECP 04-manifest §8.1)."""
    wanted = read_registration(await read_json(request), loopback=hub.config.loopback)
    if hub.catalog.has_namespace(wanted.namespace):
        raise namespace_taken(wanted.namespace)
    hub.checks.check_registrations(hub.clock.now())
    made = hub.providers.register(wanted, hub.clock.now())
    provider = made.provider
    name, value = record_name(provider.host), record_value(provider.dns_token)
    if hub.config.loopback:
        # Nobody can prove that this machine is theirs, and nobody has to.
        hub.zone.add(name, value)
    return json_reply(
        {
            "jecp": "1.0",
            "provider_id": provider.provider_id,
            "namespace": provider.namespace,
            "provider_api_key": made.api_key,
            "hmac_secret": provider.hmac_secret,
            "dns_verification_token": provider.dns_token,
            "next_steps": {
                "1_dns": {
                    "type": "TXT",
                    "name": name,
                    "value": value,
                    "verify_endpoint": f"POST {dialect.origin}/v1/providers/verify-dns",
                },
                "2_stripe": {
                    "endpoint": f"POST {dialect.origin}/v1/providers/connect-stripe",
                    "via": "a page of this sandbox",
                },
                "3_publish": {
                    "endpoint": f"POST {dialect.origin}/v1/manifests",
                    "format": "application/x-yaml",
                    "auth": "Bearer <provider_api_key>",
                },
            },
            "warning": "provider_api_key and hmac_secret are shown only once. Store them now.",
        },
        201,
    )


async def me(hub: Hub, request: Request, dialect: Dialect) -> Reply:
    """``GET /v1/providers/me`` (JECP 04-manifest §8.6.1)."""
    provider = _authenticated(hub, request, dialect)
    return json_reply(
        {
            "jecp": "1.0",
            "provider_id": provider.provider_id,
            "namespace": provider.namespace,
            "display_name": provider.display_name,
            "status": provider.status,
            "dns_verified": bool(provider.dns_verified),
            "stripe_verified": bool(provider.stripe_verified),
            "endpoint_url": provider.endpoint_url,
            "country": provider.country,
            "dns_verification_token": provider.dns_token,
            "total_calls": provider.total_calls,
        }
    )


async def verify_dns(hub: Hub, request: Request, dialect: Dialect) -> Reply:
    """``POST /v1/providers/verify-dns`` (JECP 04-manifest §8.6.2): the host is that of the registration."""
    provider = _authenticated(hub, request, dialect)
    claimed = (await read_json(request)).get("domain")
    if claimed is not None and (not isinstance(claimed, str) or claimed.strip().rstrip(".").lower() != provider.host):
        code = "INVALID_REQUEST" if dialect.name == "spec" else "DOMAIN_MISMATCH"
        raise ProviderRefused(code, f"domain is not the host of your endpoint_url, which is {provider.host}.")
    name, value = record_name(provider.host), record_value(provider.dns_token)
    reason: str | None = None
    try:
        found = await hub.resolve_txt(name)
    except OSError:
        found, reason = (), "nxdomain"
    if value in found:
        hub.providers.note_verified(provider.provider_id, hub.clock.now())
        words = f"The TXT record of {name} matched."
        return json_reply({"jecp": "1.0", "verified": True, "status": "verified", "message": words})
    reason = reason or ("txt_record_mismatch" if found else "txt_record_missing")
    words = f"{name} has no TXT record {value!r} ({reason}). Publish it, and ask again when it has spread."
    if dialect.name == "spec":
        raise ProviderRefused(
            "DNS_VERIFICATION_FAILED",
            words,
            details={
                "domain": provider.host,
                "expected_token_prefix": provider.dns_token[:8],
                "reason": reason,
                "documentation_url": "https://jecp.dev/errors/dns_verification_failed",
            },
        )
    if reason == "nxdomain":
        raise ProviderRefused("DNS_LOOKUP_FAILED", words, details={"reason": reason})
    return json_reply({"jecp": "1.0", "verified": False, "status": provider.status, "message": words})


async def rotate_key(hub: Hub, request: Request, dialect: Dialect) -> Reply:
    """``POST /v1/providers/me/rotate-key`` (JECP 04-manifest §8.6.3)."""
    provider = _authenticated(hub, request, dialect)
    body = await read_json(request)
    least, most, usual = _GRACE[dialect.name]
    grace, revoke = body.get("grace_seconds", usual), body.get("revoke_old", False)
    if isinstance(grace, bool) or not isinstance(grace, int) or not isinstance(revoke, bool):
        raise ProviderRefused("INVALID_REQUEST", "grace_seconds must be a whole number and revoke_old true or false.")
    grace = 0 if revoke else max(least, min(grace, most))
    now = hub.clock.now()
    made = hub.providers.rotate_key(provider.provider_id, grace * 1000, now)
    return json_reply(
        {
            "jecp": "1.0",
            "provider_id": provider.provider_id,
            "namespace": provider.namespace,
            "api_key": made.api_key,
            "api_key_prefix": made.api_key[:_KEY_PREFIX],
            "previous_key_valid_until": iso(now + grace * 1000) if grace else None,
            "grace_seconds": grace,
            "revoke_old": revoke,
            "rotations_in_last_24h": made.rotations,
            "warning": SHOWN_ONCE,
        }
    )


async def connect_stripe(hub: Hub, request: Request, dialect: Dialect) -> Reply:
    """``POST /v1/providers/connect-stripe`` (JECP 04-manifest §8.3): the link to a page of the sandbox."""
    provider = _authenticated(hub, request, dialect)
    token, until = hub.providers.open_onboarding(provider.provider_id, hub.clock.now())
    url = f"{dialect.origin}/onboarding/{token}"
    return json_reply({"jecp": "1.0", "onboarding_url": url, "expires_at": until // 1000})


async def show_onboarding(hub: Hub, request: Request, _dialect: Dialect) -> Reply:
    """``GET /onboarding/{token}``, where a person says where the provider is paid. Here, nowhere."""
    provider = hub.providers.onboarding(request.path_params["token"], hub.clock.now())
    if provider is None:
        words = ["It was never given, or it has expired. Ask for another: POST /v1/providers/connect-stripe."]
        return html_reply(html_pages.error_page("No such link", words), 404)
    return html_reply(
        html_pages.onboarding_page(
            request.path_params["token"], provider.namespace, provider.display_name, done=bool(provider.stripe_verified)
        )
    )


async def finish_onboarding(hub: Hub, request: Request, _dialect: Dialect) -> Reply:
    """``POST /onboarding/{token}``, the page's button: the provider can be paid, and what waited for it is for sale."""
    token, now = request.path_params["token"], hub.clock.now()
    provider = hub.providers.onboarding(token, now)
    if provider is not None:
        with hub.database.atomic():
            hub.providers.note_onboarded(provider.provider_id, now)
            waiting = hub.manifests.activate(provider.provider_id)
        # What cannot be written down is not for sale.
        await hub.database.durable()
        for published in waiting:
            hub.catalog.publish(published.manifest, loopback=True)
    return Reply(303, b"", {"location": f"/onboarding/{token}", "cache-control": "no-store"})


async def publish(hub: Hub, request: Request, dialect: Dialect) -> Reply:
    """``POST /v1/manifests`` (JECP 04-manifest §8.4), YAML or JSON."""
    provider = _authenticated(hub, request, dialect)
    said = request.headers.get("content-type", "")
    if said.partition(";")[0].strip().lower() not in MEDIA_TYPES:
        raise ProviderRefused(
            "UNSUPPORTED_MEDIA_TYPE",
            "A manifest is application/x-yaml or application/json.",
            details={"received": said[:100], "expected": sorted(MEDIA_TYPES)},
        )
    if not provider.dns_verified:
        raise ProviderRefused(
            "DNS_VERIFICATION_FAILED",
            f"{provider.host} is not proven to be yours: POST /v1/providers/verify-dns first. Nothing was published.",
            details={"domain": provider.host, "reason": "txt_record_missing"},
        )
    loopback = hub.config.loopback
    manifest = read_published(await read_body(request, _MOST_BODY), loopback=loopback)
    warnings = check_rules(provider, manifest, hub.catalog, loopback=loopback)
    capability, version = f"{manifest['namespace']}/{manifest['capability']}", manifest["version"]
    earlier = hub.manifests.find(capability, version)
    if earlier is not None:
        if not only_ends(earlier.manifest, manifest):
            raise version_exists(capability, version)
        return await _published(hub, hub.manifests.end(earlier, manifest), warnings, 200)
    if not await hub.forwarder.is_healthy(manifest["endpoint"]):
        raise invalid_manifest([("/endpoint", "POST <endpoint>/health is not answered with 200 within 10 seconds")])
    # Onboarding may have been finished meanwhile.
    provider = hub.providers.of_namespace(provider.namespace) or provider
    payable = provider.stripe_verified or not is_paid(manifest)
    kept = hub.manifests.keep(provider.provider_id, manifest, "active" if payable else "submitted")
    if not payable:
        warnings.append("not for sale yet: finish POST /v1/providers/connect-stripe, so that you can be paid")
    return await _published(hub, kept, warnings, 201)


async def _published(hub: Hub, kept: Published, warnings: Sequence[str], status: int) -> Reply:
    await hub.database.durable()
    if kept.status == "active":
        hub.catalog.publish(kept.manifest, loopback=True)
    ending = (kept.manifest.get("deprecation") or {}).get("status", "active")
    full = f"{kept.capability}@{kept.version}"
    return json_reply(
        {
            "jecp": "1.0",
            "id": full,
            "capability_id": full,
            "full_id": kept.capability,
            "version": kept.version,
            "status": kept.status if ending == "active" else ending,
            "action_count": len(kept.manifest["actions"]),
            "validation_warnings": list(warnings),
        },
        status,
    )


async def show_payouts(hub: Hub, request: Request, dialect: Dialect) -> Reply:
    """``GET /v1/providers/me/payouts``."""
    provider = _authenticated(hub, request, dialect)
    about = {"jecp": "1.0", "provider_id": provider.provider_id, "namespace": provider.namespace}
    return json_reply({**about, **hub.earnings.statement(provider.provider_id)})


async def put_dns(hub: Hub, request: Request, _dialect: Dialect) -> Reply:
    """``POST /sandbox/dns``."""
    body = await read_json(request)
    name, values = body.get("name"), body.get("values")
    if not isinstance(name, str) or not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise Refused("INVALID_REQUEST", "name must be a text and values a list of texts.")
    hub.zone.publish(name.strip().rstrip(".").lower(), values)
    return json_reply({"name": name, "values": values})


async def pay_out(hub: Hub, request: Request, _dialect: Dialect) -> Reply:
    """``POST /sandbox/payouts``."""
    body = await read_json(request)
    least = LEAST_PAYOUT
    if "least_usdc" in body:
        try:
            least = parse_usdc(body["least_usdc"])
        except MoneyError as exc:
            raise Refused("INVALID_REQUEST", f"least_usdc: {exc}.") from exc
    paid = hub.earnings.pay_out(least, hub.clock.now())
    shown: list[dict[str, Any]] = [
        {
            "payout_id": each.payout_id,
            "provider_id": each.provider_id,
            "amount_usdc": format_usdc(MicroUSDC(each.amount)),
            "amount_micro": each.amount,
        }
        for each in paid
    ]
    return json_reply({"payouts": shown})


ROUTES: Final[Sequence[tuple[str, str, Handler]]] = (
    ("POST", "/v1/providers/register", register),
    ("GET", "/v1/providers/me", me),
    ("POST", "/v1/providers/verify-dns", verify_dns),
    ("POST", "/v1/providers/me/rotate-key", rotate_key),
    ("POST", "/v1/providers/connect-stripe", connect_stripe),
    ("GET", "/v1/providers/me/payouts", show_payouts),
    ("POST", "/v1/manifests", publish),
    ("GET", "/onboarding/{token}", show_onboarding),
    ("POST", "/onboarding/{token}", from_own_page(finish_onboarding)),
    ("POST", "/sandbox/dns", require_key(put_dns)),
    ("POST", "/sandbox/payouts", require_key(pay_out)),
)
"""Each endpoint's method, path and handler."""
