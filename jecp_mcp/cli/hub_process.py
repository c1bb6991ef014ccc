"""A sandbox Hub as a process of its own: joined where one runs on this file, else started.

It belongs to no one of its users: any of them may be killed, the one who started it too. It ends when nobody has used
it for a while; when it is killed, whoever still uses it starts it again, at the same address with the same books.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from jecp_mcp import extras
from jecp_mcp.cli.codes import SANDBOX_FAILED
from jecp_mcp.cli.hub_record import DATA_FILE, HubRecord, SandboxHub
from jecp_mcp.cli.options import Start
from jecp_mcp.cli.sandbox_settings import at_sandbox
from jecp_mcp.errors import PayeeError

log = logging.getLogger(__name__)

START_SECONDS: Final = 30.0
LINGER_SECONDS: Final = 30.0
"""How long a Hub stays when nobody uses it: a client that starts a server for each call comes again soon."""

_WATCH_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.05
_PORTS: Final = range(20_000, 30_000)
"""Where a first port is looked for: below those that systems give to outgoing connections."""
_MOST_PORTS: Final = 50
_KEPT: Final = frozenset({"PATH", "HOME", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"})
_KEPT_STARTS: Final = ("LC_", "PYTHON")


@asynccontextmanager
async def sandbox_hub(data: Path, *, linger: float = LINGER_SECONDS) -> AsyncIterator[SandboxHub]:
    """Use the sandbox Hub that keeps its state in `data`; one that runs is joined.

    Args:
        data: its SQLite file.
        linger: how many seconds a Hub that is started here stays when nobody uses it any more.

    Raises:
        ExtraMissing: what its work needs is not installed.
        PayeeError: it did not start; with its last words.
        SettingsError: there is no place for its files.
    """
    extras.SANDBOX.require()
    record = HubRecord(data)
    record.create()
    async with AsyncExitStack() as stack:
        await _use(record, stack)
        hub = await _join(record, linger, [*filter(None, [record.port]), *_ports_of(record.data)])
        tasks = await stack.enter_async_context(anyio.create_task_group())
        tasks.start_soon(_keep_running, record, linger, int(hub.url.rpartition(":")[2]))
        yield hub
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def private_hub(data: Path) -> AsyncIterator[SandboxHub]:
    """A sandbox Hub for this block alone, which has ended when the block has.

    Raises:
        ExtraMissing: what its work needs is not installed.
        PayeeError: it did not start; with its last words.
    """
    try:
        async with sandbox_hub(data, linger=0) as hub:
            yield hub
    finally:
        with anyio.move_on_after(START_SECONDS, shield=True):
            while HubRecord(data).lives():  # noqa: ASYNC110 - another process's lock tells nobody
                await anyio.sleep(_POLL_SECONDS)


@asynccontextmanager
async def at_hub(given: Start) -> AsyncIterator[Start]:
    """What was given; where it is to buy with test money, with the state folder's Hub and account in their place.

    Raises:
        ExtraMissing, PayeeError, SettingsError: as `sandbox_hub`.
    """
    if not given.sandbox:
        yield given
        return
    async with sandbox_hub(given.state / DATA_FILE) as hub:
        wallet = None
        if hub.merchant is not None:
            from jecp_mcp.cli.play_money import play_wallet

            # Never the wallet that holds money.
            wallet = await play_wallet(given, hub.merchant)
        yield replace(at_sandbox(given, hub), play_wallet=wallet)


async def _use(record: HubRecord, stack: AsyncExitStack) -> None:
    """Use the Hub until `stack` is left; one that is ending is waited for.

    Raises:
        PayeeError: it does not end.
    """
    with anyio.move_on_after(START_SECONDS):
        while True:
            with ExitStack() as attempt:
                if attempt.enter_context(record.use()):
                    stack.enter_context(attempt.pop_all())
                    return
            await anyio.sleep(_POLL_SECONDS)
    raise PayeeError(SANDBOX_FAILED, f"the sandbox Hub is ending and did not within {START_SECONDS:.0f} s")


async def _join(record: HubRecord, linger: float, ports: Iterable[int]) -> SandboxHub:
    """The Hub that lives, or is started at the first of `ports` that is free, once it answers.

    Raises:
        PayeeError: it does not come to that.
    """
    started = None
    with anyio.move_on_after(START_SECONDS):
        while True:
            if started is None:
                started = _start_unless_alive(record, linger, ports)
                if started is not None:
                    await anyio.to_thread.run_sync(started.wait)
            elif not record.lives():
                words = record.last_words() or "it ended before it was ready"
                raise PayeeError(SANDBOX_FAILED, f"the sandbox Hub did not start: {words}")
            if (hub := record.hub) is not None:
                return hub
            await anyio.sleep(_POLL_SECONDS)
    raise PayeeError(SANDBOX_FAILED, f"the sandbox Hub was not ready within {START_SECONDS:.0f} s; see {record.log}")


async def _keep_running(record: HubRecord, linger: float, port: int) -> None:
    """Start the Hub again, where it was, when it was killed."""
    said = False
    while True:
        await anyio.sleep(_RETRY_SECONDS if said else _WATCH_SECONDS)
        try:
            if record.lives():
                said = False
                continue
            log.warning("the sandbox Hub has ended; it is started again")
            await _join(record, linger, [port])
        except (PayeeError, OSError) as exc:
            if not said:
                log.error("calls fail until the sandbox Hub runs again: %s", exc)  # noqa: TRY400 - the cause is in the message
            said = True


def _start_unless_alive(record: HubRecord, linger: float, ports: Iterable[int]) -> subprocess.Popen[bytes] | None:
    """Start a Hub at the first port that is free, unless one lives.

    Gives the process that starts it in a session of its own and then ends at once, so that no corpse stays here.

    Raises:
        PayeeError: no port is free.
    """
    with record.claim() as alive:
        if alive is None:
            return None
        port = next(filter(_is_free, ports), None)
        if port is None:
            raise PayeeError(SANDBOX_FAILED, "another program has taken the sandbox Hub's port")
        if record.port not in {None, port}:
            # A Hub is known by its address: to the pins, to the ledger and to whoever looks at its pages.
            log.warning(
                "another program has taken port %s, so the sandbox Hub is at port %d from now on: its wallet and calls "
                "go along; its catalog counts as one seen for the first time, and a call that was open at the old "
                "address stays open until that is free again",
                record.port,
                port,
            )
        options = {"port": port, "data": record.data, "linger": linger, "alive": alive}
        arguments = [f"--{name}={value}" for name, value in options.items()]
        with record.new_log() as words:
            return subprocess.Popen(  # noqa: S603 - ourselves
                # Not from the current folder (-P), which is whatever the host works on.
                [sys.executable, "-P", "-m", "jecp_mcp", "sandbox", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=words,
                env=_environment(os.environ),
                pass_fds=(alive,),
            )


def _ports_of(data: Path) -> Iterable[int]:
    """Where to look for a first port: for each file elsewhere, and for the same file in the same order."""
    first = zlib.crc32(os.fsencode(data))
    return (_PORTS[(first + step) % len(_PORTS)] for step in range(_MOST_PORTS))


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return False
    return True


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What the child needs to run Python; the real account's key and everything else of ours stays here."""
    return {name: value for name, value in environ.items() if name in _KEPT or name.startswith(_KEPT_STARTS)}
