"""The HTTP request that a model wants to have paid: what it may hold, and what the mandate calls it. Pure: no I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from jecp_mcp.domain.offers import Offer, Price
from jecp_mcp.errors import WireError
from jecp_mcp.settings.merchants import PAID_HTTP, Place, allows, read_place

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
MAX_BODY: Final = 262_144
"""The longest body sent, in characters."""
MAX_HEADERS: Final = 20

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]{1,64}", re.ASCII)
_VALUE: Final = re.compile(r"[!-~](?:[ -~]{0,998}[!-~])?", re.ASCII)
_UNRESERVED: Final = re.compile(r"[0-9A-Za-z._~-]", re.ASCII)
# An encoded octet, or a character that must be encoded in a path or query (RFC 3986 §3.3, §3.4).
_OCTET: Final = re.compile(r"%([0-9A-Fa-f]{2})|[^!$&-;=?-Z_a-z~]", re.ASCII)
_BODILESS: Final = frozenset({"GET", "HEAD"})
# What pays, proves who somebody is, frames the message, or says who asked: none of it is the model's to set.
_OURS: Final = frozenset(
    {
        "accept-encoding", "authorization", "cache-control", "connection", "content-encoding", "content-length",
        "cookie", "cookie2", "expect", "forwarded", "host", "http2-settings", "keep-alive", "origin", "pragma",
        "referer", "sign-in-with-x", "te", "trailer", "transfer-encoding", "upgrade", "user-agent", "via", "x-payment",
    }
)  # fmt: skip
# By one of these words in its name a header proves or pays, under whatever name a server expects it.
_OUR_WORDS: Final = frozenset(
    {
        "apikey", "auth", "authentication", "authorization", "bearer", "cookie", "credential", "credentials", "dpop",
        "jwt", "key", "password", "payment", "secret", "session", "sig", "signature", "token",
    }
)  # fmt: skip
_NOT_PROOF: Final = frozenset({"idempotency-key"})
_OUR_STARTS: Final = (
    "payment-",
    "proxy-",
    "sec-",
    "x-payment-",
    "x-forwarded-",
    "x-real-ip",
    "x-http-method",
    "x-method-",
    "x-original-",
    "x-auth",
)


@dataclass(frozen=True, slots=True)
class PaidRequest:
    """One request, in the one way in which the same request is always written.

    Attributes:
        headers: the model's own, names in lower case and in order.
        body: None for none.
    """

    place: Place
    method: str
    headers: Mapping[str, str]
    body: str | None

    @property
    def arguments(self) -> dict[str, Any]:
        """As the ledger's fingerprint and a prepared call keep it."""
        return {"url": self.place.url, "method": self.method, "headers": dict(self.headers), "body": self.body}

    @property
    def offer(self) -> Offer:
        """What it stands as in the mandate: ``paid-http/host:method``, of the merchant at that origin."""
        return Offer(
            capability=f"{PAID_HTTP}/{self.place.host}",
            action=self.method.lower(),
            payee=self.place.origin,
            price=Price(None),
            source=PAID_HTTP,
        )

    @property
    def sent_body(self) -> bytes | None:
        """The exact bytes of the body."""
        return None if self.body is None else self.body.encode()


def read_request(arguments: Mapping[str, Any]) -> PaidRequest:
    """Read a request.

    Args:
        arguments: ``url``, and where wanted ``method``, ``headers`` and ``body``.

    Raises:
        WireError: it cannot be sent, or would say what is not the model's to say.
    """
    try:
        place = read_place(str(arguments["url"]))
    except ValueError as exc:
        raise WireError(str(exc)) from exc
    method = str(arguments.get("method") or "GET").upper()
    if method not in METHODS:
        raise WireError(f"the method is one of {', '.join(METHODS)}")
    body = arguments.get("body")
    if body is not None and method in _BODILESS:
        raise WireError(f"a {method} request has no body; use POST, or put it into the address")
    if body is not None and len(body) > MAX_BODY:
        raise WireError(f"a body has at most {MAX_BODY} characters")
    return PaidRequest(place, method, _headers(arguments.get("headers") or {}), body)


def identity_of(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """What `PaidRequest.arguments` gave, in the spelling that all requests for the same have in common.

    The address is in the normal form of RFC 3986 §6.2.2, what may not stand in one is encoded, and an empty query or
    body is none. What is sent is what was asked for.
    """
    place, _, query = _OCTET.sub(_in_normal_form, str(arguments["url"])).partition("?")
    return {**arguments, "url": f"{place}?{query}" if query else place, "body": arguments.get("body") or None}


def _in_normal_form(found: re.Match[str]) -> str:
    octet = chr(int(found[1], 16)) if found[1] else found[0]
    return octet if _UNRESERVED.fullmatch(octet) else f"%{ord(octet):02X}"


class StoredAddress(Protocol):
    """Where a stored request goes, and how."""

    @property
    def method(self) -> str:
        """Its HTTP method."""

    @property
    def url(self) -> str:
        """Its address."""


def address_of(unpack: Callable[[bytes], StoredAddress], stored: bytes) -> Mapping[str, Any] | None:
    """A stored request's method and address without its query; None where it cannot be read."""
    try:
        request = unpack(stored)
    except WireError:
        return None
    return {"method": request.method, "url": request.url.partition("?")[0]}


def listed_by(merchants: Sequence[str], place: Place) -> str | None:
    """The merchant of the operator's list that an address belongs to, or None."""
    return next((merchant for merchant in merchants if allows(merchant, place)), None)


def _headers(given: Mapping[str, Any]) -> Mapping[str, str]:
    if len(given) > MAX_HEADERS:
        raise WireError(f"a request has at most {MAX_HEADERS} headers")
    found: dict[str, str] = {}
    for written, value in given.items():
        name = written.strip().lower()
        if _NAME.fullmatch(name) is None:
            raise WireError(f"{name[:40]!a} is no header's name")
        if _is_ours(name):
            raise WireError(f"the header {name} is not yours to set: it pays, authenticates or frames the request")
        if name in found:
            raise WireError(f"the header {name} is there twice")
        text = str(value).strip()
        if _VALUE.fullmatch(text) is None:
            raise WireError(f"the value of the header {name} is 1 to 1000 printable ASCII characters")
        found[name] = text
    return dict(sorted(found.items()))


def _is_ours(name: str) -> bool:
    """Whether a header pays, proves who somebody is, or frames the message. Servers may read ``_`` as ``-``."""
    read = name.replace("_", "-")
    if read in _OURS or read.startswith(_OUR_STARTS):
        return True
    return read not in _NOT_PROOF and not _OUR_WORDS.isdisjoint(read.split("-"))
