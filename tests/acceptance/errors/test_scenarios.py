"""The scenes of a paid call's life: an agent that only follows `next_action`, a real server, a real sandbox Hub.

Each ends rightly: the goal is reached, or it stops and the person is named who must act; then that person acts and
the agent goes on. After each one the ledger and the Hub's books are the same to the last micro-USDC.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.errors.mechanical import run
from tests.acceptance.errors.scenes import LIMITS, SCENES, Scene
from tests.acceptance.errors.seats import ERAS
from tests.acceptance.errors.world import World, opened, tally
from tests.acceptance.roads import SandboxHub, sandbox

pytestmark = pytest.mark.anyio

NOBODY = ("sbx_ag_nobody0123456789ab", "sbx_ak_nobody0123456789ab")
DIALECTS = {"reference": "2026", "spec": "2025"}
"""The Hub's dialects, each before hosts of another protocol era."""


def played() -> Iterator[Any]:
    """Every scene at a Hub of each dialect; every day an eighth of them at one of the two, in turn."""
    for number, name in enumerate(SCENES):
        for turn, dialect in enumerate(DIALECTS):
            daily = number % 16 == 15 * turn and not SCENES[name].rare
            yield pytest.param(dialect, name, id=f"{dialect}-{name}", marks=() if daily else pytest.mark.slow)


@pytest.fixture(scope="module")
def hubs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, SandboxHub]]:
    folder = tmp_path_factory.mktemp("hubs")
    with (
        sandbox(folder / "reference.sqlite", "--dialect", "reference") as reference,
        sandbox(folder / "spec.sqlite", "--dialect", "spec") as spec,
    ):
        limited = {limit["match"].removeprefix("acme/") for limit in LIMITS} | {"denied"}
        manifests = [tally(name) for name in ("tally", *sorted(limited))]
        manifests += [manifest for scene in SCENES.values() for manifest in scene.sold]
        for hub in (reference, spec):
            hub.http.post("/sandbox/catalog", json={"manifests": manifests}).raise_for_status()
        yield {"reference": reference, "spec": spec}


class Stages:
    """Servers before each Hub, for the scenes that can share one."""

    def __init__(self, hubs: Mapping[str, SandboxHub], folder: Path, stack: AsyncExitStack) -> None:
        self._hubs, self._folder, self._stack = hubs, folder, stack
        self._shared: dict[object, World] = {}

    @asynccontextmanager
    async def of(self, scene: Scene, dialect: str, name: str) -> AsyncIterator[World]:
        """The world of a scene, whose agent stands before it with words of its own."""
        kind = (dialect, tuple(scene.settings), scene.person is not None)
        async with AsyncExitStack() as own:
            world = self._shared.get(kind) if scene.shares() else None
            if world is None:
                stack = self._stack if scene.shares() else own
                world = await stack.enter_async_context(self._new(scene, dialect))
            if scene.shares():
                self._shared[kind] = world
            world.words, world.person = {"text": name}, scene.person
            yield world
        if scene.sold:
            # As it was, for the other scenes.
            self._hubs[dialect].http.post("/sandbox/catalog", json={"manifests": list(scene.sold)}).raise_for_status()

    @asynccontextmanager
    async def _new(self, scene: Scene, dialect: str) -> AsyncIterator[World]:
        hub = self._hubs[dialect]
        agent = SandboxHub(hub.url, *NOBODY, hub.http) if scene.account == "unknown" else hub.new_agent()
        state = self._folder / secrets.token_hex(4)
        state.mkdir()
        async with opened(agent, state, ERAS[DIALECTS[dialect]], scene.settings) as world:
            await world.serve(registered=scene.account != "none", asks=scene.person is not None)
            yield world


@pytest.fixture(scope="module")
async def stages(hubs: Mapping[str, SandboxHub], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stages]:
    async with AsyncExitStack() as stack:
        yield Stages(hubs, tmp_path_factory.mktemp("states"), stack)


@pytest.mark.parametrize(("dialect", "name"), list(played()))
async def test_it_ends_rightly_and_conserves_the_money_when(stages: Stages, dialect: str, name: str) -> None:
    scene = SCENES[name]
    async with stages.of(scene, dialect, name) as world:
        before = world.paid()
        asks = scene.asks if scene.before is None else await scene.before(world) or scene.asks
        assert asks is not None
        tool, arguments = (asks, world.words) if isinstance(asks, str) else asks
        waits: list[float] = []

        async def wait(seconds: float) -> None:
            if seconds and scene.meanwhile is not None and not waits:
                scene.meanwhile(world)
            waits.append(seconds)

        ended = await run(world.client, wait, tool, arguments)
        assert (ended.how, tuple(ended.types)) == (scene.how, scene.types), ended.last
        if scene.how != "answered":
            if scene.then is not None:
                await scene.then(world, ended)
            again = await run(world.client, wait, tool, arguments)
            assert (again.how, tuple(again.types)) == scene.after, again.last
        assert world.paid() - before == scene.buys
        await world.check_the_books()


def test_there_are_enough_scenes() -> None:
    """Nobody shortens the table unseen."""
    assert len(SCENES) >= 45
