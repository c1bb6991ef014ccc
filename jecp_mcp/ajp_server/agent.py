"""An agent to be hired by AJP: a worker, an identity, a file, and the ASGI application that they make."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette

from jecp_mcp.ajp_server.app import Desk, agent_app
from jecp_mcp.ajp_server.callbacks import AT_ONCE as CALLBACKS_AT_ONCE
from jecp_mcp.ajp_server.callbacks import Callbacks
from jecp_mcp.ajp_server.identity import Declared, Identity
from jecp_mcp.ajp_server.intake import Intake
from jecp_mcp.ajp_server.results import Ended, ended_with
from jecp_mcp.ajp_server.runner import Runner
from jecp_mcp.ajp_server.senders import Senders
from jecp_mcp.ajp_server.settlement import AT_ONCE as SETTLEMENTS_AT_ONCE
from jecp_mcp.ajp_server.settlement import Settlement
from jecp_mcp.ajp_server.signals import Sleep
from jecp_mcp.ajp_server.store import JobStore
from jecp_mcp.ajp_server.work import Job, Settle, Terms, Trust, Work, Worker
from jecp_mcp.clock import Clock, SystemClock
from jecp_mcp.errors import SettingsError, WireError
from jecp_mcp.extras import AJP
from jecp_mcp.http_gate import HttpGate, Resolve, resolve
from jecp_mcp.wire.ajp.signatures import SharedSecret

_NO_TERMS = Terms()
_NO_TRUST = Trust()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an agent has of the world; tests pass others.

    Attributes:
        clock: the time.
        sleep: waits for so many seconds of it.
        resolve: gives the addresses of a name.
        loopback: whether the agent, its hirers and their declarations are on this machine, and nowhere else.
    """

    clock: Clock = field(default_factory=SystemClock)
    sleep: Sleep = anyio.sleep
    resolve: Resolve = resolve
    loopback: bool = False


_WORLD = Surroundings()


async def _settle_nothing(_job: Job, _cost: int) -> None:
    """What an acknowledgement leads to where nobody wants to know."""


class Agent:
    """An agent to be hired.

    Attributes:
        app: the ASGI application. Serve it with its lifespan, in one process, at the endpoint's whole path: it answers
            at ``{endpoint}/jobs`` and at ``{endpoint}`` itself, and serves its declaration where its id says.
    """

    def __init__(
        self,
        work: Worker,
        identity: Identity,
        data: Path | str | None,
        *,
        terms: Terms = _NO_TERMS,
        trust: Trust = _NO_TRUST,
        settle: Settle = _settle_nothing,
        surroundings: Surroundings = _WORLD,
    ) -> None:
        """Set up an agent. Nothing is opened yet.

        Args:
            work: does a job.
            identity: who it is.
            data: the SQLite file of its jobs; None keeps them in memory, where a restart forgets them.
            terms: what jobs it takes.
            trust: whose.
            settle: told of what hirers acknowledge that they owe.
            surroundings: what tests replace.

        Raises:
            ExtraMissing: the packages of ``jecp-mcp[ajp]`` are not installed.
            SettingsError: the identity or the shared secret cannot be one.
        """
        AJP.require()
        self._work, self._terms, self._trust, self._settle = work, terms, trust, settle
        self._data = None if data is None else Path(data)
        self._world = surroundings
        self._declared = Declared(identity, loopback=surroundings.loopback)
        try:
            self._secret = None if trust.secret is None else SharedSecret(trust.secret)
        except WireError as exc:
            raise SettingsError("the agent's trust", "secret", str(exc)) from exc
        self._desk: Desk | None = None
        self.app: Starlette = agent_app(self._declared, terms.offer_bytes, self.running, lambda: self._desk)

    @property
    def declaration(self) -> Mapping[str, Any]:
        """What it declares of itself, signed: for those whose id has its place elsewhere."""
        return self._declared.declaration

    def ending(self, job: Job, work: Work) -> Ended:
        """How a job ends with the work that was done: failed where it takes more than its hirer offered."""
        return ended_with(job, work)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work until the block ends, as `app` does in its lifespan. What is not done by then waits for the next start.

        Raises:
            SettingsError: the file cannot be used, or another server has it.
        """
        world = self._world
        with contextlib.closing(JobStore(self._data)) as store:
            store.recover()
            async with HttpGate(world.clock, loopback=world.loopback, resolve=world.resolve) as gate:
                senders = Senders(self._trust, self._secret, store, gate, world.clock, loopback=world.loopback)
                intake = Intake(
                    store, senders, self._terms, agent=self._declared.id, clock=world.clock, loopback=world.loopback
                )
                runner = Runner(
                    store,
                    self._work,
                    self.ending,
                    self._terms,
                    agent=self._declared.id,
                    signer=self._declared.key,
                    clock=world.clock,
                    sleep=world.sleep,
                )
                callbacks = Callbacks(store, gate, world.clock, world.sleep)
                settlement = Settlement(store, self._settle, self._terms, world.clock, world.sleep)
                async with anyio.create_task_group() as group:
                    for _ in range(self._terms.at_once):
                        group.start_soon(runner.run)
                    for _ in range(CALLBACKS_AT_ONCE):
                        group.start_soon(callbacks.run, runner.ended)
                    for _ in range(SETTLEMENTS_AT_ONCE):
                        group.start_soon(settlement.run)
                    self._desk = Desk(intake, runner.accepted, settlement.acknowledged)
                    try:
                        yield
                    finally:
                        self._desk = None
                        group.cancel_scope.cancel()
