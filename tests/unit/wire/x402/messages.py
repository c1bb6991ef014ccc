"""Messages of x402 as honest merchants send them, to be broken."""

import base64
import json
from typing import Any

from jecp_mcp.wire.x402.assets import ASSETS

BASE = ASSETS[0]
PAY_TO = "0x209693bc6afc0c5328ba36faf03c514ef312287c"


def v2_option(**changes: Any) -> dict[str, Any]:
    return {
        "scheme": "exact",
        "network": BASE.network,
        "amount": "10000",
        "asset": "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913",
        "payTo": PAY_TO,
        "maxTimeoutSeconds": 60,
        "extra": {"name": "USD Coin", "version": "2"},
    } | changes


def v1_option(**changes: Any) -> dict[str, Any]:
    option = v2_option(network="base", maxAmountRequired="10000", resource="https://api.example.com/report")
    return {name: value for name, value in (option | changes).items() if name != "amount"}


def v2_challenge(*options: Any, **changes: Any) -> dict[str, Any]:
    resource = {"url": "https://api.example.com/report", "description": "a report", "mimeType": "text/plain"}
    return {"x402Version": 2, "error": "pay", "resource": resource, "accepts": list(options or [v2_option()])} | changes


def v1_challenge(*options: Any, **changes: Any) -> dict[str, Any]:
    return {"x402Version": 1, "error": "X-PAYMENT is required", "accepts": list(options or [v1_option()])} | changes


def header(value: Any) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def v2_headers(value: Any) -> dict[str, str]:
    return {"payment-required": header(value), "content-type": "text/html"}


def v1_body(value: Any) -> bytes:
    return json.dumps(value).encode()
