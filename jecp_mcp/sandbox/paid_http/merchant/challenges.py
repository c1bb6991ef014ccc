"""What the merchant writes with status 402, in each protocol's own shape. Pure: no I/O.

It is written here in full, not by the code that reads such things, so that the reader is tried on another's writing.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from jecp_mcp import jsontext
from jecp_mcp.sandbox.paid_http.merchant.routes import Route, Terms
from jecp_mcp.wire.x402.assets import Asset

_SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PAGE = (
    b'<!doctype html><html lang="en"><title>Payment required</title><h1>Payment required</h1>'
    b"<p>This page costs test money. Its price stands in the header PAYMENT-REQUIRED.</p></html>"
)
_HTML = {"content-type": "text/html; charset=utf-8"}
_JSON = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Written:
    """A challenge: what comes beside status 402."""

    headers: Mapping[str, str]
    body: bytes


class Challenges:
    """Writes the challenges for one token."""

    def __init__(self, asset: Asset) -> None:
        self._asset = asset

    def offers(self, route: Route, url: str, version: int, changes: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The ways to pay for a route, as its ``accepts`` has them.

        Args:
            route: what is paid for.
            url: as it was asked for.
            version: x402's.
            changes: what is different by now, by ``amount``, ``pay_to``, ``asset``, ``network``, ``timeout_seconds``.
        """
        write = self._v1 if version == 1 else self._v2
        return [write(route, terms, url, changes if terms.network is None else {}) for terms in route.terms]

    def write(self, route: Route, url: str, changes: Mapping[str, Any], error: str) -> Written:
        """The challenge of a route; `error` says why it asks."""
        if route.style == "l402":
            return self._l402(route)
        if route.style == "mpp":
            return Written({**_problem(), "www-authenticate": _mpp(route, url)}, _problem_body(error))
        headers: dict[str, str] = {}
        if route.style != "v1":
            headers["payment-required"] = _base64(self._required(route, url, changes, error))
        if route.style == "mpp and v2":
            headers["www-authenticate"] = _mpp(route, url)
        if route.style in {"v1", "both"}:
            body = {"x402Version": 1, "error": error, "accepts": self.offers(route, url, 1, changes)}
            return Written({**headers, **_JSON}, jsontext.dumps(body))
        return Written({**headers, **_HTML}, _PAGE)

    def _required(self, route: Route, url: str, changes: Mapping[str, Any], error: str) -> dict[str, Any]:
        required: dict[str, Any] = {
            "x402Version": 2,
            "error": error,
            "resource": {
                "url": route.resource or url,
                "description": route.product.description,
                "mimeType": route.product.media_type,
            },
            "accepts": self.offers(route, url, 2, changes),
        }
        extensions = _extensions(route)
        return {**required, "extensions": extensions} if extensions else required

    def _v2(self, route: Route, terms: Terms, _url: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "scheme": terms.scheme,
            "network": changes.get("network", terms.network or self._asset.network),
            "amount": changes.get("amount", terms.amount or str(route.price)),
            "asset": changes.get("asset", terms.asset or self._asset.address),
            "payTo": changes.get("pay_to", terms.pay_to),
            "maxTimeoutSeconds": changes.get("timeout_seconds", terms.timeout_seconds),
            "extra": self._extra(terms),
        }

    def _v1(self, route: Route, terms: Terms, url: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        written = self._v2(route, terms, url, changes)
        own = self._asset.v1_network if terms.network is None else terms.network
        described = {"outputSchema": {"input": _v1_input(route)}} if route.bazaar else {}
        return {
            "scheme": written["scheme"],
            "network": changes.get("network", terms.v1_network or own),
            "maxAmountRequired": written["amount"],
            "resource": route.resource or url,
            "description": route.product.description,
            "mimeType": route.product.media_type,
            "payTo": written["payTo"],
            "maxTimeoutSeconds": written["maxTimeoutSeconds"],
            "asset": written["asset"],
            **described,
            "extra": written["extra"],
        }

    def _extra(self, terms: Terms) -> dict[str, Any]:
        domain = {"name": self._asset.name, "version": self._asset.version} if terms.own_domain else {}
        return {**domain, **terms.extra}

    def _l402(self, route: Route) -> Written:
        macaroon = base64.b64encode(sha256(route.path.encode()).digest()).decode()
        # What an invoice looks like; no Lightning node ever made it.
        challenge = f'L402 macaroon="{macaroon}", invoice="lnbc10n1psandbox{sha256(macaroon.encode()).hexdigest()}"'
        return Written({**_JSON, "www-authenticate": challenge}, b'{"error":"Payment Required"}')


def _extensions(route: Route) -> dict[str, Any]:
    extensions: dict[str, Any] = {}
    if route.bazaar:
        extensions["bazaar"] = _bazaar(route)
    if route.identifier != "none":
        extensions["payment-identifier"] = {
            "info": {"required": route.identifier == "required"},
            "schema": {
                "$schema": _SCHEMA_DIALECT,
                "type": "object",
                "properties": {
                    "required": {"type": "boolean"},
                    "id": {"type": "string", "minLength": 16, "maxLength": 128},
                },
                "required": ["required"],
            },
        }
    return extensions


def _bazaar(route: Route) -> dict[str, Any]:
    """What input is wanted, as x402's extension ``bazaar`` says it: an example, and the schema of the whole."""
    product = route.product
    wanted = {name: value for name, value in product.input_schema.items() if name != "additionalProperties"}
    info: dict[str, Any] = {"type": "http", "method": product.method}
    properties: dict[str, Any] = {
        "type": {"type": "string", "const": "http"},
        "method": {"type": "string", "enum": [product.method]},
    }
    if product.method == "GET":
        info["queryParams"] = product.action.example
        properties["queryParams"] = wanted
    else:
        info |= {"bodyType": "json", "body": product.action.example}
        properties |= {"bodyType": {"type": "string", "const": "json"}, "body": wanted}
    return {
        "info": {"input": info},
        "schema": {
            "$schema": _SCHEMA_DIALECT,
            "type": "object",
            "properties": {
                "input": {
                    "type": "object",
                    "properties": properties,
                    "required": [name for name in info if name != "queryParams"],
                    "additionalProperties": False,
                }
            },
            "required": ["input"],
        },
    }


def _v1_input(route: Route) -> dict[str, Any]:
    """The same as version 1 has it, in ``outputSchema``."""
    product = route.product
    required = product.input_schema["required"]
    fields = {
        name: {"type": schema["type"], "required": name in required, "description": schema.get("description", "")}
        for name, schema in product.input_schema["properties"].items()
    }
    asked = {"type": "http", "method": product.method, "discoverable": True}
    return (
        {**asked, "queryParams": fields}
        if product.method == "GET"
        else {**asked, "bodyType": "json", "bodyFields": fields}
    )


def _mpp(route: Route, url: str) -> str:
    request = base64.urlsafe_b64encode(jsontext.dumps({"amount": str(route.price), "currency": "usd", "resource": url}))
    name = sha256(url.encode()).hexdigest()[:24]
    return (
        f'Payment id="{name}", realm="sandbox", method="tempo", intent="charge", '
        f'request="{request.decode().rstrip("=")}"'
    )


def _problem() -> dict[str, str]:
    return {"content-type": "application/problem+json"}


def _problem_body(error: str) -> bytes:
    return jsontext.dumps({"type": "about:blank", "title": "Payment Required", "status": 402, "detail": error})


def _base64(value: Any) -> str:
    return base64.b64encode(jsontext.dumps(value)).decode()
