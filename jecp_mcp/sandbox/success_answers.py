"""Successful answers in both dialects (JECP 01-protocol §4), the output spliced in as it was written. Pure: no I/O."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from jecp_mcp import jsontext
from jecp_mcp.sandbox.call_request import Call
from jecp_mcp.sandbox.dialect import Dialect, DialectName
from jecp_mcp.sandbox.error_answers import Refused
from jecp_mcp.sandbox.listing import Listing, Offer
from jecp_mcp.sandbox.pricing import usd
from jecp_mcp.sandbox.sales import Receipt

if TYPE_CHECKING:
    from jecp_mcp.sandbox.work import Work

ENGINE = "jecp-mcp-sandbox"
MAX_INLINE_BYTES = 10 * 1024 * 1024
SUNSET_NOTICE_MS = 30 * 86_400_000
"""How long before its sunset a capability says so with every good answer (JECP 01-protocol §4.6)."""

_NAMED_FIELDS = {"application/pdf": "pdf", "application/zip": "zip", "audio/wav": "audio", "audio/mpeg": "audio"}

Parts = Mapping[str, Any]
"""An envelope by its keys; a ``bytes`` value is JSON text already."""


def encode(parts: Parts) -> bytes:
    """Write an envelope."""
    return b"{" + b",".join(_key(key) + _text(value) for key, value in parts.items()) + b"}"


@lru_cache(maxsize=256)
def _key(name: str) -> bytes:
    return jsontext.dumps(name) + b":"


def _text(value: Any) -> bytes:
    return value if isinstance(value, bytes) else jsontext.dumps(value)


def output_text(work: Work, offer: Offer) -> bytes:
    """The JSON text of what was delivered; bytes as an artifact, or under the field the output schema names."""
    if work.artifact is None:
        return jsontext.dumps(work.output)
    content_type, data = work.artifact
    described = (offer.raw.get("output_schema") or {}).get("properties") or {}
    named = "image" if content_type.startswith("image/") else _NAMED_FIELDS.get(content_type)
    about: dict[str, Any] = {"content_type": content_type, "size_bytes": len(data)}
    if len(data) > MAX_INLINE_BYTES:
        note = "The artifact is larger than 10 MiB and is not sent inline."
        return jsontext.dumps({"artifact": {**about, "inline": False, "note": note}})
    text = base64.b64encode(data).decode("ascii")
    if named in described and "artifact" not in described:
        return jsontext.dumps({named: text, "metadata": about})
    return jsontext.dumps({"artifact": {**about, "inline": True, "data_base64": text}})


def success(
    call: Call,
    listing: Listing,
    receipt: Receipt,
    output: bytes,
    *,
    units: Mapping[str, int],
    duration_ms: int,
    x402: Mapping[str, Any] | None = None,
) -> Parts:
    """The envelope of a completed call; `x402` is what its ``billing`` says of the payment, where one paid."""
    if call.dialect.variant == "invoke":
        return _reference_envelope(call, listing, receipt, output, units, x402)
    return _spec_envelope(call, listing, receipt, output, units, duration_ms, x402)


def _reference_envelope(
    call: Call,
    listing: Listing,
    receipt: Receipt,
    output: bytes,
    units: Mapping[str, int],
    x402: Mapping[str, Any] | None,
) -> Parts:
    parts: dict[str, Any] = {
        "jecp": "1.0",
        "id": call.call_id,
        "status": "success",
        "result": output,
        "provider": {"namespace": listing.namespace, "capability": listing.name, "version": listing.version},
        "billing": {
            "charged": True,
            "amount_usdc": usd(receipt.amount),
            "transaction_id": receipt.transaction_id,
            "balance_after": usd(receipt.balance_after),
            "provider_share_usdc": usd(receipt.shares.provider),
            "hub_fee_usdc": usd(receipt.shares.hub),
            "payment_fee_usdc": usd(receipt.shares.payment),
        },
        "wallet_balance_after": usd(receipt.balance_after),
    }
    if x402 is not None:
        # Neither a balance nor the wallet's transaction: this Hub names the settlement instead.
        amount = usd(receipt.amount)
        named = {"settlement_id": receipt.transaction_id, "confirmation": "facilitator_attested"}
        parts["billing"] = {"charged": True, "method": "x402", "amount_usdc": amount, **named, "x402": x402}
        del parts["wallet_balance_after"]
    if units:
        parts["meter_summary"] = dict(units)
    return parts


def _spec_envelope(
    call: Call,
    listing: Listing,
    receipt: Receipt,
    output: bytes,
    units: Mapping[str, int],
    duration_ms: int,
    x402: Mapping[str, Any] | None,
) -> Parts:
    result: dict[str, Any] = {"capability": listing.id, "action": call.action, "output": output}
    if call.metadata is not None:
        result["metadata"] = call.metadata
    billing: dict[str, Any] = {
        "cost_usdc": usd(receipt.amount),
        "method": receipt.method,
        "balance_after": usd(receipt.balance_after),
        "transaction_id": receipt.transaction_id,
    }
    if x402 is not None:
        del billing["balance_after"]
        billing["x402"] = x402
    if receipt.method == "free_call":
        billing["free_calls_remaining"] = receipt.free_calls
    if call.budget is not None:
        billing["mandate_remaining"] = usd(call.budget - receipt.amount)
    execution: dict[str, Any] = {"duration_ms": duration_ms, "engine": ENGINE, "trust_tier": receipt.tier}
    if listing.namespace:
        execution["provider"] = listing.namespace
    if units:
        execution["meter_summary"] = dict(units)
    return {
        "jecp": "1.0",
        "id": call.call_id,
        "status": "completed",
        "result": encode(result),
        "billing": billing,
        "execution": execution,
    }


def closing_events(call: Call, envelope: Parts) -> list[tuple[str, Parts]]:
    """How a completed call ends its stream: ``completed``, or ``result`` and ``done`` for built-ins.

    JECP 01-protocol §4.3 has the first, JECP 01-protocol §4.2 the others.
    """
    if not call.builtin:
        kept = ("result", "billing", "provider", "meter_summary")
        shown = (
            {key: envelope[key] for key in kept if key in envelope} if call.dialect.variant == "invoke" else envelope
        )
        return [("completed", shown)]
    result = envelope["result"]
    if isinstance(result, bytes):
        result = jsontext.loads(result, max_bytes=len(result))
    done = {key: envelope[key] for key in ("status", "billing", "execution")}
    return [("result", {"output": result["output"]}), ("done", done)]


def sunset_headers(listing: Listing, dialect: Dialect, at: int) -> dict[str, str]:
    """What a capability in its last 30 days says in the headers (JECP 01-protocol §4.6)."""
    if listing.sunset_at is None or at < listing.sunset_at - SUNSET_NOTICE_MS:
        return {}
    links = [f'<{_DEPRECATION[dialect.name]}>; rel="deprecation"']
    if listing.successor:
        links.append(f'<{dialect.origin}/v1/capabilities/{listing.successor}>; rel="successor-version"')
    return {"deprecation": "true", "sunset": http_date(listing.sunset_at), "link": ", ".join(links)}


_DEPRECATION: Mapping[DialectName, str] = {
    "reference": "https://jecp.dev/errors/capability_deprecated",
    "spec": "https://jecp.dev/spec/v1.0/03-errors.md#capability-deprecated",
}


def sunset_refusal(listing: Listing, dialect: Dialect, at: int) -> Refused:
    """The refusal of a capability past its sunset (JECP 03-errors §3.3)."""
    assert listing.sunset_at is not None
    ended = datetime.fromtimestamp(listing.sunset_at / 1000, UTC).isoformat().replace("+00:00", "Z")
    details: dict[str, Any] = {"capability": listing.id, "version": listing.version, "sunset_at": ended}
    if listing.successor:
        details["successor"] = listing.successor
    return Refused(
        "CAPABILITY_DEPRECATED",
        f"'{listing.id}' {listing.version} ended on {ended}.",
        details=details,
        headers=sunset_headers(listing, dialect, at),
    )


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def http_date(at: int) -> str:
    """An instant as an IMF-fixdate (RFC 9110 §5.6.7), whatever the locale."""
    when = datetime.fromtimestamp(at // 1000, UTC)
    return f"{_DAYS[when.weekday()]}, {when:%d} {_MONTHS[when.month - 1]} {when:%Y %H:%M:%S} GMT"
