"""An HTTP client that notes what it was answered."""

from __future__ import annotations

from typing import Any

from jecp_mcp.http import Http, HttpAnswer


class Counted:
    """An HTTP client that notes each answer's status and length."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self.answers: list[tuple[int, int]] = []

    async def exchange(self, *args: Any, **options: Any) -> HttpAnswer:
        answer = await self._http.exchange(*args, **options)
        self.answers.append((answer.status, len(answer.body)))
        return answer
