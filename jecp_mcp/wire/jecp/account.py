"""Registration, topup and refunds (JECP 02-authentication §3.2, JECP 03-errors §3.4) in both dialects. Pure: no I/O.

Each parser gives the normal form or, for a Hub's error, a `Refusal`; anything else is a `WireError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jecp_mcp import jsontext
from jecp_mcp.clock import UnixMs
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import MoneyError, WireError
from jecp_mcp.jsontext import NOTHING, JSONObject
from jecp_mcp.masking import Mask
from jecp_mcp.money import MicroUSDC, parse_balance
from jecp_mcp.settings import credential_fault
from jecp_mcp.wire.jecp.errors import parse_refusal
from jecp_mcp.wire.jecp.ids import reference, valid_agent_id

MAX_ACCOUNT_BYTES = 1024 * 1024
TOPUP_AMOUNTS_USD = (5, 20, 100)
"""What the reference Hub sells, in whole USD, unless its next_action says otherwise."""
_ERROR_STATUS = 400


@dataclass(frozen=True, slots=True)
class Registration:
    """A new agent. `api_key` is shown this once and stays out of every repr."""

    agent_id: str
    api_key: str = field(repr=False)
    name: str | None = None
    free_calls_remaining: int | None = None


@dataclass(frozen=True, slots=True)
class TopupSession:
    """A checkout page where a person pays. `url` is text from the Hub: judge its origin before showing it."""

    url: str
    session_id: str | None = None
    amount: MicroUSDC | None = None


@dataclass(frozen=True, slots=True)
class KeyRotation:
    """A new key. `api_key` is shown this once and stays out of every repr.

    Attributes:
        previous_key_valid_until: until when the old one is taken too, RFC 3339 text as the Hub gave it.
    """

    api_key: str = field(repr=False)
    previous_key_valid_until: str | None = None


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund asked for: requested, approved, auto_approved or denied, in the Hub's words.

    Attributes:
        amount: what the refund is about, micro-USDC.
        returned: what comes back of it, micro-USDC; the Hub keeps a tenth (the reference Hub's rule, not JECP's).
    """

    refund_id: str
    status: str
    transaction_id: str | None = None
    amount: MicroUSDC | None = None
    returned: MicroUSDC | None = None
    reason: str | None = None
    requested_at: str | None = None
    estimated_resolution: str | None = None
    resolved_at: str | None = None
    resolution_note: str | None = None
    raw: JSONObject = field(default_factory=lambda: NOTHING, repr=False)


def register_body(name: str, *, agent_type: str = "mcp", description: str | None = None) -> bytes:
    """The request of a registration."""
    body = {"name": name, "agent_type": agent_type}
    if description is not None:
        body["description"] = description
    return jsontext.dumps(body)


def topup_body(amount_usd: int, return_to: str | None = None) -> bytes:
    """The request of a topup; the amount in whole USD."""
    body: dict[str, Any] = {"amount": amount_usd}
    if return_to is not None:
        body["returnTo"] = return_to
    return jsontext.dumps(body)


def refund_body(transaction_id: str, reason: str, evidence_url: str | None = None) -> bytes:
    """The request of a refund."""
    body = {"transaction_id": transaction_id, "reason": reason}
    if evidence_url is not None:
        body["evidence_url"] = evidence_url
    return jsontext.dumps(body)


def rotation_body(grace_seconds: int | None) -> bytes:
    """The request of a new key; the old one is taken for `grace_seconds` more, None leaves that to the Hub."""
    return jsontext.dumps({} if grace_seconds is None else {"grace_seconds": grace_seconds})


def parse_rotation(
    body: bytes,
    status: int,
    headers: Mapping[str, str] = NOTHING,
    now: UnixMs | None = None,
    mask: Mask | None = None,
) -> KeyRotation | Refusal:
    """Read the answer to the rotation of a key.

    Raises:
        WireError: it is neither a key nor a JECP error. The message never quotes the body, which may hold a key.
    """
    data = read_object(body, status, headers, now, mask, ("agent", "data"))
    return data if isinstance(data, Refusal) else read_rotation(data)


def read_rotation(data: JSONObject) -> KeyRotation:
    """The new key in the object that answers a rotation.

    Raises:
        WireError: there is none.
    """
    api_key = data.get("api_key")
    if not isinstance(api_key, str) or credential_fault(api_key):
        raise WireError("the Hub's answer to the rotation holds no API key")
    return KeyRotation(api_key, _text(data.get("previous_key_valid_until")))


