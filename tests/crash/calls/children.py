"""Processes that live one life of a worker, until they have done it or have killed themselves."""

from __future__ import annotations

import logging
import multiprocessing
import signal
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import anyio
import apsw

from jecp_mcp.calls.ports import Caller
from jecp_mcp.cli import assembly
from jecp_mcp.cli.assembly import build
from jecp_mcp.cli.options import Start
from jecp_mcp.domain.purchases import LOCAL
from jecp_mcp.wire.x402.secp256k1 import PrivateKey
from tests.crash.calls.paying import lay
from tests.crash.mandate.dying import Fuse
from tests.paid_http_house import TurnedClock

ROOM = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""A folder in memory, where there is one: a kill leaves the system's own copies of files as they are."""

CHILDREN = multiprocessing.get_context("forkserver")
# By whichever test file the process is started that they are forked from.
CHILDREN.set_forkserver_preload(
    [f"tests.crash.calls.{one}_worker" for one in ("flow402", "hiring", "hub_x402", "paid_http")]
)


class Child:
    """A process, and what it said."""

    def __init__(self, live: Callable[[Any, Connection], None], life: Any) -> None:
        self._pipe, theirs = CHILDREN.Pipe(duplex=False)
        self._process = CHILDREN.Process(target=live, args=(life, theirs))
        self._process.start()
        theirs.close()
        self.died: str | None = None
        self.passed = 0
        self.heard: list[dict[str, Any]] = []

    def end(self) -> Child:
        while True:
            try:
                word, value = self._pipe.recv()
            except EOFError:
                break
            setattr(self, word, value)
        self._process.join(120)
        assert self._process.exitcode == (0 if self.died is None else -signal.SIGKILL), self.died
        self._process.close()
        self._pipe.close()
        return self


def ledger_rows(folder: Path, columns: str) -> list[Any]:
    """The calls in a state folder's ledger, as the file is, whoever writes it."""
    connection = apsw.Connection(str(folder / "ledger.sqlite"), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(30_000)
    rows = connection.execute(f"SELECT {columns} FROM call").fetchall()
    connection.close()
    return rows


def light(last: int | str, tell: Connection) -> Fuse:
    """In a worker: the ledger's points, the HTTP library's, and a conclusion's, of which `last` is to be the last."""
    logging.disable(logging.CRITICAL)
    fuse = Fuse(last, tell)
    fuse.lay()
    lay(fuse)
    return fuse


def lay_signing(fuse: Fuse) -> None:
    """In a worker: the points before and after a wallet signs."""
    sign = PrivateKey.sign

    def signing(self: PrivateKey, digest: bytes) -> bytes:
        fuse.passing("before the signature")
        signed = sign(self, digest)
        fuse.passing("after the signature")
        return signed

    PrivateKey.sign = signing  # type: ignore[method-assign]


def ask(
    fuse: Fuse,
    tell: Connection,
    start: Start,
    ahead: int,
    asks: Sequence[tuple[str, Mapping[str, Any]]],
    *,
    refresh: bool = False,
) -> None:
    """In a worker: make the calls, at once, or finish what is open where there are none.

    Says ``("passed", points)`` and ``("heard", [result])`` at the end.

    Args:
        ahead: how far this process's clock is before the machine's, in seconds.
        asks: the tools, with their arguments.
        refresh: whether the tools come from a catalog, which is fetched before.
    """
    clock = TurnedClock()
    clock.ahead = ahead
    assembly.SystemClock = lambda: clock  # type: ignore[assignment, misc]
    heard: list[Any] = []

    async def do() -> None:
        async with build(start) as bridge:
            if refresh:
                await bridge.source.refresh()
            fuse.lit = True
            if not asks:
                await bridge.calls.recover()

            async def call(tool: str, arguments: Mapping[str, Any]) -> None:
                found = await bridge.dispatcher.call(tool, arguments, Caller(LOCAL))
                heard.append(dict(found.structured or {}))

            async with anyio.create_task_group() as tasks:
                for tool, arguments in asks:
                    tasks.start_soon(call, tool, arguments)
            await bridge.ledger.flush()
            fuse.lit = False

    anyio.run(do)
    tell.send(("passed", fuse.passed))
    tell.send(("heard", heard))
