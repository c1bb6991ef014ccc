"""The Hub's side of x402: what its 402 asks for, and taking a payment through a facilitator.

JECP 06-x402-integration §2 to §5 and JECP ADR-0004: what is signed is verified, its nonce is taken down once and for
all, then it is settled; only then the work is done. A failure after that leaves the money spent.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.datastructures import Headers

from jecp_mcp import jsontext
from jecp_mcp.clock import Clock, UnixMs, iso
from jecp_mcp.errors import WireError
from jecp_mcp.http import ExchangeFailed
from jecp_mcp.http_gate import HttpGate
from jecp_mcp.jsontext import JSONObject
from jecp_mcp.money import MicroUSDC
from jecp_mcp.sandbox.error_answers import Refused
from jecp_mcp.sandbox.hub_database import HubDatabase
from jecp_mcp.sandbox.paid_http.facilitator import reasons
from jecp_mcp.settings.merchants import read_place
from jecp_mcp.wire.jecp.x402 import RECEIPT_HEADER, VERSION, from_version_1
from jecp_mcp.wire.values import mapping
from jecp_mcp.wire.x402.assets import SANDBOX_ASSET, Asset
from jecp_mcp.wire.x402.payment import V1_HEADER, Payment, payment_json, read_payment
from jecp_mcp.wire.x402.secp256k1 import keccak256
from jecp_mcp.wire.x402.settlement import Settlement, read_settlement_json, settlement_json
from jecp_mcp.wire.x402.values import encode_header

SPLITTER: Final = "0x4a45435000000000000000000000000000005917"
"""Whom the Hub's challenges let pay: nobody has a key to it."""
METHOD: Final = "x402"
_SWITCHED_OFF: Final = "x402_switched_off"
TAKEN_BEFORE: Final = "The payment was taken before the work was done, and stays taken."
"""What a buyer must know of work that failed."""
MAX_HEADER: Final = 8 * 1024
_VALID_SECONDS: Final = 60
_TTL_SECONDS: Final = 30
_FACILITATOR_SECONDS: Final = 5.0
_MOST_BYTES: Final = 64 * 1024
_OK: Final = 200

_SUBCAUSES: Final[Mapping[str, str]] = {
    reasons.SIGNATURE: "signature_invalid",
    reasons.VALUE_MISMATCH: "amount_mismatch",
    reasons.RECIPIENT_MISMATCH: "payto_mismatch",
    reasons.NETWORK_MISMATCH: "network_mismatch",
    reasons.NO_CONTRACT: "asset_mismatch",
    reasons.NO_DOMAIN: "asset_mismatch",
    reasons.NAME_MISMATCH: "asset_mismatch",
    reasons.VERSION_MISMATCH: "asset_mismatch",
    reasons.NOT_EIP3009: "asset_mismatch",
    reasons.INVALID_PAYLOAD: "payload_decode_error",
    reasons.INVALID_VERSION: "payload_decode_error",
    reasons.VALID_BEFORE: "expired",
    reasons.VALID_AFTER: "expired",
    reasons.NONCE_USED: "nonce_reused",
    reasons.UNSUPPORTED_SCHEME: "unsupported_scheme",
    reasons.BALANCE: "insufficient_funds",
}
"""JECP's word for a facilitator's reason (JECP 03-errors §3.8, JECP 06-x402-integration §4.4); there are no others."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a Hub takes by x402.

    Attributes:
        facilitator: its facilitator's URL.
    """

    facilitator: str
    asset: Asset = SANDBOX_ASSET
    pay_to: str = SPLITTER


@dataclass(frozen=True, slots=True)
class Sent:
    """A payment that came with a call; `digest` is of what was decoded, however it was encoded (JECP ADR-0004)."""

    payment: Payment
    digest: bytes


def read_sent(headers: Mapping[str, str], *, streaming: bool) -> Sent | None:
    """The payment that came with a request, by the rules of JECP 06-x402-integration §3; None where none did.

    Raises:
        Refused: it is too long, there are two, it is none, or a stream is asked for.
    """
    name = V1_HEADER.lower()
    given = headers.getlist(name) if isinstance(headers, Headers) else [headers[name]] if name in headers else []
    if not given:
        return None
    if len(given) > 1:
        raise _invalid("duplicate_payment_header", f"{len(given)} X-Payment headers came with the request.")
    if len(given[0]) > MAX_HEADER:
        raise _invalid("header_too_large", f"X-Payment is longer than {MAX_HEADER} characters.")
    try:
        payment = read_payment({name: given[0]})
    except WireError as exc:
        raise _invalid("payload_decode_error", f"X-Payment cannot be read: {exc}.") from exc
    assert payment is not None, "the header is there"
    if streaming:
        raise Refused("NOT_STREAMABLE", "A call that comes with its payment is answered whole.")
    return Sent(payment, hashlib.sha256(base64.b64decode(given[0])).digest())