def parse_registration(
    body: bytes,
    status: int,
    headers: Mapping[str, str] = NOTHING,
    now: UnixMs | None = None,
    mask: Mask | None = None,
) -> Registration | Refusal:
    """Read the answer to a registration.

    Raises:
        WireError: it is neither an agent nor a JECP error. The message never quotes the body, which may hold a key.
    """
    data = read_object(body, status, headers, now, mask, ("agent", "data"))
    if isinstance(data, Refusal):
        return data
    agent_id, api_key = data.get("agent_id"), data.get("api_key")
    if (
        not isinstance(agent_id, str)
        or not valid_agent_id(agent_id)
        or not isinstance(api_key, str)
        or any(credential_fault(each) for each in (agent_id, api_key))
    ):
        raise WireError("the Hub's answer to the registration holds no agent id and API key")
    return Registration(
        agent_id=agent_id,
        api_key=api_key,
        name=_text(data.get("name")),
        free_calls_remaining=_whole(data.get("free_calls_remaining", data.get("free_calls"))),
    )


def parse_topup(
    body: bytes,
    status: int,
    headers: Mapping[str, str] = NOTHING,
    now: UnixMs | None = None,
    mask: Mask | None = None,
) -> TopupSession | Refusal:
    """Read the answer to a topup.

    Raises:
        WireError: it is neither a checkout page nor a JECP error.
    """
    data = read_object(body, status, headers, now, mask, ("session", "data"))
    if isinstance(data, Refusal):
        return data
    for key in ("url", "checkout_url", "topup_url"):
        url = _text(data.get(key))
        if url:
            session = reference(data.get("sessionId")) or reference(data.get("session_id"))
            return TopupSession(url, session, _amount(data.get("amount_usd", data.get("amount"))))
    raise WireError("the Hub's answer to the topup holds no checkout URL")


def parse_refund(
    body: bytes,
    status: int,
    headers: Mapping[str, str] = NOTHING,
    now: UnixMs | None = None,
    mask: Mask | None = None,
) -> Refund | Refusal:
    """Read one refund.

    Raises:
        WireError: it is neither a refund nor a JECP error.
    """
    data = read_object(body, status, headers, now, mask, ("refund", "data"))
    return data if isinstance(data, Refusal) else _refund(data)


def parse_refunds(
    body: bytes,
    status: int,
    headers: Mapping[str, str] = NOTHING,
    now: UnixMs | None = None,
    mask: Mask | None = None,
) -> tuple[Refund, ...] | Refusal:
    """Read a list of refunds. An entry that cannot be read hides no other one; it is left out.

    Raises:
        WireError: it is neither that nor a JECP error.
    """
    data = read_object(body, status, headers, now, mask, ())
    if isinstance(data, Refusal):
        return data
    listed = data.get("refunds")
    if not isinstance(listed, list):
        raise WireError("the Hub's answer holds no list of refunds")
    read = tuple(_refund(item) for item in listed if isinstance(item, dict) and _names_a_refund(item))
    if listed and not read:
        raise WireError("the Hub's list of refunds holds none that can be read")
    return read


def _names_a_refund(data: JSONObject) -> bool:
    return bool((_text(data.get("refund_id")) or _text(data.get("id"))) and _text(data.get("status")))


def _refund(data: JSONObject) -> Refund:
    refund_id, status = reference(data.get("refund_id")) or reference(data.get("id")), _text(data.get("status"))
    if not refund_id or not status:
        raise WireError("the Hub's answer holds no refund")
    amount, returned = _amount(data.get("amount_usdc")), _amount(data.get("refund_amount_usdc"))
    if returned is None and amount is not None:
        returned = MicroUSDC(amount * 9 // 10)
    return Refund(
        refund_id=refund_id,
        status=status,
        transaction_id=reference(data.get("transaction_id")),
        amount=amount,
        returned=returned,
        reason=_text(data.get("reason")),
        requested_at=_text(data.get("requested_at")),
        estimated_resolution=_text(data.get("estimated_resolution")),
        resolved_at=_text(data.get("resolved_at")),
        resolution_note=_text(data.get("resolution_note")),
        raw=data,
    )


def read_object(
    body: bytes,
    status: int,
    headers: Mapping[str, str],
    now: UnixMs | None,
    mask: Mask | None,
    wrappers: tuple[str, ...],
) -> JSONObject | Refusal:
    """The answer's object, out of the wrapper some Hubs put round it, or the refusal it is."""
    data = jsontext.loads_forgiving(body, max_bytes=MAX_ACCOUNT_BYTES, mask=mask)
    if not isinstance(data, dict):
        raise WireError("the Hub's answer is not a JSON object")
    if status >= _ERROR_STATUS or data.get("status") == "failed" or isinstance(data.get("error"), dict):
        return parse_refusal(data, status=status, headers=headers, now=now)
    for key in wrappers:
        if isinstance(data.get(key), dict):
            return {**data, **data[key]}
    return data


def _amount(value: object) -> MicroUSDC | None:
    try:
        return parse_balance(value)
    except MoneyError:
        return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
