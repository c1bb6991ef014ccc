"""How a Hub signs what it sends of itself: webhooks, and calls to providers. Pure: no I/O.

``v1=`` and the base64 of HMAC-SHA256, by the shared secret's bytes, over the Unix seconds, a full stop and the body as
it is sent.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from jecp_mcp import jsontext
from jecp_mcp.clock import UnixMs
from jecp_mcp.errors import WireError
from jecp_mcp.jsontext import NOTHING, JSONObject

SIGNATURE_HEADER: Final = "X-JECP-Webhook-Signature"
TIMESTAMP_HEADER: Final = "X-JECP-Webhook-Timestamp"
WINDOW_SECONDS: Final = 300
"""How far a signature's time may lie from the reader's, either way."""
MAX_EVENT_BYTES: Final = 1024 * 1024
_VERSION: Final = "v1="
_DIGITS: Final = 12
_LEAST_SECRET_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """What a Hub tells of.

    Attributes:
        id: the same at each delivery of one event: an event may arrive more than once.
        type: such as ``invocation.completed``.
        created_at: RFC 3339 text as the Hub gave it.
        data: what happened; amounts of money are exact (`decimal.Decimal`), in USDC.
        raw: the whole event.
    """

    id: str
    type: str
    created_at: str
    data: JSONObject
    raw: JSONObject = field(default_factory=jsontext.nothing, repr=False)


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """The signature of a body.

    Args:
        secret: base64.
        timestamp: Unix seconds.

    Raises:
        WireError: the secret is no base64 of 16 bytes or more.
    """
    return _signature(secret, str(timestamp), body)


def check_signature(
    secret: str, signature: str, timestamp: str, body: bytes, *, now: UnixMs, window_seconds: int = WINDOW_SECONDS
) -> None:
    """See that a body is from who has the secret, and is not old.

    Args:
        secret: base64.
        signature: the header's value; one that holds several, parted by commas, needs one that is right.
        timestamp: the header's value.
        now: the reader's time.

    Raises:
        WireError: it is not so; the message says why and holds no secret.
    """
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= _DIGITS):
        raise WireError("the timestamp is no number of seconds")
    distance = abs(now / 1000 - int(timestamp))
    if distance > window_seconds:
        raise WireError(f"the timestamp is {distance:.0f} s away, more than {window_seconds} s")
    # As it was signed: a number written otherwise is another text.
    right = (
        _VERSION + base64.b64encode(hmac.digest(_key(secret), timestamp.encode() + b"." + body, "sha256")).decode()
    ).encode()
    given = [one.strip().encode("utf-8", "surrogatepass") for one in signature.split(",")]
    if not any([hmac.compare_digest(right, one) for one in given]):  # noqa: C419  # all of them: how long it takes tells nothing
        raise WireError("the signature is not that of this body")


def parse_event(body: bytes) -> WebhookEvent:
    """Read an event.

    Raises:
        WireError: it is none.
    """
    event = jsontext.loads(body, max_bytes=MAX_EVENT_BYTES)
    if not isinstance(event, Mapping):
        raise WireError("the event is not a JSON object")
    event_id, kind, created_at = (_text(event.get(name)) for name in ("id", "type", "created_at"))
    if not event_id or not kind or not created_at:
        raise WireError("the event has no id, type or created_at")
    data = event.get("data")
    return WebhookEvent(event_id, kind, created_at, data if isinstance(data, dict) else NOTHING, event)


def _signature(secret: str, timestamp: str, body: bytes) -> str:
    digest = hmac.digest(_key(secret), timestamp.encode("ascii") + b"." + body, "sha256")
    return _VERSION + base64.b64encode(digest).decode("ascii")


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise WireError("the secret is no base64") from None
    if len(key) < _LEAST_SECRET_BYTES:
        # What anybody can guess, such as a setting left empty, proves nothing.
        raise WireError(f"the secret has fewer than {_LEAST_SECRET_BYTES} bytes")
    return key


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
