"""What a provider asks of a Hub and is answered (JECP 04-manifest §8), in both dialects. Pure: no I/O.

Each parser gives the normal form or, for a Hub's error, a `Refusal`; anything else is a `WireError`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from jecp_mcp import jsontext
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import WireError
from jecp_mcp.jsontext import JSONObject
from jecp_mcp.settings import credential_fault
from jecp_mcp.wire.jecp.account import KeyRotation, read_rotation
from jecp_mcp.wire.jecp.hub_answer import HubAnswer, read_object, text_or_none

GRACE_SECONDS: Final = (0, 604_800)
"""The shortest and the longest time for which any Hub takes a replaced key."""
_SECRETS: Final = frozenset({"provider_api_key", "hmac_secret"})


class TxtRecord(NamedTuple):
    """A record to be published in the DNS (JECP 04-manifest §8.2)."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class ProviderRegistration:
    """A new provider. `api_key` and `hmac_secret` are shown this once and stay out of every repr.

    Attributes:
        api_key: for what a provider asks of the Hub.
        hmac_secret: what the Hub signs its calls with, base64 text.
        dns_record: what proves that the endpoint's host is the provider's.
        raw: the whole answer, without them.
    """

    provider_id: str
    namespace: str
    api_key: str = field(repr=False)
    hmac_secret: str = field(repr=False)
    dns_record: TxtRecord
    raw: JSONObject = field(default_factory=jsontext.nothing, repr=False)


@dataclass(frozen=True, slots=True)
class ProviderAccount:
    """How a provider stands at the Hub."""

    provider_id: str
    namespace: str
    status: str
    dns_verified: bool
    stripe_verified: bool
    display_name: str | None = None
    endpoint_url: str | None = None
    total_calls: int | None = None
    raw: JSONObject = field(default_factory=jsontext.nothing, repr=False)


@dataclass(frozen=True, slots=True)
class DnsStatus:
    """Whether the Hub found the TXT record. `status` is the Hub's word or, from an error, its code."""

    verified: bool
    status: str
    message: str


@dataclass(frozen=True, slots=True)
class PublishedManifest:
    """A manifest that the Hub took. `status` is its word: ``active``, or ``submitted`` where it is not for sale yet."""

    capability: str
    version: str
    status: str
    warnings: tuple[str, ...] = ()
    raw: JSONObject = field(default_factory=jsontext.nothing, repr=False)


@dataclass(frozen=True, slots=True)
class OnboardingLink:
    """Where a person says where the provider is paid. `url` is text from the Hub: judge its origin before opening it.

    Attributes:
        expires_at: Unix seconds; None where the Hub does not say.
    """

    url: str
    expires_at: int | None = None


def registration_body(
    *,
    namespace: str,
    display_name: str,
    owner_email: str,
    endpoint_url: str,
    country: str,
    website: str | None,
    usdc_payout_address: str | None,
) -> bytes:
    """The request of a registration, spelt as Hubs compare it."""
    body = {
        "namespace": namespace.lower(),
        "display_name": display_name,
        "owner_email": owner_email,
        "endpoint_url": endpoint_url,
        "country": country.upper(),
    }
    if website is not None:
        body["website"] = website
    if usdc_payout_address is not None:
        body["usdc_payout_address"] = usdc_payout_address.lower()
    return jsontext.dumps(body)


def rotation_body(grace_seconds: int | None, *, revoke_old: bool) -> bytes:
    """The request of a new key.

    Raises:
        ValueError: no Hub takes the old one for so long.
    """
    if grace_seconds is not None and not GRACE_SECONDS[0] <= grace_seconds <= GRACE_SECONDS[1]:
        raise ValueError(f"grace_seconds is from {GRACE_SECONDS[0]} to {GRACE_SECONDS[1]}")
    body: dict[str, Any] = {} if grace_seconds is None else {"grace_seconds": grace_seconds}
    return jsontext.dumps({**body, "revoke_old": True} if revoke_old else body)


