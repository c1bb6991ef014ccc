"""The receipt of a call: one line for the reader, one object for structured content, one for programs. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from jecp_mcp.calls.ports import CallEnd, Charge
from jecp_mcp.calls.refusals import came_back
from jecp_mcp.domain.answers import Answer
from jecp_mcp.money import MicroUSDC, format_usdc
from jecp_mcp.tools.next_actions.selection import amount_charged
from jecp_mcp.tools.publishing.cleaning import provider_of, safe_text
from jecp_mcp.tools.publishing.links import hub_id
from jecp_mcp.tools.publishing.pricing import metering


class History(NamedTuple):
    """What a call of before was given, in short by name, and its listed price in micro-USDC; None where unknown."""

    asked: Mapping[str, str] | None = None
    listed: MicroUSDC | None = None


NO_HISTORY: Final = History()

_UNITS: Final = ("input_tokens", "output_tokens", "chunks", "audio_seconds")
"""What has a unit price (JECP 04-manifest §5)."""

OWED: Final = frozenset({"ajp"})
"""The ways of billing by which no money moves: what a call cost is owed from then on (AJP 0.1)."""


def _payee(end: CallEnd) -> str:
    if end.offer is not None:
        return provider_of(end.offer)
    return safe_text(end.answer.provider if end.answer is not None else None, 40, one_line=True) or "the Hub"


def receipt_line(end: CallEnd, remaining: MicroUSDC | None = None) -> str:
    """One line about the money.

    Args:
        remaining: what the limits leave for further calls like it, where that is known.
    """
    payee, amount = _payee(end), format_usdc(end.amount)
    # Of a fresh purchase the call's id is enough to ask for it; whoever looks back wants it.
    known_as = hub_id(end.reference) if end.stored or end.excessive or end.estimated else None
    transaction = f" (tx {known_as[:72]})" if known_as is not None else ""
    if end.charge is Charge.UNKNOWN:
        asked = f"What {payee} is owed" if _is_owed(end) else f"Whether {payee} was paid"
        said = f"{asked} is not known; {format_usdc(end.held)} USDC stays held"
    elif end.charge is Charge.NO:
        said = f"Free: {payee} charged nothing"
        if (left := _free_call(end)) is not None:
            said += f". It was a free call; {left} left, for the Hub's own actions only"
    elif end.estimated:
        whom = f"to {payee}" if _is_owed(end) else payee
        unread = f"how much cannot be read from its answer, so {amount} USDC counts as spent"
        said = f"{_paid(end)} {whom}{transaction}; {unread}"
    elif end.excessive:
        said = f"Paid. {payee} says that it took {_excess(end)}{transaction}"
    else:
        metered = "" if end.stored else _metering(end)
        said = f"{_paid(end)} {amount} USDC to {payee}{_signed(end)}{metered}{transaction}"
        if _is_owed(end) and not end.stored:
            said += "; no wallet paid it, the operator settles it"
    if end.refunded:
        said += f". {came_back(end.refunded, end.amount)[:-1]}"
    # A kept answer's balance is that of another day.
    leaves = [] if end.stored or end.balance_after is None else [f"balance {format_usdc(end.balance_after)}"]
    if remaining is not None:
        leaves.append(f"budget left {format_usdc(remaining)}")
    balance = f"; {', '.join(leaves)} USDC" if leaves else ""
    call = f". Call {end.call_id}" if end.call_id else ""
    if end.copy is not None:
        call += f", copy {end.copy} of the same call"
    return f"{said}{balance}{call}."


def _is_owed(end: CallEnd) -> bool:
    return end.answer is not None and end.answer.billing.method in OWED


def _signed(end: CallEnd) -> str:
    """By what an action of a Hub was paid that its wallet did not pay; "" for any other."""
    takes = end.offer is not None and "payment_methods" in end.offer.extra
    return " by x402" if takes and end.answer is not None and end.answer.billing.method == "x402" else ""


def _paid(end: CallEnd) -> str:
    word = "Owed" if _is_owed(end) else "Paid"
    return f"Bought earlier, not bought again: {word.lower()}" if end.stored else word


def free_calls_left(answer: Answer) -> int | None:
    """How many free calls an answer says are left, or None (JECP 01-protocol §4.1)."""
    left = answer.billing.raw.get("free_calls_remaining")
    return left if isinstance(left, int) and not isinstance(left, bool) and left >= 0 else None


def _free_call(end: CallEnd) -> int | None:
    """How many free calls are left after one that paid for this; None where none did, or where it is an old answer."""
    offer = end.offer
    if end.charge is not Charge.NO or end.stored or end.answer is None or offer is None or offer.payee:
        return None
    return free_calls_left(end.answer) if offer.price.amount else None


def _metering(end: CallEnd) -> str:
    """How a price came about that was not known before; "" for one that was."""
    most = f"up to {format_usdc(end.reserved)} USDC was held" if end.amount < end.reserved else ""
    used = ", ".join(f"{count} {unit.replace('_', ' ')}" for unit, count in _units(end))
    by = f"metered, {metering(end.offer.price)}" if end.offer is not None and end.offer.price.metered else ""
    # By what it is metered is said by what was used.
    words = "; ".join(filter(None, (f"metered, used {used}" if used else by, most)))
    return f" ({words})" if words else ""


def _units(end: CallEnd) -> Iterator[tuple[str, int]]:
    """What a metered call used, by the meter's summary (JECP 01-protocol §4.3)."""
    raw = {} if end.answer is None else end.answer.raw
    for place in (raw, raw.get("execution")):
        summary = place.get("meter_summary") if isinstance(place, Mapping) else None
        if isinstance(summary, Mapping):
            for unit in _UNITS:
                count = summary.get(unit)
                if isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 2**53:
                    yield unit, count
            return


