"""The sessions of a page for people on loopback: a cookie, and a token beside it.

A browser sends a cookie to every port of a host (RFC 6265 §8.5), so a web server that an agent runs on this machine can
come by it. The cookie alone therefore opens nothing: a request must carry the session's token too, which only pages of
this very origin are given.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from typing import Final

from jecp_mcp.clock import Clock

SESSION_SECONDS: Final = 8 * 3_600.0
"""How long a browser stays let in."""
PROXY_HEADERS: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "via")
"""What a request carries that came through a proxy, from another machine perhaps."""
_MOST_SESSIONS: Final = 16


@dataclass(frozen=True, slots=True)
class _Session:
    """A browser that was let in: until when, by the monotonic clock, and what its requests carry."""

    until: float
    token: str


class BrowserSessions:
    """The browsers that were let in, sixteen at most: another takes the oldest one's place."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sessions: dict[str, _Session] = {}

    def open(self) -> str:
        """A new session's secret, its cookie's value."""
        now = self._clock.monotonic()
        self._sessions = {secret: one for secret, one in self._sessions.items() if one.until > now}
        while len(self._sessions) >= _MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        secret = secrets.token_urlsafe(32)
        self._sessions[secret] = _Session(now + SESSION_SECONDS, secrets.token_hex(32))
        return secret

    def token(self, secret: str | None) -> str | None:
        """What a session's requests must carry beside its secret; None when there is no such session any more."""
        session = None if secret is None else self._sessions.get(secret)
        return None if session is None or session.until <= self._clock.monotonic() else session.token

    def admits(self, secret: str | None, token: str) -> bool:
        """Whether both belong to one session."""
        known = self.token(secret)
        return known is not None and hmac.compare_digest(known.encode(), token.encode())
