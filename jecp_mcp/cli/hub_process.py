"""A sandbox Hub as a child process: started, waited for, and ended with whoever started it.

The child watches its standard input and ends when that closes, so it also ends when this process is killed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

import anyio
import anyio.abc
from pydantic import SecretStr

from jecp_mcp import extras
from jecp_mcp.cli.codes import SANDBOX_FAILED
from jecp_mcp.cli.options import Start
from jecp_mcp.errors import PayeeError
from jecp_mcp.settings import Credentials

START_SECONDS = 30.0
_END_SECONDS = 5.0
_MOST_BYTES = 65_536
_KEPT = frozenset({"PATH", "HOME", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"})
_KEPT_STARTS = ("LC_", "PYTHON")


@dataclass(frozen=True, slots=True)
class SandboxHub:
    """A running sandbox Hub and its test agent."""

    url: str
    agent_id: str
    api_key: str = field(repr=False)
    control_key: str = field(repr=False)


@asynccontextmanager
async def sandbox_hub(data: Path, *, log: IO[str] | None = None) -> AsyncIterator[SandboxHub]:
    """Run a sandbox Hub that keeps its state in `data`.

    Args:
        data: its SQLite file.
        log: where its stderr goes; to ours when not given.

    Raises:
        ExtraMissing: what its work needs is not installed.
        PayeeError: it did not start; its own words are on its stderr.
    """
    extras.SANDBOX.require()
    data.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = [sys.executable, "-m", "jecp_mcp", "sandbox", "--port", "0", "--data", str(data), "--with-parent"]
    async with await anyio.open_process(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=_environment(os.environ)
    ) as process:
        try:
            with anyio.move_on_after(START_SECONDS) as limit:
                hub = await _ready(process)
            if limit.cancelled_caught:
                raise PayeeError(SANDBOX_FAILED, f"the sandbox Hub was not ready within {START_SECONDS:.0f} s")
            yield hub
        finally:
            await _end(process)


@asynccontextmanager
async def sandbox_start(given: Start) -> AsyncIterator[Start]:
    """A sandbox Hub in the place of the configured Hub and account, with everything else as it was."""
    async with sandbox_hub(given.state / "sandbox.sqlite") as hub:
        there = given.settings.hub.model_copy(update={"base_url": hub.url})
        credentials = Credentials(agent_id=hub.agent_id, api_key=SecretStr(hub.api_key), source="sandbox")
        yield replace(given, settings=given.settings.model_copy(update={"hub": there}), credentials=credentials)


@asynccontextmanager
async def at_hub(given: Start) -> AsyncIterator[Start]:
    """What was given, with its sandbox Hub running where it is to buy from one.

    Raises:
        ExtraMissing, PayeeError: as `sandbox_hub`.
    """
    if not given.sandbox:
        yield given
        return
    async with sandbox_start(given) as there:
        yield there


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What the child needs to run Python; the real account's key and everything else of ours stays here."""
    return {name: value for name, value in environ.items() if name in _KEPT or name.startswith(_KEPT_STARTS)}


async def _ready(process: anyio.abc.Process) -> SandboxHub:
    """Read the one line in which the sandbox says where it is."""
    assert process.stdout is not None
    line = b""
    while b"\n" not in line:
        try:
            line += await process.stdout.receive()
        except anyio.EndOfStream as exc:
            raise PayeeError(SANDBOX_FAILED, "the sandbox Hub ended before it was ready") from exc
        if len(line) > _MOST_BYTES:
            raise PayeeError(SANDBOX_FAILED, "the sandbox Hub said something other than where it is")
    try:
        said = json.loads(line.partition(b"\n")[0])
        return SandboxHub(*(str(said[name]) for name in ("hub", "agent_id", "api_key", "control_key")))
    except (ValueError, KeyError, TypeError) as exc:
        raise PayeeError(SANDBOX_FAILED, "the sandbox Hub said something other than where it is") from exc


async def _end(process: anyio.abc.Process) -> None:
    with anyio.CancelScope(shield=True):
        if process.stdin is not None:
            await process.stdin.aclose()
        with anyio.move_on_after(_END_SECONDS):
            await process.wait()
            return
        process.kill()
        await process.wait()
