"""Who holds the credentials of the agent account at a Hub: what was found at start, or ``jecp_register`` made since."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.to_thread
from pydantic import SecretStr

from jecp_mcp.rails.jecp.client import HubClient
from jecp_mcp.settings import Credentials, Settings, check_storable, store_credentials, stored_credentials
from jecp_mcp.tools.own.registration import RegisteredAccount
from jecp_mcp.wire.jecp.account import Registration

DEFAULT_NAME = "jecp-mcp"


class CredentialStore:
    """The credentials of one process; another process of the same user may register meanwhile."""

    def __init__(
        self,
        settings: Settings,
        state: Path,
        found: Credentials | None,
        hub_client: Callable[[], HubClient],
        changed: Callable[[], None],
        hub: str = "",
    ) -> None:
        """Start from what was found.

        Args:
            hub_client: gives the Hub's client, which itself asks this object for credentials.
            changed: called when credentials appear, for then the list of tools is another.
            hub: at which Hub, by its name as in `Settings.every_hub`.
        """
        self._url = settings.every_hub[hub].base_url
        self._state = state
        self._found = found
        self._hub = hub_client
        self._changed = changed
        self._lock = anyio.Lock()
        self._free_calls: int | None = None

    @property
    def free_calls(self) -> int | None:
        """What the Hub gave with a registration of this process, None where there was none or it did not say."""
        return self._free_calls

    def current(self) -> Credentials | None:
        """The credentials, or None."""
        return self._found

    def present(self) -> bool:
        """Whether there are credentials."""
        return self._found is not None

    async def register(self, name: str | None) -> RegisteredAccount:
        """Make an account at the Hub and store its key durably, once.

        Raises:
            PayeeError: the Hub did not make one, or there is one already.
            OSError: it cannot be stored. Whether it can is tried before the Hub is asked.
            SettingsError: the credentials file is damaged.
        """
        async with self._lock:
            # Another process may have registered since; its account serves this one too.
            stored = stored_credentials(self._state, self._url)
            if stored is not None:
                return self._adopt(stored)
            await anyio.to_thread.run_sync(check_storable, self._state)
            # A host that loses patience must not lose the key of an account that is made all the same.
            with anyio.CancelScope(shield=True):
                made = await self._hub().register(name or DEFAULT_NAME)
                kept = await anyio.to_thread.run_sync(self._store, made)
            return self._adopt(kept, made.free_calls_remaining if kept.agent_id == made.agent_id else None)

    def _store(self, made: Registration) -> Credentials:
        """Keep a new account, or give the one another process stored in the same moment: one serves them all."""
        key = SecretStr(made.api_key)
        try:
            path = store_credentials(self._state, self._url, made.agent_id, key)
        except FileExistsError:
            stored = stored_credentials(self._state, self._url)
            if stored is None:
                raise
            return stored
        return Credentials(agent_id=made.agent_id, api_key=key, source=str(path))

    def _adopt(self, credentials: Credentials, free_calls: int | None = None) -> RegisteredAccount:
        self._found, self._free_calls = credentials, free_calls
        self._changed()
        return RegisteredAccount(credentials.agent_id, free_calls, credentials.source)
