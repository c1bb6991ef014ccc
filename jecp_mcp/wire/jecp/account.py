"""Registration, topup and refunds (JECP 02-authentication §3.2, JECP 03-errors §3.4) in both dialects. Pure: no I/O.

Each parser gives the normal form or, for a Hub's error, a `Refusal`; anything else is a `WireError`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jecp_mcp import jsontext
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import MoneyError, WireError
from jecp_mcp.jsontext import JSONObject
from jecp_mcp.money import MicroUSDC, parse_balance
from jecp_mcp.settings import credential_fault
from jecp_mcp.wire.jecp.hub_answer import HubAnswer, read_object, text_or_none
from jecp_mcp.wire.jecp.ids import reference, valid_agent_id


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
    raw: JSONObject = field(default_factory=jsontext.nothing, repr=False)


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


def parse_rotation(answer: HubAnswer) -> KeyRotation | Refusal:
    """Read the answer to the rotation of a key.

    Raises:
        WireError: it is neither a key nor a JECP error. The message never quotes the body, which may hold a key.
    """
    data = read_object(answer, "agent", "data")
    return data if isinstance(data, Refusal) else read_rotation(data)


def read_rotation(data: JSONObject) -> KeyRotation:
    """The new key in the object that answers a rotation.

    Raises:
        WireError: there is none.
    """
    api_key = data.get("api_key")
    if not isinstance(api_key, str) or credential_fault(api_key):
        raise WireError("the Hub's answer to the rotation holds no API key")
    return KeyRotation(api_key, text_or_none(data.get("previous_key_valid_until")))


def parse_registration(answer: HubAnswer) -> Registration | Refusal:
    """Read the answer to a registration.

    Raises:
        WireError: it is neither an agent nor a JECP error. The message never quotes the body, which may hold a key.
    """
    data = read_object(answer, "agent", "data")
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
        name=text_or_none(data.get("name")),
        free_calls_remaining=_whole(data.get("free_calls_remaining", data.get("free_calls"))),
    )


def parse_topup(answer: HubAnswer) -> TopupSession | Refusal:
    """Read the answer to a topup.

    Raises:
        WireError: it is neither a checkout page nor a JECP error.
    """
    data = read_object(answer, "session", "data")
    if isinstance(data, Refusal):
        return data
    for key in ("url", "checkout_url", "topup_url"):
        url = text_or_none(data.get(key))
        if url:
            session = reference(data.get("sessionId")) or reference(data.get("session_id"))
            return TopupSession(url, session, _amount(data.get("amount_usd", data.get("amount"))))
    raise WireError("the Hub's answer to the topup holds no checkout URL")


def parse_refund(answer: HubAnswer) -> Refund | Refusal:
    """Read one refund.

    Raises:
        WireError: it is neither a refund nor a JECP error.
    """
    data = read_object(answer, "refund", "data")
    return data if isinstance(data, Refusal) else _refund(data)


def parse_refunds(answer: HubAnswer) -> tuple[Refund, ...] | Refusal:
    """Read a list of refunds. An entry that cannot be read hides no other one; it is left out.

    Raises:
        WireError: it is neither that nor a JECP error.
    """
    data = read_object(answer)
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
    return bool(
        (text_or_none(data.get("refund_id")) or text_or_none(data.get("id"))) and text_or_none(data.get("status"))
    )


def _refund(data: JSONObject) -> Refund:
    refund_id, status = reference(data.get("refund_id")) or reference(data.get("id")), text_or_none(data.get("status"))
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
        reason=text_or_none(data.get("reason")),
        requested_at=text_or_none(data.get("requested_at")),
        estimated_resolution=text_or_none(data.get("estimated_resolution")),
        resolved_at=text_or_none(data.get("resolved_at")),
        resolution_note=text_or_none(data.get("resolution_note")),
        raw=data,
    )


def _amount(value: object) -> MicroUSDC | None:
    try:
        return parse_balance(value)
    except MoneyError:
        return None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
