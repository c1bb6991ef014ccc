"""The agent's account as the own tools see it: whether there is one, and how to get one (``jecp_register``).

The account's credentials are the operator's machine's: `jecp_mcp.cli.credential_store` reads and writes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RegisteredAccount:
    """A new agent account; its key is already stored and is not here."""

    agent_id: str
    free_calls: int | None
    kept_in: str


class AgentAccount(Protocol):
    """Whether there are credentials of an agent account, and the one way to get some."""

    @property
    def free_calls(self) -> int | None:
        """What the Hub gave with a registration of this process, None where there was none or it did not say."""
        ...

    def present(self) -> bool:
        """Whether there are credentials."""
        ...

    async def register(self, name: str | None) -> RegisteredAccount:
        """Make an account at the Hub and store its key durably.

        Raises `PayeeError`, and `OSError` or `SettingsError` when the key cannot be stored.
        """
        ...
