"""One sandbox Hub for the folder; one server and client per transport and protocol era."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from tests.acceptance.roads import DAILY, ROADS, Road, SandboxHub, connect, sandbox
from tests.daily import mostly_slow


@pytest.fixture(scope="session")
def first_agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxHub]:
    """The sandbox Hub, seen by its first agent."""
    with sandbox(tmp_path_factory.mktemp("hub") / "hub.sqlite") as hub:
        yield hub


@pytest.fixture
def hub(first_agent: SandboxHub) -> SandboxHub:
    """The sandbox Hub, seen by an agent that no other test uses, with $10 of test money."""
    return first_agent.new_agent()


@pytest.fixture(scope="module")
def own_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxHub]:
    """A sandbox Hub for one file alone, which may publish there what would be in others' way."""
    with sandbox(tmp_path_factory.mktemp("own") / "hub.sqlite") as hub:
        yield hub


@dataclass
class Seat:
    """A host's place: a connected client, its Hub, and where its server keeps its state."""

    road: Road
    client: Client
    hub: SandboxHub
    state: Path
    messages: list[Any] = field(default_factory=list)


@pytest.fixture(
    scope="module",
    params=mostly_slow(ROADS, DAILY),
    ids=str,
)
async def seat(
    request: pytest.FixtureRequest, first_agent: SandboxHub, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Seat]:
    """A client on each road in turn, with generous limits and every action published."""
    road: Road = request.param
    own = first_agent.new_agent("50.00")
    state = tmp_path_factory.mktemp("state")
    settings = {
        "mandate__per_call_usdc": "1.00",
        "mandate__daily_usdc": "40",
        "tools__mode": "direct",
        "tools__max_tools": "200",
        "catalog__refresh_seconds": "5",
    }
    messages: list[Any] = []

    async def heard(message: Any) -> None:
        messages.append(message)

    async with connect(road, own, state, settings=settings, message_handler=heard, read_timeout_seconds=60) as client:
        yield Seat(road, client, own, state, messages)
