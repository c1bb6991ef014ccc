"""Requests and answers of ``/v1/invoke`` and ``/v1/jecp`` in both dialects (JECP 01-protocol §3 and §4). Pure: no I/O.

The specification wraps an output in ``result.output`` and says ``completed``; the reference Hub puts the output itself
in ``result`` and says ``success``. Both become an `Answer`; a failed envelope, whatever its HTTP status, a `Refusal`.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from jecp_mcp import jsontext
from jecp_mcp.clock import UnixMs, iso
from jecp_mcp.domain.answers import Answer, Billing, Notice
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import MoneyError, TooMuchMoney, WireError
from jecp_mcp.jsontext import NOTHING, JSONObject
from jecp_mcp.masking import Mask
from jecp_mcp.money import MICRO_PER_USDC, ZERO, MicroUSDC, format_usdc, parse_balance, parse_charge
from jecp_mcp.wire.jecp.errors import parse_refusal
from jecp_mcp.wire.jecp.headers import notices
from jecp_mcp.wire.jecp.ids import (
    CapabilityId,
    reference,
    split_capability,
    valid_action,
    valid_call_id,
)

PROTOCOL = "1.0"
MAX_REQUEST_BYTES = 10 * 1024 * 1024
MAX_INPUT_BYTES = 5 * 1024 * 1024
MAX_METADATA_BYTES = 4 * 1024
MAX_ANSWER_BYTES = 50 * 1024 * 1024

_SUCCESS = ("completed", "success")
_ERROR_STATUS = 400
_MOST_BILLED = MicroUSDC(1_000_000 * MICRO_PER_USDC)
"""The most that one bill counts for: a thousand times what any call is allowed. Beyond, sums of lies would not fit."""


def request_body(
    call_id: str,
    capability: str,
    action: str,
    version: str | None,
    arguments: Mapping[str, Any],
) -> bytes:
    """Write a request without its mandate. The same arguments give the same bytes, and no secret is among them.

    Args:
        call_id: the idempotency id.
        capability: ``namespace/name`` or a built-in's ``name``, without a version.
        action: the action's id.
        version: the version to pin, or None.
        arguments: the action's input.

    Raises:
        WireError: an id is malformed, or the input is larger than the protocol allows.
    """
    if not valid_call_id(call_id):
        raise WireError("a call id is 4 to 64 letters, digits, '-' or '_'")
    wanted = split_capability(f"{capability}@{version}" if version else capability)
    if not valid_action(action):
        raise WireError(f"{action[:80]!r} is not an action id")
    body: dict[str, Any] = {
        "jecp": PROTOCOL,
        "id": call_id,
        "capability": _pinned(wanted),
        "action": action,
        "input": arguments,
    }
    written = jsontext.dumps(body)
    if len(written) > MAX_INPUT_BYTES and len(jsontext.dumps(arguments)) > MAX_INPUT_BYTES:
        raise WireError(f"the input is larger than {MAX_INPUT_BYTES} bytes")
    return written


def with_mandate(
    body: bytes,
    *,
    agent_id: str,
    api_key: str,
    budget: MicroUSDC,
    expires_at: UnixMs | None = None,
    provenance_hash: str | None = None,
) -> bytes:
    """Append the mandate to a stored request body: the same body, key and budget give identical bytes.

    Args:
        body: what `request_body` wrote.
        agent_id: the agent's id.
        api_key: the agent's key. The result is a secret; send it and forget it.
        budget: the most this call may cost, micro-USDC, written as an exact JSON number of USDC.
        expires_at: when the mandate ends.
        provenance_hash: only where the Hub requires it, see `jecp_mcp.wire.jecp.provenance`.

    Raises:
        WireError: `body` is no JSON object as `request_body` writes it.
    """
    if not (body.startswith(b'{"jecp":') and body.endswith(b"}")):
        raise WireError("the stored request is not a JECP request body")
    mandate: dict[str, Any] = {"agent_id": agent_id, "api_key": api_key, "budget_usdc": Decimal(format_usdc(budget))}
    if expires_at is not None:
        mandate["expires_at"] = iso(expires_at)
    if provenance_hash is not None:
        mandate["provenance_hash"] = provenance_hash
    return body[:-1] + b',"mandate":' + jsontext.dumps(mandate) + b"}"


def parse_answer(
    body: bytes,
    headers: Mapping[str, str],
    status: int,
    *,
    now: UnixMs | None = None,
    mask: Mask | None = None,
) -> Answer | Refusal:
    """Read a Hub's answer to a call.

    Args:
        body: the response body.
        headers: the response headers, by any case.
        status: the HTTP status.
        now: the clock, to read a Retry-After that is a date.
        mask: what to take out of all that is read.

    Raises:
        WireError: it is no JECP envelope, and so proves nothing about the charge.
    """
    envelope, whole = jsontext.loads_outline(body, max_bytes=MAX_ANSWER_BYTES, mask=mask)
    if not isinstance(envelope, dict):
        raise WireError("the answer is not a JSON object")
    if not whole:
        envelope = without_output(envelope)
    said = envelope.get("status")
    if said == "failed" or (said not in _SUCCESS and "error" in envelope):
        return parse_refusal(envelope, status=status, headers=headers, now=now)
    if status >= _ERROR_STATUS:
        if isinstance(envelope.get("code"), str):
            return parse_refusal(envelope, status=status, headers=headers, now=now)
        raise WireError(f"the answer is no JECP error, though it came with HTTP {status}")
    if said not in _SUCCESS and not ("result" in envelope and ("jecp" in envelope or "billing" in envelope)):
        raise WireError("the answer is no JECP envelope: neither a result nor an error")
    if "result" not in envelope:
        raise WireError("the answer says it succeeded and carries no result")
    return answer_of(envelope, notices(headers))


def without_output(envelope: JSONObject) -> dict[str, Any]:
    """An envelope of which only an outline was read: what it says about the charge holds, its output is not there.

    Raises:
        WireError: it is no success, so that what it would say about the charge may be in what was not read.
    """
    place = "result" if "result" in envelope else "output"
    if "error" in envelope or envelope.get("status") == "failed" or place not in envelope:
        raise WireError(f"the answer has more than {jsontext.MAX_MARKS} commas and brackets")
    if "billing" in envelope and not isinstance(envelope["billing"], Mapping):
        raise WireError("what the answer says about the charge was too long to be read")
    if envelope[place] is not None:
        return dict(envelope)
    said = f"The output has more than {jsontext.MAX_MARKS} commas and brackets, so it was not read."
    return {**envelope, place: {"output_unreadable": said}}


def answer_of(envelope: JSONObject, found: tuple[Notice, ...] = ()) -> Answer:
    """Normalise a successful envelope (or a stream's final event) that has a ``result``."""
    result = envelope.get("result")
    wrapped = isinstance(result, Mapping) and "output" in result and (
        envelope.get("status") == "completed" or ("capability" in result and "action" in result)
    )  # fmt: skip
    execution = _object(envelope.get("execution"))
    provider: Any = envelope.get("provider")
    version = None
    if isinstance(provider, Mapping):
        provider, version = provider.get("namespace"), provider.get("version")
    elif not isinstance(provider, str):
        provider = execution.get("provider")
    duration = execution.get("duration_ms")
    return Answer(
        id=_text(envelope.get("id")),
        output=result["output"] if wrapped and isinstance(result, Mapping) else result,
        billing=billing_of(envelope),
        provider=_text(provider),
        version=_text(version),
        duration_ms=duration if isinstance(duration, int) and not isinstance(duration, bool) else None,
        standing=_text(execution.get("trust_tier")),
        notices=found,
        raw=envelope,
    )


def billing_of(envelope: JSONObject) -> Billing:
    """What an envelope says about money, good or failed. An amount charged is rounded up, a balance down.

    ``charged:false`` beside an amount means that amount was *not* charged. Without ``charged``, a free call is not
    charged and any other is charged what it cost. Where both dialects' amounts stand, the larger one counts; where one
    of them cannot be read, the other is no more than a bound.
    """
    billing = envelope.get("billing")
    if not isinstance(billing, Mapping):
        return Billing(balance_after=_balance(envelope.get("wallet_balance_after")))
    amount, at_least = _charge(billing)
    method = _text(billing.get("method"))
    charged = billing.get("charged")
    if not isinstance(charged, bool):
        charged = _implied_charge(amount, method)
    balance = billing.get("balance_after")
    return Billing(
        charged=charged,
        amount=amount,
        balance_after=_balance(envelope.get("wallet_balance_after") if balance is None else balance),
        reference=reference(billing.get("transaction_id")),
        method=method,
        at_least=at_least,
        raw=billing,
    )


def bills(envelope: JSONObject) -> bool:
    """Whether some part of a failed envelope says, in whatever way, that something was charged.

    A bill names an amount above zero, an amount that cannot be read, or a transaction, unless its ``charged`` is false;
    a ``charged`` that is there and not false is a bill by itself, and so is a bill that is no object. What an error
    merely compares, such as a price with a balance, stands under other names, in the error itself or in its details.
    """
    error = _object(envelope.get("error"))
    talk = (error, _object(error.get("details")), _object(envelope.get("details")))
    return (
        _names_a_charge(envelope)
        or any(_says_charged(place) for place in talk)
        or any(_is_a_bill(place.get("billing")) for place in (envelope, *talk))
    )


def _implied_charge(amount: MicroUSDC | None, method: str | None) -> bool | None:
    if method == "free_call":
        return False
    return None if amount is None else amount > 0


def _pinned(wanted: CapabilityId) -> str:
    return f"{wanted.capability}@{wanted.version}" if wanted.version else wanted.capability


def _said(billing: JSONObject) -> list[object]:
    """The amounts a bill names, in either dialect."""
    return [said for key in ("amount_usdc", "cost_usdc") if (said := billing.get(key)) is not None]


def _is_a_bill(billing: object) -> bool:
    if isinstance(billing, Mapping):
        return _names_a_charge(billing)
    return not (billing is None or billing is False)


def _says_charged(place: JSONObject) -> bool:
    said = place.get("charged")
    return not (said is None or said is False)


def _names_a_charge(billing: JSONObject) -> bool:
    if billing.get("charged") is not None:
        return _says_charged(billing)
    amount, _ = _charge(billing)
    return bool(billing.get("transaction_id")) or bool(amount if amount is not None else _said(billing))


def _charge(billing: JSONObject) -> tuple[MicroUSDC | None, MicroUSDC]:
    """The amount of a bill, rounded up, and where that cannot be told, the most of it that can be read."""
    said = _said(billing)
    read, whole = ZERO, True
    for value in said:
        try:
            read = max(read, parse_charge(value))
        except TooMuchMoney:
            read, whole = _MOST_BILLED, False
        except MoneyError:
            whole = False
    if read > _MOST_BILLED:
        read, whole = _MOST_BILLED, False
    currency = billing.get("currency", "USDC")
    whole = whole and isinstance(currency, str) and currency.upper() in {"USD", "USDC"}
    return (read, ZERO) if said and whole else (None, read)


def _balance(value: object) -> MicroUSDC | None:
    try:
        return parse_balance(value)
    except MoneyError:
        return None


def _object(value: object) -> JSONObject:
    return value if isinstance(value, Mapping) else NOTHING


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
