"""The payment links that nobody has paid at yet: a Hub that nobody uses any more stays for them a while."""

from __future__ import annotations

from typing import Final

_PAID_SECONDS: Final = 60
"""How long it stays when a link was paid at: the page that says so is still to be looked at."""

LINK_SECONDS: Final = 15 * 60
"""How long a Hub stays for a link: a person is given it, and opens it in their own time."""


class OpenLinks:
    """When each was given, in Unix milliseconds. Read by another thread than writes it."""

    def __init__(self) -> None:
        self._given: dict[str, int] = {}

    def note(self, session_id: str, at: int) -> None:
        """A link was given."""
        self._given = {one: then for one, then in self._given.items() if at - then < LINK_SECONDS * 1000}
        self._given[session_id] = at

    def note_payment(self, session_id: str, at: int) -> None:
        """It was paid at."""
        self._given[session_id] = at - (LINK_SECONDS - _PAID_SECONDS) * 1000

    def stay_seconds(self, now: int) -> float:
        """For how long somebody may still come; 0 or less where nobody may."""
        return max((LINK_SECONDS - (now - then) / 1000 for then in tuple(self._given.values())), default=0)
