"""Webhook subscriptions, as the reference Hub has them. Pure: no I/O.

Each parser gives the normal form or, for a Hub's error, a `Refusal`; anything else is a `WireError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from jecp_mcp import jsontext
from jecp_mcp.domain.refusals import Refusal
from jecp_mcp.errors import WireError
from jecp_mcp.jsontext import JSONObject
from jecp_mcp.wire.jecp.hub_answer import HubAnswer, read_object, text_or_none
from jecp_mcp.wire.jecp.ids import reference


@dataclass(frozen=True, slots=True)
class Subscription:
    """An endpoint that a Hub tells of events.

    Attributes:
        events: the types it is told of; none means all.
        status: active or paused, in the Hub's words; None where the Hub does not say.
        hmac_secret: base64, for `jecp_mcp.verify_webhook`; shown this once, when it was made, and else None.
        failures: how many tries failed since the last one that did not, where the Hub says so.
    """

    subscription_id: str
    endpoint_url: str | None = None
    events: tuple[str, ...] = ()
    status: str | None = None
    hmac_secret: str | None = field(default=None, repr=False)
    created_at: str | None = None
    last_success_at: str | None = None
    last_error: str | None = None
    failures: int | None = None
    raw: JSONObject = field(default_factory=jsontext.nothing, repr=False)


def subscription_body(
    endpoint_url: str | None = None, events: Sequence[str] | None = None, status: str | None = None
) -> bytes:
    """The request of a new subscription, or of its change; what is None is left out."""
    body: dict[str, Any] = {"endpoint_url": endpoint_url, "events": None if events is None else list(events)}
    body["status"] = status
    return jsontext.dumps({name: value for name, value in body.items() if value is not None})


def parse_subscription(answer: HubAnswer) -> Subscription | Refusal:
    """Read one subscription, or the answer to its change or its end.

    Raises:
        WireError: it is neither that nor a JECP error. The message never quotes the body, which may hold a secret.
    """
    data = read_object(answer, "subscription", "data")
    if isinstance(data, Refusal):
        return data
    read = _subscription(data)
    if read is None:
        raise WireError("the Hub's answer holds no subscription")
    return read


def parse_subscriptions(answer: HubAnswer) -> tuple[Subscription, ...] | Refusal:
    """Read a list of subscriptions. An entry that cannot be read hides no other one; it is left out.

    Raises:
        WireError: it is neither that nor a JECP error.
    """
    data = read_object(answer)
    if isinstance(data, Refusal):
        return data
    listed = data.get("subscriptions")
    if not isinstance(listed, list):
        raise WireError("the Hub's answer holds no list of subscriptions")
    read = [_subscription(item) for item in listed if isinstance(item, dict)]
    return tuple(one for one in read if one is not None)


def parse_test(answer: HubAnswer) -> str | Refusal:
    """Read the answer to a synthetic event that was asked for: the event's id.

    Raises:
        WireError: it is neither that nor a JECP error.
    """
    data = read_object(answer, "data")
    if isinstance(data, Refusal):
        return data
    event_id = reference(data.get("event_id"))
    if event_id is None:
        raise WireError("the Hub's answer holds no event id")
    return event_id


def _subscription(data: JSONObject) -> Subscription | None:
    subscription_id = reference(data.get("subscription_id")) or reference(data.get("id"))
    if subscription_id is None:
        return None
    events, failures = data.get("events"), data.get("failures_consecutive")
    return Subscription(
        subscription_id,
        endpoint_url=text_or_none(data.get("endpoint_url")),
        events=tuple(one for one in events if isinstance(one, str)) if isinstance(events, list) else (),
        status=text_or_none(data.get("status")),
        hmac_secret=text_or_none(data.get("hmac_secret")),
        created_at=text_or_none(data.get("created_at")),
        last_success_at=text_or_none(data.get("last_success_at")),
        last_error=text_or_none(data.get("last_error")),
        failures=failures if isinstance(failures, int) and not isinstance(failures, bool) else None,
        # What was wrapped stands here unwrapped already.
        raw={name: value for name, value in data.items() if name not in {"hmac_secret", "subscription", "data"}},
    )
