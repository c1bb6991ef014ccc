"""Reading what a Hub sends of itself: `verify_webhook`."""

from __future__ import annotations

from collections.abc import Mapping

from jecp_mcp.client.errors import WebhookVerificationError
from jecp_mcp.clock import Clock, SystemClock
from jecp_mcp.errors import WireError
from jecp_mcp.wire.jecp.webhooks import (
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    WINDOW_SECONDS,
    WebhookEvent,
    check_signature,
    parse_event,
)


def verify_webhook(
    body: bytes,
    headers: Mapping[str, str],
    secret: str,
    *,
    window_seconds: int = WINDOW_SECONDS,
    clock: Clock | None = None,
) -> WebhookEvent:
    """See that a webhook is from the Hub, and not an old one sent again; and read it.

    ::

        event = verify_webhook(await request.body(), request.headers, secret)

    Args:
        body: the request's body, byte for byte as it arrived.
        headers: the request's headers, in whatever case.
        secret: the subscription's `hmac_secret`; space round it does not matter.
        window_seconds: how far the signature's time may lie from now, either way.
        clock: the time; the machine's unless given.

    Raises:
        WebhookVerificationError: it is not so. Answer with 401, and do nothing that it says.
        TypeError: `body` is not bytes: text, or JSON that was read already, is not what was signed.
    """
    if not isinstance(body, bytes | bytearray | memoryview):
        raise TypeError(
            f"body is {type(body).__name__}; the signature is of the request's bytes, so give these as they arrived, "
            "before anything decodes or reads them"
        )
    given = {name.lower(): value for name, value in headers.items()}
    signature, timestamp = given.get(SIGNATURE_HEADER.lower()), given.get(TIMESTAMP_HEADER.lower())
    if signature is None or timestamp is None:
        missing = SIGNATURE_HEADER if signature is None else TIMESTAMP_HEADER
        raise WebhookVerificationError(f"there is no {missing}")
    now = (clock or SystemClock()).now()
    try:
        check_signature(secret, signature, timestamp.strip(), body, now=now, window_seconds=window_seconds)
        return parse_event(body)
    except WireError as exc:
        raise WebhookVerificationError(str(exc)) from exc
