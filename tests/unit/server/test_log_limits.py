"""Whoever can make us log must not fill a disk with it: lines are bounded in length and, by place, in number."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from jecp_mcp.server.log_limits import MOST_CHARACTERS, MOST_LINES, WINDOW_SECONDS, LogLimits


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("a.stranger.makes.us.log")
    logger.propagate = False
    yield logger
    logger.handlers.clear()
    logger.propagate = True


def test_one_place_logs_so_much_a_minute_and_then_says_what_it_kept_back(logger: logging.Logger) -> None:
    out, now = io.StringIO(), 0.0
    handler = logging.StreamHandler(out)
    handler.addFilter(LogLimits(lambda: now))
    logger.addHandler(handler)

    def refuse(what: str) -> None:
        logger.warning(f"refused {what}")  # noqa: G004 - as the SDK does, so that no two messages are the same

    for number in range(1_000):
        refuse(str(number))
    logger.warning("another place %s", "is heard all the same")
    lines = out.getvalue().splitlines()
    assert lines == [f"refused {number}" for number in range(MOST_LINES)] + ["another place is heard all the same"]
    now = WINDOW_SECONDS
    refuse("again")
    refuse("and again")
    assert out.getvalue().splitlines()[-2:] == [
        f"refused again ({1_000 - MOST_LINES} more like it were kept back)",
        "refused and again",
    ]


def test_a_long_message_is_cut(logger: logging.Logger) -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.addFilter(LogLimits())
    logger.addHandler(handler)
    logger.warning("Invalid Host header: %s", "x" * 1_000_000)
    assert len(out.getvalue()) < MOST_CHARACTERS + 100
    assert "(1000021 characters)" in out.getvalue()
