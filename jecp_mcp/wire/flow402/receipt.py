"""Receipts: what was paid, and whether that stands. Pure: no I/O.

A receipt is ``provisional`` until the control plane has seen the payment on its chain. It ends ``confirmed``, or its
money never moved or came back: ``void``, ``expired_unconfirmed``, ``refunded``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from jecp_mcp import jsontext
from jecp_mcp.errors import WireError
from jecp_mcp.jsontext import JSONObject
from jecp_mcp.masking import Mask
from jecp_mcp.money import MicroUSDC
from jecp_mcp.wire.flow402.values import MAX_BODY, optional_uuid, uuid, word
from jecp_mcp.wire.values import mapping, preview

MICRO_DECIMALS: Final = 6
_MOST_MICRO: Final = 10**15
_ASSET: Final = re.compile(r"[A-Z0-9_-]{3,10}|0x[0-9a-fA-F]{40}|[1-9A-HJ-NP-Za-km-z]{32,44}", re.ASCII)
_DIGITS: Final = re.compile(r"0|[1-9]\d{0,15}", re.ASCII)


class ReceiptStatus(StrEnum):
    """How a receipt stands."""

    CONFIRMED = "confirmed"
    PROVISIONAL = "provisional"
    EXPIRED_UNCONFIRMED = "expired_unconfirmed"
    REFUNDED = "refunded"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class Money:
    """What was paid.

    Attributes:
        asset: the token's symbol or address, as it is written.
        minor: how many of its smallest units, of which `precision` says how many decimals they are.
    """

    asset: str
    minor: int
    precision: int

    @property
    def micro(self) -> MicroUSDC:
        """The same in micro-USDC, where the asset is worth one USD a piece."""
        return MicroUSDC(self.minor * 10 ** (MICRO_DECIMALS - self.precision))


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt.

    Attributes:
        superseded_by: the id of the one that took its place.
        merchant_id, request_url: who was paid, and for what, where it says so.
    """

    receipt_id: str
    paid_request_id: str
    payment_attempt_id: str
    money: Money
    status: ReceiptStatus
    reconciliation: str
    superseded_by: str | None = None
    merchant_id: str | None = None
    request_url: str | None = None

    def replaces(self, first: Receipt) -> bool:
        """Whether it can stand in the place of `first`: it is of the same request at the same merchant.

        What costs more than `first` may be charged, but is no proof that the money of `first` came back.
        """
        same = (self.paid_request_id, self.merchant_id, self.request_url)
        if same != (first.paid_request_id, first.merchant_id, first.request_url):
            return False
        return self.status is ReceiptStatus.CONFIRMED or self.money.micro <= first.money.micro


def read_receipt_answer(body: bytes, masks: Iterable[Mask] = ()) -> Receipt:
    """Read the answer to a question for one receipt.

    Args:
        masks: takes out what was sent and is secret, which may be repeated anywhere in it.

    Raises:
        WireError: it is none.
    """
    read = jsontext.loads(body, max_bytes=MAX_BODY)
    for mask in masks:
        read = mask.value(read)
    found = mapping(read, "the answer")
    return read_receipt(mapping(found.get("receipt"), "receipt"))


def read_receipt(found: JSONObject) -> Receipt:
    """Read a receipt.

    Raises:
        WireError: it is none, or contradicts itself.
    """
    if found.get("authorizationOutcome") != "allowed":
        raise WireError(f"authorizationOutcome is {preview(found.get('authorizationOutcome'))}, not allowed")
    status = found.get("status")
    if not isinstance(status, str) or status not in set(ReceiptStatus):
        raise WireError(f"the receipt's status is {preview(status)}, which the protocol does not have")
    return Receipt(
        receipt_id=uuid(found.get("receiptId"), "receiptId"),
        paid_request_id=uuid(found.get("paidRequestId"), "paidRequestId"),
        payment_attempt_id=uuid(found.get("paymentAttemptId"), "paymentAttemptId"),
        money=_money(mapping(found.get("money"), "money")),
        status=ReceiptStatus(status),
        reconciliation=word(found.get("reconciliationStatus"), "reconciliationStatus"),
        superseded_by=optional_uuid(found.get("supersededByReceiptId"), "supersededByReceiptId"),
        merchant_id=_text_if_any(found.get("merchantId")),
        request_url=_text_if_any(found.get("requestUrl")),
    )


def _text_if_any(value: object) -> str | None:
    """Nothing where it is no text: what was paid is not lost for that."""
    return value if isinstance(value, str) else None


def written_amount(minor: int, precision: int) -> str:
    """An amount as it is written beside its smallest units: with exactly `precision` decimals."""
    whole, rest = divmod(minor, 10**precision)
    return f"{whole}.{rest:0{precision}d}" if precision else str(whole)


def _is_bounded(minor: str, precision: int) -> bool:
    micro: int = int(minor) * 10 ** (MICRO_DECIMALS - precision)
    return micro <= _MOST_MICRO


def _money(found: JSONObject) -> Money:
    asset, minor, precision = found.get("asset"), found.get("amountMinor"), found.get("precision")
    if not isinstance(asset, str) or _ASSET.fullmatch(asset) is None:
        raise WireError(f"asset is {preview(asset)}, no symbol or address of a token")
    if isinstance(precision, bool) or not isinstance(precision, int) or not 0 <= precision <= MICRO_DECIMALS:
        raise WireError(f"precision is {preview(precision)}, no whole number from 0 to {MICRO_DECIMALS}")
    if not isinstance(minor, str) or _DIGITS.fullmatch(minor) is None or not _is_bounded(minor, precision):
        raise WireError(f"amountMinor is {preview(minor)}, no whole number written as decimal text, or too large")
    if found.get("unit") != "minor":
        raise WireError(f"unit is {preview(found.get('unit'))}, not minor")
    if found.get("amount") != written_amount(int(minor), precision):
        raise WireError(f"amount is {preview(found.get('amount'))}, which is not what amountMinor and precision say")
    return Money(asset, int(minor), precision)
