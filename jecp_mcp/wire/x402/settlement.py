"""What a merchant says became of a payment: the settlement header of both versions. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jecp_mcp.errors import WireError
from jecp_mcp.jsontext import JSONObject, nothing
from jecp_mcp.wire.values import mapping, text
from jecp_mcp.wire.x402.values import decode_header, encode_header, uint

V1_SETTLEMENT_HEADER: Final = "X-PAYMENT-RESPONSE"
V2_SETTLEMENT_HEADER: Final = "PAYMENT-RESPONSE"

SETTLEMENT_PENDING: Final = "settlement_pending"
"""The reason given where a transfer was sent to the chain and is not known to have got there."""
NONCE_USED: Final = frozenset({"invalid_exact_evm_nonce_already_used", "nonce_already_used"})
"""The reasons given where the token took the authorization before."""
_LONGEST: Final = 500


@dataclass(frozen=True, slots=True)
class Settlement:
    """A settlement response.

    Attributes:
        success: whether the token moved.
        transaction: the chain's own name for the transfer; ``""`` where there is none.
        network: as the merchant writes it.
        payer: whose token it was, where it is said; in lower case.
        amount: how much was taken, in the smallest units, where it is said.
        error_reason, error_message: why it failed.
    """

    success: bool
    transaction: str
    network: str
    payer: str | None = None
    amount: int | None = None
    error_reason: str | None = None
    error_message: str | None = None
    extensions: JSONObject = field(default_factory=nothing)

    @property
    def pending(self) -> bool:
        """Whether the transfer may still arrive."""
        return not self.success and self.error_reason == SETTLEMENT_PENDING


def read_settlement(headers: Mapping[str, str]) -> Settlement | None:
    """Read the settlement that came with an answer; None where none did.

    Args:
        headers: with names in lower case.

    Raises:
        WireError: it is not what x402 says.
    """
    for name in (V2_SETTLEMENT_HEADER, V1_SETTLEMENT_HEADER):
        value = headers.get(name.lower())
        if value is not None:
            return read_settlement_json(decode_header(value, name))
    return None


def read_settlement_json(found: JSONObject) -> Settlement:
    """Read a settlement as a header or a facilitator's ``/settle`` gives it.

    Raises:
        WireError: it is anything else.
    """
    success = found.get("success")
    if not isinstance(success, bool):
        raise WireError("success is neither true nor false")
    amount, payer, extensions = found.get("amount"), found.get("payer"), found.get("extensions")
    return Settlement(
        success=success,
        transaction=_text(found, "transaction") or "",
        network=_text(found, "network") or "",
        payer=None if payer is None else text(payer, "payer").lower(),
        amount=None if amount is None or amount == "" else uint(amount, "amount"),
        error_reason=_text(found, "errorReason"),
        error_message=_text(found, "errorMessage"),
        extensions=nothing() if extensions is None else mapping(extensions, "extensions"),
    )


def _text(found: JSONObject, name: str) -> str | None:
    value = found.get(name)
    return None if value is None or value == "" else text(value, name, _LONGEST)


def settlement_header(version: int, settlement: Settlement) -> tuple[str, str]:
    """The header that says what became of a payment in `version`: its name and value."""
    name = V1_SETTLEMENT_HEADER if version == 1 else V2_SETTLEMENT_HEADER
    return name, encode_header(settlement_json(settlement))


def settlement_json(settlement: Settlement) -> JSONObject:
    """The settlement as JSON; what is not known is left out."""
    written: dict[str, Any] = {
        "success": settlement.success,
        "transaction": settlement.transaction,
        "network": settlement.network,
    }
    optional = {
        "payer": settlement.payer,
        "amount": None if settlement.amount is None else str(settlement.amount),
        "errorReason": settlement.error_reason,
        "errorMessage": settlement.error_message,
        "extensions": settlement.extensions or None,
    }
    return written | {name: value for name, value in optional.items() if value is not None}
