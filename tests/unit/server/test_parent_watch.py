"""A server whose host has ended ends too, whoever else holds its pipe; one that is still spoken to does not."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest

from jecp_mcp.server.parent_watch import GRACE_SECONDS, LOOK_SECONDS, ParentWatch

pytestmark = pytest.mark.anyio


async def spoken() -> AsyncIterator[str]:
    while True:
        yield "a line"


@pytest.mark.parametrize("speaks", [False, True])
async def test_it_waits_for_the_parents_end_and_for_whoever_speaks_in_its_place(speaks: bool) -> None:
    parents = [7, 7, 7, 1]
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if speaks:
            assert await anext(lines) == "a line"

    watch = ParentWatch(lambda: parents.pop(0) if len(parents) > 1 else parents[0], sleep)
    lines = watch.listen(spoken())
    ended = anyio.Event()

    async def wait() -> None:
        await watch.wait()
        ended.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        assert slept == [LOOK_SECONDS, LOOK_SECONDS, GRACE_SECONDS]
        assert ended.is_set() is not speaks
        tasks.cancel_scope.cancel()