class X402Switch:
    """What a Hub takes by x402 at present; its operator switches it off and on (JECP 06-x402-integration §6.3)."""

    def __init__(self, accepted: Accepted | None, database: HubDatabase) -> None:
        self._accepted, self._database = accepted, database
        self._on = not database.meta(_SWITCHED_OFF)

    @property
    def accepted(self) -> Accepted | None:
        """None while nothing is taken so."""
        return self._accepted if self._on else None

    def turn(self, *, on: bool) -> None:
        """Switch it, for good. A call that was let in with its payment before is still done."""
        self._database.set_meta(_SWITCHED_OFF, "" if on else "yes")
        self._on = on


class X402Payments:
    """The payments of a `HubDatabase`."""

    def __init__(self, accepted: Accepted, database: HubDatabase, clock: Clock) -> None:
        self.accepted = accepted
        self.gate = HttpGate(clock, loopback=True)
        self._database, self._clock = database, clock

    def receipt(self, settled: Settlement) -> dict[str, Any]:
        """``billing.x402`` (JECP 06-x402-integration §5.1)."""
        return {
            "settlement_tx": settled.transaction,
            "network": settled.network,
            "payer": settled.payer,
            "facilitator": self.accepted.facilitator,
        }

    async def settle(self, sent: Sent, entry: JSONObject, agent_id: str, call_id: str) -> Settlement:
        """Take a payment.

        Args:
            entry: what was asked for, in x402's names.

        Raises:
            Refused: it is not good, was taken before, or what became of it is not known.
        """
        payment = sent.payment
        key = payment.authorization.sender, payment.authorization.nonce.hex()
        self._refuse_reused(key, call_id, same_call=True)
        verdict = await self._ask("verify", payment, entry)
        if verdict.get("isValid") is not True:
            raise _unusable(str(verdict.get("invalidReason")))
        at = self._clock.now()
        with self._database.atomic():
            self._database.rows(
                "INSERT OR IGNORE INTO x402_settlements VALUES (?, ?, NULL, ?, ?, ?)", *key, agent_id, call_id, at
            )
            self._refuse_reused(key, call_id, same_call=False)
        # Whose call it pays for stands on the disk before it can be taken.
        await self._database.durable()
        try:
            settled = read_settlement_json(await self._ask("settle", payment, entry))
        except WireError as exc:
            raise _unreachable(f"The facilitator's answer cannot be read: {exc}.") from exc
        if settled.pending:
            raise _timeout("chain_congested", "The facilitator's transaction waits for its block.")
        if not settled.success:
            raise _unusable(str(settled.error_reason))
        with self._database.atomic():
            self._database.rows(
                "UPDATE x402_settlements SET tx_hash = ? WHERE payer = ? AND nonce = ?", settled.transaction, *key
            )
        return settled

    def _refuse_reused(self, key: tuple[str, str], call_id: str, *, same_call: bool) -> None:
        """Refuse a nonce that is another call's or, with `same_call`, whose payment was taken for this one."""
        row = self._database.row(
            "SELECT tx_hash, call_id, created_at FROM x402_settlements WHERE payer = ? AND nonce = ?", *key
        )
        if row is None or (row[1] == call_id and not (same_call and row[0])):
            return
        details: dict[str, Any] = {"subcause": "nonce_reused"}
        if row[0]:
            settled_at = iso(UnixMs(row[2]))
            details |= {"tx_hash": row[0], "original_request_id": row[1], "original_settled_at": settled_at}
        raise Refused("X402_SETTLEMENT_REUSED", f"This payment came with the request {row[1]} before.", details=details)

    async def _ask(self, what: str, payment: Payment, entry: JSONObject) -> JSONObject:
        asked = {"x402Version": VERSION, "paymentPayload": payment_json(payment), "paymentRequirements": entry}
        try:
            heard = await self.gate.exchange(
                "POST",
                read_place(f"{self.accepted.facilitator}/{what}"),
                headers={"Content-Type": "application/json"},
                body=jsontext.dumps(asked),
                timeout=_FACILITATOR_SECONDS,
                max_bytes=_MOST_BYTES,
            )
            found = mapping(jsontext.loads(heard.body, max_bytes=_MOST_BYTES), "the answer")
        except ExchangeFailed as exc:
            if exc.sent:
                raise _timeout("facilitator_slow", "The facilitator did not answer in time.") from exc
            raise _unreachable("The facilitator cannot be reached.", subcause="connection_refused") from exc
        except WireError as exc:
            raise _unreachable(f"The facilitator's answer cannot be read: {exc}.") from exc
        if heard.status != _OK:
            raise _unreachable(f"The facilitator answered with status {heard.status}.")
        return found