def parse_registration(answer: HubAnswer, endpoint_url: str) -> ProviderRegistration | Refusal:
    """Read the answer to a registration.

    Raises:
        WireError: it is neither a provider nor a JECP error. The message never quotes the body, which may hold a key.
    """
    data = read_object(answer)
    if isinstance(data, Refusal):
        return data
    names = ("provider_id", "namespace", "provider_api_key", "hmac_secret", "dns_verification_token")
    found = {name: data.get(name) for name in names}
    texts = {
        name: text
        for name, text in found.items()
        if isinstance(text, str) and text and not (name in _SECRETS and credential_fault(text))
    }
    if len(texts) < len(names):
        raise WireError("the Hub's answer to the registration lacks " + ", ".join(sorted(set(names) - set(texts))))
    host = (urlsplit(endpoint_url).hostname or "").lower()
    return ProviderRegistration(
        provider_id=texts["provider_id"],
        namespace=texts["namespace"],
        api_key=texts["provider_api_key"],
        hmac_secret=texts["hmac_secret"],
        dns_record=TxtRecord(f"_jecp.{host}", f"jecp-verify={texts['dns_verification_token']}"),
        raw={name: value for name, value in data.items() if name not in _SECRETS},
    )


def parse_account(answer: HubAnswer) -> ProviderAccount | Refusal:
    """Read how a provider stands.

    Raises:
        WireError: it is neither that nor a JECP error.
    """
    data = read_object(answer)
    if isinstance(data, Refusal):
        return data
    provider_id, namespace = text_or_none(data.get("provider_id")), text_or_none(data.get("namespace"))
    if provider_id is None or namespace is None:
        raise WireError("the Hub's answer holds no provider")
    calls = data.get("total_calls")
    return ProviderAccount(
        provider_id=provider_id,
        namespace=namespace,
        status=text_or_none(data.get("status")) or "unknown",
        dns_verified=data.get("dns_verified") is True,
        stripe_verified=data.get("stripe_verified") is True,
        display_name=text_or_none(data.get("display_name")),
        endpoint_url=text_or_none(data.get("endpoint_url")),
        total_calls=calls if isinstance(calls, int) and not isinstance(calls, bool) else None,
        raw=data,
    )


def parse_dns_status(answer: HubAnswer) -> DnsStatus | Refusal:
    """Read whether the TXT record was found. What only says "not yet" is no refusal, in either dialect.

    Raises:
        WireError: it is neither that nor a JECP error.
    """
    data = read_object(answer)
    if isinstance(data, Refusal):
        # A key that is not taken, and a Hub that fails, do not become right by waiting.
        waits = answer.status < 500 and answer.status not in {401, 403}  # noqa: PLR2004  # server errors
        return DnsStatus(verified=False, status=data.code, message=data.message) if waits else data
    return DnsStatus(
        verified=data.get("verified") is True,
        status=text_or_none(data.get("status")) or "unknown",
        message=text_or_none(data.get("message")) or "",
    )


def parse_published(answer: HubAnswer) -> PublishedManifest | Refusal:
    """Read the answer to a manifest.

    Raises:
        WireError: it is neither that nor a JECP error.
    """
    data = read_object(answer)
    if isinstance(data, Refusal):
        return data
    warnings = data.get("validation_warnings")
    return PublishedManifest(
        capability=text_or_none(data.get("full_id")) or text_or_none(data.get("id")) or "",
        version=text_or_none(data.get("version")) or "",
        status=text_or_none(data.get("status")) or "unknown",
        warnings=tuple(map(str, warnings)) if isinstance(warnings, list) else (),
        raw=data,
    )


def parse_rotation(answer: HubAnswer) -> KeyRotation | Refusal:
    """Read the answer to the rotation of a key.

    Raises:
        WireError: it is neither a key nor a JECP error. The message never quotes the body, which may hold a key.
    """
    data = read_object(answer)
    return data if isinstance(data, Refusal) else read_rotation(data)


def parse_onboarding(answer: HubAnswer) -> OnboardingLink | Refusal:
    """Read the link to the onboarding page.

    Raises:
        WireError: it is neither that nor a JECP error.
    """
    data = read_object(answer)
    if isinstance(data, Refusal):
        return data
    url, until = text_or_none(data.get("onboarding_url")), data.get("expires_at")
    if url is None:
        raise WireError("the Hub's answer holds no onboarding URL")
    return OnboardingLink(url, until if isinstance(until, int) and not isinstance(until, bool) else None)
