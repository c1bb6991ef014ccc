"""What the merchant answers where a fault wants another answer than the delivery with its receipt. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from jecp_mcp.sandbox.paid_http.merchant.answers import Answer, json_answer
from jecp_mcp.sandbox.paid_http.merchant.faults import Fault
from jecp_mcp.sandbox.paid_http.merchant.sale import Sale
from jecp_mcp.wire.x402.settlement import Settlement

_FOREIGN_PAGE: Final = b"<!doctype html><title>Bad gateway</title><h1>A proxy in between has failed</h1>"
_NEVER_SENT: Final = "0x" + "ab" * 32


def instead(fault: Fault) -> Answer:
    """What comes in place of whatever was asked for."""
    if fault.mode == "redirect":
        return Answer(fault.status, b"", {"location": fault.location})
    return Answer(fault.status, fault.body, fault.headers)


def wrong_answer(sale: Sale, fault: Fault, settlement: Settlement) -> Answer:
    """What comes in place of the delivery with its receipt; just that where the mode is about something else."""
    return _ANSWERS.get(fault.mode, _delivered)(sale, fault, settlement)


def _delivered(sale: Sale, _fault: Fault, settlement: Settlement) -> Answer:
    return sale.delivery.with_headers(sale.receipt(settlement))


def _foreign_page(_sale: Sale, fault: Fault, _settlement: Settlement) -> Answer:
    return Answer(fault.status, _FOREIGN_PAGE, {"content-type": "text/html"})


def _redirect(_sale: Sale, fault: Fault, _settlement: Settlement) -> Answer:
    return instead(fault)


def _said_safe(_sale: Sale, _fault: Fault, _settlement: Settlement) -> Answer:
    said = {"error": "temporarily unavailable", "paymentState": "not_settled", "safeToRetry": True}
    return json_answer(503, said).with_headers({"retry-after": "1"})


def _paid_refusal(sale: Sale, fault: Fault, settlement: Settlement) -> Answer:
    said = {"error": "what was asked for is not there", "paid": True}
    return json_answer(fault.status, said).with_headers(sale.receipt(settlement))


def _no_receipt(sale: Sale, _fault: Fault, _settlement: Settlement) -> Answer:
    return sale.delivery


def _empty(_sale: Sale, _fault: Fault, _settlement: Settlement) -> Answer:
    return Answer(200)


def _false_receipt(sale: Sale, _fault: Fault, settlement: Settlement) -> Answer:
    never = Settlement(True, _NEVER_SENT, settlement.network, settlement.payer)
    return sale.delivery.with_headers(sale.receipt(never))


def _bad_receipt(sale: Sale, _fault: Fault, settlement: Settlement) -> Answer:
    return sale.delivery.with_headers(dict.fromkeys(sale.receipt(settlement), "bm8gcmVjZWlwdA=="))


def _echo(sale: Sale, _fault: Fault, settlement: Settlement) -> Answer:
    headers = dict(sale.request.headers)
    payments = {f"x-echo-{name}": value for name, value in headers.items() if "payment" in name}
    return json_answer(200, {"headers": headers}).with_headers({**sale.receipt(settlement), **payments})


_ANSWERS: Final[Mapping[str, Callable[[Sale, Fault, Settlement], Answer]]] = {
    "5xx_after_settle": _foreign_page,
    "redirect": _redirect,
    "declared_safe": _said_safe,
    "settled_4xx": _paid_refusal,
    "no_receipt": _no_receipt,
    "unsettled": _no_receipt,
    "empty": _empty,
    "false_receipt": _false_receipt,
    "bad_receipt": _bad_receipt,
    "echo": _echo,
}