def requirements(accepted: Accepted, capability: str, action: str, price: MicroUSDC, origin: str) -> dict[str, Any]:
    """What a call costs by x402, as a facilitator reads it. The Hub alone says what is asked: never the payer."""
    asset = accepted.asset
    # By JECP 06-x402-integration §8.3 anybody can make it.
    splitter_id = keccak256(f"{capability.partition('/')[0]}:{action}".encode()).hex()
    return {
        "scheme": "exact",
        "network": asset.v1_network,
        "asset": asset.address,
        "maxAmountRequired": str(price * 10 ** (asset.decimals - 6)),
        "payTo": accepted.pay_to,
        "resource": f"{origin}/v1/invoke",
        "description": f"Payment for capability {capability}",
        "mimeType": "application/json",
        "maxTimeoutSeconds": _VALID_SECONDS,
        "extra": {
            "name": asset.name,
            "version": asset.version,
            "splitter_capability_id": f"0x{splitter_id}",
            "facilitator_url": accepted.facilitator,
        },
    }


def payment_block(wallet: Mapping[str, Any] | None, accepted: Accepted | None, entry: JSONObject) -> dict[str, Any]:
    """The ``payment`` of a 402 (JECP 06-x402-integration §2): the wallet first, where it may pay.

    Args:
        accepted: None where x402 may not pay.
    """
    accepts = [] if wallet is None else [dict(wallet)]
    block: dict[str, Any] = {"accepts": accepts, "ttl_seconds": _TTL_SECONDS}
    if accepted is not None:
        accepts.append(from_version_1(entry, accepted.asset.symbol, accepted.asset.decimals))
        hint = "Sign the authorization that is asked for, and send the same request with X-Payment."
        block |= {"x402Version": VERSION, "next_action": {"type": "x402_settle", "hint": hint}}
    return block


def paid_by_either(accepted: Accepted) -> dict[str, Any]:
    """What the agent guide says of the ways to pay (JECP 05-discovery §4.4.1)."""
    asset = accepted.asset
    token = {"address": asset.address, "symbol": asset.symbol, "decimals": asset.decimals, "network": asset.v1_network}
    x402 = {
        "facilitator_url": accepted.facilitator,
        "supported_networks": [asset.v1_network],
        "supported_assets": [token],
        "splitter_contract": accepted.pay_to,
        "x402_version": VERSION,
    }
    return {"payment_methods_supported": ["stripe", METHOD], "x402": x402}


def receipt_header(settled: Settlement) -> tuple[str, str]:
    """``X-Payment-Response`` (JECP 06-x402-integration §5)."""
    return RECEIPT_HEADER, encode_header(settlement_json(settled))


def _unusable(reason: str) -> Refused:
    return _invalid(_SUBCAUSES.get(reason), f"The facilitator refused the payment: {reason}.")


def _invalid(subcause: str | None, message: str) -> Refused:
    return Refused("X402_PAYMENT_INVALID", message, details=_named(subcause))


def _named(subcause: str | None) -> dict[str, Any]:
    return {} if subcause is None else {"subcause": subcause}


def _timeout(subcause: str, message: str) -> Refused:
    return Refused("X402_SETTLEMENT_TIMEOUT", message, details={"subcause": subcause}, retry_after=_TTL_SECONDS)


def _unreachable(message: str, *, subcause: str | None = None) -> Refused:
    return Refused("X402_FACILITATOR_UNREACHABLE", message, details=_named(subcause), retry_after=_TTL_SECONDS)
