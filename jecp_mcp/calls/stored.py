"""How a call is written down: its fingerprint, and its answer as one durable value. Pure: no I/O."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from jecp_mcp import jsontext
from jecp_mcp.domain.answers import Answer, Billing, Notice
from jecp_mcp.errors import WireError
from jecp_mcp.jsontext import NOTHING

_FORM: Final = 1
_MOST_BYTES: Final = 2 * 50 * 1024 * 1024 + 65_536
"""Twice the longest answer holds an output that its raw envelope does not share."""


def identity(principal: str, source: str, offer: str, arguments: Mapping[str, Any]) -> str:
    """Identify what is asked for: by one principal, one offer of a source with equal arguments (hex SHA-256).

    Object keys are sorted, so the order a model writes them in does not matter, nor whether it writes a whole number
    with a fraction or an exponent (RFC 8259 §6); every value does. Who pays is not in it: under a new account an open
    call is not bought a second time either. Nor is what the operator calls the source: `offer` is the key that it has
    there (`Offer.own_key`).

    Args:
        arguments: those that say what is bought (`jecp_mcp.rails.base.Rail.identity_arguments`).
    """
    return identities(principal, source, offer, arguments, arguments)[0]


def identities(
    principal: str, source: str, offer: str, meant: Mapping[str, Any], spelled: Mapping[str, Any]
) -> tuple[str, str | None]:
    """The `identity` of a call; and the one that earlier versions gave it, None where that is the same.

    Those took all arguments as they were `spelled`. What they left open or undelivered is found by it, and not bought
    a second time.
    """
    before = _text([principal, source, offer, spelled])
    text = before if meant is spelled else _text([principal, source, offer, meant])
    # A whole float is written with one of these. To look at every value takes long, and nearly no text has any.
    if ".0" in text or "e+" in text:
        text = _text([principal, source, offer, _whole(meant)])
    return _hash(text), None if text == before else _hash(before)


def fingerprint(identity: str, label: str) -> str:
    """Identify "the same call": an `identity` and, for a copy that is wanted on purpose, a digest of its label."""
    return f"{identity}.{_hash(_text([identity, label]))}" if label else identity


def identity_of(fingerprint: str) -> str:
    """What a `fingerprint` has in common with those of all copies."""
    return fingerprint.partition(".")[0]


def is_copy(fingerprint: str) -> bool:
    """Whether a label tells this call from others of its identity."""
    return "." in fingerprint


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _whole(value: Any) -> Any:
    """The same value with integers for the floats that are whole."""
    if isinstance(value, float):
        # By the digits that it is written with: beyond 2^53 its exact value is another number.
        return int(Decimal(repr(value))) if value.is_integer() else value
    if isinstance(value, Mapping):
        return {key: _whole(item) for key, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, (list, tuple)) else value


def dump_answer(answer: Answer) -> bytes:
    """Write an answer for `load_answer`, without loss. The output is not written twice where `raw` already holds it.

    Raises:
        WireError: it holds what JSON has no word for.
    """
    where = _place_of_output(answer)
    fields: dict[str, Any] = {
        "v": _FORM,
        "raw": answer.raw,
        "at": where,
        "id": answer.id,
        "provider": answer.provider,
        "version": answer.version,
        "duration_ms": answer.duration_ms,
        "standing": answer.standing,
        "billing": {
            "charged": answer.billing.charged,
            "amount": answer.billing.amount,
            "balance_after": answer.billing.balance_after,
            "reference": answer.billing.reference,
            "method": answer.billing.method,
            "at_least": answer.billing.at_least,
        },
        "notices": [[item.kind, item.text, item.at, item.successor] for item in answer.notices],
    }
    if where is None:
        fields["output"] = answer.output
    if answer.billing.raw != answer.raw.get("billing", NOTHING):
        fields["billing_raw"] = answer.billing.raw
    return jsontext.dumps(fields)


def load_answer(data: bytes) -> Answer:
    """Read what `dump_answer` wrote.

    Raises:
        WireError: it is not that.
    """
    fields = jsontext.loads(data, max_bytes=_MOST_BYTES, max_depth=jsontext.MAX_DEPTH + 2, max_marks=None)
    try:
        if fields["v"] != _FORM:
            raise WireError(f"the stored answer has the unknown form {fields['v']!r}")
        raw, where, billing = fields["raw"], fields["at"], fields["billing"]
        output = fields["output"] if where is None else raw
        for key in where or ():
            output = output[key]
        return Answer(
            id=fields["id"],
            output=output,
            billing=replace(Billing(**billing), raw=fields.get("billing_raw", raw.get("billing", NOTHING))),
            provider=fields["provider"],
            version=fields["version"],
            duration_ms=fields["duration_ms"],
            standing=fields["standing"],
            notices=tuple(Notice(*item) for item in fields["notices"]),
            raw=raw,
        )
    except (KeyError, TypeError, AttributeError) as exc:
        raise WireError("the stored answer is damaged") from exc


def _place_of_output(answer: Answer) -> list[str] | None:
    """Where in `raw` the output itself is: in a member, or in a member of one."""
    for key, value in answer.raw.items():
        if value is answer.output:
            return [key]
        if isinstance(value, Mapping):
            for inner, item in value.items():
                if item is answer.output:
                    return [key, inner]
    return None
