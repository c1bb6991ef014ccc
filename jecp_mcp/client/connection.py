"""What both clients have in common: the connections to one Hub, open until they are closed."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from jecp_mcp.http import Http


class HubConnection:
    """The connections to one Hub; `_http` opens them at its first request."""

    def __init__(self, base_url: str) -> None:
        """Allow requests to the Hub at `base_url`, an origin.

        Raises:
            ValueError: it is no such origin.
        """
        self._http = Http(base_url)

    async def __aenter__(self) -> Self:
        """Nothing to open yet: the first request does."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections; a later request would open others."""
        await self._http.aclose()
