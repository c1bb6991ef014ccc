"""Serving the sandbox's agents on a port of loopback that stays theirs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from jecp_mcp.errors import SettingsError
from jecp_mcp.sandbox.ajp.config import AgentsConfig
from jecp_mcp.sandbox.ajp.plans import HIRER, INDEX, agent_plans, play_key, provenance_id
from jecp_mcp.sandbox.loopback_server import likely_ports, listen_first, serve_app, url_of
from jecp_mcp.sandbox.middleware import Connections, LoopbackMiddleware

Served = dict[str, Any]
"""``{"agents": [{"name", "id", "description", "price_usd", "max_seconds", "fingerprint"}], "hirer": {"id",
"private_key"}, "index_url"}``: the agents, who may hire them, and where it is asked how they stand."""


@asynccontextmanager
async def serve_agents(config: AgentsConfig) -> AsyncIterator[Served]:
    """Serve the agents until the block ends, at the port they had at the last start, where that is free.

    Yields:
        Who they are, and who hires them.

    Raises:
        SettingsError: the folder of the configuration or a file in it cannot be used.
    """
    async with AsyncExitStack() as stack:
        listener = listen_first(likely_ports(config.data, 0, 1))
        stack.callback(listener.close)
        house = _House(url_of(listener), config)
        keeping = asyncio.create_task(house.keep())
        stack.push_async_callback(_end, keeping)
        if _used_before(config):
            # What was accepted then is worked on, whoever asks.
            await house.opened()
        connections: Connections = {}
        began = asyncio.Event()
        app = LoopbackMiddleware(house, connections)
        serving = asyncio.create_task(serve_app(app, listener, connections, began.set, lifespan=False))
        stack.push_async_callback(_end, serving)
        await began.wait()
        yield {
            "agents": [plan.line(house.origin) for plan in agent_plans(config.slow_seconds)],
            "hirer": {"id": provenance_id(house.origin, HIRER), "private_key": play_key(HIRER)},
            "index_url": f"{house.origin}/{INDEX}",
        }


def _used_before(config: AgentsConfig) -> bool:
    """Whether somebody was hired at an earlier start; the folder is made.

    Raises:
        SettingsError: it cannot be.
    """
    if config.data is None:
        return False
    try:
        config.data.mkdir(mode=0o700, exist_ok=True)
        return any(config.data.iterdir())
    except OSError as exc:
        reason = f"this folder cannot hold the agents' jobs: {exc.strerror}"
        raise SettingsError(str(config.data), "", reason) from exc


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class _Open:
    """The agents by their names, and what else is served, by path."""

    agents: Mapping[str, ASGIApp]
    pages: Mapping[str, Any]


class _House:
    """ASGI: the agent that a path begins with. They begin at the first request: most sandboxes are never asked."""

    def __init__(self, origin: str, config: AgentsConfig) -> None:
        self.origin, self._config = origin, config
        self._wanted = asyncio.Event()
        self._open: asyncio.Future[_Open] = asyncio.get_running_loop().create_future()

    async def keep(self) -> None:
        """Run the agents, once they are wanted, until cancelled."""
        await self._wanted.wait()
        async with AsyncExitStack() as stack:
            try:
                # What they need takes a while to import.
                from jecp_mcp.sandbox.ajp.agents import agents_at, hirer_declaration
                from jecp_mcp.sandbox.ajp.index import index_pages

                agents = agents_at(self.origin, self._config)
                for agent in agents.values():
                    await stack.enter_async_context(agent.running())
            except SettingsError as exc:
                self._open.set_exception(exc)
                return
            place, hirer = hirer_declaration(self.origin)
            declared = {name: agent.declaration for name, agent in agents.items()} | {HIRER: hirer}
            pages = {place: hirer, **index_pages(self.origin, agent_plans(self._config.slow_seconds), declared)}
            self._open.set_result(_Open({name: agent.app for name, agent in agents.items()}, pages))
            await asyncio.Event().wait()

    async def opened(self) -> _Open:
        """The agents, running. Raises `SettingsError`."""
        self._wanted.set()
        return await asyncio.shield(self._open)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        found = await self.opened()
        path: str = scope["path"]
        agent = found.agents.get(path.split("/")[1])
        if agent is not None:
            await agent(scope, receive, send)
            return
        page = found.pages.get(path)
        answer = JSONResponse({"error": "no agent is here"}, 404) if page is None else JSONResponse(page)
        await answer(scope, receive, send)