def _excess(end: CallEnd) -> str:
    """What was taken of a call that was not allowed to cost that much: a claim, for a person to look at."""
    took, allowed = format_usdc(end.amount), format_usdc(end.reserved)
    return f"{took} USDC where at most {allowed} USDC was allowed, which the operator must check"


def receipt_object(end: CallEnd, remaining: MicroUSDC | None = None, history: History = NO_HISTORY) -> dict[str, Any]:
    """The receipt in structured content, for a model that reads nothing else; amounts are decimal text in USDC."""
    made: dict[str, Any] = {} if end.call_id is None else {"call_id": end.call_id}
    made |= {"charged": end.charge.value, **amount_charged("amount_usdc", end.amount, estimated=end.estimated)}
    if end.refunded:
        made["refunded_usdc"] = format_usdc(end.refunded)
    if end.copy is not None:
        made["copy"] = end.copy
    if (left := _free_call(end)) is not None:
        made["free_calls_left"] = left
    if end.held:
        made["held_usdc"] = format_usdc(end.held)
    if remaining is not None:
        made["remaining_usdc"] = format_usdc(remaining)
    if end.stored and end.charge is not Charge.UNKNOWN:
        made["note"] = "Bought earlier, not bought again."
    if history.listed is not None:
        made["listed_usdc"] = format_usdc(history.listed)
    if history.asked is not None:
        made["asked"] = dict(history.asked)
    if end.excessive:
        made["warning"] = f"{_payee(end)} says that it took {_excess(end)}. Tell the user."
    return made


def billing(end: CallEnd) -> dict[str, Any]:
    """The receipt for programs; amounts are decimal text in USDC."""
    amount = amount_charged("amount_usdc", end.amount, estimated=end.estimated)
    made: dict[str, Any] = {"charged": end.charge.value, **amount, "payee": _payee(end)}
    if end.call_id is not None:
        made["call_id"] = end.call_id
    if end.copy is not None:
        made["copy"] = end.copy
    if end.refunded:
        made["refunded_usdc"] = format_usdc(end.refunded)
    if end.held:
        made["held_usdc"] = format_usdc(end.held)
    if end.charge is Charge.YES and end.amount < end.reserved and not end.estimated:
        made["reserved_usdc"] = format_usdc(end.reserved)
    if end.excessive:
        made["allowed_usdc"] = format_usdc(end.reserved)
        made["warning"] = "The amount is the payee's word and more than was allowed. The operator must check it."
    known_as = hub_id(end.reference)
    if known_as is not None:
        made["transaction_id"] = known_as
    if end.balance_after is not None and not end.stored:
        made["balance_usdc"] = format_usdc(end.balance_after)
    if end.stored:
        made["stored"] = True
    return made
