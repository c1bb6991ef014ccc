"""A provider's registration, read and checked (JECP 04-manifest §8.1). Pure: no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from jecp_mcp.sandbox.error_answers import Refused
from jecp_mcp.sandbox.outgoing_urls import BlockedUrl, blocked, read_url
from jecp_mcp.sandbox.providers.refusals import ProviderRefused

MAX_NAME: Final = 100
MAX_EMAIL: Final = 254
MAX_URL: Final = 2_048
_NAMESPACE: Final = re.compile(r"[a-z][a-z0-9-]{2,31}")
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s.]+(?:\.[^@\s.]+)+")
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")

_COUNTRIES: Final = (
    "AE AT AU BE BG BR CA CH CY CZ DE DK EE ES FI FR GB GI GR HK HR HU IE IN IS IT JP LI LT LU LV MT MX MY NL NO NZ PL"
    " PT RO SE SG SI SK TH US"
)
COUNTRIES: Final = frozenset(_COUNTRIES.split())
"""Where Stripe Connect pays out, ISO 3166-1 alpha-2, as the reference Hub has it."""


@dataclass(frozen=True, slots=True)
class Registration:
    """Who wants to sell, and where. `host` is that of `endpoint_url`, in lower case."""

    namespace: str
    display_name: str
    owner_email: str
    endpoint_url: str
    host: str
    country: str
    website: str | None
    payout_address: str | None


def read_registration(body: Mapping[str, Any], *, loopback: bool) -> Registration:
    """Read a registration.

    Args:
        body: the request.
        loopback: whether providers are on this machine; else none may be.

    Raises:
        Refused: a field is missing or wrong; ``details.field`` names it.
    """
    namespace = _text(body, "namespace", "INVALID_NAMESPACE", 32)
    if _NAMESPACE.fullmatch(namespace) is None:
        raise _wrong("namespace", "INVALID_NAMESPACE", "must begin with a letter: 3 to 32 of a-z, 0-9 and -")
    endpoint = _text(body, "endpoint_url", "INVALID_REQUEST", MAX_URL)
    host = endpoint_host(endpoint, "endpoint_url", loopback=loopback)
    email = _text(body, "owner_email", "INVALID_EMAIL", MAX_EMAIL)
    if _EMAIL.fullmatch(email) is None:
        raise _wrong("owner_email", "INVALID_EMAIL", "must be an email address")
    name = _text(body, "display_name", "INVALID_DISPLAY_NAME", MAX_NAME).strip()
    if len(name) < 2:  # noqa: PLR2004  # as the manifest's display_name, JECP 04-manifest §5.1
        raise _wrong("display_name", "INVALID_DISPLAY_NAME", f"must have 2 to {MAX_NAME} characters")
    address = body.get("usdc_payout_address")
    if address is not None and (not isinstance(address, str) or _ADDRESS.fullmatch(address) is None):
        raise _wrong("usdc_payout_address", "INVALID_USDC_PAYOUT_ADDRESS", "must be 0x and 40 hexadecimal digits")
    website = body.get("website")
    if website is not None and (not isinstance(website, str) or len(website) > MAX_URL):
        raise _wrong("website", "INVALID_REQUEST", "must be a URL")
    country = _text(body, "country", "UNSUPPORTED_COUNTRY", MAX_NAME).strip().upper()
    if country not in COUNTRIES:
        raise _wrong("country", "UNSUPPORTED_COUNTRY", "must be supported by Stripe Connect, such as JP or US")
    return Registration(namespace, name, email, endpoint, host, country, website, address)


def endpoint_host(url: object, field: str, *, loopback: bool) -> str:
    """The host of an endpoint that the Hub may call, in lower case: a name, which its provider proves to be theirs.

    Raises:
        Refused: it is no such address; ``details.reason`` says why (JECP 02-authentication §9.7.1.3).
    """
    try:
        return read_url(url, loopback=loopback, by_name=True).host
    except BlockedUrl as exc:
        raise blocked(url, field, exc.reason, ProviderRefused) from exc


def _text(body: Mapping[str, Any], field: str, code: str, most: int) -> str:
    value = body.get(field)
    if not isinstance(value, str) or not value.strip() or len(value) > most:
        raise _wrong(field, code, f"is required, at most {most} characters")
    return value


def _wrong(field: str, code: str, rule: str) -> Refused:
    return ProviderRefused(code, f"{field} {rule}.", details={"field": field})
