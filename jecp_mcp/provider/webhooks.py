"""The webhooks of a Hub: whether it sent one, and what it says. Pure but for the clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jecp_mcp import jsontext
from jecp_mcp.clock import Clock, SystemClock
from jecp_mcp.errors import WireError
from jecp_mcp.jsontext import JSONObject
from jecp_mcp.wire.jecp.signatures import WEBHOOK, read_secret, verify

_MOST_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """What a Hub tells.

    Attributes:
        id: the same whenever the Hub tells it again: act on it once.
        type: such as ``invocation.completed``; an open set.
        created_at: RFC 3339 text.
    """

    id: str
    type: str
    created_at: str
    data: JSONObject = field(repr=False)


def verify_webhook(headers: Mapping[str, str], body: bytes, *secrets: str, clock: Clock | None = None) -> WebhookEvent:
    """The event in a webhook that the Hub signed.

    Args:
        headers: the request's, in any case.
        body: its exact bytes, before anything parses them.
        secrets: the subscription's, base64 text as the Hub showed it; several while one replaces another.
        clock: the machine's unless given.

    Raises:
        SignatureInvalid: the Hub did not sign it, or not within five minutes.
        WireError: it is signed, and no event.
        ValueError: a secret is none.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    now = (clock or SystemClock()).now() // 1000
    verify(WEBHOOK, lower, body, tuple(map(read_secret, secrets)), now)
    event = jsontext.loads(body, max_bytes=_MOST_BYTES)
    if not isinstance(event, dict):
        raise WireError("the webhook is no JSON object")
    told, kind, created_at = event.get("id"), event.get("type"), event.get("created_at")
    if not (isinstance(told, str) and isinstance(kind, str) and isinstance(created_at, str) and told and kind):
        raise WireError("the webhook has no id, type and created_at")
    data = event.get("data")
    return WebhookEvent(told, kind, created_at, data if isinstance(data, dict) else {})
