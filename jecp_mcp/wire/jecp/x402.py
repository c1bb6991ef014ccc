"""x402 at a JECP Hub: what its 402 asks for, what it says of a payment (JECP 06-x402-integration §2, §5). Pure: no I/O.

A Hub means x402's version 1, with the names of its challenge in snake_case. It becomes the challenge that any merchant
would have sent, so that it is judged by the same rules. What is sent back is version 1's header, unchanged
(`jecp_mcp.wire.x402.payment`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import WireError
from jecp_mcp.jsontext import JSONObject
from jecp_mcp.wire.x402.challenge import MAX_OPTIONS, Challenge, PaymentOption, UnreadableOption, read_option
from jecp_mcp.wire.x402.settlement import Settlement, read_settlement_json
from jecp_mcp.wire.x402.values import decode_header

VERSION: Final = 1
"""x402's, as JECP has it."""

WALLET_SCHEME: Final = "stripe-wallet"
"""The way to pay that is none of x402's: a top-up of the wallet at the Hub."""

RECEIPT_HEADER: Final = "X-Payment-Response"

REUSED: Final = "X402_SETTLEMENT_REUSED"
"""The code for a payment whose nonce, or whose transaction, the Hub has in its books already."""

CHALLENGES: Final = frozenset(
    {"PAYMENT_REQUIRED", "INSUFFICIENT_BALANCE", "INSUFFICIENT_BUDGET", "FREE_TIER_EXHAUSTED"}
)
"""The codes of a refusal that asks for money, in either dialect."""

_NAMES: Final[Mapping[str, str]] = {
    "max_amount_required": "maxAmountRequired",
    "pay_to": "payTo",
    "mime_type": "mimeType",
    "max_timeout_seconds": "maxTimeoutSeconds",
}
_KEPT: Final = ("scheme", "network", "asset", "resource", "description", "extra")
_TRANSACTION: Final = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)


def read_payment_challenge(refusal: Refusal) -> Challenge | None:
    """What a refusal asks for by x402; None where it asks for nothing of the kind (JECP 06-x402-integration §2).

    Raises:
        WireError: it asks for a payment in another version than JECP's.
    """
    payment = refusal.payment
    entries = None if payment is None else payment.get("accepts")
    if payment is None or not isinstance(entries, list) or refusal.code not in CHALLENGES:
        return None
    options = tuple(_options(entries[:MAX_OPTIONS]))
    if not options:
        return None
    if payment.get("x402Version", VERSION) != VERSION:
        raise WireError(f"it asks for a payment in another version of x402 than {VERSION}")
    return Challenge(VERSION, options)


def _options(entries: list[Any]) -> Iterator[PaymentOption | UnreadableOption]:
    for index, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            yield UnreadableOption(index, "it is no object")
        elif entry.get("scheme") != WALLET_SCHEME:
            try:
                yield read_option(index, to_version_1(entry), VERSION)
            except WireError as exc:
                yield UnreadableOption(index, str(exc))


def to_version_1(entry: JSONObject) -> JSONObject:
    """An entry of a Hub's ``accepts`` in x402's own names.

    Raises:
        WireError: it names two amounts, or what it adds to the scheme is no object.
    """
    amounts = {entry[name] for name in ("amount", "max_amount_required") if isinstance(entry.get(name), str)}
    if len(amounts) > 1:
        raise WireError("it names two amounts")
    made = {name: entry[name] for name in _KEPT if name in entry}
    made |= {name: entry[theirs] for theirs, name in _NAMES.items() if theirs in entry}
    if amounts:
        made["maxAmountRequired"] = amounts.pop()
    if "asset_decimals" in entry:
        extra = made.get("extra", {})
        if not isinstance(extra, Mapping):
            raise WireError("extra is no object")
        made["extra"] = {**extra, "decimals": entry["asset_decimals"]}
    return made


def from_version_1(entry: JSONObject, symbol: str, decimals: int) -> dict[str, Any]:
    """An entry of x402's ``accepts`` in a Hub's names: the inverse of `to_version_1`."""
    theirs = {ours: name for name, ours in _NAMES.items()}
    made = {theirs.get(name, name): value for name, value in entry.items()}
    return {**made, "asset_symbol": symbol, "asset_decimals": decimals}


def read_receipt(headers: Mapping[str, str], billing: JSONObject) -> Settlement | None:
    """What a Hub says became of a payment, by its header or by ``billing.x402`` (JECP 06-x402-integration §5).

    Args:
        headers: with names in lower case.
        billing: the answer's ``billing``.

    Returns:
        None where it says nothing that can be read.
    """
    found: JSONObject | None = None
    value = headers.get(RECEIPT_HEADER.lower())
    mirrored = billing.get("x402")
    try:
        if value is not None:
            found = decode_header(value, RECEIPT_HEADER)
        elif isinstance(mirrored, Mapping):
            found = {"success": True, "transaction": mirrored.get("settlement_tx"), **_pick(mirrored)}
        if found is None:
            return None
        # Hubs' clients know two names for each.
        transaction, network = (
            found.get("transaction", found.get("txHash")),
            found.get("network", found.get("networkId")),
        )
        return read_settlement_json({**found, "transaction": transaction, "network": network})
    except WireError:
        return None


def _pick(mirrored: JSONObject) -> dict[str, Any]:
    return {name: mirrored[name] for name in ("network", "payer") if name in mirrored}


def settled_before(refusal: Refusal, call_id: str) -> str | None:
    """The transaction in which a Hub says that this very call's payment was taken (JECP ADR-0004 Decision); else None.

    Nobody else can have used the call's nonce, so a Hub that knows a transaction of it took the payment for this call.
    """
    details = refusal.details
    transaction, original = details.get("tx_hash"), details.get("original_request_id")
    if refusal.code != REUSED or original not in (None, call_id):
        return None
    return transaction.lower() if isinstance(transaction, str) and _TRANSACTION.fullmatch(transaction) else None
