"""What a Hub answers to what is no call, as a program reads it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from jecp_mcp.client.error_classes import error_of, error_without_answer
from jecp_mcp.errors import PayeeError
from jecp_mcp.rails.jecp.client import HubRefused

T = TypeVar("T")


async def answer_to(request: Awaitable[T]) -> T:
    """The answer to a request.

    Raises:
        JecpError: the Hub refused, or could not be reached.
    """
    try:
        return await request
    except HubRefused as exc:
        raise error_of(exc.refusal) from exc
    except PayeeError as exc:
        raise error_without_answer(exc.code, exc.message) from exc
