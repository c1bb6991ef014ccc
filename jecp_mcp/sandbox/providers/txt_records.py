"""What stands in the DNS for a provider's host, and who is asked for it (JECP 04-manifest §8.2)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from jecp_mcp.sandbox.hub_database import HubDatabase

ResolveTxt = Callable[[str], Awaitable[Sequence[str]]]
"""The TXT records of a name. May raise `OSError`: the resolver did not answer, or there is no such domain."""


def record_name(host: str) -> str:
    """Where a provider publishes its token."""
    return f"_jecp.{host}"


def record_value(token: str) -> str:
    """What it publishes there."""
    return f"jecp-verify={token}"


class OwnZone:
    """The sandbox's own resolver: it asks nobody, and answers what ``POST /sandbox/dns`` put there."""

    def __init__(self, database: HubDatabase) -> None:
        self._database = database

    async def resolve(self, name: str) -> Sequence[str]:
        """The TXT records of a name; none for one that was never put there."""
        return [value for (value,) in self._database.rows("SELECT value FROM txt_records WHERE name = ?", name)]

    def add(self, name: str, value: str) -> None:
        """Put up a record beside those that a name has."""
        with self._database.atomic():
            self._database.rows("INSERT OR IGNORE INTO txt_records VALUES (?, ?)", name, value)

    def publish(self, name: str, values: Sequence[str]) -> None:
        """Put up a name's TXT records in place of those it had."""
        with self._database.atomic():
            self._database.rows("DELETE FROM txt_records WHERE name = ?", name)
            for value in dict.fromkeys(values):
                self._database.rows("INSERT INTO txt_records VALUES (?, ?)", name, value)
