"""Who holds the credentials when several ask for an account, or one who asks does not wait."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from pydantic import SecretStr

from jecp_mcp.cli.credential_store import CredentialStore
from jecp_mcp.settings import Settings, store_credentials, stored_credentials
from jecp_mcp.wire.jecp.account import Registration

pytestmark = pytest.mark.anyio

HUB = "https://jecp.dev"
KEY = "jdb_ak_0123456789abcdef"


class Hub:
    """A Hub that makes an account when told to."""

    def __init__(self) -> None:
        self.asked, self.answer = anyio.Event(), anyio.Event()

    async def register(self, name: str) -> Registration:
        self.asked.set()
        await self.answer.wait()
        return Registration("jdb_ag_0123456789abcdef", KEY, free_calls_remaining=100)


def credential_store(state: Path, hub: Hub) -> CredentialStore:
    return CredentialStore(Settings(), state, None, lambda: hub, lambda: None)


async def test_a_key_is_kept_though_its_asker_lost_patience(tmp_path: Path) -> None:
    hub = Hub()
    keeping = credential_store(tmp_path, hub)
    async with anyio.create_task_group() as host:
        host.start_soon(keeping.register, None)
        await hub.asked.wait()
        host.cancel_scope.cancel()
        hub.answer.set()
    stored = stored_credentials(tmp_path, HUB)
    assert stored is not None
    assert stored.api_key.get_secret_value() == KEY
    assert keeping.present()


async def test_of_two_processes_that_register_at_once_both_use_the_account_that_was_stored(tmp_path: Path) -> None:
    hub = Hub()
    keeping = credential_store(tmp_path, hub)
    async with anyio.create_task_group() as host:
        host.start_soon(keeping.register, None)
        await hub.asked.wait()
        store_credentials(tmp_path, HUB, "jdb_ag_theothersaccount", SecretStr("jdb_ak_theothersaccountkey"))
        hub.answer.set()
    current = keeping.current()
    assert current is not None
    assert current.agent_id == "jdb_ag_theothersaccount"


async def test_the_free_calls_of_a_registration_are_known_until_the_process_ends(tmp_path: Path) -> None:
    hub = Hub()
    hub.answer.set()
    keeping = credential_store(tmp_path, hub)
    assert keeping.free_calls is None
    await keeping.register(None)
    assert keeping.free_calls == 100
    # Another process finds the account, and not what came with it.
    later = credential_store(tmp_path, hub)
    await later.register(None)
    assert later.free_calls is None
