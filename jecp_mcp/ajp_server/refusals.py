"""Why an offer, a question or an acknowledgement is not met, as it is answered. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Refused(Exception):
    """What is answered in place of an acceptance. Nothing was accepted.

    Attributes:
        status: HTTP's.
        answer: the body: ``error``, and what else is known: ``code``, ``reason``, ``errors``, ``retry_after``.
        headers: what else is told beside it.
    """

    def __init__(self, status: int, error: str, **more: Any) -> None:
        self.status = status
        self.answer: Mapping[str, Any] = {"error": error, **{key: value for key, value in more.items() if value}}
        retry_after = more.get("retry_after")
        self.headers: Mapping[str, str] = {} if retry_after is None else {"Retry-After": str(retry_after)}
        super().__init__(error)
