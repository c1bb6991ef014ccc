"""What the HTTP library's own account of a request proves about whether it was sent."""

from __future__ import annotations

import anyio
import pytest

from jecp_mcp.http import _Trail

CONNECTING = [
    "connection.connect_tcp.started",
    "connection.connect_tcp.complete",
    "connection.start_tls.started",
    "connection.start_tls.failed",
]


async def followed(*events: str) -> _Trail:
    trail = _Trail()
    for name in events:
        await trail(name, {"return_value": None})
    return trail


@pytest.mark.parametrize(("count", "phase"), [(0, "connect"), (1, "connect"), (2, "connect"), (3, "tls"), (4, "tls")])
def test_until_the_first_byte_nothing_was_sent(count: int, phase: str) -> None:
    trail = anyio.run(followed, *CONNECTING[:count])
    failed = trail.failed("x")
    assert (failed.sent, failed.phase) == (False, phase)


@pytest.mark.parametrize(
    "event",
    [
        "http11.send_request_headers.started",
        "http11.send_request_headers.failed",
        "http2.send_connection_init.started",
        "http3.anything",
        "",
    ],
)
def test_an_event_that_is_not_about_connecting_counts_as_sending_whatever_its_name(event: str) -> None:
    trail = anyio.run(followed, *CONNECTING[:2], event)
    assert trail.failed("x").sent
    assert anyio.run(followed, event, "connection.close.started").sent, "what was sent stays sent"


def test_what_may_quote_a_hub_is_in_no_traceback() -> None:
    exc = ValueError("X-Api-Key: secret")
    assert anyio.run(followed, "connection.connect_tcp.started").cause(exc) is exc
    assert anyio.run(followed, "http11.send_request_headers.started").cause(exc) is None
